"""Processes that end with this one, however it ends, together with all that they have started."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rowsmith.errors import ConfigError

_GUARD = Path(__file__).with_name("guard.py")


def must_be_possible() -> None:
    """Raise a ConfigError where processes cannot be guarded."""
    if sys.platform == "win32":
        raise ConfigError("tools cannot be carried out on Windows: let a model play their results.")


class Child:
    """A running command, under a guard (`guard.py`). Use `start`; and `end`, whatever happens.

    Attributes:
        process: the guard's; its pipes are the command's.
    """

    def __init__(self, process: asyncio.subprocess.Process, line: int) -> None:
        self.process = process
        self._line: int | None = line

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str | None = None,
        delete: str | None = None,
        **streams: Any,
    ) -> Child:
        """Start a command.

        Args:
            command: the program and its arguments.
            env: its whole environment.
            cwd: the folder in which it starts.
            delete: a folder that goes when it ends.
            streams: `stdin`, `stdout`, `stderr` and `limit` as `asyncio.create_subprocess_exec` takes them.

        Raises:
            OSError: the system starts no process.
        """
        there, here = os.pipe()
        guard = [sys.executable, "-I", "-S", str(_GUARD), str(there), delete or "-"]
        try:
            # A session of its own: an interrupt from the keyboard is for us.
            process = await asyncio.create_subprocess_exec(
                *guard, *command, env=env, cwd=cwd, pass_fds=(there,), start_new_session=True, **streams
            )
        except BaseException:
            os.close(here)
            raise
        finally:
            os.close(there)
        return cls(process, here)

    def kill(self) -> None:
        """Have it end at once, and everything that it has started; `end` waits for that."""
        if self._line is None:
            return
        os.close(self._line)
        self._line = None
        # A process that was forked from this one holds the pipe open, too. Not by `terminate`: that looks first whether
        # the process has ended, and so at times takes its exit code from asyncio's thread that waits for it.
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGTERM)

    async def end(self) -> str:
        """Have it end, and wait until it has: how it ended, in words."""
        self.kill()
        return self.words(await self.process.wait())

    async def ended(self, seconds: float) -> bool:
        """Whether it ends by itself within so many seconds."""
        try:
            await asyncio.wait_for(self.process.wait(), seconds)
        except TimeoutError:
            return False
        return True

    @staticmethod
    def words(code: int) -> str:
        """What a guard's exit code says."""
        if code <= 128:
            return f"ended with code {code}"
        try:
            return f"was ended by {signal.Signals(code - 128).name}"
        except ValueError:
            return f"ended with code {code}"
