"""Functions called in processes of their own: a few workers that are used again until a call spoils one."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import struct
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rowsmith.errors import ModelNotFoundError, ProviderError, ServiceError
from rowsmith.tools.child import Child
from rowsmith.tools.result import ToolResult

_WORKER = Path(__file__).with_name("worker.py")
_PASSED_ON = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "PATH", "PYTHONPATH", "TZ")
_LOAD_SECONDS = 120.0
_MOST_STARTS = 3
"""Workers in a row that may die while they load; with the next, the run ends."""
_ENVELOPE = 4096
"""Bytes of a message beyond the result in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """How functions are called.

    Attributes:
        functions: how a worker finds each, by name; see `FunctionTool.packed`.
        env: environment variables that they see, besides what programs need to run.
        timeout: seconds of one call.
        memory: bytes of address space of a worker.
        largest: bytes of a result.
        most: workers at once.
    """

    functions: Mapping[str, Mapping[str, str]]
    env: Mapping[str, str] = field(repr=False)
    timeout: float
    memory: int
    largest: int
    most: int


class DiedError(Exception):
    """A worker's process ended, or said what no worker says."""


class Workers:
    """The workers of one run. They start when they are needed. Belongs to one event loop; `close` it."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._room = asyncio.Semaphore(settings.most)
        self._idle: list[_Worker] = []
        self._endings: set[asyncio.Task[None]] = set()
        self._failed_starts = 0
        self._closed = False

    async def call(self, name: str, arguments: Any) -> ToolResult:
        """Call a function.

        Raises:
            ProviderError: no worker can be started.
        """
        settings = self._settings
        async with self._room:
            worker = await self._free()
            healthy = False
            try:
                async with asyncio.timeout(settings.timeout):
                    result = await worker.call(name, arguments)
                healthy = result.kind != "memory"
            except TimeoutError:
                return ToolResult.failed("timeout", f"it gave no result within {settings.timeout:g} s")
            except DiedError:
                return ToolResult.failed("crashed", f"its process {await worker.end()}")
            finally:
                if healthy and not self._closed:
                    self._idle.append(worker)
                else:
                    self._let_go(worker)
            return result

    async def close(self) -> None:
        """End all workers, and wait until they have ended. One that is under way ends with its call."""
        self._closed = True
        while self._idle:
            self._let_go(self._idle.pop())
        while self._endings:
            await asyncio.gather(*self._endings)

    async def _free(self) -> _Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.alive:
                return worker
            self._let_go(worker)
        return await self._started()

    async def _started(self) -> _Worker:
        try:
            worker = await _Worker.start(self._settings)
        except OSError as error:
            raise ServiceError(f"no process can be started for tools: {error}") from error
        try:
            async with asyncio.timeout(_LOAD_SECONDS):
                await worker.load()
        except TimeoutError:
            self._let_go(worker)
            raise ModelNotFoundError(f"the tools were not loaded within {_LOAD_SECONDS:g} s") from None
        except DiedError:
            raise self._not_loaded(await worker.end()) from None
        except BaseException:
            self._let_go(worker)
            raise
        self._failed_starts = 0
        return worker

    def _not_loaded(self, how: str) -> ProviderError:
        self._failed_starts += 1
        kind = ServiceError if self._failed_starts < _MOST_STARTS else ModelNotFoundError
        return kind(
            f"the process that was to load the tools {how}",
            hint=f"Are {self._settings.memory // 2**20} MB of memory (memory_mb) enough for what they import?",
        )

    def _let_go(self, worker: _Worker) -> None:
        """End a worker, without waiting for it: nobody else has to."""
        worker.kill()
        ending = asyncio.get_running_loop().create_task(worker.gone())
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)


class _Worker:
    """One process that calls functions, one at a time."""

    def __init__(
        self,
        settings: WorkerSettings,
        child: Child,
        folder: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._settings = settings
        self._child = child
        self._folder = folder
        self._reader = reader
        self._writer = writer

    @classmethod
    async def start(cls, settings: WorkerSettings) -> _Worker:
        """Start a process that has loaded nothing yet.

        Raises:
            OSError: the system starts none.
        """
        folder = tempfile.mkdtemp(prefix="rowsmith-tools-")
        ours, theirs = socket.socketpair()
        try:
            child = await Child.start(
                [sys.executable, "-P", str(_WORKER)],
                env=_environment(settings.env, folder),
                cwd=folder,
                delete=folder,
                stdin=theirs,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except BaseException:
            ours.close()
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            theirs.close()
        try:
            reader, writer = await asyncio.open_connection(sock=ours)
        except BaseException:
            child.kill()
            ours.close()
            raise
        return cls(settings, child, folder, reader, writer)

    @property
    def alive(self) -> bool:
        return self._child.process.returncode is None and not self._reader.at_eof()

    async def load(self) -> None:
        """Have it load all functions.

        Raises:
            DiedError: it ended meanwhile.
            ModelNotFoundError: one cannot be loaded there.
        """
        settings = self._settings
        here = str(Path.cwd())
        path = [here if part == "" else part for part in sys.path]
        told = {
            # What is in the current folder can be named as a tool: a worker's own current folder is another.
            "path": path if here in path else [*path, here],
            "functions": {name: dict(packed) for name, packed in settings.functions.items()},
            "memory": settings.memory,
            "largest": settings.largest,
        }
        answer = json.loads(await self._exchange(told))
        if "failed" in answer:
            raise ModelNotFoundError(
                f"the tool {answer['failed']!r} cannot be loaded in a process of its own: {answer['error']}",
                hint=(
                    f"It sees only {', '.join(_PASSED_ON)} of the environment, and what `env` of the tools' runner "
                    f"names; and it has {settings.memory // 2**20} MB of memory"
                ),
            )

    async def call(self, name: str, arguments: Any) -> ToolResult:
        """Call one function.

        Raises:
            DiedError: the process ended meanwhile.
        """
        call = {"name": name, "arguments": json.dumps(arguments), "seconds": self._settings.timeout}
        try:
            return ToolResult.of(await self._exchange(call))
        except ValueError:  # a tool wrote to where it has no business
            raise DiedError from None

    def kill(self) -> None:
        self._child.kill()
        self._writer.close()

    async def end(self) -> str:
        """Have it end, and wait until it has: how it ended, in words."""
        self._writer.close()
        # What it was going to say of its end comes with its guard's end, which is near.
        await self._child.ended(5.0)
        return await self._child.end()

    async def gone(self) -> None:
        """Wait until it has ended, and take away what it left."""
        await self._child.end()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _exchange(self, message: Mapping[str, Any]) -> str:
        data = json.dumps(message).encode()
        most = 6 * self._settings.largest + _ENVELOPE  # JSON may need six bytes for one
        try:
            self._writer.write(struct.pack(">I", len(data)) + data)
            await self._writer.drain()
            (length,) = struct.unpack(">I", await self._reader.readexactly(4))
            if length > most:
                raise DiedError
            return (await self._reader.readexactly(length)).decode()
        except (OSError, EOFError, ValueError):
            raise DiedError from None


def _environment(given: Mapping[str, str], folder: str) -> dict[str, str]:
    """What functions see: nothing of this process's keys."""
    made = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    # Sets are written in one order; and an allocator of many threads does not take all of the address space for itself.
    return {**made, "TMPDIR": folder, "PYTHONHASHSEED": "0", "MALLOC_ARENA_MAX": "2", **given}
