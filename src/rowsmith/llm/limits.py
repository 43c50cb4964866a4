"""How many requests to one model may be under way, and when the next may go."""

from __future__ import annotations

import asyncio
from collections import deque

from rowsmith.llm.clock import Clock
from rowsmith.llm.provider import KnownLimits


class Stopped(Exception):  # noqa: N818  # a signal, not an error
    """The run is stopping: no new request goes out. Control flow inside the engine, never shown to a user."""


class Limiter:
    """Admits requests to one model, in the order they came.

    Args:
        limits: what the model is known to allow.
        clock: of the run.
        ceiling: requests in flight that are never passed, whatever the service allows.
    """

    def __init__(self, limits: KnownLimits, clock: Clock, *, ceiling: int) -> None:
        self._clock = clock
        self._room = min(ceiling, limits.max_concurrency or ceiling)
        self._queue: deque[asyncio.Future[None]] = deque()
        self._open_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self.in_flight = 0

    async def enter(self, tokens: int = 0) -> None:
        """Wait until a request of about so many tokens may go, and count it as in flight.

        Raises:
            Stopped: the limiter was closed meanwhile.
        """
        del tokens
        if self._closed:
            raise Stopped
        if self.in_flight < self._room and not self._queue and self._clock.now() >= self._open_at:
            self.in_flight += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.leave()
            raise

    def leave(self) -> None:
        """A request has come back, with or without an answer."""
        self.in_flight -= 1
        if self._queue:
            self._admit()

    def limited(self, retry_after: float) -> None:
        """The service said that it was too much: nothing more goes out for so many seconds."""
        self._open_at = max(self._open_at, self._clock.now() + retry_after)

    def close(self) -> None:
        """Let nothing more out; whoever waits is told."""
        self._closed = True
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_exception(Stopped())

    def _admit(self) -> None:
        wait = self._open_at - self._clock.now()
        if wait > 0:
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(wait, self._reopen)
            return
        while self._queue and self.in_flight < self._room:
            turn = self._queue.popleft()
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)

    def _reopen(self) -> None:
        self._timer = None
        self._admit()
