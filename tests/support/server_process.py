"""Servers of others, as processes that are gone when the tests are."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

INSTALLED: Final = Path(__file__).resolve().parents[2] / ".venv-real"
"""Where `make` installs the servers that tests/real asks, apart from the environment of the tests."""
POLL_INTERVAL: Final = 0.02
PATIENCE: Final = 5.0


class ServerProcess:
    """A started process. It is expected to end when its standard input does, so that it never outlives us.

    Args:
        command: the program and its arguments.
        folder: becomes its home and holds its log.
        variables: its environment, beside `PATH` and `HOME`: nothing else of ours is handed on.
    """

    def __init__(self, command: Sequence[str | Path], folder: Path, variables: Mapping[str, str]) -> None:
        self._log = folder / "server.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                cwd=folder,
                env={"PATH": os.environ["PATH"], "HOME": str(folder), **variables},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def log(self) -> str:
        """What it has printed so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, ready: Callable[[], str | None], seconds: float) -> str:
        """Ask `ready` until it has an answer.

        Raises:
            RuntimeError: the process has ended.
            TimeoutError: there is none within so many seconds. The process is ended.
        """
        deadline = time.monotonic() + seconds
        try:
            while time.monotonic() < deadline:
                if self._process.poll() is not None:
                    raise RuntimeError(f"the server ended with {self._process.returncode}: {self.log[-2000:]}")
                if found := ready():
                    return found
                time.sleep(POLL_INTERVAL)
            raise TimeoutError(f"the server was not ready within {seconds:g} s: {self.log[-2000:]}")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the process: by the end of its input, or else by force. Closing twice is fine."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
