"""Datasets of free text."""

from __future__ import annotations

from typing import ClassVar

from rowsmith.datasets.base import GeneratedDataset
from rowsmith.recipes.raw import Raw, RawDatasetConfig


class RawDataset(GeneratedDataset[RawDatasetConfig]):
    """Texts of given types about given topics.

    A row has `id`, `text`, `document_type`, `topic`, `language`, `model_id` and `metadata`, where `seed` is the id of
    the seed text, if there are any.
    """

    recipe: ClassVar = Raw
