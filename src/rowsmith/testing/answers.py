"""The answer that is given where the test scripts none: a pure function of the request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from rowsmith.llm.providers.offline import answer
from rowsmith.llm.values import Message, Rung
from rowsmith.testing.calls import Call

_FENCED: Final = re.compile(r"```[a-zA-Z]*\s*\n(.*?)```", re.DOTALL)
_COUNT: Final = re.compile(r"(?<![\w.])([1-9]\d?|100)(?![\w.]*\w)")
_SCHEMA_WORDS: Final = frozenset({"type", "properties", "$ref", "$defs", "anyOf", "oneOf", "allOf", "enum", "items"})
_SIMPLE: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
}


def schema_in(messages: tuple[Message, ...]) -> Mapping[str, Any] | None:
    """The first JSON Schema that a message has between fences, or None."""
    for message in messages:
        for block in _FENCED.findall(message.content):
            try:
                found = orjson.loads(block)
            except orjson.JSONDecodeError:
                continue
            if isinstance(found, dict) and _SCHEMA_WORDS & found.keys():
                return found
    return None


def count_in(messages: tuple[Message, ...]) -> int | None:
    """How many entries the last message asks for: its first number of 1 to 100, or None."""
    found = _COUNT.search(_FENCED.sub("", messages[-1].content)) if messages else None
    return int(found[1]) if found else None


def default_answer(call: Call, *, question: bytes | None = None) -> str:
    """What the offline provider's filler makes of the request.

    The schema is the body's own, else one between fences in the prompt. Without any, `{"text": ...}` where JSON is
    asked for, else a few sentences. An open list gets as many entries as the call's hint `num_samples` says, else as
    the first number of the last message.

    Args:
        call: the call.
        question: what to seed from; the model, the messages and the sampling seed where nothing is given.

    Raises:
        BadRequestError: no value of the schema can be made.
    """
    asked = call.asked
    schema = asked.schema or schema_in(asked.messages)
    if schema is None and (asked.rung is Rung.JSON or any("json" in m.content.lower() for m in asked.messages)):
        schema = _SIMPLE
    if question is None:
        question = orjson.dumps([asked.model, asked.seed, [[m.role, m.content] for m in asked.messages]])
    count = count_in(asked.messages)
    return answer(question, schema, call.hints if count is None else {"num_samples": count, **call.hints})
