"""A run's events as lines of the log, where a log is asked for: `configure_logger`, `--log-file`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from rowsmith.engine.events import (
    BatchEnded,
    BatchProgress,
    BatchSubmitted,
    CallMade,
    CellFinished,
    Event,
    Listener,
    Retry,
    RowRejected,
    RunFinished,
    RunStarted,
    Waiting,
)
from rowsmith.engine.wording import count, duration

_log = logging.getLogger("rowsmith.run")


def journal_of_run() -> list[Listener]:
    """What writes the log; nothing where the log takes no such lines."""
    return [Journal()] if _log.isEnabledFor(logging.INFO) else []


class Journal:
    """Writes what happens to a run at INFO, and what happens to each call, row and cell at DEBUG."""

    def __init__(self) -> None:
        self._by_type: dict[type[Any], Callable[[Any], None]] = {
            RunStarted: self._run_started,
            Retry: self._retry,
            Waiting: self._waiting,
            CellFinished: self._cell_finished,
            BatchSubmitted: self._batch_submitted,
            BatchEnded: self._batch_ended,
            RunFinished: self._run_finished,
        }
        if _log.isEnabledFor(logging.DEBUG):
            self._by_type |= {
                CallMade: self._call_made,
                RowRejected: self._row_rejected,
                BatchProgress: self._batch_progress,
            }

    def __call__(self, event: Event) -> None:
        write = self._by_type.get(type(event))
        if write is not None:
            write(event)

    def _run_started(self, event: RunStarted) -> None:
        done = f"{event.rows_before:,} of them made before, " if event.rows_before else ""
        cells = f"{event.settled:,} of {count(event.cells, 'cell')} settled"
        _log.info("%s: %s, %s%s, by %s", event.output, count(event.rows, "row"), done, cells, ", ".join(event.models))

    def _retry(self, event: Retry) -> None:
        _log.info("trying again in %s: %s", duration(event.seconds), event.error)

    def _waiting(self, event: Waiting) -> None:
        _log.info("waiting for %s, %s: %s", event.model, duration(event.seconds), event.reason)

    def _cell_finished(self, event: CellFinished) -> None:
        level = logging.DEBUG if event.status == "done" else logging.INFO
        _log.log(level, "cell %s: %s, %s", event.cell.name, event.status, count(event.rows, "row"))

    def _call_made(self, event: CallMade) -> None:
        how = "from the ledger" if event.replayed else f"in {duration(event.seconds)}"
        usage = f"{event.usage.input_tokens:,} tokens in, {event.usage.output_tokens:,} out"
        _log.debug("cell %s: %s as %s answered %s, %s", event.cell.name, event.model, event.role, how, usage)

    def _row_rejected(self, event: RowRejected) -> None:
        _log.debug("cell %s: rejected by %s: %s", event.cell.name, event.gate, event.reason)

    def _batch_submitted(self, event: BatchSubmitted) -> None:
        _log.info("batch %s handed in: %s to %s", event.batch, count(event.calls, "request"), event.model)

    def _batch_progress(self, event: BatchProgress) -> None:
        batches, ended = count(event.batches, "batch", "batches"), event.answered + event.failed
        _log.debug("%s under way: %s of %s ended", batches, f"{ended:,}", count(event.calls, "request"))

    def _batch_ended(self, event: BatchEnded) -> None:
        why = f" ({event.message})" if event.message else ""
        _log.info("batch %s ended%s: %s answered, %s not", event.batch, why, f"{event.answered:,}", f"{event.failed:,}")

    def _run_finished(self, event: RunFinished) -> None:
        report = event.report
        why = f" ({report.why})" if report.why else ""
        rows = f"{report.rows:,} of {count(report.expected, 'row')}"
        _log.info("%s%s: %s, %s, %s", report.ended, why, rows, count(report.calls, "call"), duration(report.seconds))
        for lack in report.lacks:
            _log.info("%s", lack)
