"""When a failed call is tried again, and after how long."""

from __future__ import annotations

import random
from dataclasses import dataclass

from rowsmith.errors import ProviderError, RateLimitError


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential backoff with full jitter (Brooker, "Exponential Backoff and Jitter", AWS 2015).

    Attributes:
        max_retries: how often one call is tried again after failures; waits for a rate limit do not count.
        first: seconds of the first backoff's upper bound.
        multiplier: growth of that bound from one retry to the next.
        longest: seconds that no backoff passes, unless the service asks for more with Retry-After.
    """

    max_retries: int = 5
    first: float = 0.5
    multiplier: float = 2.0
    longest: float = 60.0

    def counts(self, error: ProviderError) -> bool:
        """Whether a failure uses up a retry."""
        return not isinstance(error, RateLimitError)

    def gives_up(self, error: ProviderError, failures: int) -> bool:
        """Whether a call that has failed so often is given up."""
        return not error.retryable or (self.counts(error) and failures > self.max_retries)

    def pause(self, failures: int, error: ProviderError) -> float:
        """Seconds until the next try."""
        bound = min(self.longest, self.first * self.multiplier ** max(0, failures - 1))
        pause = random.uniform(bound / 2, bound)  # noqa: S311  # spreading retries is no secret
        return max(pause, error.retry_after or 0.0)
