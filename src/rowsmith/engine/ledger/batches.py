"""What the ledger knows of batches: the calls that were handed in, the batches that have them, and what came of both.

A call that is handed in is an item until it is answered. Its answer takes its place in one commit, so that results
which are fetched twice are booked once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NoReturn

from rowsmith.engine.ledger.records import BatchRecord, CallRecord, CellRecord, CellStatus, ItemRecord, ItemState, Stage
from rowsmith.engine.ledger.writer import Step

_STATE = "id, cell, cell_key, ordinal, key, role, length(body), batch, tries, error"
_PAGE = 256
_LIVE = f"({int(Stage.SUBMITTING)}, {int(Stage.RUNNING)})"


class BatchBook:
    """Reads over one connection, writes through the writer's.

    Args:
        connection: for reading; it sees what is committed.
        put: takes a change, and the call that is recorded with it.
    """

    def __init__(self, connection: sqlite3.Connection, put: Callable[[Step, CallRecord | None], None]) -> None:
        self._connection = connection
        self._put = put

    # -- read ---------------------------------------------------------------------------------------------------------

    def items_of(self, cell: int) -> list[ItemState]:
        """The items of a cell."""
        return self._items("WHERE cell = ?", cell)

    def items_in(self, batch: int) -> list[ItemState]:
        """The items that a batch has and nothing came of yet."""
        return self._items("WHERE batch = ?", batch)

    def item(self, id: str) -> ItemState | None:  # noqa: A002  # as services call it
        """An item by its id; None once it is answered or forgotten."""
        return next(iter(self._items("WHERE id = ?", id)), None)

    def waiting(self) -> int:
        """How many items wait to be submitted."""
        found = self._connection.execute("SELECT count(*) FROM items WHERE batch IS NULL AND error IS NULL")
        return int(found.fetchone()[0])

    def has_answered(self, model: str) -> bool:
        """Whether a model, as `provider/model_id`, has answered any call."""
        found = self._connection.execute("SELECT 1 FROM spend WHERE model = ? LIMIT 1", (model,))
        return found.fetchone() is not None

    def next_waiting(self, who: bytes) -> Iterator[tuple[str, bytes]]:
        """(id, body) of a model's items that wait to be submitted, read page by page."""
        last = 0
        while page := self._connection.execute(
            "SELECT rowid, id, body FROM items WHERE rowid > ? AND batch IS NULL AND error IS NULL AND who = ? "
            "ORDER BY rowid LIMIT ?",
            (last, who, _PAGE),
        ).fetchall():
            for last, id, body in page:  # noqa: A001, B007  # as services call it; where the next page begins
                yield id, body

    def live(self) -> list[BatchRecord]:
        """The batches that a service has, or may have, and whose results are not fetched."""
        return self._batches(f"WHERE stage IN {_LIVE}")

    def all(self) -> list[BatchRecord]:
        """All batches, in the order in which they were made."""
        return self._batches("")

    def open_cells(self) -> Iterator[int]:
        """The numbers of the cells that are begun and not settled, ascending, read page by page."""
        last = -1
        while page := self._connection.execute(
            "SELECT cell FROM cells WHERE cell > ? AND status = ? ORDER BY cell LIMIT 4096",
            (last, int(CellStatus.OPEN)),
        ).fetchall():
            for (last,) in page:
                yield last

    def _items(self, where: str, value: object) -> list[ItemState]:
        found = self._connection.execute(f"SELECT {_STATE} FROM items {where}", (value,))  # noqa: S608  # fixed texts
        return [ItemState(*row) for row in found]

    def _batches(self, where: str) -> list[BatchRecord]:
        found = self._connection.execute(f"SELECT * FROM batches {where} ORDER BY number")  # noqa: S608  # fixed texts
        return [BatchRecord(*row) for row in found]

    # -- items ---------------------------------------------------------------------------------------------------------

    def park(self, cell: CellRecord, items: Sequence[ItemRecord], kept: Sequence[str]) -> None:
        """A cell waits for answers; what it handed in before and does not need any more is forgotten.

        Args:
            cell: what to record of it if nothing is yet.
            items: what it hands in.
            kept: the ids of what it handed in before and still needs.
        """
        self._put(partial(_park, cell, items, kept), None)

    def settle(self, cell: int, *, keep_errors: bool) -> None:
        """A cell needs nothing of what it has handed in; what is at a service comes all the same."""
        self._put(partial(_forget, cell, keep_errors), None)

    def answer(self, id: str, call: CallRecord) -> None:  # noqa: A002  # as services call it
        """An item was answered: it is a call from now on."""
        self._do("DELETE FROM items WHERE id = ?", id, call=call)

    def release(self, id: str, tries: int) -> None:  # noqa: A002  # as services call it
        """An item came to nothing and waits to be submitted again."""
        self._do("UPDATE items SET batch = NULL, tries = ? WHERE id = ?", tries, id)

    def fail(self, id: str, tries: int, error: str, *, fatal: bool) -> None:  # noqa: A002  # as services call it
        """An item came to nothing for good.

        Args:
            id: the item's.
            tries: how often it came to nothing.
            error: why, as JSON.
            fatal: every other call would come to the same; the next start forgets it.
        """
        self._do("UPDATE items SET batch = NULL, tries = ?, error = ?, fatal = ? WHERE id = ?", tries, error, fatal, id)

    def forget_errors(self, *, all: bool) -> None:  # noqa: A002  # the plain word
        """Have items that came to nothing for good asked again: all of them, or those whose error was fatal."""
        self._do("DELETE FROM items WHERE error IS NOT NULL AND (fatal OR ?)", all)

    def forget_waiting(self) -> None:
        """Drop all items that no service has."""
        self._do("DELETE FROM items WHERE batch IS NULL")

    # -- batches -------------------------------------------------------------------------------------------------------

    def begin(self, batch: BatchRecord, ids: Sequence[str]) -> None:
        """A batch is about to be handed in, with these items."""
        self._put(partial(_begin, batch, ids), None)

    def submitted(self, number: int, id: str) -> None:  # noqa: A002  # as services call it
        """The service has a batch, under this id."""
        self._do("UPDATE batches SET stage = ?, id = ? WHERE number = ?", int(Stage.RUNNING), id, number)

    def undo(self, number: int) -> None:
        """The service does not have a batch: its items wait to be submitted again."""
        self._put(partial(_undo, number), None)

    def progress(self, number: int, answered: int, failed: int) -> None:
        """What the service says of a batch that runs."""
        self._do("UPDATE batches SET answered = ?, failed = ? WHERE number = ?", answered, failed, number)

    def end(self, batch: BatchRecord) -> None:
        """Nothing more comes of a batch; no item is left in it."""
        self._do(
            "UPDATE batches SET stage = ?, answered = ?, failed = ?, until = ?, message = ? WHERE number = ?",
            *(batch.stage, batch.answered, batch.failed, batch.until, batch.message, batch.number),
        )

    def _do(self, statement: str, *values: object, call: CallRecord | None = None) -> None:
        self._put(partial(_execute, statement, values), call)


