"""What some work tells of, one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import pytest

from rowsmith.engine.following import following


async def test_what_is_told_comes_in_order_and_then_the_error() -> None:
    async def work(tell: Callable[[int], None]) -> None:
        tell(1)
        await asyncio.sleep(0)
        tell(2)
        raise ValueError("the end")

    told: list[int] = []

    async def listen() -> None:
        async for one in following(work):
            told.append(one)  # noqa: PERF401  # kept although the loop raises

    with pytest.raises(ValueError, match="the end"):
        await listen()
    assert told == [1, 2]


async def test_leaving_early_cancels_the_work_and_waits_until_it_has_ended() -> None:
    ended: list[str] = []

    async def work(tell: Callable[[int], None]) -> None:
        tell(1)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)  # as a run waits for what is in flight
            ended.append("in good order")

    async with aclosing(following(work)) as told:
        async for one in told:
            assert one == 1
            break
    assert ended == ["in good order"]
