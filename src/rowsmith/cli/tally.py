"""A run's events as figures: the listener behind every way to show progress."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from rowsmith.cli.terminal import line
from rowsmith.engine.events import (
    BatchEnded,
    BatchProgress,
    BatchSubmitted,
    CallMade,
    CellFinished,
    CellParked,
    CellStarted,
    Event,
    Retry,
    RowAccepted,
    RowRejected,
    RowsWithdrawn,
    RunFinished,
    RunStarted,
    Waiting,
)
from rowsmith.engine.report import Report
from rowsmith.engine.wording import count

WINDOW = 30.0
"""Seconds over which rates are taken."""


class Tally:
    """Counts; called for every event of a run, it does no more than add.

    Args:
        clock: seconds, from any beginning.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.started: RunStarted | None = None
        self.report: Report | None = None
        """What the run came to, once it has ended."""
        self.rows = 0
        self.under_way: set[int] = set()
        """The numbers of the cells being worked on."""
        self.calls = 0
        self.replayed = 0
        self.input_tokens = 0
        self.output_tokens = 0
        self.cost = 0.0
        self.priced = 0
        """Calls whose price is known."""
        self.rejected = 0
        self.retries = 0
        self.batches = 0
        """Batches that a service has."""
        self.in_batches = 0
        """Requests in them."""
        self.ended_in_batches = 0
        """Of these, those that are known to have ended."""
        self._clock = clock
        self._held = ("", "", 0.0)
        self._samples: deque[tuple[float, int, int]] = deque()
        self._by_type: dict[type[Any], Callable[[Any], None]] = {
            RunStarted: self._run_started,
            CellStarted: self._cell_started,
            CallMade: self._call_made,
            RowAccepted: self._row_accepted,
            RowRejected: self._row_rejected,
            RowsWithdrawn: self._rows_withdrawn,
            Retry: self._retry,
            Waiting: self._waiting,
            CellFinished: self._cell_finished,
            CellParked: self._cell_parked,
            BatchSubmitted: self._batch_submitted,
            BatchProgress: self._batch_progress,
            BatchEnded: self._batch_ended,
            RunFinished: self._run_finished,
        }

    def __call__(self, event: Event) -> None:
        take = self._by_type.get(type(event))
        if take is not None:
            take(event)

    # -- read by a display, in its own time ---------------------------------------------------------------------------

    def sample(self) -> None:
        """Remember where the run stands, for the rates; called a few times a second at most."""
        now = self._clock()
        self._samples.append((now, self.rows, self.calls))
        while len(self._samples) > 2 and now - self._samples[1][0] >= WINDOW:
            self._samples.popleft()

    @property
    def rates(self) -> tuple[float, float]:
        """(rows, calls) per second over the last `WINDOW` seconds; 0 while too little is known."""
        if not self._samples:
            return 0.0, 0.0
        since, rows, calls = self._samples[0]
        seconds = self._clock() - since
        if seconds < 0.5:
            return 0.0, 0.0
        return (self.rows - rows) / seconds, (self.calls - calls) / seconds

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the last row, at the present rate; None while it cannot be said."""
        rate, _ = self.rates
        if self.started is None or rate <= 0:
            return None
        return max(0, self.started.rows - self.rows) / rate

    @property
    def note(self) -> str:
        """Why nothing goes on just now, as long as it holds; else empty."""
        what, why, until = self._held
        left = until - self._clock()
        if left > 0:
            return line(f"{what} {left:.0f} s: {why}")
        if not self.batches:
            return ""
        known = f", {self.ended_in_batches:,} of them ended" if self.ended_in_batches else ""
        return f"{count(self.batches, 'batch', 'batches')} under way: {count(self.in_batches, 'request')}{known}"

    # -- one for each event -------------------------------------------------------------------------------------------

    def _run_started(self, event: RunStarted) -> None:
        self.started = event
        self.rows = event.rows_before
        self.sample()

    def _cell_started(self, event: CellStarted) -> None:
        self.under_way.add(event.cell.number)

    def _call_made(self, event: CallMade) -> None:
        if event.replayed:
            self.replayed += 1
            return
        self.calls += 1
        usage = event.usage
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        if event.cost is not None:
            self.cost += event.cost
            self.priced += 1

    def _row_accepted(self, event: RowAccepted) -> None:
        del event
        self.rows += 1

    def _row_rejected(self, event: RowRejected) -> None:
        del event
        self.rejected += 1

    def _rows_withdrawn(self, event: RowsWithdrawn) -> None:
        self.rows -= event.rows

    def _retry(self, event: Retry) -> None:
        self.retries += 1
        self._held = ("trying again in", event.error, self._clock() + event.seconds)

    def _waiting(self, event: Waiting) -> None:
        self._held = (f"waiting for {event.model},", event.reason, self._clock() + event.seconds)

    def _cell_finished(self, event: CellFinished) -> None:
        self.under_way.discard(event.cell.number)

    def _cell_parked(self, event: CellParked) -> None:
        self.under_way.discard(event.cell.number)

    def _batch_submitted(self, event: BatchSubmitted) -> None:
        self.batches += 1
        self.in_batches += event.calls

    def _batch_progress(self, event: BatchProgress) -> None:
        self.batches, self.in_batches = event.batches, event.calls
        self.ended_in_batches = event.answered + event.failed

    def _batch_ended(self, event: BatchEnded) -> None:
        self.batches = max(0, self.batches - 1)
        self.in_batches = max(0, self.in_batches - event.answered - event.failed)
        self.ended_in_batches = max(0, self.ended_in_batches - event.answered - event.failed)

    def _run_finished(self, event: RunFinished) -> None:
        self.report = event.report
