"""Time as a value that is handed in, so that tests never wait and budgets never depend on the machine."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """What a run knows of time. Clocks that tell the same time are equal: runs with equal clocks share their limits."""

    def now(self) -> float:
        """Seconds that only ever grow; for durations. May be called from any thread."""

    def date(self) -> float:
        """Seconds since 1970 (UTC); for records and daily quotas. May be called from any thread."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The machine's own."""

    now = staticmethod(time.monotonic)
    date = staticmethod(time.time)
    sleep = staticmethod(asyncio.sleep)
