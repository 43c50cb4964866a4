"""Whom the server lets in: keys, models, and limits that it enforces."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil

from rowsmith.testing.calls import NO_CALL, Call, Reply
from rowsmith.testing.faults import RateLimited, UnknownModel, WrongKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A limit of requests in time; requests that are turned away do not count.

    Attributes:
        requests: how many are let in.
        seconds: in any so many seconds (a sliding window).
        bucket: fill up steadily instead: `requests` at once, then `requests / seconds` every second.
        retry_after: a 429 says in `Retry-After` when to come back, in whole seconds rounded up.
        headers: every reply has `x-ratelimit-limit-requests`, `-remaining-requests` and `-reset-requests`.
    """

    requests: int
    seconds: float = 60.0
    bucket: bool = False
    retry_after: bool = True
    headers: bool = True


class Meter:
    """Keeps one `Rate`."""

    def __init__(self, rate: Rate, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._let_in: deque[float] = deque()
        self._level = float(rate.requests)
        self._filled_at = clock()

    def admit(self) -> float:
        """Let one in: 0, or the seconds until there is room."""
        now = self._clock()
        if self._rate.bucket:
            speed = self._rate.requests / self._rate.seconds
            self._level = min(self._rate.requests, self._level + (now - self._filled_at) * speed)
            self._filled_at = now
            if self._level < 1:
                return (1 - self._level) / speed
            self._level -= 1
            return 0.0
        while self._let_in and self._let_in[0] <= now - self._rate.seconds:
            self._let_in.popleft()
        if len(self._let_in) >= self._rate.requests:
            return self._let_in[0] + self._rate.seconds - now
        self._let_in.append(now)
        return 0.0

    def headers(self) -> dict[str, str]:
        """How much is left, as OpenAI's headers say it; the reset is when all of it is there again."""
        if not self._rate.headers:
            return {}
        now, rate = self._clock(), self._rate
        if rate.bucket:
            left, reset = int(self._level), (rate.requests - self._level) * rate.seconds / rate.requests
        else:
            left = rate.requests - len(self._let_in)
            reset = self._let_in[-1] + rate.seconds - now if self._let_in else 0.0
        return {
            "x-ratelimit-limit-requests": str(rate.requests),
            "x-ratelimit-remaining-requests": str(max(0, left)),
            "x-ratelimit-reset-requests": f"{max(0.0, reset):.3f}s",
        }


class Gatekeeper:
    """Turns calls away before any script is looked at.

    Args:
        api_key: the key that is asked for; None asks for none.
        models: the models that exist; None is all.
        max_in_flight: more at once are answered with 429.
        rate: the limit in time.
        clock: seconds, for the limit in time.
    """

    def __init__(
        self,
        *,
        api_key: str | None,
        models: Sequence[str] | None,
        max_in_flight: int | None,
        rate: Rate | None,
        clock: Callable[[], float],
    ) -> None:
        self._api_key = api_key
        self.models = models
        self._max_in_flight = max_in_flight
        self._rate = rate
        self._meter = Meter(rate, clock) if rate is not None else None

    def turned_away(self, call: Call, key: str | None) -> Reply | None:
        """The reply to a call that is not let in, or None."""
        if (refused := self.wrong_key(key) or self.unknown_model(call)) is not None:
            return refused
        if self._max_in_flight is not None and call.in_flight > self._max_in_flight:
            return RateLimited().change(call, Reply())
        if self._meter is not None and (wait := self._meter.admit()):
            told = self._rate is not None and self._rate.retry_after
            return RateLimited(retry_after=ceil(wait) if told else None).change(call, Reply())
        return None

    def wrong_key(self, key: str | None) -> Reply | None:
        """The reply to whoever has not the key that is asked for, or None."""
        if self._api_key is None or key == self._api_key:
            return None
        return WrongKey().change(NO_CALL, Reply())

    def unknown_model(self, call: Call) -> Reply | None:
        """The reply to a call for a model that does not exist, or None."""
        if self.models is None or call.asked.model in self.models:
            return None
        return UnknownModel().change(call, Reply())

    def marked(self, reply: Reply) -> Reply:
        """The reply with the headers of the limit."""
        if self._meter is None or not (headers := self._meter.headers()):
            return reply
        return replace(reply, headers={**headers, **reply.headers})
