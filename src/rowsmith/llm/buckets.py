"""What may go out per time: paces that are kept smoothly, and the count of a day."""

from __future__ import annotations

import math

JITTER = 0.02
"""Seconds by which two requests may arrive closer together than they were sent."""

_MARGIN = 0.01
_CATCH_UP = 1 / 600
_DIP = 0.05
_PLATEAU = 15.0
_DAY = 86_400


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

    Between two refusals the service answered as fast as it would: that rate is kept to, a little less at first, and
    then tried to be passed along a cubic curve (as CUBIC does for congestion windows, RFC 9438): flat near the rate
    that was refused, steep where nothing is known any more.

    Args:
        now: when the first request went out.
    """

    __slots__ = ("_due", "_found_at", "_period", "_refused", "engaged", "rate")

    def __init__(self, now: float) -> None:
        self.engaged = False
        self.rate = 0.0
        self._due = 0.0
        self._found_at = now
        self._period = (now, 0)
        self._refused = (now, 0)

    def refused(self, now: float, answers: int, *, by_rate: bool) -> None:
        """A new wave of refusals.

        Args:
            now: the time.
            answers: how many requests have been answered so far.
            by_rate: that too many were in flight cannot be the cause.
        """
        if answers > self._refused[1]:
            self._period = self._refused
        self._refused = (now, answers)
        self.engaged = self.engaged or by_rate
        self.measure(now)

    def measure(self, now: float) -> None:
        """Find the rate anew: the answers of the last period that had any, until now."""
        began, before = self._period
        answered = self._refused[1] - before
        if answered and now > began:
            self.rate = answered / (now - began)
            self._found_at = now

    def wait(self, now: float) -> float:
        """Seconds until the next may go; 0 or less if it may go now."""
        return self._due - now if self.engaged and self.rate else 0.0

    def take(self, now: float) -> None:
        """One goes out now."""
        if not self.engaged or not self.rate:
            return
        steps = (now - self._found_at - _PLATEAU) / _PLATEAU
        growth = 1 + _DIP * steps**3
        if growth > 16:
            self.engaged = False
            return
        self._due = max(self._due, now - 0.05) + 1 / (self.rate * growth)

    def __str__(self) -> str:
        return f"the service took {self.rate:.3g} requests per second before it refused"


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
    """How many tokens a request will take, before it is sent: bytes of its body by what they gave so far, and the mean
    of the answers' tokens so far."""

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
