"""Question-answer datasets."""

from __future__ import annotations

from typing import ClassVar

from rowsmith.datasets.base import GeneratedDataset
from rowsmith.recipes.qa import QA
from rowsmith.recipes.qa_config import QADatasetConfig


class QADataset(GeneratedDataset[QADatasetConfig]):
    """Questions and answers about passages of documents.

    A row has `id`, `question`, `answer` (empty where there is none), `answer_start` (in characters of `context`; None
    unless the answer is a piece of it), `is_impossible`, `context`, `language`, `style` and `difficulty` where they
    were given, `model_id` and `metadata`, which names the `passages`.
    """

    recipe: ClassVar = QA
