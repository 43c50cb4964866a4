"""How a run is carried out; none of it changes what the rows are."""

from __future__ import annotations

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
        grace: seconds that calls in flight may still take once the run is stopped.
        fresh: delete what the output has, and start anew.
        clock: the time.
    """

    max_concurrency: int = 256
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    grace: float = 30.0
    fresh: bool = False
    clock: Clock = field(default_factory=SystemClock)

    def __post_init__(self) -> None:
        if self.max_concurrency < 1:
            raise ConfigError(f"max_concurrency must be at least 1, got {self.max_concurrency}")
        if self.grace < 0:
            raise ConfigError(f"grace must be 0 or more seconds, got {self.grace}")

    def but(self, **settings: Any) -> Self:
        """These options with some changed."""
        return replace(self, **settings)
