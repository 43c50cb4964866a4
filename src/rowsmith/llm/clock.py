"""Time as a value that is handed in, so that tests never wait and budgets never depend on the machine."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What a run knows of time."""

    def now(self) -> float:
        """Seconds that only ever grow; for durations."""

    def date(self) -> float:
        """Seconds since 1970 (UTC); for records and daily quotas."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's own."""

    now = staticmethod(time.monotonic)
    date = staticmethod(time.time)
    sleep = staticmethod(asyncio.sleep)
