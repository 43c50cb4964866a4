"""One cell from start to end: its history, its attempt, its record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import lru_cache
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

_OPEN, _ROWS, _REJECTED = int(CellStatus.OPEN), int(Kind.ROWS), int(Kind.REJECTED)


class Work(Protocol):
    """What a run does with its cells, one by one."""

    async def carry_out(self, cell: Cell, *, known: bool) -> None:
        """Do it with a cell, of which the ledger has something if it is `known`."""


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
class History:
    """What the ledger has of a cell.

    Attributes:
        known: the ledger has something.
        wants: the counts of rows asked for so far, the latest last.
        written: the same as the ledger has them.
        counted: rows that it made by its last end.
        calls: its answered calls, by ordinal.
        rows: its lines in the rows file.
        rejected: its lines in the file of rejections.
        packed: the marks of its lines in the rows file, as the ledger has them.
        denied: the marks because of which it was refused rows.
        marks: the marks of its rows, and of rows it claimed in an attempt that came to nothing.
    """

    known: bool
    wants: tuple[int, ...]
    written: str
    counted: int = 0
    calls: Mapping[str, list[CallRecord]] = field(default_factory=dict)
    rows: bytes = b""
    rejected: bytes = b""
    packed: bytes = b""
    denied: Set[int] = frozenset()
    marks: set[bytes] | frozenset[bytes] = frozenset()


@dataclass(slots=True)
class Attempt:
    """One attempt at a cell.

    Attributes:
        again: what it was refused or had has changed hands meanwhile: the cell must be worked on once more.
        denied: marks of rows that it was refused so far.
        status: its end; None if it waits for a batch.
        untold: what happened in it and was not told yet.
    """

    again: bool = False
    denied: Set[int] = frozenset()
    status: CellStatus | None = None
    untold: Sequence[Event] = ()


class CellWork:
    """Carries out cells for a run.

    Args:
        recipe: makes the rows.
        asker: asks the models.
        ledger: remembers.
        emit: where events go.
        max_rounds: how often rows that lack are asked for again.
        reopen: puts a finished cell back into the run.
        tray: takes the calls of a batch run; None where calls are made.
        followed: somebody listens to each cell's beginning and end, and to each row.
        kit: what attempts work with.

    Attributes:
        claims: who owns which row; None if duplicates are welcome.
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
        followed: bool = True,
        kit: Kit = PLAIN,
    ) -> None:
        self.claims: Claims | None = None
        self._make = recipe.make
        self._seed = recipe.seed
        self._gates = tuple(recipe.gates)
        self._text_fields = recipe.text_fields
        self._asker = asker
        self._ledger = ledger
        self._emit = emit
        self._max_rounds = max_rounds
        self._reopen = reopen
        self._tray = tray
        self._followed = followed
        self._kit = kit
        self._under_way: dict[int, Attempt] = {}
        self._parked: dict[int, Parking] = {}
        """Those of the cells that wait for a batch which hold rows, or were refused some, or had some."""

    def displaced(self, number: int) -> None:
        """A cell lost a row to an earlier one."""
        if number in self._under_way:
            self._under_way[number].again = True
        else:
            self._ledger.reopen(number)
            self._reopen(number)

    async def carry_out(self, cell: Cell, *, known: bool) -> None:
        """Make a cell's rows and record them; in a batch run, or note what it asks.

        It is attempted until it loses no row to an earlier cell meanwhile; that attempt is recorded, without a pause.

        Args:
            cell: the cell.
            known: the ledger has something of it.

        Raises:
            ProviderError: one that would befall every cell; this one stays open.
            Stopped: the run is stopping; this cell stays open.
        """
        number, under_way = cell.number, self._under_way
        if number in under_way:
            under_way[number].again = True
            return
        attempt = under_way[number] = Attempt()
        try:
            history = await self._taken_up(cell) if known else _new(cell.want)
            attempt.again = False  # what changed hands before this is in the history
            while True:
                sieve = await self._attempt(cell, history, attempt)
                if not attempt.again:
                    break
                history = await self._once_more(cell, history, sieve)
                attempt = under_way[number] = Attempt()
            released = self._settle(cell, history, sieve, attempt)
        finally:
            del under_way[number]
        if released:
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
        return await self._attempt(cell, await self._history(cell) if known else _new(cell.want), Attempt())

    async def _taken_up(self, cell: Cell) -> History:
        """The history of a cell that is worked on again; what it had is not counted any more."""
        history = await self._history(cell)
        parked = self._parked.pop(cell.number, None)
        if parked is not None:
            history.marks |= parked.marks
        if history.counted and (parked is None or not parked.withdrawn):
            self._emit(RowsWithdrawn(cell, history.counted))
        return history

    async def _once_more(self, cell: Cell, history: History, sieve: Sieve) -> History:
        """The history of a cell after an attempt that came to nothing."""
        if self._tray is None:
            self._emit(RowsWithdrawn(cell, len(sieve.lines)))
        claimed = history.marks.union(sieve.marks)
        history = await self._history(cell)
        history.marks |= claimed
        return history

    async def _attempt(self, cell: Cell, history: History, attempt: Attempt) -> Sieve:
        emit, tray = self._emit, self._tray
        if tray is not None:
            # In a batch run most attempts come to nothing; what happens in them is told of the last one alone.
            untold: list[Event] = []
            attempt.untold, emit = untold, untold.append
            tray.open(cell.number, known=history.known)
        kit, seed = self._kit, self._seed
        sieve = kit.sieve(cell, self._gates, self._text_fields, self.claims, emit, followed=self._followed)
        attempt.denied = sieve.denied
        begun = None
        if not history.known:
            begun = CellRecord(cell.number, cell.key, _OPEN, history.written, 0, None)
        file = CallFile(history.calls, begun)
        context = kit.context(cell, history.wants, self._asker, sieve, file, max_rounds=self._max_rounds, seed=seed)
        if self._followed:
            self._emit(CellStarted(cell))
        try:
            await self._make(cell, context)
        except Parked:
            return sieve
        except AnswerError as error:
            sieve.reasons[str(error.outcome)] += 1
        except ProviderError as error:
            if error.fatal:
                raise
            sieve.reasons[f"{type(error).__name__}: {error}"] += 1
            attempt.status = CellStatus.FAILED
            return sieve
        attempt.status = CellStatus.DONE if len(sieve.lines) >= cell.want else CellStatus.SHORT
        return sieve

    def _settle(self, cell: Cell, history: History, sieve: Sieve, attempt: Attempt) -> Sequence[int]:
        """Record what came of the last attempt at a cell.

        Returns:
            The marks that the cell had and has no more, and nobody else has taken.
        """
        if attempt.status is None:
            self._park(cell, history, sieve)
            return ()
        for event in attempt.untold:
            self._emit(event)
        self._record(cell, history, sieve, attempt.status)
        given_up = history.marks.difference(sieve.marks) if history.marks else ()
        return self.claims.release(given_up, sieve.marks, cell.number) if given_up and self.claims else ()

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
        written = record.wants if record else str(cell.want)
        wants = tuple(int(want) for want in written.split(","))
        calls: dict[str, list[CallRecord]] = {}
        for call in self._ledger.calls_of(number):
            calls.setdefault(call.ordinal, []).append(call)
        rows, marks = self._ledger.block_of(number, Kind.ROWS)
        rejected, _ = self._ledger.block_of(number, Kind.REJECTED)
        counted = record.rows if record else 0
        denied = self._ledger.denied_of(number)
        return History(True, wants, written, counted, calls, rows, rejected, marks, denied, set(unpacked(marks)))

    def _record(self, cell: Cell, history: History, sieve: Sieve, status: CellStatus) -> None:
        number, count = cell.number, len(sieve.lines)
        rows, rejected, marks = b"".join(sieve.lines), b"".join(sieve.rejected), packed(sieve.marks)
        reasons = None if status is CellStatus.DONE else orjson.dumps(_most(sieve.reasons)).decode()
        unchanged = False
        if history.known:
            # The same rows may have been refused because of other ones than before.
            before = (history.rows, history.rejected, history.packed, history.denied)
            unchanged = (rows, rejected, marks, sieve.denied) == before
        blocks = []
        if rows and not unchanged:
            blocks.append(BlockRecord(_ROWS, number, rows, count, marks))
        if rejected and not unchanged:
            blocks.append(BlockRecord(_REJECTED, number, rejected, len(sieve.rejected), b""))
        record = CellRecord(number, cell.key, int(status), history.written, count, reasons)
        self._ledger.finish_cell(record, blocks, sieve.denied, replace=history.known and not unchanged)
        if self._tray is not None:
            self._tray.settle(number, status)
        if self._followed:
            self._emit(CellFinished(cell, status.name.lower(), count))


@lru_cache(maxsize=64)
def _new(want: int) -> History:
    """The history of a cell of which the ledger has nothing; the same for all that want as much, and never changed."""
    return History(False, (want,), str(want))


def _most(reasons: Mapping[str, int]) -> dict[str, int]:
    """The commonest reasons; a cell's record is no log."""
    return dict(Counter(reasons).most_common(8))
