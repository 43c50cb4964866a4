"""Carries a run out for a person: progress, interrupts, summary, exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable

from rowsmith.cli.guard import COMPLETE, SHORT
from rowsmith.cli.progress import shown
from rowsmith.cli.summary import lacking, resume_command, summary
from rowsmith.cli.tally import Tally
from rowsmith.cli.terminal import is_terminal, painted, printable, say, show
from rowsmith.datasets.base import How
from rowsmith.datasets.loading import Job
from rowsmith.engine.report import Report
from rowsmith.engine.wording import count
from rowsmith.errors import RowsmithError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def carry_out(job: Job, *, fresh: bool = False, quiet: bool = False) -> int:
    """Make the rows, show what happens, and say what came of it.

    Args:
        job: what to make; it names at least one model.
        fresh: delete what the output has, and start anew.
        quiet: print errors and what lacks only.

    Returns:
        The exit code.

    Raises:
        RowsmithError: the run could not begin or go on; what had come of it is printed before.
    """
    tally = Tally()
    try:
        with shown(tally, quiet=quiet):
            stopped_by = asyncio.run(_supervised(job, tally, fresh=fresh))
    except RowsmithError as error:
        if tally.report is not None:
            _conclude(tally.report, job, quiet=quiet)
            error.add_note(_kept(tally.report, job))
        raise
    report = tally.report
    if report is None:
        say("Stopped before the run began; no model was asked.")
        return 128 + stopped_by
    _conclude(report, job, quiet=quiet)
    if report.complete or not report.missing:
        return COMPLETE
    if report.why or stopped_by:
        say(f"Stopped: {printable(report.why)}. {_kept(report, job)}")
    return 128 + stopped_by if stopped_by else SHORT


async def _supervised(job: Job, tally: Tally, *, fresh: bool) -> int:
    """Run to the end, or to an orderly stop after a signal: the signal's number, or 0."""
    how: How = {**job.how, "fresh": fresh, "listeners": [tally]}
    work = asyncio.create_task(job.dataset.generate_async(job.llms, **how))
    stopper = _Stopper(work, tally)
    listen(stopper)
    try:
        await work
    except asyncio.CancelledError:
        if not stopper.signal:
            raise
    return stopper.signal


class _Stopper:
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
            say(f"Stopping: no new calls; waiting for what is in flight ({cells:,} under way). {again}")
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
    for text in lacking(report.lacks) if quiet else summary(report, output):
        (say if quiet else show)(text)
    if report.ended == "short":
        say(painted(f"{report.missing:,} of {count(report.expected, 'row')} could not be made.", "yellow", sys.stderr))
        say("Run it again to make calls that failed, with a higher max_rounds to ask again for rows that were refused.")


def _kept(report: Report, job: Job) -> str:
    """That nothing is lost, and how to go on."""
    output = job.dataset.config.output_file
    command = resume_command(output) if not job.withheld else f"the same command (keys in {job.file} are not stored)"
    return f"{count(report.rows, 'row')} made so far, and kept. Go on with: {command}"
