"""What may go out per time: paces that are kept smoothly, and the count of a day."""

from __future__ import annotations

import math

JITTER = 0.02
"""Seconds by which two requests may arrive closer together than they were sent."""

_MARGIN = 0.01
_CATCH_UP = 1 / 600
_DAY = 86_400

_DIP = 0.05
"""How far below a refused rate the pace begins anew, as a part of it."""

_PLATEAU = 5.0
_LONGEST_PLATEAU = 10.0
"""Seconds until the pace is at the refused rate again: at first, and where it was refused time and again."""

_LEAST_OF_REFUSED = 0.9
_FORGET = 16
"""How often the rate may be passed unrefused before it is forgotten."""

_SAME_BURST = 0.5
_STALL = 1.0
_LATE = 0.05
"""Seconds that a late wake-up may be made up for."""


class Pacer:
    """Keeps a limit per window of time by an even pace (GCRA, ITU-T I.371): no burst and no stall.

    In no window, wherever it begins, does more go out than the limit, less one part in a hundred. What may run ahead
    of the pace, two requests or a hundredth of the limit, makes up for a late wake-up and nothing more.

    Args:
        limit: what may go out in a window: requests, or tokens.
        window: its length in seconds.
        unit: `requests`, each of which is 1; or `tokens`, where what goes out is known only roughly and corrected
            later: one request may then run into debt, and the next waits until it is paid.
    """

    __slots__ = ("_due", "_slow_interval", "_slow_until", "interval", "limit", "tolerance", "unit", "window")

    def __init__(self, limit: float, window: float = 60.0, unit: str = "requests") -> None:
        self.unit = unit
        self._due = 0.0
        self._slow_interval = 0.0
        self._slow_until = 0.0
        self.set(limit, window)

    def set(self, limit: float, window: float) -> None:
        """Keep another limit from now on; what went out before still counts."""
        ahead = (min(2.0, limit / 100) if self.unit == "requests" else limit / 100) + limit * _CATCH_UP
        self.limit = limit
        self.window = window
        self.interval = (window + JITTER) / ((1 - _MARGIN) * limit - ahead)
        self.tolerance = ahead * self.interval

    def wait(self, now: float) -> float:
        """Seconds until the next may go; 0 or less if it may go now."""
        return self._due - self.tolerance - now

    def take(self, now: float, amount: float = 1.0) -> None:
        """So much goes out now."""
        interval = self.interval
        if now < self._slow_until and interval < self._slow_interval:
            interval = self._slow_interval
        self._due = max(self._due, now) + amount * interval

    def correct(self, amount: float) -> None:
        """So much more went out than was taken, or less if it is negative."""
        self._due += amount * self.interval

    def backdate(self, began: float, amount: float) -> None:
        """So much has gone out since `began`, before there was a pace."""
        self._due = max(self._due, began + amount * self.interval)

    def squeeze(self, left: float, seconds: float, now: float) -> None:
        """Others use the limit too: only so much is left for so many seconds."""
        self._slow_until = now + seconds
        if left > 0:
            self._slow_interval = seconds / left
        else:
            self._slow_interval = 0.0
            self._due = max(self._due, now + seconds + self.tolerance)

    def __str__(self) -> str:
        """The limit in words: `300 requests per minute`."""
        names = {1: "second", 60: "minute", 3600: "hour"}
        window = names.get(round(self.window), f"{self.window:g} s")
        return f"{self.limit:,.0f} {self.unit} per {window}"


