"""How a run is carried out; none of it changes what the rows are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from rowsmith.errors import ConfigError
from rowsmith.llm.clock import Clock, SystemClock
from rowsmith.llm.retry import RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a run is carried out.

    Attributes:
        max_concurrency: requests in flight per model that are never passed.
        policy: when a failed call is tried again.
        max_cost: US dollars that all starts on the same output may cost; every model's price must be known.
        max_requests: requests that all starts may send, those that fail and are sent again included.
        max_tokens: tokens that all starts may take, of requests and answers together. The run stops before one of these
            three is passed; how exactly each is kept stands in `engine.budget`.
        batch: ask through the services' batch endpoints, where requests are answered within hours for less.
        no_wait: in a batch run, end as soon as the next batches are handed in; the next start fetches what comes back.
        batch_poll: seconds between two questions how far a batch is, at most; they begin closer together.
        grace: seconds that calls in flight may still take once the run is stopped.
        fresh: delete what the output has, and start anew.
        clock: the time.
    """

    max_concurrency: int = 256
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    max_cost: float | None = None
    max_requests: int | None = None
    max_tokens: int | None = None
    batch: bool = False
    no_wait: bool = False
    batch_poll: float = 60.0
    grace: float = 30.0
    fresh: bool = False
    clock: Clock = field(default_factory=SystemClock)

    def __post_init__(self) -> None:
        if self.max_concurrency < 1:
            raise ConfigError(f"max_concurrency must be at least 1, got {self.max_concurrency}")
        if self.grace < 0:
            raise ConfigError(f"grace must be 0 or more seconds, got {self.grace}")
        if not 0 < self.batch_poll < math.inf:
            raise ConfigError(f"batch_poll must be a number of seconds above 0, got {self.batch_poll}")
        if self.max_cost is not None and not 0 <= self.max_cost < math.inf:
            raise ConfigError(f"max_cost must be an amount of US dollars, 0 or more, got {self.max_cost}")
        for name in ("max_requests", "max_tokens"):
            most = getattr(self, name)
            if most is not None and (not isinstance(most, int) or most < 0):
                raise ConfigError(f"{name} must be a whole number, 0 or more, got {most}")

    def but(self, **settings: Any) -> Self:
        """These options with some changed."""
        return replace(self, **settings)

    def with_named(self, given: Mapping[str, Any]) -> Self:
        """These options with what a caller gave by name: that wins, but None and False give nothing.

        Args:
            given: options by name; every name is an attribute's.

        Raises:
            ConfigError: a value is out of its range.
        """
        return self.but(**{name: value for name, value in given.items() if value is not None and value is not False})
