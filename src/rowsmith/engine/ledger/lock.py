"""One writer at a time: a lock that dies with its process."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from rowsmith.errors import RunLockedError, StorageError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # then msvcrt is used


class RunLock:
    """An operating-system lock on a file that also says who holds it.

    The lock itself is the kernel's: when the holder dies, however it dies, the lock is free, and no age or process
    number has to be guessed at. The text in the file is only for the message.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    def __enter__(self) -> Self:
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as exc:
            raise StorageError(f"cannot write in {self._path.parent}: {exc.strerror}") from exc
        try:
            _lock(self._file)
        except OSError as exc:
            holder = os.pread(self._file, 200, 0).decode(errors="replace").strip() or "another process"
            os.close(self._file)
            self._file = -1
            raise RunLockedError(
                f"{self._path.parent} is being written by {holder}. Wait for it, stop it, or choose another output."
            ) from exc
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _lock(file: int) -> None:
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    import msvcrt

    locking = vars(msvcrt)["locking"]  # by name: the type checker of another system knows the module as empty
    locking(file, vars(msvcrt)["LK_NBLCK"], 1)


def holder_of(lock: Path) -> str:
    """Who holds a run's lock, in words; empty if nobody does. On Windows nobody can be asked, and it is empty too."""
    if fcntl is None or not lock.exists():
        return ""
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return file.read(200).decode(errors="replace").strip() or "another process"
    return ""
