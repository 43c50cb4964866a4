"""Processes of the command `rowsmith` that start in milliseconds: forks of one that has loaded everything.

What they do is what `python -m rowsmith.cli` does in a process of its own; only the start of Python and the imports,
two thirds of the time of a short command, are shared.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import json
import os
import pkgutil
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, NoReturn, Protocol

# Without what would start threads or take seconds.
LOADED = (
    "rich.console",
    "rich.table",
    "rich.live",
    "rich.progress",
    "mcp",
    "mcp.client.session",
    "anyio._backends._asyncio",
)
OF_PYTHON = ("PYTHON", "LC_", "LANG")
"""Variables that are read when Python starts, which a fork does not."""


class Process(Protocol):
    """What the tests use of a `subprocess.Popen[str]`."""

    pid: int
    stderr: IO[str] | None

    @property
    def returncode(self) -> int | None: ...

    def poll(self) -> int | None: ...

    def send_signal(self, sig: int) -> None: ...

    def kill(self) -> None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def communicate(self, *, timeout: float | None = None) -> tuple[str, str]: ...


class Forked:
    """A command that runs, with nothing on its standard input."""

    def __init__(self, stdout: int, stderr: int, status: int) -> None:
        self._stdout = os.fdopen(stdout, encoding="utf-8")
        self.stderr: IO[str] | None = os.fdopen(stderr, encoding="utf-8")
        self._status = os.fdopen(status, encoding="ascii")
        self.pid = int(self._status.readline())
        self.returncode: int | None = None
        self._written: tuple[str, str] | None = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._ended(0)

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, waited for.

        Raises:
            subprocess.TimeoutExpired: it has not ended after that many seconds.
        """
        ended = self._ended(3600 if timeout is None else timeout)
        if ended is None:
            raise subprocess.TimeoutExpired("rowsmith", timeout or 0)
        return ended

    def communicate(self, *, timeout: float | None = None) -> tuple[str, str]:
        """All that it writes (stdout, stderr), once it has ended.

        Raises:
            subprocess.TimeoutExpired: it has not, after that many seconds.
        """
        if self._written is None:
            assert self.stderr is not None
            with ThreadPoolExecutor(2) as readers, self._stdout, self.stderr:
                out, err = readers.submit(self._stdout.read), readers.submit(self.stderr.read)
                self.wait(timeout)
                self._written = out.result(timeout), err.result(timeout)
        return self._written

    def _ended(self, seconds: float) -> int | None:
        if self.returncode is None:
            with selectors.DefaultSelector() as selector:
                selector.register(self._status, selectors.EVENT_READ)
                if selector.select(max(0, seconds)):
                    self.returncode = int(self._status.readline())
                    self._status.close()
        return self.returncode


class Forks:
    """Starts commands. To be closed."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        code = f"from cli.forks import keep; keep({theirs.fileno()})"
        path = os.pathsep.join(filter(None, (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": path},
        )
        theirs.close()

    @staticmethod
    def can(env: Mapping[str, str]) -> bool:
        """Whether a fork is what a start of Python with this environment would be."""
        here = {**os.environ}
        return all(env.get(name) == here.get(name) for name in env.keys() | here.keys() if name.startswith(OF_PYTHON))

    def start(self, arguments: Sequence[str], folder: Path, env: Mapping[str, str]) -> Forked:
        """Begin a command."""
        pipes = [os.pipe() for _ in range(3)]
        asked = json.dumps([[*arguments], str(folder), {**env}]).encode()
        socket.send_fds(self._socket, [asked], [write for _, write in pipes])
        for _, write in pipes:
            os.close(write)
        return Forked(*(read for read, _ in pipes))

    def close(self) -> None:
        self._socket.close()
        self._process.wait()


def keep(asked: int) -> None:
    """Load all, and fork for whatever is asked, until nobody can ask any more."""
    import rowsmith

    for module in pkgutil.walk_packages(rowsmith.__path__, "rowsmith."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in LOADED:
        if importlib.util.find_spec(name.partition(".")[0]) is not None:
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a fork that ends would otherwise copy all pages, to look through what was loaded here
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait
    connection = socket.socket(fileno=asked)
    while True:
        message, pipes, _, _ = socket.recv_fds(connection, 1 << 20, 3)
        if not message:
            return
        if os.fork() == 0:
            connection.close()
            _wait_for(json.loads(message), *pipes)
            return
        for pipe in pipes:
            os.close(pipe)


def _wait_for(asked: tuple[list[str], str, dict[str, str]], stdout: int, stderr: int, status: int) -> None:
    """Fork once more, and say how it ends. Returns in the fork, when the command is through."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    command = os.fork()
    if command == 0:
        os.close(status)
        _carry_out(*asked, stdout, stderr)
    os.close(stdout)
    os.close(stderr)
    os.write(status, f"{command}\n".encode())
    _, how = os.waitpid(command, 0)
    os.write(status, f"{os.waitstatus_to_exitcode(how)}\n".encode())
    os._exit(0)


def _carry_out(arguments: list[str], folder: str, env: dict[str, str], stdout: int, stderr: int) -> NoReturn:
    from rowsmith.cli import main

    for own, pipe in ((1, stdout), (2, stderr)):
        os.dup2(pipe, own)
        os.close(pipe)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    sys.argv = ["rowsmith", *arguments]
    sys.path[0] = folder  # what `python -m` puts there
    main()
    sys.exit()
