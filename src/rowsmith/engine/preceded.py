"""A run before its plan is known, because other runs make first what the plan is made of."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

from rowsmith.engine.events import RunFinished
from rowsmith.engine.fingerprint import Fingerprint
from rowsmith.engine.ledger import Ledger, RunPaths
from rowsmith.engine.ledger.reading import reading
from rowsmith.engine.precursors import Precursor
from rowsmith.engine.report import Report
from rowsmith.engine.run import Run
from rowsmith.engine.sampling import Trial
from rowsmith.engine.shielded import to_the_end


class Preceded(Run):
    """A run whose own plan has only places for what is made first.

    Its folder and ledger are there from the beginning, so that it can be looked at and gone on with; but the ledger
    has no fingerprint, because nothing was made of the configuration yet. Carried out as it is, it does nothing and
    says why.
    """

    async def hold(self, precursors: Iterable[Precursor], work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do the work that comes first, with the run's ledger open, as that of a run which is going on.

        Args:
            precursors: the runs that the work consists of.
            work: theirs.

        Raises:
            RunError: the output cannot be used; or whatever the work raises.
        """
        noted = [
            {"output": _beside(self._paths.rows, one.output), "rows": one.rows, "role": one.role} for one in precursors
        ]
        with Ledger(self._paths, fresh=self._options.fresh) as ledger:
            ledger.adopt(None, (), state="running", ahead=json.dumps(noted), **self._facts())
            try:
                await work()
            finally:
                await to_the_end(self._leave(ledger))

    def refrain(self, why: str) -> None:
        """Nothing is to be done: what the plan would be made of is not there.

        Args:
            why: for the report, in one line.
        """
        self.stop(why)
        self.report.ended, self.report.why, self.report.expected = "stopped", why, self.plan.total_rows

    async def execute(self) -> Report:
        """Nothing but the report of it."""
        self._emit(RunFinished(self.report))
        return self.report

    async def try_out(self, numbers: Iterable[int]) -> list[Trial]:
        """Nothing."""
        del numbers
        return []


def is_begun(output: str | Path) -> bool:
    """Whether anything was made of the configuration of a run, or tried to be.

    Raises:
        LedgerError: the ledger is damaged, foreign or newer.
    """
    return fingerprint_of(output) is not None


def fingerprint_of(output: str | Path) -> Fingerprint | None:
    """The fingerprint of the last start of a run; None if nothing was made of its configuration.

    Raises:
        LedgerError: the ledger is damaged, foreign or newer.
    """
    paths = RunPaths.of(output)
    if not paths.ledger.exists():
        return None
    with reading(paths.ledger) as store:
        noted = store.meta().get("fingerprint")
    return Fingerprint.from_json(noted) if noted else None


def _beside(output: Path, other: Path) -> str:
    """A path from the folder of the rows, so that it holds where both are moved."""
    return os.path.relpath(other.absolute(), output.absolute().parent)
