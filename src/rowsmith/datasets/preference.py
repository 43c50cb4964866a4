"""Preference datasets."""

from __future__ import annotations

from typing import ClassVar

from rowsmith.datasets.base import GeneratedDataset
from rowsmith.recipes.preference import Preference, PreferenceDatasetConfig


class PreferenceDataset(GeneratedDataset[PreferenceDatasetConfig]):
    """Questions with a better and a worse answer.

    A row has `id`, `document` (unless questions were given), `question`, `chosen`, `rejected`, `chosen_score` and
    `rejected_score` (1 to 10, None without a judge), `language`, `question_model_id`, `chosen_model_id`,
    `rejected_model_id` and `metadata`: whether the judge `swapped` the two, and the steps of the question's
    `evolution`.
    """

    recipe: ClassVar = Preference
