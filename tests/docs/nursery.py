"""A process that has loaded Rowsmith and forks a child for each example, which then starts in no time.

A child has the interpreter, the guard and the warnings of a process of its own, and an environment, a folder and an end
of its own. What it does not show is that a submodule was used without being imported; examples in a console do.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

LOADED = ("aiohttp", "rowsmith", "rowsmith.testing", "rowsmith.cli.app")


class Nursery:
    """Examples in children of one process; to be used as a context manager.

    Args:
        env: the environment in which it loads all there is.
        seconds: for which a child may run.
    """

    def __init__(self, env: Mapping[str, str], seconds: int) -> None:
        self._seconds = seconds
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(env),
            encoding="utf-8",
        )

    def run(self, module: str, arguments: Sequence[str], folder: Path, env: Mapping[str, str]) -> tuple[int, str]:
        """Call the `main` of a module: the exit code, negative for a signal, and what was printed and complained of."""
        printed = folder.with_name(f"{folder.name}.printed")
        job: dict[str, Any] = {"module": module, "arguments": list(arguments), "folder": str(folder), "env": dict(env)}
        job |= {"printed": str(printed), "seconds": self._seconds}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(job)}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline()), printed.read_text(encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()


def main() -> None:
    for name in LOADED:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue  # the example that needs it says so
        for public in vars(module).get("__all__", ()):
            getattr(module, public)
    gc.freeze()  # a child's collections do not touch what is here already, and so copy none of it
    assert threading.active_count() == 1, "a thread does not outlive a fork"
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            # It ends as any process does, by coming to the end of its program.
            become(job)
            sys.exit(importlib.import_module(job["module"]).main())
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def become(job: Mapping[str, Any]) -> None:
    """Take on the folder, the environment, the arguments and the streams of an example."""
    signal.alarm(job["seconds"])
    written = os.open(job["printed"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, stream in ((nothing, 0), (written, 1), (written, 2)):
        os.dup2(source, stream)
    os.close(nothing)
    os.close(written)
    os.environ.clear()
    os.environ.update(job["env"])
    os.chdir(job["folder"])
    sys.argv = job["arguments"]


if __name__ == "__main__":
    main()
