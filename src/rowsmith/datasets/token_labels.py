"""Token classification datasets."""

from __future__ import annotations

from typing import ClassVar

from rowsmith.datasets.base import GeneratedDataset
from rowsmith.recipes.token_labels import TokenLabels, TokenLabelsDatasetConfig


class TokenLabelsDataset(GeneratedDataset[TokenLabelsDatasetConfig]):
    """Texts with labelled pieces.

    A row has `id`, `text`, `entities` (a list of `start`, `end`, `label` and `text`, where `text[start:end]` of the row
    is the entity's text exactly; offsets count Unicode code points), `tokens` and `tags` (BIO), `language`, `model_id`,
    `label_source` (`synthetic`) and `metadata`.
    """

    recipe: ClassVar = TokenLabels
