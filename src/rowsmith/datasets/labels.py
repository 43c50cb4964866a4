"""Datasets that label rows which exist already."""

from __future__ import annotations

from typing import ClassVar

from rowsmith.datasets.base import GeneratedDataset
from rowsmith.recipes.labels import Labels, LabelsDatasetConfig


class LabelsDataset(GeneratedDataset[LabelsDatasetConfig]):
    """Given rows with labels added, one for each row of the source.

    A row has `id`, `text`, the forwarded columns, what each task adds under its name (a class, a list of classes, a
    score with `<name>_label`, or a list of entities with `tokens` and `tags`), `votes` where several labellers were
    asked, `model_id`, `label_source` (`synthetic`) and `metadata`.
    """

    recipe: ClassVar = Labels
