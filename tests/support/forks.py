"""Processes of Python that start in milliseconds: forks of one that has loaded everything.

A fork has the guard and the warnings of a process of its own, and an environment, a folder, streams and an end of its
own; only the start of Python and the imports, two thirds of the time of a short command, are shared. What it does not
show is that a module was used without being imported.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NoReturn, Protocol, Self

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
    """A process that runs, with nothing on its standard input."""

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
            raise subprocess.TimeoutExpired("a fork", timeout or 0)
        return ended

    def communicate(self, *, timeout: float | None = None) -> tuple[str, str]:
        """All that it writes (stdout, stderr), once it has ended.

        Raises:
            subprocess.TimeoutExpired: it has not, after that many seconds, and is killed; or what it left behind still
                holds its streams.
        """
        if self._written is None:
            assert self.stderr is not None
            pipes = (self._stdout, self.stderr)
            written: list[list[str]] = [[], []]
            # Daemons: what a process has started and left may hold a pipe open for ever.
            readers = [
                threading.Thread(target=_read, args=(pipe, texts), daemon=True)
                for pipe, texts in zip(pipes, written, strict=True)
            ]
            for reader in readers:
                reader.start()
            try:
                self.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
            for reader in readers:
                reader.join(timeout)
                if reader.is_alive():
                    raise subprocess.TimeoutExpired("a fork", timeout or 0)
            for pipe in pipes:
                pipe.close()
            out, err = ("".join(texts) for texts in written)
            self._written = out, err
        return self._written

    def _ended(self, seconds: float) -> int | None:
        if self.returncode is None:
            with selectors.DefaultSelector() as selector:
                selector.register(self._status, selectors.EVENT_READ)
                if selector.select(max(0, seconds)):
                    self.returncode = int(self._status.readline())
                    self._status.close()
        return self.returncode


def _read(pipe: IO[str], texts: list[str]) -> None:
    texts.append(pipe.read())


class Forks:
    """Starts processes; to be used as a context manager, or closed.

    Args:
        env: the environment in which all is loaded.
        loaded: names of modules; one that is not installed is left to whoever needs it. `name.*` is all of a package.
    """

    def __init__(self, env: Mapping[str, str], loaded: Sequence[str]) -> None:
        self._env = dict(env)
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        tests = str(Path(__file__).parents[1])
        code = f"import sys; sys.path.append({tests!r})\nfrom support.forks import keep\n"
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"{code}keep({theirs.fileno()}, {[*loaded]!r})"],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env=self._env,
        )
        theirs.close()

    def can(self, env: Mapping[str, str]) -> bool:
        """Whether a fork is what a start of Python with this environment would be."""
        names = (name for name in env.keys() | self._env.keys() if name.startswith(OF_PYTHON))
        return all(env.get(name) == self._env.get(name) for name in names)

    def start(
        self, module: str, arguments: Sequence[str], folder: Path, env: Mapping[str, str], *, together: bool = False
    ) -> Forked:
        """Have the `main` of a module called.

        Args:
            module: by its name.
            arguments: its `sys.argv`.
            folder: its current folder.
            env: its environment.
            together: its standard error goes where its standard output goes, in order.
        """
        pipes = [os.pipe() for _ in range(3)]
        (_, out), (_, err), (_, status) = pipes
        asked = json.dumps([module, [*arguments], str(folder), {**env}]).encode()
        socket.send_fds(self._socket, [asked], [out, out if together else err, status])
        for _, write in pipes:
            os.close(write)
        return Forked(*(read for read, _ in pipes))

    def close(self) -> None:
        self._socket.close()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def keep(asked: int, loaded: Sequence[str]) -> None:
    """Load all, and fork for whatever is asked, until nobody can ask any more."""
    for name in loaded:
        _load(name)
    gc.collect()
    gc.freeze()  # a fork that ends would otherwise copy all pages, to look through what was loaded here
    assert threading.active_count() == 1, "a thread does not outlive a fork"
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


def _load(name: str) -> None:
    """A module with all that it has to offer, which may come from other modules when it is asked for."""
    package = name.removesuffix(".*")
    try:
        module = importlib.import_module(package)
    except ImportError:
        return
    for public in vars(module).get("__all__", ()):
        getattr(module, public)
    if package != name:
        for found in pkgutil.walk_packages(module.__path__, f"{package}."):
            if not found.name.endswith("__main__"):
                importlib.import_module(found.name)


def _wait_for(asked: tuple[str, list[str], str, dict[str, str]], stdout: int, stderr: int, status: int) -> None:
    """Fork once more, and say how it ends. Returns in the fork, when its work is done."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    process = os.fork()
    if process == 0:
        os.close(status)
        _carry_out(*asked, stdout, stderr)
    os.close(stdout)
    os.close(stderr)
    os.write(status, f"{process}\n".encode())
    _, how = os.waitpid(process, 0)
    os.write(status, f"{os.waitstatus_to_exitcode(how)}\n".encode())
    os._exit(0)


def _carry_out(
    module: str, arguments: list[str], folder: str, env: dict[str, str], stdout: int, stderr: int
) -> NoReturn:
    for own, pipe in ((1, stdout), (2, stderr)):
        os.dup2(pipe, own)
        os.close(pipe)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    sys.argv = arguments
    sys.path[0] = folder  # what `python -m` puts there
    # It ends as any process does, by coming to the end of its program.
    sys.exit(importlib.import_module(module).main())
