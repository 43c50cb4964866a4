"""The order in which a run's cells are worked on: all of them once, or in waves between batches."""

from __future__ import annotations

from collections.abc import Callable

from rowsmith.engine.batch.waves import Waves
from rowsmith.engine.cellwork import CellWork
from rowsmith.engine.crew import Crew
from rowsmith.engine.ending import Ending
from rowsmith.engine.ledger import CellStatus, Ledger
from rowsmith.engine.pending import Pending


class Shift:
    """Works through the cells of one run.

    Args:
        crew: the workers.
        work: what they do with each cell.
        ledger: of the run.
        ending: the run's.
        most: how many cells are worked on at once, at most.
    """

    def __init__(self, crew: Crew, work: CellWork, ledger: Ledger, ending: Ending, most: int) -> None:
        self._crew = crew
        self._work = work
        self._ledger = ledger
        self._ending = ending
        self._most = most
        self._resumed = not ledger.was_finished

    async def once(self, cells: int, settled: int) -> None:
        """Work on every cell that is not settled.

        Args:
            cells: of the plan.
            settled: how many of them are.
        """
        store = self._ledger.store
        begun = settled < cells and store.count(CellStatus.OPEN, CellStatus.FAILED) > 0
        known = store.is_known if begun else _unknown
        pending = Pending(range(cells), self._ledger.settled())
        await self._crew.work(pending, self._work, known, min(self._most, cells - settled))
        if self._reopen_stale(self._crew.reopen):
            await self._crew.work(pending, self._work, known, self._most)

    async def in_waves(self, waves: Waves, cells: int, *, wait: bool) -> None:
        """Work on every cell that is not settled, between one wave of batches and the next.

        In each wave all open cells are attempted from the ledger. What they ask is submitted at once, and when it has
        been answered they are attempted again, until nothing is asked any more.

        Args:
            waves: the batches.
            cells: of the plan.
            wait: stay until the batches have ended.

        Raises:
            ProviderError: a service cannot be asked, or does not take a batch.
            Stopped: the run is to end.
        """
        await waves.recover()
        pending = Pending(range(cells), self._ledger.settled())
        while True:
            await self._crew.work(pending, self._work, self._ledger.store.is_known, min(self._most, cells))
            await self._ledger.flushed()
            if self._ending.why:
                return
            if not waves.outstanding:
                if not self._reopen_stale(pending.reopen):
                    return
                continue
            await waves.submit()
            if self._ending.why or not wait:
                return
            await waves.wait()
            pending = Pending(self._ledger.batches.open_cells(), ())

    def _reopen_stale(self, reopen: Callable[[int], None]) -> bool:
        """Have cells worked on again that were refused a row which nobody before them has; says whether there are any.

        There are some after a kill. Only when all is settled: before, a cell still to be worked on may be about to
        claim what another was refused.
        """
        claims = self._work.claims
        if claims is None or not self._resumed or self._ending.why:
            return False
        self._resumed = False
        wronged = set(claims.stale(self._ledger.denied()))
        for number in wronged:
            self._ledger.reopen(number)
            reopen(number)
        return bool(wronged)


def _unknown(_: int) -> bool:
    return False
