"""Conversations as one text, in which the turns stand between marks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rowsmith.data.formats.conversation import Message
from rowsmith.errors import ConfigError


def require_free_of(marks: Sequence[str], messages: Iterable[Message]) -> None:
    """Refuse a conversation with a mark in a text: a trainer would take it for the end of the turn.

    Raises:
        ConfigError: one has a mark.
    """
    for number, message in enumerate(messages, start=1):
        for mark in marks:
            if mark in message["content"]:
                raise ConfigError(
                    f"the text of its turn {number} has {mark!r} in it, which would end the turn. Leave such rows out, "
                    "or export messages and let the trainer's chat template escape it"
                )
