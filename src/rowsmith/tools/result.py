"""A call of a tool as it is asked for, and what came of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal, get_args

from rowsmith.llm.values import Message

Failure = Literal["raised", "timeout", "memory", "crashed", "invalid", "too_large", "refused"]
"""How a call failed:

- `raised`: the tool said so: an exception, an MCP result with `isError`, or a result that JSON cannot hold.
- `timeout`: it took longer than the runner allows.
- `memory`: it asked for more memory than the runner allows.
- `crashed`: its process ended.
- `invalid`: it does not take these arguments.
- `too_large`: its result has more bytes than the runner allows.
- `refused`: it cannot be carried out: unknown, a schema alone, or turned away by its MCP server.
"""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What came of one call.

    Attributes:
        ok: it succeeded.
        result: what the tool returned: its text, or JSON; empty where it failed.
        error: what went wrong, in words that a model may read; empty where it succeeded.
        kind: how it failed; None where it succeeded.
    """

    ok: bool
    result: str = ""
    error: str = ""
    kind: Failure | None = None

    @classmethod
    def failed(cls, kind: Failure, error: str) -> ToolResult:
        return cls(ok=False, error=error, kind=kind)

    @classmethod
    def of(cls, text: str) -> ToolResult:
        """The result that a completion of `ToolRunner` holds.

        Raises:
            ValueError: it is none.
        """
        told = json.loads(text)
        if isinstance(told, dict):
            if told.get("ok") is True and isinstance(told.get("result"), str):
                return cls(ok=True, result=told["result"])
            if told.get("ok") is False and isinstance(told.get("error"), str) and told.get("kind") in get_args(Failure):
                return cls(ok=False, error=told["error"], kind=told["kind"])
        raise ValueError(f"no result of a tool: {text[:80]!r}")

    @property
    def text(self) -> str:
        """As JSON: `{"ok": true, "result": …}` or `{"ok": false, "error": …, "kind": …}`."""
        told = {"ok": True, "result": self.result} if self.ok else {"ok": False, "error": self.error, "kind": self.kind}
        return json.dumps(told, ensure_ascii=False)


def tool_request(name: str, arguments: Any) -> tuple[Message, ...]:
    """The conversation by which a `ToolRunner` is asked to carry out a call."""
    return (Message.user(json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)),)
