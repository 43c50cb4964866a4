"""Datasets made of the rows of another."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from rowsmith.datasets.base import GeneratedDataset, How
from rowsmith.datasets.naming import Llms
from rowsmith.engine.run import Run
from rowsmith.recipes.generic import Generic, GenericPipelineDatasetConfig


class GenericPipelineDataset(GeneratedDataset[GenericPipelineDatasetConfig]):
    """Rows made of rows.

    A row has `id`, the input columns, the forwarded columns, what the model wrote, `language`, `model_id`,
    `pipeline_source` (`synthetic`) and `metadata`, where `source_id` is the id of the row that it was made of: that of
    `id_column`, or the fingerprint of its content.
    """

    recipe: ClassVar = Generic
    _recipe: Generic

    @property
    def skipped(self) -> Counter[str]:
        """How many rows of the source are left out, by reason."""
        return self._recipe.givens.skipped

    async def _prepared(self, llms: Llms | None, how: How) -> Run:
        run = await super()._prepared(llms, how)
        run.report.skipped.update(self.skipped)
        return run
