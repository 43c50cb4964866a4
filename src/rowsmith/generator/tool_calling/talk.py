"""A conversation with calls of tools while it is made: the calls, what came of them, and its messages so far."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import BaseModel, Field, field_validator

from rowsmith.tools.tool import Tool

_ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_ID_LENGTH = 9
"""What Mistral's chat templates ask of a call's id; everybody else takes any."""


class ToolCall(BaseModel):
    """One call, before it is held against its tool."""

    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)

    @field_validator("arguments", mode="before")
    @classmethod
    def _written_as_text(cls, given: Any) -> Any:
        """Arguments that are JSON in a text, as OpenAI's format has them."""
        if not isinstance(given, str):
            return given
        try:
            return json.loads(given)
        except ValueError:
            return given


class FinalAnswer(BaseModel):
    """What the assistant says in the end."""

    answer: str = Field(min_length=1, description="the assistant's answer to the user")


class Call(NamedTuple):
    """A call that fits its tool.

    Attributes:
        id: tells it from all others of its conversation.
        tool: what is called.
        arguments: as JSON.
        values: the arguments themselves.
    """

    id: str
    tool: Tool
    arguments: str
    values: Mapping[str, Any]

    def openai(self) -> dict[str, Any]:
        """The call as OpenAI's chat format has it."""
        function = {"name": self.tool.name, "arguments": self.arguments}
        return {"id": self.id, "type": "function", "function": function}


class Result(NamedTuple):
    """What came of a call.

    Attributes:
        content: the text that the assistant gets.
        error: what kind of error it is; None if it is none.
        why: the error in words.
    """

    content: str
    error: str | None = None
    why: str = ""


@dataclass(slots=True)
class Talk:
    """A conversation on its way."""

    messages: list[dict[str, Any]]
    used: dict[str, None] = field(default_factory=dict)
    errors: list[dict[str, str]] = field(default_factory=list)
    steps: int = 0
    calls: int = 0

    def add(self, calls: Sequence[Call], results: Sequence[Result]) -> None:
        """Add a round of calls with their results."""
        self.steps += 1
        self.calls += len(calls)
        self.messages.append({"role": "assistant", "content": None, "tool_calls": [call.openai() for call in calls]})
        for call, result in zip(calls, results, strict=True):
            self.used[call.tool.name] = None
            told = {"role": "tool", "tool_call_id": call.id, "name": call.tool.name, "content": result.content}
            self.messages.append(told)
            if result.error is not None:
                self.errors.append({"tool_call_id": call.id, "name": call.tool.name, "kind": result.error})


def parts_of(message: Mapping[str, Any]) -> Iterator[str]:
    """The texts of a message: what is said, and what is called."""
    if message.get("content"):
        yield message["content"]
    for call in message.get("tool_calls") or ():
        yield f"{call['function']['name']} {call['function']['arguments']}"


def as_json(values: Mapping[str, Any]) -> str | None:
    """Arguments as JSON; None if it has no words for them."""
    try:
        text = json.dumps(values, ensure_ascii=False, allow_nan=False)
        text.encode()
    except ValueError:  # a number that is none, or half of a surrogate pair
        return None
    return text


def id_of(text: str) -> str:
    """An id made of a text: nine letters and digits."""
    number = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
    digits = []
    for _ in range(_ID_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(digits)
