"""The SQLite file of a ledger: opened, checked, migrated, read and written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from rowsmith.engine.ledger.records import CallRecord, CellRecord, CellStatus, Kind
from rowsmith.engine.ledger.schema import APPLICATION_ID, MIGRATIONS, migrate
from rowsmith.errors import LedgerError, StorageError

_CALL_COLUMNS = ", ".join(CallRecord._fields)
_SIZES = (128, 64, 32, 16, 8, 4, 2, 1)
"""Rows of one INSERT. Python's sqlite3 gives the interpreter's lock back and takes it again at every step, which the
event loop's thread pays for with each; a statement of many rows is one step."""
_CHECKED_WHOLE = 32 << 20
_PATIENCE = 10.0
"""Seconds to wait for another program that holds the ledger."""
_STORAGE = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}
)


def connect(path: Path) -> sqlite3.Connection:
    """Open a ledger, making it if it is new.

    Raises:
        LedgerError: not a ledger, damaged, or from a newer version.
        StorageError: the file cannot be made or written.
    """
    if sqlite3.sqlite_version_info < (3, 37):
        raise LedgerError(f"Rowsmith needs SQLite 3.37 or later; this Python has {sqlite3.sqlite_version}")
    connection = _opened(path)
    try:
        _check(connection, path)
        _set_up(connection)
        migrate(connection)
    except (sqlite3.Error, UnicodeDecodeError) as exc:
        connection.close()
        raise explained(path, exc) from exc
    except LedgerError:
        connection.close()
        raise
    return connection


def connect_again(path: Path) -> sqlite3.Connection:
    """Another connection to a ledger that `connect` has opened."""
    connection = _opened(path)
    _set_up(connection)
    return connection


def _opened(path: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_PATIENCE)
    except sqlite3.Error as exc:
        raise explained(path, exc) from exc


def _set_up(connection: sqlite3.Connection) -> None:
    # FULL makes each commit reach the disk; the journal is folded back every 16 MiB instead of every 4.
    connection.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4096;"
        "PRAGMA cache_size = -4096;"
    )


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All or nothing of what is done inside."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def damaged(path: Path, exc: BaseException) -> LedgerError:
    """The error for a ledger that cannot be read."""
    return LedgerError(
        f"the ledger {path} is damaged or not SQLite ({exc}). The rows file beside it is untouched. "
        "Restore the ledger from a copy, move both away, or start anew with fresh=True (--fresh)."
    )


def explained(path: Path, exc: sqlite3.Error | UnicodeDecodeError) -> LedgerError | StorageError:
    """What SQLite reports, as one of our errors: damage, or a file that cannot be written for now.

    A text of a damaged ledger, or SQLite's message that quotes one, may be no text any more.
    """
    code = primary_code(exc)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StorageError(f"another program holds the ledger {path} ({exc}). Close it, and run the same again.")
    if code in _STORAGE:
        return StorageError(
            f"cannot read or write the ledger {path}: {exc}. What was made before is kept; "
            "make room (or mend the permissions) and run the same command again to go on."
        )
    return damaged(path, exc)


def primary_code(exc: Exception) -> int:
    """SQLite's own number of an error, without its details; 0 where Python found it itself."""
    return int(getattr(exc, "sqlite_errorcode", 0)) & 0xFF


