"""Work of a run from synchronous code, in a notebook too."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


def run_sync(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Do work of a run from synchronous code, whether or not an event loop is already running in this thread."""
    if not _in_a_loop():
        return asyncio.run(work())
    result: list[T] = []
    failure: list[BaseException] = []
    finished = threading.Event()
    begun: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []
    interrupts = 0

    async def do() -> None:
        task = asyncio.current_task()
        assert task is not None
        begun.append((asyncio.get_running_loop(), task))
        if not interrupts:
            result.append(await work())

    def in_thread() -> None:
        try:
            asyncio.run(do())
        except BaseException as error:  # handed to the caller's thread below
            failure.append(error)
        finally:
            finished.set()

    threading.Thread(target=in_thread, name="rowsmith-run", daemon=True).start()
    while not finished.is_set():
        try:
            finished.wait()
        except KeyboardInterrupt:
            # A notebook's interrupt reaches this thread only. Passed on like this, it ends the run in good order,
            # within the grace time; a second one ends it at once.
            interrupts += 1
            for loop, task in begun:
                with suppress(RuntimeError):  # the loop has ended meanwhile
                    loop.call_soon_threadsafe(task.cancel)
    if interrupts:
        raise KeyboardInterrupt
    if failure:
        raise failure[0]
    return result[0]


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
