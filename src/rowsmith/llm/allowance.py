"""What one service allows one key and model: one object for all that runs in the process."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rowsmith.errors import QuotaError
from rowsmith.llm.adaptive import Concurrency
from rowsmith.llm.buckets import Day, FoundPace, Pacer, TokenGuess
from rowsmith.llm.learned import Headers, Reading

if TYPE_CHECKING:
    from rowsmith.llm.clock import Clock
    from rowsmith.llm.limits import Limiter
    from rowsmith.llm.retry import RetryPolicy
    from rowsmith.llm.values import Completion

READ_EVERY = 0.2
"""Seconds between two readings of a reply's headers."""

_ALONE_SECONDS = 0.25
"""How long a request goes alone after a time in which all were refused."""

_SHORTEST = 0.005
"""Seconds that are worth a timer where the pace lets several go together."""

_IN_TIME = 0.7
"""The part of what can be answered within a timeout that is sent at once, after some was not."""

_TOO_SLOW = 2
"""Requests that must time out together, at least, to be taken for too many; of more than eight, a quarter of them."""

_LONG_WINDOW = 7200.0
_LONG_RESET = 600.0


class Turn:
    """A request that waits for its turn."""

    __slots__ = ("future", "size")

    def __init__(self, future: asyncio.Future[int], size: int) -> None:
        self.future = future
        self.size = size