def _check(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables and application != APPLICATION_ID:
        raise LedgerError(f"{path} is an SQLite file, but not a ledger of Rowsmith. Choose another output.")
    if version > len(MIGRATIONS):
        raise LedgerError(
            f"{path} was written by a newer Rowsmith (ledger version {version}, this one knows {len(MIGRATIONS)}). "
            "Upgrade with: pip install -U rowsmith"
        )
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    journal = path.with_name(f"{path.name}-wal")
    if tables and path.stat().st_size < pages * page_size and not (journal.exists() and journal.stat().st_size):
        raise damaged(
            path, sqlite3.DatabaseError(f"{pages * page_size:,} bytes expected, {path.stat().st_size:,} found")
        )
    # A whole check reads the whole file, which a ledger of a million calls cannot afford at each start; what it
    # would find in a large one is found when the page is read.
    if tables and path.stat().st_size < _CHECKED_WHOLE:
        (state,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if state != "ok":
            raise damaged(path, sqlite3.DatabaseError(state))


@cache
def _insertion(into: str, columns: int, rows: int) -> str:
    """A statement. Always the same string for the same one: SQLite's prepared ones are found by it."""
    marks = f"({', '.join('?' * columns)})"
    return f"{into} VALUES {', '.join([marks] * rows)}"


class Store:
    """Reads and writes of one ledger over one connection; the caller holds the transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    # -- written inside a transaction ---------------------------------------------------------------------------

    def add_calls(self, calls: Sequence[CallRecord]) -> None:
        self._insert(f"INSERT INTO calls ({_CALL_COLUMNS})", calls)

    def add_blocks(self, placed: Sequence[tuple[int, int, int, int, int, bytes]]) -> None:
        """(kind, cell, offset, length, rows, marks) of blocks that were written."""
        self._insert("INSERT OR REPLACE INTO blocks (kind, cell, offset, length, rows, marks)", placed)

    def drop_blocks(self, cells: Iterable[int]) -> None:
        """Forget the blocks of cells, in both files, and what they were refused.

        The bytes are dropped when the file is put in order.
        """
        numbers = [(cell,) for cell in cells]
        self.connection.executemany("DELETE FROM blocks WHERE kind IN (0, 1) AND cell = ?", numbers)
        self.connection.executemany("DELETE FROM denied WHERE cell = ?", numbers)

    def put_cells(self, cells: Iterable[CellRecord]) -> None:
        self._insert("INSERT OR REPLACE INTO cells (cell, key, status, wants, rows, reasons)", list(cells))

    def begin_cells(self, cells: Iterable[CellRecord]) -> None:
        """Open the cells of which nothing is known yet."""
        begun = [cell._replace(status=int(CellStatus.OPEN), rows=0, reasons=None) for cell in cells]
        self._insert("INSERT OR IGNORE INTO cells (cell, key, status, wants, rows, reasons)", begun)

    def _insert(self, into: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows, many with each statement."""
        at, left = 0, len(rows)
        while left:
            size = next(size for size in _SIZES if size <= left)
            statement = _insertion(into, len(rows[0]), size)
            self.connection.execute(statement, tuple(chain.from_iterable(rows[at : at + size])))
            at, left = at + size, left - size

    def reopen_cells(self, cells: Iterable[int]) -> None:
        self.connection.executemany(
            "UPDATE cells SET status = ? WHERE cell = ?", ((int(CellStatus.OPEN), cell) for cell in cells)
        )

    def add_denied(self, denied: Iterable[tuple[int, int]]) -> None:
        """(mark, cell) pairs: the cell was refused a row because another has it."""
        self.connection.executemany("INSERT OR IGNORE INTO denied VALUES (?, ?)", denied)

    def add_spend(self, spend: Iterable[tuple[Any, ...]]) -> None:
        self.connection.executemany(
            "INSERT INTO spend VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (day, model, role) DO UPDATE SET "
            "calls = calls + excluded.calls, input_tokens = input_tokens + excluded.input_tokens, "
            "output_tokens = output_tokens + excluded.output_tokens, "
            "cached_tokens = cached_tokens + excluded.cached_tokens, "
            "reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens, "
            "cost = cost + excluded.cost, unpriced = unpriced + excluded.unpriced",
            spend,
        )

    def set_meta(self, values: Iterable[tuple[str, Any]]) -> None:
        self.connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values)

    # -- read -----------------------------------------------------------------------------------------------------

    def meta(self) -> dict[str, Any]:
        return dict(self.connection.execute("SELECT name, value FROM meta"))

    def calls_of(self, cell: int) -> list[CallRecord]:
        found = self.connection.execute(f"SELECT {_CALL_COLUMNS} FROM calls WHERE cell = ?", (cell,))  # noqa: S608  # fixed names
        return [CallRecord(*row) for row in found]

    def block_of(self, cell: int, kind: Kind) -> tuple[int, int, bytes] | None:
        """(offset, length, marks) of a cell's block in a file."""
        found: tuple[int, int, bytes] | None = self.connection.execute(
            "SELECT offset, length, marks FROM blocks WHERE kind = ? AND cell = ?", (int(kind), cell)
        ).fetchone()
        return found

    def cell(self, number: int) -> CellRecord | None:
        row = self.connection.execute("SELECT * FROM cells WHERE cell = ?", (number,)).fetchone()
        return CellRecord(*row) if row else None

    def settled(self) -> Iterator[int]:
        """The numbers of the cells that need no more work, ascending.

        Read page by page: a cursor left open would hold a snapshot, and the journal could not be folded back while
        it lives, which is the whole run.
        """
        last = -1
        while page := self.connection.execute(
            "SELECT cell FROM cells WHERE cell > ? AND status IN (?, ?) ORDER BY cell LIMIT 4096",
            (last, CellStatus.DONE, CellStatus.SHORT),
        ).fetchall():
            for (last,) in page:
                yield last

    def is_known(self, cell: int) -> bool:
        """Whether the ledger has something of a cell."""
        return self.connection.execute("SELECT 1 FROM cells WHERE cell = ?", (cell,)).fetchone() is not None

    def marks(self) -> Iterator[tuple[int, bytes]]:
        """(cell, marks) of every block of rows, in the order of the cells."""
        cursor = self.connection.execute(
            "SELECT cell, marks FROM blocks WHERE kind = ? ORDER BY cell", (int(Kind.ROWS),)
        )
        while chunk := cursor.fetchmany(4096):
            yield from chunk

    def rows(self) -> int:
        """Rows in the file."""
        (rows,) = self.connection.execute("SELECT coalesce(sum(rows), 0) FROM cells").fetchone()
        return int(rows)

    def count(self, *statuses: CellStatus) -> int:
        """How many cells have one of these statuses."""
        marks = ", ".join(str(int(status)) for status in statuses)
        (count,) = self.connection.execute(f"SELECT count(*) FROM cells WHERE status IN ({marks})").fetchone()  # noqa: S608  # numbers
        return int(count)

    def reopen_all(self, statuses: Iterable[CellStatus]) -> None:
        """Have every cell of these statuses worked on again, from its stored answers."""
        self.connection.executemany(
            "UPDATE cells SET status = ? WHERE status = ?", [(int(CellStatus.OPEN), int(status)) for status in statuses]
        )

    def close_ranks(self, kind: Kind) -> None:
        """Have the blocks of a file follow one another in plan order, as its sorted copy has them."""
        self.connection.execute(
            "UPDATE blocks SET offset = placed.at FROM (SELECT cell, sum(length) OVER "
            "(ORDER BY cell ROWS UNBOUNDED PRECEDING) - length AS at FROM blocks WHERE kind = :kind) AS placed "
            "WHERE blocks.kind = :kind AND blocks.cell = placed.cell",
            {"kind": int(kind)},
        )

    def lacking(self) -> Iterator[CellRecord]:
        """The finished cells that have fewer rows than they should."""
        cursor = self.connection.execute(
            "SELECT * FROM cells WHERE status IN (?, ?) ORDER BY cell", (CellStatus.SHORT, CellStatus.FAILED)
        )
        while chunk := cursor.fetchmany(4096):
            for row in chunk:
                yield CellRecord(*row)

    def spend(self) -> list[tuple[Any, ...]]:
        """(day, model, role, calls, input, output, cached, reasoning tokens, cost, unpriced), per day."""
        return self.connection.execute("SELECT * FROM spend ORDER BY day, model, role").fetchall()

    def unpriced(self) -> Iterator[tuple[str, int, int, int]]:
        """(model, input, output, cached tokens) of every call whose price was not known."""
        cursor = self.connection.execute(
            "SELECT model, input_tokens, output_tokens, cached_tokens FROM calls WHERE cost IS NULL"
        )
        while chunk := cursor.fetchmany(4096):
            yield from chunk

    def texts_of(self, role: str) -> Iterator[str]:
        """The answers of all calls in a role."""
        cursor = self.connection.execute("SELECT text FROM calls WHERE role = ?", (role,))
        while chunk := cursor.fetchmany(256):
            for (text,) in chunk:
                yield text

    def calls_on(self, day: str, model: str) -> int:
        """Calls answered by a model on a day (UTC, `2026-01-31`)."""
        (calls,) = self.connection.execute(
            "SELECT coalesce(sum(calls), 0) FROM spend WHERE day = ? AND model = ?", (day, model)
        ).fetchone()
        return int(calls)

    def denied(self) -> Iterator[tuple[int, int]]:
        """(mark, cell) pairs: the cell was refused a row because another has it."""
        cursor = self.connection.execute("SELECT mark, cell FROM denied")
        while chunk := cursor.fetchmany(4096):
            yield from chunk

    def denied_of(self, cell: int) -> set[int]:
        """The marks because of which a cell was refused rows."""
        return {mark for (mark,) in self.connection.execute("SELECT mark FROM denied WHERE cell = ?", (cell,))}

    def denied_for(self, mark: int) -> list[int]:
        found = self.connection.execute("SELECT cell FROM denied WHERE mark = ? ORDER BY cell", (mark,))
        return [cell for (cell,) in found]

    def pieces(self, kind: Kind) -> Iterator[tuple[int, int]]:
        """(offset, length) of every block of a file, in plan order."""
        cursor = self.connection.execute("SELECT offset, length FROM blocks WHERE kind = ? ORDER BY cell", (int(kind),))
        while chunk := cursor.fetchmany(4096):
            yield from chunk

    def in_order(self, kind: Kind, length: int) -> bool:
        """Whether a file holds nothing but its blocks, in plan order."""
        at = 0
        for offset, size in self.pieces(kind):
            if offset != at:
                return False
            at += size
        return at == length
