"""Datasets made of the rows of another."""

from __future__ import annotations

from typing import ClassVar

from rowsmith.datasets.base import GeneratedDataset
from rowsmith.recipes.generic import Generic, GenericPipelineDatasetConfig


class GenericPipelineDataset(GeneratedDataset[GenericPipelineDatasetConfig]):
    """Rows made of rows.

    A row has `id`, the input columns, the forwarded columns, what the model wrote, `language`, `model_id`,
    `pipeline_source` (`synthetic`) and `metadata`, where `source_id` is the id of the row that it was made of: that of
    `id_column`, or the fingerprint of its content.
    """

    recipe: ClassVar = Generic
    _recipe: Generic
