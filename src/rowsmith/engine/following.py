"""What some work tells of, one by one, while it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeVar

E = TypeVar("E")


async def following(begin: Callable[[Callable[[E], None]], Coroutine[Any, Any, object]]) -> AsyncGenerator[E, None]:
    """Do some work, and give what it tells of as it does.

    Leaving early cancels the work and waits until it has ended. Whatever it raises is raised at its end.

    Args:
        begin: makes the work of a function that is to be called with each thing it tells of.
    """
    told: asyncio.Queue[E | None] = asyncio.Queue()
    work = asyncio.create_task(begin(told.put_nowait))
    work.add_done_callback(lambda _: told.put_nowait(None))
    try:
        while (one := await told.get()) is not None:
            yield one
        await work
    finally:
        if not work.done():
            work.cancel()
            await asyncio.wait({work})
