"""One model's door: limits before a call, retries after a failure, and nothing sent once the run stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from rowsmith.errors import ProviderError, RateLimitError
from rowsmith.llm.clock import Clock
from rowsmith.llm.limits import Limiter, Stopped
from rowsmith.llm.provider import Provider
from rowsmith.llm.retry import RetryPolicy
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Completion

_SCOUT_SECONDS = 0.25
"""How long the first request to a model goes alone: it finds a wrong key or a refused parameter for all."""


class RetryNotice(NamedTuple):
    """A call failed and will be tried again: the error, which retry it will be (from 1), seconds until then."""

    error: ProviderError
    attempt: int
    seconds: float


class Caller:
    """Sends requests to one model.

    Args:
        provider: the model.
        transport: the run's connections.
        limiter: what the model allows.
        policy: when to try again.
        clock: of the run.
        notify: told of each retry.
    """

    def __init__(
        self,
        provider: Provider,
        transport: Transport,
        limiter: Limiter,
        policy: RetryPolicy,
        clock: Clock,
        notify: Callable[[RetryNotice], None],
    ) -> None:
        self.provider = provider
        self._transport = transport
        self._limiter = limiter
        self._policy = policy
        self._clock = clock
        self._notify = notify
        self._scouted = False
        self._scout: asyncio.Event | None = None
        self._stopping = asyncio.Event()

    async def complete(self, body: bytes) -> tuple[Completion, float]:
        """Send an encoded request: its answer, and the seconds from sending to the complete answer.

        Raises:
            ProviderError: a failure that no retry can mend, or the last of too many.
            Stopped: the run is stopping and the request was not sent, or not again.
        """
        if not self._scouted:
            await self._follow_scout()
        failures = retries = 0
        while True:
            await self._limiter.enter()
            started = self._clock.now()
            try:
                completion = await self.provider.complete(body, self._transport)
            except ProviderError as error:
                retries += 1
                failures += self._policy.counts(error)
                notice = RetryNotice(error, retries, self._pause(error, failures))
            else:
                return completion, self._clock.now() - started
            finally:
                self._limiter.leave()
                self._report_scout()
            self._notify(notice)
            await self._sleep(notice.seconds)

    def stop(self) -> None:
        """Send nothing more: who waits for a turn or a retry gets `Stopped`; what is in flight goes on."""
        self._stopping.set()
        self._limiter.close()

    def _pause(self, error: ProviderError, failures: int) -> float:
        if self._policy.gives_up(error, failures):
            raise error
        seconds = self._policy.pause(failures, error)
        if isinstance(error, RateLimitError):
            self._limiter.limited(seconds)
        return seconds

    async def _sleep(self, seconds: float) -> None:
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({sleeping, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            stopping.cancel()
        if self._stopping.is_set():
            raise Stopped

    async def _follow_scout(self) -> None:
        if self._scout is None:
            self._scout = asyncio.Event()
            return
        try:
            async with asyncio.timeout(_SCOUT_SECONDS):
                await self._scout.wait()
        except TimeoutError:
            self._scouted = True

    def _report_scout(self) -> None:
        if not self._scouted:
            self._scouted = True
            if self._scout is not None:
                self._scout.set()
