"""Runs a command in a process group of its own, and ends the whole group when a pipe closes, or at SIGTERM.

Run as a script:

    python -I -S guard.py <pipe's number> <folder to delete at the end, or -> <command> …

The pipe's other end is held by whoever started this, and by nobody else: it closes with that process, also when that is
killed at once. Nothing of Rowsmith is imported, so that this is small and quick to start. It ends as the command did,
with 128 and the signal's number where a signal ended it.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from contextlib import suppress
from types import FrameType

_NOT_STARTED = 127


def main() -> int:
    """Run the command until it ends, or the pipe closes."""
    line, folder, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    os.set_inheritable(line, False)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, _nothing)
    restored = (signal.SIGPIPE, signal.SIGXFSZ)  # which Python ignores, and what is ignored is inherited
    try:
        child = os.posix_spawnp(command[0], command, os.environ, setpgroup=0, setsigdef=restored)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        return _NOT_STARTED
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # they are the command's: who reads there must see their end
        os.dup2(nowhere, stream)
    status = _watch(child, line, woken)
    with suppress(ProcessLookupError, PermissionError):  # macOS has the latter for a group that is dead
        os.killpg(child, signal.SIGKILL)
    if status is None:
        status = os.waitpid(child, 0)[1]
    if folder != "-":
        import shutil

        shutil.rmtree(folder, ignore_errors=True)
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def _watch(child: int, line: int, woken: int) -> int | None:
    """Wait until the command ends, and return its status, or until it is to be ended, and return None."""
    poll = select.poll()
    poll.register(line, 0)  # only that it was closed is of interest
    poll.register(woken, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        if line in ready or signal.SIGTERM in os.read(woken, 64):
            return None
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status


def _nothing(number: int, frame: FrameType | None) -> None:
    """A signal has to have a handler to write to the pipe that wakes."""


if __name__ == "__main__":
    os._exit(main())  # at once: as Python takes its leave, SIGTERM has its default effect again, and another exit code
