"""Calls of a runner as the engine makes them, without a run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psutil

from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Request
from rowsmith.tools.result import ToolResult, tool_request
from rowsmith.tools.runner import ToolRunner


class Asking:
    """A runner and a transport: `await asking("add", a=1)`."""

    def __init__(self, runner: ToolRunner, transport: Transport) -> None:
        self.runner = runner
        self.transport = transport

    async def __call__(self, tool: str, /, **arguments: Any) -> ToolResult:
        body = self.runner.encode(Request(tool_request(tool, arguments)))
        completion = await self.runner.complete(body, self.transport)
        return ToolResult.of(completion.text)


def descendants() -> set[int]:
    """The processes that this one has started and that still run."""
    return {one.pid for one in psutil.Process().children(recursive=True) if runs(one.pid)}


def runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def none_run(pids: Iterable[int], seconds: float = 30.0) -> bool:
    """Whether all of these end within so many seconds."""
    numbers = set(pids)
    psutil.wait_procs([psutil.Process(pid) for pid in numbers if runs(pid)], timeout=seconds)
    return not any(map(runs, numbers))
