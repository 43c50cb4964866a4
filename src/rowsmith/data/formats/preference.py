"""What the formats for preferences share: the prompt, the better answer and the worse one, as TRL takes them.

https://huggingface.co/docs/trl/dataset_formats
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from rowsmith.data.formats.conversation import Message, asked_in, checked_messages
from rowsmith.data.formats.misfit import lacking, text_of
from rowsmith.data.lines import Row
from rowsmith.errors import ConfigError

Style = Literal["conversational", "standard"]
Part = str | list[Message]


class Preference(NamedTuple):
    """The three, as texts or as messages."""

    prompt: Part
    chosen: Part
    rejected: Part


def preference(row: Row, *, system: str | None = None, style: Style = "conversational") -> Preference:
    """A row of `prompt` (or `question`), `chosen` and `rejected`.

    Args:
        row: the row. Its parts are texts, or lists of messages.
        system: a system message at the head of the prompt, where that is messages.
        style: `conversational` gives messages, to which a trainer applies the model's chat template; `standard` gives
            texts, to which it does not.

    Raises:
        ConfigError: a part is missing, or cannot be had in that style.
    """
    absent = [name for name in ("chosen", "rejected") if row.get(name) is None]
    if row.get("prompt") is None and row.get("question") is None:
        absent.insert(0, "prompt")
    if absent:
        raise lacking(row, absent)
    if style == "standard":
        if system is not None:
            raise ConfigError("a system prompt needs style=conversational: plain texts have no place for it")
        return Preference(asked_in(row), text_of(row, "chosen"), text_of(row, "rejected"))
    prompt = _as_messages(row.get("prompt") or row.get("question"), "user", "prompt")
    if system is not None:
        prompt = [{"role": "system", "content": system}, *(one for one in prompt if one["role"] != "system")]
    answers = (_as_messages(row[name], "assistant", name) for name in ("chosen", "rejected"))
    return Preference(prompt, *answers)


def _as_messages(value: Any, role: str, name: str) -> list[Message]:
    return [{"role": role, "content": value}] if isinstance(value, str) else checked_messages(value, name)
