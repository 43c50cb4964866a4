"""Conversation datasets."""

from __future__ import annotations

from typing import ClassVar

from rowsmith.datasets.base import GeneratedDataset
from rowsmith.recipes.ultrachat import Ultrachat, UltrachatDatasetConfig


class UltrachatDataset(GeneratedDataset[UltrachatDatasetConfig]):
    """Conversations between a person and an assistant.

    A row has `id`, `prompt` (the first message), `messages` (a list of `role`, which is `user` or `assistant` in turn,
    and `content`: what was said and nothing else), `persona` (or None), `domain`, `topic`, `subtopic`, `language`,
    `model_id` (the assistant's), `user_model_id` and `metadata`, which counts the `turns` too.
    """

    recipe: ClassVar = Ultrachat
