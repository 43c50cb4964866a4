"""Carries a run out for a person: progress, interrupts, summary, exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from rowsmith.cli.guard import COMPLETE, SHORT, WAITING
from rowsmith.cli.progress import shown
from rowsmith.cli.summary import lacking, near, resume_command, whole_summary
from rowsmith.cli.tally import Tally
from rowsmith.cli.terminal import is_terminal, painted, printable, say, show
from rowsmith.cli.tracing import traces
from rowsmith.datasets.base import How
from rowsmith.datasets.loading import Job
from rowsmith.engine.report import Report
from rowsmith.engine.wording import count
from rowsmith.errors import RowsmithError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


Begin = Callable[..., Coroutine[Any, Any, object]]


def carry_out(job: Job, *, fresh: bool = False, no_wait: bool = False, quiet: bool = False) -> int:
    """Make the rows, show what happens, and say what came of it.

    Args:
        job: what to make; it names at least one model.
        fresh: delete what the output has, and start anew.
        no_wait: in a batch run, end as soon as the next batches are handed in.
        quiet: print errors and what lacks only.

    Returns:
        The exit code.

    Raises:
        RowsmithError: the run could not begin or go on; what had come of it is printed before.
    """
    how: How = {**job.how, "fresh": fresh, "no_wait": no_wait}
    report, stopped_by = _see_through(job, job.dataset.generate_async, how, quiet=quiet)
    if report is None:
        return 128 + stopped_by
    if report.complete or not report.missing:
        return COMPLETE
    if report.ended == "waiting" and not stopped_by:
        say(_kept(report, job))
        return WAITING
    if report.why or stopped_by:
        say(f"Stopped: {printable(report.why)}. {_kept(report, job)}")
    return 128 + stopped_by if stopped_by else SHORT


def cancel_batches(job: Job, *, quiet: bool = False) -> int:
    """End a run's batches early, keep what was answered, and say what came of it.

    Args:
        job: the run's.
        quiet: print errors only.

    Returns:
        The exit code.

    Raises:
        RowsmithError: a service cannot be asked.
    """
    report, stopped_by = _see_through(job, job.dataset.cancel_batches_async, job.how, quiet=quiet)
    if report is not None:
        say(_kept(report, job))
    return 128 + stopped_by if stopped_by else COMPLETE


def _see_through(job: Job, begin: Begin, how: How, *, quiet: bool) -> tuple[Report | None, int]:
    """Run to the end, or to an orderly stop after a signal: the report, if it came so far, and the signal, or 0."""
    tally = Tally()
    try:
        with shown(tally, quiet=quiet):
            stopped_by = asyncio.run(
                supervised(begin(job.llms or None, **{**how, "listeners": [tally, *traces(job)]}), tally)
            )
    except RowsmithError as error:
        if (report := _report(tally, job)) is not None:
            _conclude(report, job, quiet=quiet)
            error.add_note(_kept(report, job))
        raise
    report = _report(tally, job)
    if report is None:
        say("Stopped before the run began; no model was asked.")
    else:
        _conclude(report, job, quiet=quiet)
    return report, stopped_by


def _report(tally: Tally, job: Job) -> Report | None:
    """What it came to, with what was made before the rows; None if no run was begun."""
    return None if tally.report is None else job.dataset.report or tally.report


async def supervised(begun: Coroutine[Any, Any, object], tally: Tally) -> int:
    """Work to the end, or to an orderly stop after a signal: the signal's number, or 0."""
    work = asyncio.create_task(begun)
    stopper = Stopper(work, tally)
    listen(stopper)
    try:
        await work
    except asyncio.CancelledError:
        if not stopper.signal:
            raise
    return stopper.signal


class Stopper:
    """Stops a run at a signal: the first time in good order, then at once, then by ending the process.

    Whatever the instant, the ledger stays consistent; a kill costs the calls in flight and nothing else.
    """

    def __init__(self, work: asyncio.Task[object], tally: Tally) -> None:
        self._work = work
        self._tally = tally
        self._times = 0
        self.signal = 0
        """The number of the first signal that came; 0 if none has."""

    def __call__(self, number: int) -> None:
        self._times += 1
        self.signal = self.signal or number
        if self._times == 1:
            again = "Ctrl-C again stops at once." if number == signal.SIGINT else "A second signal stops at once."
            cells = len(self._tally.under_way)
            held = f"waiting for what is in flight ({cells:,} under way)"
            going_on = "what was handed in goes on at the service" if self._tally.batches else held
            say(f"Stopping: no new calls; {going_on}. {again}")
        elif self._times == 2:
            say("Stopping at once.")
        else:
            if is_terminal(sys.stderr):
                sys.stderr.write("\x1b[?25h")  # the cursor, which the progress has hidden
            sys.stderr.flush()
            os._exit(128 + self.signal)
        self._work.cancel()


def listen(stop: Callable[[int], None]) -> None:
    """Have a function called, in the running loop, at every SIGINT and SIGTERM."""
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        try:
            loop.add_signal_handler(number, stop, number)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda got, _frame: loop.call_soon_threadsafe(stop, got))


def _conclude(report: Report, job: Job, *, quiet: bool) -> None:
    output = job.dataset.config.output_file
    lacks = [lack for part in (*report.ahead.values(), report) for lack in part.lacks]
    for text in lacking(lacks) if quiet else whole_summary(report, output):
        (say if quiet else show)(text)
    if report.ended == "short":
        say(painted(f"{report.missing:,} of {count(report.expected, 'row')} could not be made.", "yellow", sys.stderr))
        say("Run it again to make calls that failed, with a higher max_rounds to ask again for rows that were refused.")


def _kept(report: Report, job: Job) -> str:
    """That nothing is lost, and how to go on."""
    output = job.dataset.config.output_file
    command = resume_command(output) if not job.withheld else f"the same command (keys in {job.file} are not stored)"
    waits = ""
    if report.batches:
        batches, calls = count(report.batches, "batch", "batches"), count(report.in_batches, "request")
        waits = f" {batches} with {calls} {'goes' if report.batches == 1 else 'go'} on at the service; come back later."
    ahead = "".join(f", {part.rows:,} of {part.expected:,} in {near(path)}" for path, part in report.ahead.items())
    return f"{count(report.rows, 'row')} made so far{ahead}, and kept.{waits} Go on with: {command}"
