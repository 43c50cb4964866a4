"""Clocks for tests: one whose time passes only when everybody sleeps, and one whose sleep is short."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

NOON = 1_767_268_800.0
"""2026-01-01 12:00 UTC."""


class SimulatedClock:
    """Time that stands still while anybody works, and leaps to the next wake-up when all are asleep.

    It runs an event loop of its own, whose time it is: `asyncio.sleep`, `asyncio.timeout` and `call_later` obey it too.
    Nothing in it may wait for the network or for threads.
    """

    def __init__(self, date: float = NOON) -> None:
        self._now = 0.0
        self._date = date

    def now(self) -> float:
        return self._now

    def date(self) -> float:
        return self._date + self._now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass without anybody doing anything in it."""
        self._now += seconds

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end; time goes on from one run to the next.

        Raises:
            RuntimeError: all wait for something that never comes.
        """
        with asyncio.Runner(loop_factory=lambda: _Loop(self)) as runner:
            return runner.run(main)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        super().__init__(_Selector(clock))

    def time(self) -> float:
        return self._clock.now()


class _Selector(selectors.DefaultSelector):
    """Waits for nothing: the loop says for how long it would, and that is how far time leaps."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("deadlock: everybody waits, and nobody will ever wake")
            self._clock.advance(max(0.0, timeout))
        return ready


class HurriedClock:
    """Real time that runs faster, for tests over real HTTP.

    Args:
        factor: seconds of this clock in one real second.
    """

    def __init__(self, factor: float) -> None:
        self._factor = factor
        self._began = time.monotonic()

    def now(self) -> float:
        return (time.monotonic() - self._began) * self._factor

    def date(self) -> float:
        return NOON + self.now()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._factor)
