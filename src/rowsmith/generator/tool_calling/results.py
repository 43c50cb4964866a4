"""How results of calls are read: of those that are carried out, and of those that a model makes up."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import ClassVar

from rowsmith.generator.tool_calling.talk import Call, Result
from rowsmith.llm.structured.outcome import Outcome, Reading
from rowsmith.llm.structured.shape import shortened
from rowsmith.llm.structured.text_output import TextOutput
from rowsmith.llm.values import Completion, Message, OutputSchema, Rung
from rowsmith.tools.result import ToolResult


class Execution:
    """What a `ToolRunner` answers."""

    again: ClassVar[str] = ""

    @property
    def schema(self) -> OutputSchema:
        """Of a call that succeeds: what an estimate, in which nothing is carried out, makes up."""
        return _SUCCESS

    def prompt_for(self, rung: Rung, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        del rung
        return messages

    def read(self, completion: Completion) -> Reading[ToolResult]:
        return Reading(ToolResult.of(completion.text), Outcome.OK)


_SUCCESS = OutputSchema(
    "tool_result",
    {
        "type": "object",
        "properties": {"ok": {"const": True}, "result": {"type": "string"}},
        "required": ["ok", "result"],
        "additionalProperties": False,
    },
)
EXECUTION, SIMULATION = Execution(), TextOutput()
"""What is expected of the two."""
SIMULATED = "simulated"
"""The kind of an error that a model was asked to make up."""
_FENCED = re.compile(r"```\w*\n(.*?)\n?```", re.DOTALL)


def unfenced(text: str) -> str:
    """A text without the fence that a model has put around all of it."""
    found = _FENCED.fullmatch(text.strip())
    return found[1] if found else text


def result_of(found: ToolResult) -> Result:
    """What the assistant gets of a call that was carried out."""
    if found.ok:
        return Result(found.result)
    return Result(json.dumps({"error": found.error}, ensure_ascii=False), found.kind, found.error)


def first_error(calls: Sequence[Call], results: Sequence[Result]) -> str | None:
    """Which of some calls failed first, and how; None if none did."""
    for call, result in zip(calls, results, strict=True):
        if result.error is not None:
            return f"{call.tool.name} failed ({result.error}): {shortened(result.why, 300)}"
    return None
