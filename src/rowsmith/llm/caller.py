"""One model's door: limits before a call, retries after a failure, and nothing sent once the run stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from rowsmith.errors import BadRequestError, ProviderError, ProviderTimeoutError, QuotaError, RateLimitError
from rowsmith.llm.clock import Clock
from rowsmith.llm.limits import Limiter, Stopped, WaitingNotice
from rowsmith.llm.provider import Provider
from rowsmith.llm.retry import RetryPolicy
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Completion

__all__ = ["Caller", "Notice", "RetryNotice", "WaitingNotice"]

_SCOUT_SECONDS = 0.25
"""How long the first request to a model goes alone: it finds a wrong key for all."""


class RetryNotice(NamedTuple):
    """A call failed and will be tried again: the error, which retry it will be (from 1), seconds until then."""

    error: ProviderError
    attempt: int
    seconds: float


Notice = RetryNotice | WaitingNotice


class Caller:
    """Sends requests to one model.

    Args:
        provider: the model.
        transport: the run's connections.
        limiter: what the model allows.
        policy: when to try again.
        clock: of the run.
        notify: told of each retry, and at most twice a second that calls are held back.
    """

    def __init__(
        self,
        provider: Provider,
        transport: Transport,
        limiter: Limiter,
        policy: RetryPolicy,
        clock: Clock,
        notify: Callable[[Notice], None],
    ) -> None:
        self.provider = provider
        self._transport = transport
        self._limiter = limiter
        self._policy = policy
        self._clock = clock
        self._notify = notify
        self._scouting = True
        self._scout: asyncio.Task[None] | None = None
        self._back = asyncio.Event()
        self._stopping = asyncio.Event()
        self._fatal: ProviderError | None = None
        limiter.on_wait(notify)

    async def complete(self, body: bytes) -> tuple[Completion, float]:
        """Send an encoded request: its answer, and the seconds from sending to the complete answer.

        Raises:
            ProviderError: a failure that no retry can mend, or the last of too many. One that would befall every call
                (a wrong key, an unknown model, a used-up quota) is from then on raised for every call, unsent.
            Stopped: the run is stopping and the request was not sent, or not again.
        """
        if self._scouting:
            await self._follow_scout()
        limiter, now = self._limiter, self._clock.now
        size = len(body)
        failures = retries = 0
        again = False
        while True:
            ticket = limiter.try_enter(size)
            if ticket is None:
                ticket = await limiter.enter(size, again=again)
            started = now()
            try:
                completion = await self.provider.complete(body, self._transport)
            except ProviderError as error:
                retries += 1
                # At a service that keeps all waiting, none is to be the one that times out each time.
                again = not isinstance(error, ProviderTimeoutError)
                failures += self._policy.counts(error)
                seconds = self._assess(ticket, error, failures)
                self._notify(RetryNotice(error, retries, seconds))
                if self._policy.counts(error):
                    await self._sleep(seconds)
            except BaseException:
                limiter.failed(ticket)
                self._end_scouting()
                raise
            else:
                ended = now()
                taken = ended - started
                limiter.answered(ticket, taken, completion, ended)
                if self._scouting:
                    self._end_scouting()
                return completion, taken

    def stop(self) -> None:
        """Send nothing more: who waits for a turn or a retry gets `Stopped`; what is in flight goes on.

        Every run ends with it, also one that has nothing left to send: then other runs no longer share its limits.
        """
        self._limiter.close()
        self._stopping.set()
        self._end_scouting()

    # -- failures --------------------------------------------------------------------------------------------------

    def _assess(self, ticket: int, error: ProviderError, failures: int) -> float:
        """Settle a failed request with the limiter: seconds until the next try. Raises the error if there is none."""
        policy = self._policy
        stalled = waiting = 0.0
        if isinstance(error, RateLimitError) or (error.retryable and error.retry_after is not None):
            waiting, stalled = self._limiter.refused(ticket, error.retry_after, policy)
        elif isinstance(error, ProviderTimeoutError):
            self._limiter.timed_out(ticket, self.provider.timeout)
        else:
            self._limiter.failed(ticket)
        final: ProviderError | None = None
        if policy.gives_up(error, failures):
            final = error
        elif isinstance(error, RateLimitError) and max(waiting, stalled) > policy.patience:
            final = self._out_of_patience(error, waiting, stalled)
        if final is not None:
            if final.fatal and not isinstance(final, BadRequestError):
                self._close_with(final)
            self._end_scouting()
            if final is error:
                raise error
            raise final from error
        self._end_scouting()
        return policy.pause(failures, error) if policy.counts(error) else waiting

    def _out_of_patience(self, error: RateLimitError, waiting: float, stalled: float) -> QuotaError:
        if waiting > self._policy.patience:
            when = datetime.fromtimestamp(self._clock.date() + waiting, UTC).strftime("%Y-%m-%d %H:%M UTC")
            said = f"the service asks to wait until {when}"
        else:
            said = f"the service has refused every request for {stalled / 60:.0f} minutes"
        return QuotaError(
            f"{said}: {error.message}",
            provider=error.provider,
            model=error.model,
            status=error.status,
            request_id=error.request_id,
            hint="Run the same again later: it goes on where it stopped",
            retry_after=error.retry_after,
        )

    def _close_with(self, error: ProviderError) -> None:
        self._fatal = error
        self._limiter.close(lambda: error)
        self._stopping.set()

    async def _sleep(self, seconds: float) -> None:
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({sleeping, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            stopping.cancel()
        if self._stopping.is_set():
            raise self._fatal or Stopped()

    # -- the scout -------------------------------------------------------------------------------------------------

    async def _follow_scout(self) -> None:
        """Go ahead as the first; else wait until the first is back, or has been gone for long enough."""
        if self._scout is None:
            self._scout = asyncio.create_task(self._send_all_on())
            return
        await self._back.wait()

    async def _send_all_on(self) -> None:
        await self._clock.sleep(_SCOUT_SECONDS)
        self._end_scouting()

    def _end_scouting(self) -> None:
        if self._scouting:
            self._scouting = False
            self._back.set()
            if self._scout is not None:
                self._scout.cancel()
