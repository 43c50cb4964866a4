"""Regression datasets."""

from __future__ import annotations

from typing import ClassVar

from rowsmith.datasets.base import GeneratedDataset
from rowsmith.recipes.regression import Regression, RegressionDatasetConfig


class RegressionDataset(GeneratedDataset[RegressionDatasetConfig]):
    """Texts with a score.

    A row has `id`, `text`, `label` (the grade), `score` (a float), `language`, `model_id`, `label_source`
    (`synthetic`) and `metadata`.
    """

    recipe: ClassVar = Regression
