"""One cell from start to end: its history, its attempt, its record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from typing import Protocol

import orjson

from rowsmith.engine.asking import Answering, CallFile
from rowsmith.engine.batch.tray import Parked, Tray
from rowsmith.engine.claims import Claims, packed, unpacked
from rowsmith.engine.events import CellFinished, CellParked, CellStarted, Event, RowsWithdrawn
from rowsmith.engine.kit import PLAIN, Kit
from rowsmith.engine.ledger import CallRecord, CellStatus, Kind, Ledger
from rowsmith.engine.ledger.records import BlockRecord, CellRecord
from rowsmith.engine.plan import Cell
from rowsmith.engine.recipe import Recipe
from rowsmith.engine.sieve import Sieve
from rowsmith.errors import AnswerError, ProviderError


class Work(Protocol):
    """What a run does with its cells, one by one."""

    async def carry_out(self, cell: Cell, *, known: bool) -> None:
        """Do it with a cell, of which the ledger has something if it is `known`."""


@dataclass(slots=True)
class UnderWay:
    """A cell that is being worked on.

    Attributes:
        again: what it was refused or had has changed hands meanwhile: it must be worked on once more.
        denied: marks of rows that it was refused so far.
    """

    again: bool = False
    denied: Set[int] = frozenset()


@dataclass(slots=True)
class Parking:
    """A cell that waits for a batch.

    Attributes:
        marks: of the rows that it holds.
        denied: marks of rows that it was refused.
        withdrawn: rows that it had at its last end, and that are not counted any more.
    """

    marks: Set[bytes]
    denied: Set[int]
    withdrawn: int


@dataclass(slots=True)
class Attempt:
    """What came of one attempt at a cell.

    Attributes:
        sieve: its rows.
        status: its end; None if it waits for a batch.
        untold: what happened in it and was not told yet.
    """

    sieve: Sieve
    status: CellStatus | None
    untold: list[Event]


@dataclass(slots=True)
class History:
    """What the ledger has of a cell.

    Attributes:
        known: the ledger has something.
        counted: rows that it made by its last end.
        wants: the counts of rows asked for so far, the latest last.
        calls: its answered calls, by ordinal.
        rows: its lines in the rows file.
        rejected: its lines in the file of rejections.
        packed: the marks of its lines in the rows file, as the ledger has them.
        denied: the marks because of which it was refused rows.
        marks: the marks of its rows, and of rows it claimed in an attempt that came to nothing.
    """

    known: bool
    wants: tuple[int, ...]
    counted: int = 0
    calls: dict[str, list[CallRecord]] = field(default_factory=dict)
    rows: bytes = b""
    rejected: bytes = b""
    packed: bytes = b""
    denied: set[int] = field(default_factory=set)
    marks: set[bytes] = field(default_factory=set)


class CellWork:
    """Carries out cells for a run.

    Args:
        recipe: makes the rows.
        asker: asks the models.
        ledger: remembers.
        claims: who owns which row.
        emit: where events go.
        max_rounds: how often rows that lack are asked for again.
        reopen: puts a finished cell back into the run.
        tray: takes the calls of a batch run; None where calls are made.
        kit: what attempts work with.
    """

    def __init__(
        self,
        recipe: Recipe,
        asker: Answering,
        ledger: Ledger,
        emit: Callable[[Event], None],
        *,
        max_rounds: int,
        reopen: Callable[[int], None],
        tray: Tray | None = None,
        kit: Kit = PLAIN,
    ) -> None:
        self._recipe = recipe
        self._asker = asker
        self._ledger = ledger
        self._emit = emit
        self._max_rounds = max_rounds
        self._reopen = reopen
        self._gates = tuple(recipe.gates)
        self._tray = tray
        self._kit = kit
        self._under_way: dict[int, UnderWay] = {}
        self._parked: dict[int, Parking] = {}
        """Those of the cells that wait for a batch which hold rows, or were refused some, or had some."""
        self.claims: Claims | None = None

    def displaced(self, number: int) -> None:
        """A cell lost a row to an earlier one."""
        if number in self._under_way:
            self._under_way[number].again = True
        else:
            self._ledger.reopen(number)
            self._reopen(number)

    async def carry_out(self, cell: Cell, *, known: bool) -> None:
        """Make a cell's rows and record them; in a batch run, or note what it asks.

        Args:
            cell: the cell.
            known: the ledger has something of it.

        Raises:
            ProviderError: one that would befall every cell; this one stays open.
            Stopped: the run is stopping; this cell stays open.
        """
        number = cell.number
        if number in self._under_way:
            self._under_way[number].again = True
            return
        self._under_way[number] = UnderWay()
        try:
            settled = await self._until_settled(cell, known)
        finally:
            del self._under_way[number]
        if settled is not None and (released := self._released(cell, *settled)):
            await self._tell_the_denied(released)
        if self._tray is not None and self._tray.heavy:
            await self._ledger.flushed()
            self._tray.committed()

    async def _tell_the_denied(self, released: Sequence[int]) -> None:
        """Cells that were refused a row by these marks are worked on again: they may have it now."""
        for one in self._under_way.values():
            one.again = one.again or not one.denied.isdisjoint(released)
        for number in [at for at, parked in self._parked.items() if not parked.denied.isdisjoint(released)]:
            self.displaced(number)
        for mark in released:
            for other in await self._ledger.denied_for(mark):
                self.displaced(other)

    async def try_out(self, cell: Cell, *, known: bool) -> Sieve:
        """Make a cell's rows and leave it open; what is asked is kept, and answers it when it is carried out.

        Raises:
            ProviderError, Stopped: as `carry_out`.
        """
        history = await self._history(cell) if known else History(False, (cell.want,))
        return (await self._attempt(cell, history)).sieve

    async def _until_settled(self, cell: Cell, known: bool) -> tuple[History, Sieve] | None:
        """Attempts until one loses no row to an earlier cell meanwhile; that one is recorded, without a pause.

        None if the cell waits for a batch.
        """
        number = cell.number
        history = await self._history(cell) if known else History(False, (cell.want,))
        parked = self._parked.pop(number, None)
        if parked is not None:
            history.marks |= parked.marks
        if history.counted and (parked is None or not parked.withdrawn):
            self._emit(RowsWithdrawn(cell, history.counted))
        while True:
            self._under_way[number].again = False
            attempt = await self._attempt(cell, history)
            sieve = attempt.sieve
            if not self._under_way[number].again:
                if attempt.status is None:
                    self._park(cell, history, sieve)
                    return None
                for event in attempt.untold:
                    self._emit(event)
                self._record(cell, history, sieve, attempt.status)
                return history, sieve
            if self._tray is None:
                self._emit(RowsWithdrawn(cell, len(sieve.lines)))
            claimed = history.marks.union(sieve.marks)
            history = await self._history(cell)
            history.marks |= claimed

    async def _attempt(self, cell: Cell, history: History) -> Attempt:
        untold: list[Event] = []
        # In a batch run most attempts come to nothing; what happens in them is told of the last one alone.
        emit = self._emit if self._tray is None else untold.append
        sieve = self._kit.sieve(cell, self._gates, self._recipe.text_fields, self.claims, emit)
        if cell.number in self._under_way:
            self._under_way[cell.number].denied = sieve.denied
        if self._tray is not None:
            self._tray.open(cell.number, known=history.known)
        begun = None if history.known else CellRecord(cell.number, cell.key, CellStatus.OPEN, str(cell.want), 0, None)
        file = CallFile(history.calls, begun)
        context = self._kit.context(
            cell, history.wants, self._asker, sieve, file, max_rounds=self._max_rounds, seed=self._recipe.seed
        )
        self._emit(CellStarted(cell))
        try:
            await self._recipe.make(cell, context)
        except Parked:
            return Attempt(sieve, None, untold)
        except AnswerError as error:
            sieve.reasons[str(error.outcome)] += 1
        except ProviderError as error:
            if error.fatal:
                raise
            sieve.reasons[f"{type(error).__name__}: {error}"] += 1
            return Attempt(sieve, CellStatus.FAILED, untold)
        return Attempt(sieve, CellStatus.DONE if len(sieve.lines) >= cell.want else CellStatus.SHORT, untold)

    def _park(self, cell: Cell, history: History, sieve: Sieve) -> None:
        """Leave a cell until its answers are there. What it holds, it goes on holding."""
        assert self._tray is not None  # nothing else parks a cell
        parking = Parking(history.marks.union(sieve.marks), frozenset(sieve.denied), history.counted)
        if parking.marks or parking.denied or parking.withdrawn:
            self._parked[cell.number] = parking
        self._emit(CellParked(cell, self._tray.park(cell)))

    async def _history(self, cell: Cell) -> History:
        await self._ledger.flushed()
        number = cell.number
        record = self._ledger.cell(number)
        wants = tuple(int(want) for want in record.wants.split(",")) if record else (cell.want,)
        calls: dict[str, list[CallRecord]] = {}
        for call in self._ledger.calls_of(number):
            calls.setdefault(call.ordinal, []).append(call)
        rows, marks = self._ledger.block_of(number, Kind.ROWS)
        rejected, _ = self._ledger.block_of(number, Kind.REJECTED)
        counted = record.rows if record else 0
        denied = self._ledger.denied_of(number)
        return History(True, wants, counted, calls, rows, rejected, marks, denied, set(unpacked(marks)))

    def _record(self, cell: Cell, history: History, sieve: Sieve, status: CellStatus) -> None:
        rows, rejected = b"".join(sieve.lines), b"".join(sieve.rejected)
        wants = ",".join(map(str, history.wants))
        reasons = None if status is CellStatus.DONE else orjson.dumps(_most(sieve.reasons)).decode()
        record = CellRecord(cell.number, cell.key, int(status), wants, len(sieve.lines), reasons)
        marks = packed(sieve.marks)
        unchanged = False
        if history.known:
            # The same rows may have been refused because of other ones than before.
            before = (history.rows, history.rejected, history.packed, history.denied)
            unchanged = (rows, rejected, marks, sieve.denied) == before
        blocks = []
        if rows and not unchanged:
            blocks.append(BlockRecord(int(Kind.ROWS), cell.number, rows, len(sieve.lines), marks))
        if rejected and not unchanged:
            blocks.append(BlockRecord(int(Kind.REJECTED), cell.number, rejected, len(sieve.rejected), b""))
        self._ledger.finish_cell(record, blocks, sieve.denied, replace=history.known and not unchanged)
        if self._tray is not None:
            self._tray.settle(cell.number, status)
        self._emit(CellFinished(cell, status.name.lower(), len(sieve.lines)))

    def _released(self, cell: Cell, history: History, sieve: Sieve) -> list[int]:
        """Marks that the cell had and has no more, and nobody else has taken."""
        given_up = history.marks.difference(sieve.marks)
        return self.claims.release(given_up, sieve.marks, cell.number) if given_up and self.claims else []


def _most(reasons: Counter[str]) -> dict[str, int]:
    """The commonest reasons; a cell's record is no log."""
    return dict(reasons.most_common(8))
