"""How many requests to one model may be under way, and when the next may go."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Self

from rowsmith.errors import ProviderError
from rowsmith.llm.allowance import Allowance, Turn
from rowsmith.llm.clock import Clock
from rowsmith.llm.provider import KnownLimits, Provider
from rowsmith.llm.retry import RetryPolicy
from rowsmith.llm.values import Completion

__all__ = ["Limiter", "Stopped", "WaitingNotice"]

_TELL_EVERY = 0.5
"""Seconds between two notices that calls are held back."""

_TELL_FROM = 0.05
"""Seconds of waiting that are worth a notice."""


class Stopped(Exception):  # noqa: N818  # a signal, not an error
    """The run is stopping: no new request goes out. Control flow inside the engine, never shown to a user."""


class WaitingNotice(NamedTuple):
    """Calls are held back: by which limit, and seconds until the next may go."""

    reason: str
    seconds: float


class Limiter:
    """One run's door to one model: admits its requests in the order they came.

    What is admitted counts against the model's allowance, which all limiters of the same model and key share (see
    `shared`). A limiter belongs to one event loop; the loops of its siblings may run in other threads.

    Args:
        limits: what the model is known to allow.
        clock: of the run.
        ceiling: requests in flight that are never passed, whatever the service allows.
        allowance: what it shares with others; None for one of its own.
        source: who sends, such as the ledger's path: a day's requests are counted for each source once.
        made_today: requests that the source has sent since `buckets.day_start(clock.date())`.
        provider: the provider's name, for errors.
        model: the model's id, for errors.

    Attributes:
        turns: its requests that wait; the allowance's, as is its lock.
    """

    def __init__(
        self,
        limits: KnownLimits,
        clock: Clock,
        *,
        ceiling: int,
        allowance: Allowance | None = None,
        source: str = "",
        made_today: int = 0,
        provider: str = "",
        model: str = "",
    ) -> None:
        self.limits = limits
        self.ceiling = min(ceiling, limits.max_concurrency or ceiling)
        self.source = source
        self.turns: deque[Turn] = deque()
        self._clock = clock
        self._allowance = allowance or Allowance(clock, self.ceiling)
        self._lock = self._allowance.lock
        self._who = (provider, model)
        self._end: Callable[[], Exception] | None = None
        self._thread = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.Task[None] | None = None
        self._wake_at = 0.0
        self._notify: Callable[[WaitingNotice], None] | None = None
        self._told_at = float("-inf")
        self._measuring = False
        with self._lock:
            self._allowance.day.made(source, made_today, clock.date())
            self._allowance.members.add(self)
            self._allowance.reckon()

    @classmethod
    def shared(cls, provider: Provider, clock: Clock, *, ceiling: int, source: str = "", made_today: int = 0) -> Self:
        """A limiter that shares its allowance with all others in this process of the same model, address and key."""
        with _ALLOWANCES.lock:
            # Made with the lock held: until it is a member, nobody else may find its allowance unused.
            return cls(
                provider.limits,
                clock,
                ceiling=ceiling,
                allowance=_ALLOWANCES.find(provider, clock, ceiling),
                source=source,
                made_today=made_today,
                provider=provider.name,
                model=provider.model_id,
            )

    @property
    def in_flight(self) -> int:
        """Requests under way, those of other runs with the same allowance among them."""
        return self._allowance.in_flight

    @property
    def room(self) -> int:
        """Requests that may be under way at once, as far as is known now."""
        return self._allowance.concurrency.room

    def on_wait(self, notify: Callable[[WaitingNotice], None]) -> None:
        """Name who is told when calls are held back; called in the event loop, at most twice a second."""
        self._notify = notify

    # -- the way in ------------------------------------------------------------------------------------------------

    def try_enter(self, size: int = 0) -> int | None:
        """Send a request now, if nothing holds it back: its ticket, or None.

        Args:
            size: bytes of the request's body; its tokens are guessed from them.

        Raises:
            Stopped: the limiter is closed.
        """
        if self._end is not None:
            raise self._end()
        allowance = self._allowance
        with self._lock:
            return allowance.take(self, size) if allowance.may_go() else None

    async def enter(self, size: int = 0, *, again: bool = False) -> int:
        """Wait until a request may go, and count it as in flight: its ticket, with which it must leave again.

        Args:
            size: bytes of the request's body; its tokens are guessed from them.
            again: it was sent before and failed: it goes before those that were not.

        Raises:
            Stopped: the limiter is closed.
            QuotaError: the day's requests are used up.
        """
        ticket = self.try_enter(size)
        if ticket is not None:
            return ticket
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._thread = threading.get_ident()
        allowance = self._allowance
        turn = Turn(self._loop.create_future(), size)
        with self._lock:
            allowance.queue(self, turn, again=again)
        try:
            ticket = await turn.future
        except asyncio.CancelledError:
            with self._lock:
                if turn.future.done() and not turn.future.cancelled() and turn.future.exception() is None:
                    allowance.give_back(turn.future.result())
                allowance.pump()
            raise
        if self._end is not None:
            self.failed(ticket)
            raise self._end()
        return ticket

    # -- the way out: exactly one of these for each ticket ------------------------------------------------------------

    def answered(self, ticket: int, seconds: float, completion: Completion, now: float) -> None:
        """A request was answered now, so many seconds after it was sent."""
        allowance = self._allowance
        with self._lock:
            round_over = allowance.answered(ticket, seconds, completion, now)
            if allowance.waiting:
                allowance.pump()
        if round_over and not self._measuring:
            self._measuring = True
            asyncio.get_running_loop().call_soon(self._measure_lag, now)

    def refused(self, ticket: int, retry_after: float | None, policy: RetryPolicy) -> tuple[float, float]:
        """The service said that it was too much.

        Args:
            ticket: of the request.
            retry_after: seconds that it asked to wait, or None.
            policy: the backoff where it did not.

        Returns:
            Seconds until something may go out again, and seconds for which the service has refused everything.
        """
        with self._lock:
            waits = self._allowance.refused(ticket, retry_after, policy)
            self._allowance.pump()
        return waits

    def timed_out(self, ticket: int, waited: float) -> None:
        """A request was not answered in time: the service may have too many of them."""
        with self._lock:
            self._allowance.timed_out(ticket, waited)
            self._allowance.pump()

    def failed(self, ticket: int) -> None:
        """A request has come back in some other way, or was cancelled."""
        with self._lock:
            self._allowance.give_back(ticket)
            self._allowance.pump()

    def close(self, why: Callable[[], Exception] = Stopped) -> None:
        """Let nothing more out; whoever waits, or comes, gets `why()`. What is in flight may still leave.

        A run calls it at its end, however it ends: from then on its limits do not bind others.
        """
        if self._end is None:
            self._end = why
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        allowance = self._allowance
        with self._lock:
            while self.turns:
                _fail(self.turns.popleft().future, self._end())
            allowance.members.discard(self)
            allowance.reckon()
            allowance.pump()

    # -- what the allowance asks of it, with its lock held, from any thread --------------------------------------------

    def grant(self, turn: Turn, ticket: int) -> bool:
        """Wake a request with its ticket; False if nobody can be woken any more."""
        if threading.get_ident() == self._thread:
            turn.future.set_result(ticket)
            return True
        return self._call_over(self._hand_over, turn, ticket)

    def turn_away(self, turn: Turn, error: ProviderError) -> None:
        """Wake a request with an error."""
        error.provider, error.model = self._who
        if threading.get_ident() == self._thread:
            _fail(turn.future, error)
        else:
            self._call_over(_fail, turn.future, error)

    def wake_in(self, seconds: float, reason: object) -> bool:
        """See to it that the allowance is looked at again after so many seconds; False if nobody can."""
        if threading.get_ident() == self._thread:
            self._arm(seconds, reason)
            return True
        return self._call_over(self._arm, seconds, reason)

    def _call_over(self, function: Callable[..., object], *args: object) -> bool:
        """Call something in the limiter's own loop."""
        if self._loop is None:
            return False
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            # The loop is closed: its thread ended without closing the limiter.
            return False
        return True

    def _hand_over(self, turn: Turn, ticket: int) -> None:
        if turn.future.done():
            self.failed(ticket)
        else:
            turn.future.set_result(ticket)

    def _arm(self, seconds: float, reason: object) -> None:
        now = self._clock.now()
        if self._end is not None or self._loop is None:
            return
        if self._timer is not None:
            if self._wake_at <= now + seconds:
                return
            self._timer.cancel()
        self._wake_at = now + seconds
        self._timer = self._loop.create_task(self._wake(seconds))
        if self._notify is not None and seconds >= _TELL_FROM and now >= self._told_at + _TELL_EVERY:
            self._told_at = now
            # Not from here: whoever is told may do as they like, and the lock is held.
            self._loop.call_soon(self._notify, WaitingNotice(str(reason), seconds))

    async def _wake(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._timer = None
        with self._lock:
            self._allowance.pump()

    def _measure_lag(self, asked: float) -> None:
        self._measuring = False
        concurrency = self._allowance.concurrency
        concurrency.lag = max(self._clock.now() - asked, concurrency.lag / 2)


def _fail(future: asyncio.Future[int], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


class _Allowances:
    """The allowances that are in use in this process.

    This is the one thing in Rowsmith that is shared without being handed in. A service counts what a key sends, and
    asks neither which run nor which thread sent it: two runs started independently of each other must find the same
    counters, and there is nobody above both who could hand them over. It holds nothing of its own: an allowance
    lives until the last limiter that uses it is closed or gone, so that no run sees traces of another that has ended.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._in_use: weakref.WeakValueDictionary[tuple[Clock, str, str, bytes], Allowance]
        self._in_use = weakref.WeakValueDictionary()
        # Keys are told apart by a digest that is worth nothing outside this process.
        self._salt = secrets.token_bytes(16)

    def find(self, provider: Provider, clock: Clock, ceiling: int) -> Allowance:
        """The allowance of a provider's model, address and key, by the time of a clock; called with `lock` held."""
        key = (clock, provider.endpoint, provider.model_id, self._account(provider))
        allowance = self._in_use.get(key)
        # One without members is only waiting for the garbage collector: a run must not depend on when that comes.
        if allowance is None or not allowance.members:
            allowance = self._in_use[key] = Allowance(clock, ceiling)
        return allowance

    def _account(self, provider: Provider) -> bytes:
        """What tells one account at a service from another, where the provider has the fields of `RemoteModel`."""
        digest = hashlib.blake2b(key=self._salt, digest_size=16)
        digest.update(str(getattr(provider, "api_key", None) or "").encode())
        for name, value in sorted((getattr(provider, "extra_headers", None) or {}).items()):
            digest.update(f"\0{name.lower()}\0{value}".encode())
        return digest.digest()


_ALLOWANCES = _Allowances()
