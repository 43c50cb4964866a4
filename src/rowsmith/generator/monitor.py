"""What a generator's runs have come to so far, from their events."""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from rowsmith.engine.events import (
    CallFailed,
    CallMade,
    Event,
    Retry,
    RowAccepted,
    RowRejected,
    RowsWithdrawn,
    RunFinished,
    RunStarted,
)
from rowsmith.engine.wording import count, duration, money, rate
from rowsmith.generator.retries import ANSWERS, CATEGORIES
from rowsmith.generator.tool_calling.kind import EXECUTOR, TOOL_ERROR
from rowsmith.tools.result import ToolResult

_KEPT = 10_000
"""Latencies that are kept; of more, a sample drawn evenly."""
_EVERY = 2.0
"""Seconds between two lines about progress."""
_OUTCOMES = {"invalid": ANSWERS, "answer": ANSWERS, "cut_off": "cut_off", "refused": "refused", "empty": "empty"}


@dataclass(frozen=True, slots=True)
class GenerationStats:
    """What a generator has done since it was made: all its datasets and batches, the one under way included.

    Attributes:
        rows: examples that were made.
        expected: examples that were asked for.
        rejected: answers and examples that were refused, by gate.
        calls: calls that were answered, those from a ledger aside; executed calls of tools are among them.
        failed_calls: calls that failed for good.
        retries: requests that were sent again after a failure.
        error_categories: how often what went wrong: failures of calls (`timeout`, `rate_limit`, `server_error`, …),
            answers that could not be read (`json_parse_error`, `cut_off`, `refused`, `empty`), executed calls of tools
            that failed (`tool_raised`, `tool_timeout`, …), whatever became of their rows, and gates by name.
        input_tokens: of all requests.
        output_tokens: of all answers.
        cost: US dollars; a lower bound if `unpriced`.
        unpriced: calls for which no price is known.
        seconds: how long runs have taken.
        latencies: seconds from sending to the complete answer: at 0.5, 0.9, 0.95 and 0.99 of the calls.
    """

    rows: int = 0
    expected: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    calls: int = 0
    failed_calls: int = 0
    retries: int = 0
    error_categories: Mapping[str, int] = field(default_factory=dict)
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    unpriced: int = 0
    seconds: float = 0.0
    latencies: Mapping[float, float] = field(default_factory=dict)

    @property
    def success_rate(self) -> float:
        """Rows, of all that was tried: rows, refused answers and examples, and calls that failed for good. 0 to 1."""
        tried = self.rows + sum(self.rejected.values()) + self.failed_calls
        return self.rows / tried if tried else 0.0

    @property
    def avg_retries(self) -> float:
        """Retries per call."""
        calls = self.calls + self.failed_calls
        return self.retries / calls if calls else 0.0

    @property
    def rows_per_second(self) -> float:
        """Rows per second of the time that runs took."""
        return self.rows / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        cost = f"{money(self.cost)}{' at least' if self.unpriced else ''}"
        parts = [
            f"{self.rows:,} of {count(self.expected, 'row')}",
            rate(self.rows_per_second),
            f"{self.success_rate:.0%} of what was tried",
            count(self.calls, "call"),
            count(self.retries, "retry", "retries"),
            f"{self.input_tokens + self.output_tokens:,} tokens",
            cost,
        ]
        if self.latencies:
            parts.append(f"half of the calls within {duration(self.latencies[0.5])}")
        return ", ".join(parts)


class Monitor:
    """A listener of all runs of a generator.

    Args:
        now: seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self.tell: Callable[[str], object] | None = None
        """Takes a line about progress every two seconds, and one at the end of each run."""
        self._counts: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._cost = 0.0
        self._latencies = array("d")
        self._random = Random(0)  # noqa: S311  # a sample, no secret
        self._seconds = 0.0
        self._began: float | None = None
        self._told = 0.0
        self._by_type: dict[type[Any], Callable[[Any], None]] = {
            RunStarted: self._started,
            RunFinished: self._finished,
            CallMade: self._call,
            CallFailed: self._failed,
            Retry: self._retry,
            RowAccepted: self._accepted,
            RowRejected: self._refused,
            RowsWithdrawn: self._withdrawn,
        }

    def __call__(self, event: Event) -> None:
        heard = self._by_type.get(type(event))
        if heard is not None:
            heard(event)
        if self.tell is not None and (isinstance(event, RunFinished) or self._now() - self._told >= _EVERY):
            self._told = self._now()
            self.tell(f"{self.stats()}\n")

    def stats(self) -> GenerationStats:
        """What was counted so far."""
        counts, running = self._counts, 0.0 if self._began is None else self._now() - self._began
        ordered = sorted(self._latencies)
        shares = (0.5, 0.9, 0.95, 0.99) if ordered else ()
        return GenerationStats(
            rows=counts["rows"],
            expected=counts["expected"],
            rejected=dict(self._rejected),
            calls=counts["calls"],
            failed_calls=counts["failed"],
            retries=counts["retries"],
            error_categories=dict(self._errors.most_common()),
            input_tokens=counts["input"],
            output_tokens=counts["output"],
            cost=self._cost,
            unpriced=counts["unpriced"],
            seconds=self._seconds + running,
            latencies={share: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in shares},
        )

    def ended(self) -> None:
        """A run is over, in whatever way."""
        if self._began is not None:
            self._seconds += self._now() - self._began
            self._began = None

    def _started(self, event: RunStarted) -> None:
        self._began = self._now()
        self._counts["expected"] += event.rows
        self._counts["rows"] += event.rows_before

    def _finished(self, event: RunFinished) -> None:
        del event
        self.ended()

    def _call(self, event: CallMade) -> None:
        if event.replayed:
            return
        counts = self._counts
        counts["calls"] += 1
        counts["input"] += event.usage.input_tokens
        counts["output"] += event.usage.output_tokens
        counts["unpriced"] += event.cost is None
        self._cost += event.cost or 0.0
        if event.role == EXECUTOR and event.completion is not None:
            failure = ToolResult.of(event.completion.text).kind
            if failure is not None:
                self._errors[f"tool_{failure}"] += 1
        if len(self._latencies) < _KEPT:
            self._latencies.append(event.seconds)
        elif (place := self._random.randrange(counts["calls"])) < _KEPT:
            self._latencies[place] = event.seconds

    def _failed(self, event: CallFailed) -> None:
        self._counts["failed"] += 1
        self._errors[CATEGORIES.get(type(event.error).__name__, "provider_error")] += 1

    def _retry(self, event: Retry) -> None:
        self._counts["retries"] += 1
        self._errors[CATEGORIES.get(event.kind, "provider_error")] += 1

    def _accepted(self, event: RowAccepted) -> None:
        del event
        self._counts["rows"] += 1

    def _withdrawn(self, event: RowsWithdrawn) -> None:
        self._counts["rows"] -= event.rows

    def _refused(self, event: RowRejected) -> None:
        self._rejected[event.gate] += 1
        if event.gate == TOOL_ERROR:
            return  # the failure itself was counted when it came
        self._errors[_OUTCOMES.get(event.gate, event.gate)] += 1
