"""What is asked before a run's plan is known, because the plan is made of the answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rowsmith.engine.asking import Answering
from rowsmith.engine.events import CallFailed, CallMade, CallStarted, Event, Retry, Waiting
from rowsmith.engine.ledger import Ledger
from rowsmith.engine.plan import Cell
from rowsmith.engine.recipe import Recipe
from rowsmith.engine.sampling import Trials
from rowsmith.errors import ProviderError
from rowsmith.quality.gates import Row

_TOLD = (CallStarted, CallMade, CallFailed, Retry, Waiting)
"""Events that are the run's, too. No row and no cell of the run is made ahead of its plan."""


class Made(NamedTuple):
    """What came of one cell ahead of the plan.

    Attributes:
        rows: its rows; none if it was not come to.
        rejected: how much was refused, by gate.
        failure: the last call that failed for good, if one did.
    """

    rows: list[Row]
    rejected: Counter[str]
    failure: ProviderError | None


class Ahead:
    """Cells that are no part of a plan, each with a recipe of its own; and the work that tries them out.

    Their numbers are below 0, where no plan has any. They are never settled: their calls are in the ledger, and so the
    same questions cost nothing when they are asked again.

    Args:
        recipes: with the first cell of the plan of each.
        ledger: of the run.
        emit: where events go.
        asker: makes the asker that tells its events to the function it is given.

    Attributes:
        failures: the last call that failed for good, by the number of its cell.
    """

    def __init__(
        self,
        recipes: Sequence[tuple[Recipe, Cell]],
        ledger: Ledger,
        emit: Callable[[Event], None],
        asker: Callable[[Callable[[Event], None]], Answering],
    ) -> None:
        self._cells = [cell._replace(number=-1 - cell.key) for _, cell in recipes]
        self._trials: dict[int, Trials] = {}
        self.failures: dict[int, ProviderError] = {}

        def told(event: Event) -> None:
            if isinstance(event, CallFailed):
                self.failures[event.cell.number] = event.error
            if isinstance(event, _TOLD):
                emit(event)

        for (recipe, _), cell in zip(recipes, self._cells, strict=True):
            trials = Trials(recipe, ledger, told)
            trials.asker = trials.shut = asker(trials.tell)
            self._trials[cell.number] = trials

    def cell(self, index: int) -> Cell:
        """The cell of the index-th recipe."""
        return self._cells[index]

    async def carry_out(self, cell: Cell, *, known: bool) -> None:
        """Try a cell out, with what the ledger has of its calls.

        Raises:
            ProviderError: one that would befall every cell.
            Stopped: the run is stopping.
        """
        del known  # the ledger has no record of such a cell, and may have calls of it
        await self._trials[cell.number].carry_out(cell, known=True)

    def made(self) -> list[Made]:
        """What came of the cell of each recipe."""
        return [self._made(cell.number) for cell in self._cells]

    def _made(self, number: int) -> Made:
        trial = next(iter(self._trials[number].made()), None)
        if trial is None:
            return Made([], Counter(), self.failures.get(number))
        return Made(trial.rows, trial.rejected, self.failures.get(number))
