"""Whether a run is to end before its work is done, and why: known to all who take part in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Ending:
    """The end of a run, from the first who asks for it.

    Attributes:
        why: for the report, in one line; empty as long as the run goes on.
        failure: the error that the run ends with, if any.
        stopping: set once the run is to end.
        failed: set once it is to end with an error.
    """

    def __init__(self) -> None:
        self.why = ""
        self.failure: Exception | None = None
        self.stopping = asyncio.Event()
        self.failed = asyncio.Event()
        self._told: list[Callable[[], None]] = []

    def tell(self, who: Callable[[], None]) -> None:
        """Have somebody told, once the run is to end."""
        self._told.append(who)

    def stop(self, why: str) -> None:
        """End the run in good order."""
        self.why = self.why or why
        self.stopping.set()
        for who in self._told:
            who()

    def fail(self, error: Exception) -> None:
        """End the run with an error."""
        self.failure = self.failure or error
        self.stop(f"{type(error).__name__}: {error}")
        self.failed.set()
