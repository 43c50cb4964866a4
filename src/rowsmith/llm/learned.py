"""What a service says of its limits in the headers of its replies.

Every service has its own names for the same three numbers: how much may go out, how much of it is left, and when all of
it is there again.

- OpenAI: `x-ratelimit-limit-requests`, `-remaining-requests`, `-reset-requests` (`6m0s`), the same with `tokens`
- Groq: the same names, but its requests are those of a day and its tokens those of a minute
- Anthropic: `anthropic-ratelimit-requests-limit`, `-remaining`, `-reset` (RFC 3339), the same with `tokens`; per minute
- Mistral: `x-ratelimit-limit-req-minute`, `-remaining-req-minute`, the same with `tokens-minute`, without a reset
- Cerebras: `x-ratelimit-limit-requests-day`, `x-ratelimit-limit-tokens-minute` (resets in seconds)
- others: `x-ratelimit-limit`, `ratelimit-limit` (IETF draft-ietf-httpapi-ratelimit-headers-06) and the like

So a name is read word by word, and the window, where no word tells it, is worked out from what is left and the reset.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

_PREFIX = re.compile(r"(?:x-)?(anthropic-)?rate-?limit-?", re.IGNORECASE)
_FIELDS = frozenset({"limit", "remaining", "reset"})
_UNITS = {"requests": "requests", "request": "requests", "req": "requests", "tokens": "tokens", "token": "tokens"}
_PERIODS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0, "month": 2_592_000.0}
_BUCKETS = (60.0, 86_400.0)
"""Windows of the buckets that services are known to have."""

_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|us|µs|ns|s|m|h|d))+", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|s|m|h|d)", re.ASCII)
_SECONDS = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_LOOKS = 3
"""Replies without any such header after which none is expected any more."""


class Reading(NamedTuple):
    """One limit as one reply tells it.

    Attributes:
        unit: `requests` or `tokens`.
        limit: how much may go out in a window.
        remaining: how much of it is left.
        reset: seconds until all of it is there again, or None.
        window: the window's length in seconds as far as it is known, or None.
        fixed: the window has a beginning and an end, so that no more than `remaining` may go out until `reset`.
    """

    unit: str
    limit: float
    remaining: float
    reset: float | None
    window: float | None
    fixed: bool


class Headers:
    """Reads the limits from the replies of one model. The names are found once; then they are only looked up."""

    __slots__ = ("_looks", "_quotas")

    def __init__(self) -> None:
        self._quotas: list[_Quota] | None = None
        self._looks = 0

    @property
    def silent(self) -> bool:
        """Whether the service is known to say nothing."""
        return self._quotas is None and self._looks >= _LOOKS

    def read(self, headers: Mapping[str, str], now: float, date: float) -> list[Reading]:
        """The limits that a reply tells of.

        Args:
            headers: of the reply, looked up without regard to case.
            now: the time by the clock that only grows.
            date: the time since 1970; the reply's own `Date` is used in its place where a reset is a date.
        """
        if self._quotas is None:
            found = _quotas(headers)
            if not found:
                self._looks += 1
                return []
            self._quotas = found
        readings = (quota.read(headers, now, date) for quota in self._quotas)
        return [reading for reading in readings if reading is not None]


class _Quota:
    """One limit of a service: the names of its three headers, and what is known of its window."""

    def __init__(self, unit: str, period: float | None, names: Mapping[str, str]) -> None:
        self.unit = unit
        self.period = period
        self.names = names
        self.longest = 0.0
        self.bucket: float | None = None
        self.candidate: float | None = None
        self.last: tuple[float, float] | None = None
        self.fixed = False

    def read(self, headers: Mapping[str, str], now: float, date: float) -> Reading | None:
        limit = _number(headers.get(self.names["limit"]))
        remaining = _number(headers.get(self.names["remaining"]))
        if limit is None or limit <= 0 or remaining is None:
            return None
        written = headers.get(self.names["reset"]) if "reset" in self.names else None
        reset = seconds_until(written, date, headers) if written is not None else None
        if reset is not None:
            self._study(limit, remaining, reset, now)
        return Reading(self.unit, limit, remaining, reset, self._window(), self.fixed)

    def _study(self, limit: float, remaining: float, reset: float, now: float) -> None:
        """See what kind of window it is: none of the services says so.

        A bucket that fills steadily is full after the part that is missing: `reset / (1 - remaining / limit)` is its
        whole window. A fixed window ends at the same time for all replies in it. Else (a sliding window) the reset is
        the window itself, as long as something goes out.
        """
        self.longest = max(self.longest, reset)
        taken = limit - remaining
        if taken > 0 and not self.fixed:
            whole = reset * limit / taken
            match = next((period for period in _BUCKETS if abs(whole - period) <= 0.05 * period), None)
            if match is not None and match == self.candidate:
                self.bucket = match
            self.candidate = match
        end = now + reset
        if self.last is not None:
            ended, seen = self.last
            if now - seen < 0.05 * self.longest:
                return
            self.fixed = self.bucket is None and reset > 0 and abs(end - ended) <= max(0.02 * self.longest, 0.05)
        self.last = (end, now)

    def _window(self) -> float | None:
        if self.period is not None:
            return self.period
        if self.bucket is not None:
            return self.bucket
        return self.longest or None


def _quotas(headers: Mapping[str, str]) -> list[_Quota]:
    found: dict[tuple[str, float | None], dict[str, str]] = {}
    for name in headers:
        prefix = _PREFIX.match(name)
        if prefix is None:
            continue
        field, unit, period = "", "requests", 60.0 if prefix[1] else None
        for word in name[prefix.end() :].lower().split("-"):
            if word in _FIELDS and not field:
                field = word
            elif word in _UNITS:
                unit = _UNITS[word]
            elif word in _PERIODS:
                period = _PERIODS[word]
            else:
                break
        else:
            if field:
                found.setdefault((unit, period), {}).setdefault(field, name)
    return [
        _Quota(unit, period, names)
        for (unit, period), names in found.items()
        if "limit" in names and "remaining" in names and (period is not None or "reset" in names)
    ]


def seconds_until(written: str, date: float, headers: Mapping[str, str] | None = None) -> float | None:
    """Seconds until a reset, or None if it cannot be read.

    Args:
        written: `6m0s`, `20ms`, a number of seconds, seconds or milliseconds since 1970, or a date (RFC 3339, HTTP).
        date: now, in seconds since 1970.
        headers: of the reply: its own `Date` wins over `date` where a reset is a date.
    """
    written = written.strip()
    if _DURATION.fullmatch(written):
        return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(written))
    number = _number(written)
    if number is not None and number < 1e8:
        return number
    until = _date(written) if number is None else number / 1000 if number > 1e11 else number
    if until is None:
        return None
    now = _date(headers.get("date", "")) if headers is not None else None
    return max(0.0, until - (date if now is None else now))


def _number(written: str | None) -> float | None:
    try:
        # IETF's drafts up to 05 let a policy follow the number: `100, 100;w=60`.
        number = float(written.partition(",")[0]) if written is not None else None
    except ValueError:
        return None
    return number if number is not None and 0 <= number < float("inf") else None


def _date(written: str) -> float | None:
    try:
        moment = datetime.fromisoformat(written) if written[:4].isdigit() else parsedate_to_datetime(written)
        return moment.timestamp() if moment.tzinfo is not None else None
    except (ValueError, TypeError, OverflowError):
        return None
