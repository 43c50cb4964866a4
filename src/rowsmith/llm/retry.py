"""When a failed call is tried again, and after how long."""

from __future__ import annotations

import random
from dataclasses import dataclass

from rowsmith.errors import ConfigError, ProviderError, RateLimitError


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential backoff with jitter over its upper half (Brooker, "Exponential Backoff and Jitter", AWS 2015).

    Attributes:
        max_retries: how often one call is tried again after failures; waits for a rate limit do not count.
        first: seconds of the first backoff's upper bound.
        multiplier: growth of that bound from one retry to the next.
        longest: seconds that no backoff passes, unless the service asks for more with Retry-After.
        patience: seconds that a service may refuse everything (429), or ask to wait, before the run ends in good order
            instead of waiting on.
    """

    max_retries: int = 5
    first: float = 0.5
    multiplier: float = 2.0
    longest: float = 60.0
    patience: float = 3600.0

    def __post_init__(self) -> None:
        if self.max_retries < 0:
            raise ConfigError(f"max_retries must be 0 or more; it is {self.max_retries!r}.")
        for name in ("first", "longest", "patience"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be a number of seconds above 0; it is {getattr(self, name)!r}.")
        if not self.multiplier >= 1:
            raise ConfigError(f"multiplier must be 1 or more; it is {self.multiplier!r}.")

    def counts(self, error: ProviderError) -> bool:
        """Whether a failure uses up a retry."""
        return not isinstance(error, RateLimitError)

    def gives_up(self, error: ProviderError, failures: int) -> bool:
        """Whether a call that has failed so often is given up."""
        return not error.retryable or (self.counts(error) and failures > self.max_retries)

    def backoff(self, times: int) -> float:
        """Seconds to wait after the so-many-th failure in a row, from 1."""
        # The power is bounded: a float's largest would be reached after a thousand failures.
        bound = min(self.longest, self.first * self.multiplier ** min(64, max(0, times - 1)))
        return random.uniform(bound / 2, bound)  # noqa: S311  # spreading retries is no secret

    def pause(self, failures: int, error: ProviderError) -> float:
        """Seconds until the next try of a call."""
        return max(self.backoff(failures), error.retry_after or 0.0)
