"""A process that calls functions: run as a script by `workers`, with a socket for standard input.

Messages are JSON behind their length. The first says what to load and how much is allowed; each further one is a call,
and gets one answer. The socket is taken out of the way before any code of the user's is loaded, and standard input and
output are the null device, so that nothing that a tool reads or prints is taken for a message.
"""

from __future__ import annotations

import json
import math
import os
import resource
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any

_FILE_BYTES = 256 * 1024 * 1024
_WORDS = 1000
_PR_SET_PDEATHSIG, _SIGKILL = 1, 9


class Line:
    """Messages over a socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._file = connection.makefile("rwb")

    def receive(self) -> Any:
        """The next message; None when there are no more."""
        head = self._file.read(4)
        if len(head) < 4:
            return None
        (length,) = struct.unpack(">I", head)
        return json.loads(self._file.read(length))

    def send(self, message: Any) -> None:
        data = json.dumps(message).encode()
        self._file.write(struct.pack(">I", len(data)) + data)
        self._file.flush()


class Served:
    """One function, ready to be called."""

    def __init__(self, packed: dict[str, str]) -> None:
        from rowsmith.tools.functions import Arguments, unpacked

        self.function, hints = unpacked(packed)
        self.arguments = Arguments.of(self.function, hints)


def carried_out(served: Served, arguments: str, largest: int) -> dict[str, Any]:
    """Call a function: what came of it, as `ToolResult` has it."""
    from pydantic import ValidationError

    try:
        args, kwargs = served.arguments.read(arguments)
    except ValidationError as error:
        return _failed("invalid", "; ".join(map(_fault, error.errors(include_url=False))))
    try:
        return _answer(served.function, args, kwargs, largest)
    except MemoryError:
        return _failed("memory", "it asked for more memory than there is for it")
    except BaseException as error:  # SystemExit and the like too: a tool must not end its process
        return _failed("raised", _told(error))


def _answer(function: Callable[..., Any], args: Any, kwargs: Any, largest: int) -> dict[str, Any]:
    import inspect

    value = function(*args, **kwargs)
    if inspect.isawaitable(value):
        import asyncio

        async def awaited(waited: Any = value) -> Any:
            return await waited

        value = asyncio.run(awaited())
    text = value if isinstance(value, str) else _as_json(value)
    size = len(text.encode())
    if size > largest:
        return _failed("too_large", f"its result has {size} bytes, and {largest} are allowed")
    return {"ok": True, "result": text}


def _as_json(value: Any) -> str:
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    try:
        return json.dumps(to_jsonable_python(value), ensure_ascii=False, allow_nan=False)
    except (PydanticSerializationError, ValueError) as error:
        raise TypeError(f"it returned a {type(value).__name__}, which JSON cannot hold: {error}") from None


def _failed(kind: str, error: str) -> dict[str, Any]:
    words = error if len(error) <= _WORDS else f"{error[: _WORDS - 1]}…"
    return {"ok": False, "error": words.encode(errors="replace").decode(), "kind": kind}


def _fault(problem: Any) -> str:
    place = ".".join(map(str, problem["loc"]))
    return f"{place}: {problem['msg']}" if place else str(problem["msg"])


def _told(error: BaseException) -> str:
    try:
        message = str(error)
    except BaseException as worse:  # an exception of the user's may not even be printable
        message = f"(its message cannot be told: {type(worse).__name__})"
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _limit_all(memory: int) -> None:
    limits = {resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: _FILE_BYTES}
    if sys.platform != "darwin":  # which has the limit, and refuses every value for it
        limits[resource.RLIMIT_AS] = memory
    for what, most in limits.items():
        _, hard = resource.getrlimit(what)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (allowed, allowed))


def _limit_processor(seconds: float) -> None:
    """Allow so many seconds of each processor from now on: what a tool has left running does not run for ever."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = math.ceil(used.ru_utime + used.ru_stime + seconds * (os.cpu_count() or 1)) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _end_with_guard() -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL)


def main() -> None:
    """Load what the first message names, and call until there are no more messages."""
    line = Line(socket.socket(fileno=os.dup(0)))
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    _end_with_guard()
    told = line.receive()
    if told is None:
        return
    sys.path[:] = told["path"]
    _limit_all(told["memory"])
    served: dict[str, Served] = {}
    for name, packed in told["functions"].items():
        try:
            served[name] = Served(packed)
        except BaseException as error:
            line.send({"failed": name, "error": _told(error)[:_WORDS]})
            return
    line.send({"ready": True})
    while (call := line.receive()) is not None:
        _limit_processor(call["seconds"])
        line.send(carried_out(served[call["name"]], call["arguments"], told["largest"]))


if __name__ == "__main__":
    main()