def batches_in(connection: sqlite3.Connection) -> list[BatchRecord]:
    """All batches of a ledger that is only read; none in one that an older version wrote."""
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'batches'").fetchone()
    return BatchBook(connection, _read_only).all() if tables else []


def _read_only(*_: object) -> NoReturn:
    raise TypeError("this ledger is only read")


def _execute(statement: str, values: Iterable[object], connection: sqlite3.Connection) -> None:
    connection.execute(statement, tuple(values))


def _park(cell: CellRecord, items: Sequence[ItemRecord], kept: Sequence[str], connection: sqlite3.Connection) -> None:
    connection.execute("INSERT OR IGNORE INTO cells VALUES (?, ?, ?, ?, ?, ?)", cell)
    # One that had failed is to be worked on when the answers are there.
    connection.execute("UPDATE cells SET status = ? WHERE cell = ?", (int(CellStatus.OPEN), cell.cell))
    marks = ", ".join("?" * len(kept))
    connection.execute(
        f"DELETE FROM items WHERE cell = ? AND batch IS NULL AND error IS NULL AND id NOT IN ({marks})",  # noqa: S608  # marks
        (cell.cell, *kept),
    )
    connection.executemany(
        "INSERT OR IGNORE INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, 0, NULL, 0)",
        items,
    )


def _forget(cell: int, keep_errors: bool, connection: sqlite3.Connection) -> None:
    connection.execute(
        "DELETE FROM items WHERE cell = ? AND batch IS NULL AND (error IS NULL OR NOT ?)", (cell, keep_errors)
    )


def _begin(batch: BatchRecord, ids: Sequence[str], connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", batch)
    connection.executemany("UPDATE items SET batch = ? WHERE id = ?", ((batch.number, id) for id in ids))  # noqa: A001


def _undo(number: int, connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE items SET batch = NULL WHERE batch = ?", (number,))
    connection.execute("DELETE FROM batches WHERE number = ?", (number,))
