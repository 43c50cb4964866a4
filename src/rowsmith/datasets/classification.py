"""Text classification datasets."""

from __future__ import annotations

from typing import ClassVar

from rowsmith.datasets.base import GeneratedDataset
from rowsmith.recipes.classification import Classification, ClassificationDatasetConfig


class ClassificationDataset(GeneratedDataset[ClassificationDatasetConfig]):
    """Texts with a label.

    A row has `id`, `text`, `label`, `language`, `model_id`, `label_source` (`synthetic`) and `metadata` (the provider,
    the template's number, the placeholders' values, the cell, and the keys of the calls it came from).
    """

    recipe: ClassVar = Classification
