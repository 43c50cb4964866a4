"""Multiple-choice question datasets."""

from __future__ import annotations

from typing import ClassVar

from rowsmith.datasets.base import GeneratedDataset
from rowsmith.recipes.mcq import MCQ, MCQDatasetConfig


class MCQDataset(GeneratedDataset[MCQDatasetConfig]):
    """Questions about documents, with one right answer and three wrong ones, or as many as are asked for.

    A row has `id`, `source_document`, `question`, `correct_answer`, `incorrect_answer_1` to `_3`, `language`,
    `model_id`, `mcq_source` (`synthetic`) and `metadata`.
    """

    recipe: ClassVar = MCQ