class Allowance:
    """The limits of one key and model, what has gone out against them, and who waits.

    Runs take turns, and the requests of one run go in the order they came, whatever their event loop. Every method but
    the constructor is called with `lock` held: it is never held while something waits or foreign code runs.

    Args:
        clock: of all runs that share this.
        ceiling: requests in flight that are never passed.

    Attributes:
        lock: guards everything here.
        members: the limiters of the runs that share this; where they differ, the strictest limit holds.
        waiting: the limiters with requests that wait, in the order of their turns.
        in_flight: requests under way.
        timed: there is more to look at than the room in flight.
    """

    def __init__(self, clock: Clock, ceiling: int) -> None:
        self.clock = clock
        self.lock = threading.Lock()
        self.members: weakref.WeakSet[Limiter] = weakref.WeakSet()
        self.waiting: deque[Limiter] = deque()
        self.in_flight = 0
        self.timed = False
        self.concurrency = Concurrency(ceiling)
        self.day = Day()
        self.upcoming = 0
        self.answers = 0
        self.read_at = 0.0
        self._headers = Headers()
        self._given: dict[str, tuple[float, float]] = {}
        self._told: dict[str, tuple[float, float]] = {}
        self._pacers: dict[str, Pacer] = {}
        self._guess = TokenGuess()
        self._guessed: dict[int, tuple[int, float]] = {}
        self._began = clock.now()
        self._found = FoundPace(self._began)
        self._open_at = 0.0
        self._alone_until = 0.0
        self._pause: object = ""
        self._refused_since: float | None = None
        self._most = 1
        self._wave = 0
        self._paused_wave = -1
        self._pauses = 0
        self._answers_at_pause = 0
        self._slow = 0
        self._slow_of = 0
        self._slow_until = 0
        self._overrun_at = self._began
        self._answers_at_overrun = 0

    # -- who shares it ---------------------------------------------------------------------------------------------

    def reckon(self) -> None:
        """The runs that share this have changed: find the strictest of their limits."""
        members = list(self.members)
        if not members:
            return
        self.concurrency.set_ceiling(min(member.ceiling for member in members))
        rpm = [member.limits.rpm for member in members if member.limits.rpm is not None]
        tpm = [member.limits.tpm for member in members if member.limits.tpm is not None]
        rpd = [member.limits.rpd for member in members if member.limits.rpd is not None]
        self._given = {unit: (min(of), 60.0) for unit, of in (("requests", rpm), ("tokens", tpm)) if of}
        self.day.limit = min(rpd, default=None)
        self._set_paces()

    def _set_paces(self) -> None:
        for unit in ("requests", "tokens"):
            limits = [pair for pair in (self._given.get(unit), self._told.get(unit)) if pair is not None]
            if not limits:
                self._pacers.pop(unit, None)
                continue
            limit, window = min(limits, key=lambda pair: pair[0] / pair[1])
            pacer = self._pacers.get(unit)
            if pacer is None:
                pacer = self._pacers[unit] = Pacer(limit, window, unit)
                if unit == "requests" and self.clock.now() - self._began < window:
                    pacer.backdate(self._began, self.upcoming)
            elif (pacer.limit, pacer.window) != (limit, window):
                pacer.set(limit, window)
        self._set_timed()

    def _set_timed(self) -> None:
        now = self.clock.now()
        self.timed = bool(
            self._pacers
            or self.day.watched
            or self._found.rate
            or now < self._open_at
            or now < self._alone_until
            or self._refused_since is not None
        )

    # -- the way in ------------------------------------------------------------------------------------------------

    def may_go(self) -> bool:
        """Whether a request that has just come may go at once."""
        if self.waiting or self.in_flight >= self.concurrency.room:
            return False
        if self.in_flight == 0:
            self._found.idle(self.clock.now(), self.answers)
        return not self.timed or (self.day.renewal(self.clock.date()) is None and self._wait(self.clock.now())[0] <= 0)

    def take(self, limiter: Limiter, size: int) -> int:
        """A request goes out: its ticket."""
        ticket = self.upcoming
        self.upcoming = ticket + 1
        self.in_flight += 1
        if self.timed:
            now = self.clock.now()
            requests, tokens = self._pacers.get("requests"), self._pacers.get("tokens")
            if requests is not None:
                requests.take(now)
            if tokens is not None:
                guess = self._guess.guess(size)
                self._guessed[ticket] = (size, guess)
                tokens.take(now, guess)
            self._found.take(now)
            if self.day.watched:
                self.day.take(limiter.source, self.clock.date())
            elif not self._pacers:
                self._set_timed()
        return ticket

    def queue(self, limiter: Limiter, turn: Turn, *, again: bool) -> None:
        """A request waits; one that was sent before comes first."""
        if again:
            limiter.turns.appendleft(turn)
        else:
            limiter.turns.append(turn)
        if limiter not in self.waiting:
            self.waiting.append(limiter)
        self.pump()

    def pump(self) -> None:
        """Let out who may go; see to it that somebody wakes when the next may."""
        waiting = self.waiting
        while waiting:
            limiter = waiting[0]
            turns = limiter.turns
            while turns and turns[0].future.done():
                turns.popleft()
            if not turns:
                waiting.popleft()
                continue
            if self.in_flight >= self.concurrency.room:
                return
            if self.timed:
                renewal = self.day.renewal(self.clock.date())
                if renewal is not None:
                    self._turn_all_away(renewal)
                    return
                seconds, reason = self._wait(self.clock.now())
                if seconds > 0:
                    if limiter.wake_in(seconds, reason):
                        return
                    turns.clear()
                    continue
            turn = turns.popleft()
            waiting.rotate(-1)
            ticket = self.take(limiter, turn.size)
            if not limiter.grant(turn, ticket):
                self.give_back(ticket)

    def give_back(self, ticket: int) -> None:
        """A request did not go out after all, or failed without a word on the limits."""
        self.in_flight -= 1
        self._guessed.pop(ticket, None)

    def _turn_all_away(self, renewal: float) -> None:
        date = self.clock.date()
        for limiter in self.waiting:
            while limiter.turns:
                limiter.turn_away(limiter.turns.popleft(), used_up(self.day.limit, renewal, date))
        self.waiting.clear()

    def _wait(self, now: float) -> tuple[float, object]:
        """Seconds until the next may go, and what holds it back; 0 or less if it may go now."""
        seconds, reason = self._open_at - now, self._pause
        if self.in_flight and self._alone_until - now > seconds:
            # After a time in which everything was refused, one goes ahead to see whether it is over.
            seconds = self._alone_until - now
        for pacer in self._pacers.values():
            wait = pacer.wait(now)
            if wait > seconds:
                seconds, reason = max(wait, min(_SHORTEST, pacer.tolerance)) if wait > 0 else wait, pacer
        wait = self._found.wait(now)
        if wait > seconds:
            seconds, reason = wait, self._found
        return seconds, reason

    # -- the way out -----------------------------------------------------------------------------------------------

    def answered(self, ticket: int, seconds: float, completion: Completion, now: float) -> bool:
        """A request was answered now: whether that ended a round of the concurrency control."""
        in_flight = self.in_flight
        self.in_flight = in_flight - 1
        self.answers += 1
        if in_flight > self._most:
            self._most = in_flight
        over = self.concurrency.answered(ticket, seconds, in_flight, self.upcoming, now)
        if self._refused_since is not None:
            self._recovered(now)
        if self._guessed:
            self._settle(ticket, completion)
        if completion.headers is not None and now >= self.read_at:
            self._learn(completion.headers, now)
        return over

    def _recovered(self, now: float) -> None:
        self._refused_since = None
        self._alone_until = 0.0
        self._found.recovered(now)
        self._set_timed()

    def _settle(self, ticket: int, completion: Completion) -> None:
        sent = self._guessed.pop(ticket, None)
        usage = completion.usage
        real = usage.input_tokens + usage.output_tokens
        if sent is None or not real:
            return
        size, guess = sent
        self._guess.learn(size, usage.input_tokens, usage.output_tokens)
        if tokens := self._pacers.get("tokens"):
            tokens.correct(real - guess)

    def refused(self, ticket: int, retry_after: float | None, policy: RetryPolicy) -> tuple[float, float]:
        """The service said that it was too much (429, or Retry-After with another failure).

        Args:
            ticket: of the request.
            retry_after: seconds that the service asked to wait, or None.
            policy: the backoff where it did not, and things do not get better by themselves.

        Returns:
            Seconds until something may go out again, and seconds for which nothing has been answered.
        """
        now = self.clock.now()
        in_flight = self.in_flight
        self.in_flight = in_flight - 1
        sent = self._guessed.pop(ticket, None)
        if sent is not None and (tokens := self._pacers.get("tokens")):
            tokens.correct(-sent[1])
        asked = retry_after or 0.0
        # What it has had in flight before without a word, it does not refuse for being too much at once.
        by_rate = in_flight * 2 <= self._most or in_flight == 1
        if ticket >= self._wave:
            self._wave = self.upcoming
            # It may have fewer places than it had: refused often enough, less counts as much.
            self._most = max(1, int(self._most * 0.75))
            self._found.refused(now, self.answers, by_rate=by_rate)
        enough = not by_rate and self.concurrency.refused(ticket, in_flight, self.upcoming, now, asked)
        pause = asked
        if not enough and self._paused_wave != self._wave:
            self._paused_wave = self._wave
            progress = self.answers - self._answers_at_pause >= self.concurrency.room
            self._pauses = 1 if progress else self._pauses + 1
            self._answers_at_pause = self.answers
            if not asked:
                # Not longer than a part of the time it has lasted: else more is lost than the service asked for.
                stalled = now - (now if self._refused_since is None else self._refused_since)
                pause = min(policy.backoff(self._pauses), max(policy.first, stalled / 4))
        if now + pause > self._open_at:
            self._open_at = now + pause
            self._pause = "the service asked to wait" if asked else "the service refuses requests for now"
        if self._refused_since is None:
            self._refused_since = now
        if self.in_flight == 0:
            self._alone_until = self._open_at + _ALONE_SECONDS
        self._set_timed()
        return self._open_at - now, now - self._refused_since

    def timed_out(self, ticket: int, waited: float) -> None:
        """A request was not answered in time, so many seconds after it was sent.

        One may be slow by itself. Where many of those that were in flight with it time out as well, they were too many:
        by Little's law the service answers in time as many at once as it answers in these seconds.
        """
        in_flight = self.in_flight
        self.give_back(ticket)
        if ticket >= self._slow_until:
            self._slow, self._slow_of, self._slow_until = 0, in_flight, self.upcoming
        self._slow += 1
        if self._slow == max(_TOO_SLOW, self._slow_of // 4):
            now = self.clock.now()
            rate = (self.answers - self._answers_at_overrun) / max(now - self._overrun_at, waited)
            self._overrun_at, self._answers_at_overrun, self._slow_until = now, self.answers, self.upcoming
            room = min(self._slow_of // 2, int(rate * waited * _IN_TIME))
            self.concurrency.overrun(rate, room, self.upcoming, waited)

    # -- what the service says -------------------------------------------------------------------------------------

    def _learn(self, headers: Mapping[str, str], now: float) -> None:
        date = self.clock.date()
        self.read_at = now + READ_EVERY
        readings = self._headers.read(headers, now, date)
        if self._headers.silent:
            self.read_at = float("inf")
        told: dict[str, tuple[float, float]] = {}
        for reading in readings:
            if reading.window is None:
                continue
            if reading.window > _LONG_WINDOW:
                if reading.remaining < 1 and reading.reset is not None and reading.reset > _LONG_RESET:
                    self.day.used_up(date + reading.reset)
                continue
            pair = (reading.limit, reading.window)
            if reading.unit not in told or pair[0] / pair[1] < told[reading.unit][0] / told[reading.unit][1]:
                told[reading.unit] = pair
        self._told.update(told)
        self._set_paces()
        for reading in readings:
            self._squeeze(reading, now)

    def _squeeze(self, reading: Reading, now: float) -> None:
        pacer = self._pacers.get(reading.unit)
        if pacer is None or not reading.fixed or reading.reset is None or reading.reset <= 0:
            return
        if reading.remaining * pacer.interval < reading.reset:
            pacer.squeeze(reading.remaining, reading.reset, now)


def used_up(limit: int | None, renewal: float, date: float) -> QuotaError:
    """The error of a day's requests that are used up."""
    when = datetime.fromtimestamp(renewal, UTC).strftime("%Y-%m-%d %H:%M UTC")
    what = f"the {limit:,} requests of the day are" if limit is not None else "the quota of requests is"
    return QuotaError(
        f"{what} used up; the next may go at {when}",
        hint="Run the same again then: it goes on where it stopped",
        retry_after=max(0.0, renewal - date),
    )