class FoundPace:
    """The pace of a service that refuses requests and says nothing of its limits.

    Between two refusals a service answered as fast as it would: that rate is kept to, a little less at first, and
    then tried to be passed along a cubic curve (as CUBIC does with congestion windows, RFC 9438): flat near the rate
    that was refused, steep where nothing is known any more.

    Args:
        now: when the first request may go out.

    Attributes:
        rate: requests per second that were answered before the last refusal; 0 while no pace is kept.
    """

    __slots__ = ("_due", "_found_at", "_last", "_period", "_plateau", "_stalled_at", "rate")

    def __init__(self, now: float) -> None:
        self.rate = 0.0
        self._due = 0.0
        self._found_at = now
        self._plateau = _PLATEAU
        self._period = (now, 0)
        self._last = (now, 0)
        self._stalled_at = now

    def refused(self, now: float, answers: int, *, by_rate: bool) -> None:
        """A new wave of refusals.

        Args:
            now: the time.
            answers: how many requests have been answered so far.
            by_rate: that too many were in flight cannot be the cause.
        """
        seen, before = self._last
        fresh = answers - before
        if fresh:
            self._stalled_at = now
            # A period begins with one wave and ends with another; waves of the same burst are one.
            if now - seen > _SAME_BURST and fresh * 2 >= before - self._period[1]:
                self._period = self._last
        self._last = (now, answers)
        if self.rate and fresh:
            pace = self._pace(now)
            self._find(min(pace, max(self._mean(now), _LEAST_OF_REFUSED * pace)), now)
            self._plateau = min(_LONGEST_PLATEAU, self._plateau * 2)
        elif by_rate and not self.rate:
            self._plateau = _PLATEAU
            self._find(self._mean(now), now)

    def idle(self, now: float, answers: int) -> None:
        """Nothing was asked of the service until now: what it answered before says nothing of its rate."""
        self._period = self._last = (now, answers)

    def recovered(self, now: float) -> None:
        """Something has been answered again: how long that took says more of the rate than what was answered before."""
        if self.rate and now - self._stalled_at > max(_STALL, 3 / self.rate):
            self._find(min(self.rate, self._mean(now) or self.rate), now)

    def wait(self, now: float) -> float:
        """Seconds until the next may go; 0 or less if it may go now."""
        return self._due - now if self.rate else 0.0

    def take(self, now: float) -> None:
        """One goes out now."""
        if not self.rate:
            return
        pace = self._pace(now)
        if pace > _FORGET * self.rate:
            self.rate = 0.0
        else:
            self._due = max(self._due, now - _LATE) + 1 / pace

    def _find(self, rate: float, now: float) -> None:
        self.rate = rate
        self._found_at = now

    def _mean(self, now: float) -> float:
        began, before = self._period
        return (self._last[1] - before) / max(now - began, 1e-3)

    def _pace(self, now: float) -> float:
        return self.rate * (1 + _DIP * ((now - self._found_at) / self._plateau - 1) ** 3)

    def __str__(self) -> str:
        return f"the service refused more than {self.rate:.3g} requests per second"


class Day:
    """Requests of a calendar day (UTC), counted for each source of requests, such as a run's ledger.

    Attributes:
        limit: requests per day, or None.
    """

    __slots__ = ("_counts", "_number", "_used_up_until", "limit")

    def __init__(self) -> None:
        self.limit: int | None = None
        self._number = 0
        self._counts: dict[str, int] = {}
        self._used_up_until = 0.0

    def made(self, source: str, requests: int, date: float) -> None:
        """A source says how many it has made today: a run that goes on hands in what its ledger holds."""
        self._turn(date)
        self._counts[source] = max(self._counts.get(source, 0), requests)

    def take(self, source: str, date: float) -> None:
        """One goes out."""
        self._turn(date)
        self._counts[source] = self._counts.get(source, 0) + 1

    def used_up(self, until: float) -> None:
        """The service says that nothing is left until a date."""
        self._used_up_until = until

    def renewal(self, date: float) -> float | None:
        """When the next may go (seconds since 1970) if the day is used up, else None."""
        if date < self._used_up_until:
            return self._used_up_until
        if self.limit is None:
            return None
        self._turn(date)
        return (self._number + 1.0) * _DAY if sum(self._counts.values()) >= self.limit else None

    @property
    def watched(self) -> bool:
        """Whether there is anything to keep to."""
        return self.limit is not None or self._used_up_until > 0

    def _turn(self, date: float) -> None:
        number = math.floor(date / _DAY)
        # Only forward: a clock that is set back must not give the day's requests out twice.
        if number > self._number:
            self._number = number
            self._counts.clear()


def day_start(date: float) -> float:
    """The beginning of a date's day (UTC), in seconds since 1970: requests since then are those of today."""
    return date - date % _DAY


class TokenGuess:
    """How many tokens a request will take, before it is sent.

    Bytes of its body, by what bytes gave so far, and the mean of the answers' tokens so far.
    """

    __slots__ = ("_bytes_per_token", "_learnt", "_output")

    def __init__(self) -> None:
        self._bytes_per_token = 4.0
        self._output = 256.0
        self._learnt = 0

    def guess(self, size: int) -> float:
        """Tokens of a request with a body of so many bytes, and of its answer."""
        return size / self._bytes_per_token + self._output

    def learn(self, size: int, input_tokens: int, output_tokens: int) -> None:
        """What a request really took. It is the mean at first; later about the last 32 decide."""
        self._learnt = min(32, self._learnt + 1)
        if input_tokens:
            self._bytes_per_token += (max(0.5, size / input_tokens) - self._bytes_per_token) / self._learnt
        self._output += (output_tokens - self._output) / self._learnt
