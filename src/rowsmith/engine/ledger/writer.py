"""The one thread that writes: rows file, file of rejections and ledger, committed together in groups.

What is put in is kept in order. A group is committed at most `DELAY` seconds after its first record came, or at once
when it has `GROUP` records. First the files' bytes reach the disk, then the ledger's transaction, which holds the
files' new lengths; so what the ledger knows is always in the files, and what a kill leaves in the files beyond that
is cut off by the next start.
"""

from __future__ import annotations

import asyncio
import errno
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

from rowsmith.engine.ledger.files import BlockFile, storage_error
from rowsmith.engine.ledger.records import BlockRecord, CallRecord, CellRecord, Kind
from rowsmith.engine.ledger.store import Store, explained, primary_code, transaction

DELAY = 0.02
"""Seconds that a record waits for company. With the commit itself it stays under the 50 ms that are promised."""
GROUP = 2000
"""Records that are committed without waiting for more."""
BACKLOG = 4 << 20
"""Bytes of records not yet committed above which producers wait: what bounds the memory when the disk is slow."""
_RECORD = 512
"""Bytes of a record besides its texts, about."""


_TOKENS = [CallRecord._fields.index(f"{kind}_tokens") for kind in ("input", "output", "cached", "reasoning")]

Step = Callable[[sqlite3.Connection], None]
"""A change of the ledger's tables that is no record of its own; made in the order in which steps are put in, last."""


@dataclass(slots=True)
class Group:
    """Records that are committed together."""

    calls: list[CallRecord] = field(default_factory=list)
    blocks: list[BlockRecord] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    cells: dict[int, CellRecord] = field(default_factory=dict)
    reopened: dict[int, None] = field(default_factory=dict)
    denied: list[tuple[int, int]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)
    count: int = 0
    """Records put in."""
    size: int = 0
    """Bytes that they take, about."""
    since: float = 0.0
    """When the first was put in."""


class Writer:
    """Commits groups in a thread of its own.

    Args:
        store: the ledger, over a connection that no other thread uses while the writer lives.
        files: the file of each kind.
        path: the ledger's path, for messages.
        make_room: called when the disk is full; frees what was set aside.
    """

    def __init__(self, store: Store, files: dict[Kind, BlockFile], path: Path, make_room: Callable[[], None]) -> None:
        self._store = store
        self._files = files
        self._path = path
        self._make_room = make_room
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._group = Group()
        self._writing = 0
        self._waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._closing = False
        self.failure: Exception | None = None
        self.full = False
        self.crowded = False
        """So much waits to be committed that producers should wait."""
        self._thread = threading.Thread(target=self._run, name="rowsmith-ledger", daemon=True)
        self._thread.start()

    def put_call(self, call: CallRecord, begun: CellRecord | None) -> None:
        """An answered call; with a cell's first, that the cell is begun."""
        with self._lock:
            # In this order: a second Ctrl-C may come between any two lines, and a call must not be without its cell.
            if begun is not None:
                self._group.cells[begun.cell] = begun
            self._group.calls.append(call)
            self._rouse(len(call.text))

    def put_cell(
        self, cell: CellRecord, blocks: Sequence[BlockRecord], denied: Iterable[int], *, replace: bool
    ) -> None:
        """A cell's end with its blocks and the marks it was refused, in one group.

        With `replace` they come instead of those it had.
        """
        with self._lock:
            group, number = self._group, cell.cell
            if replace:
                group.dropped.append(number)
                group.blocks = [block for block in group.blocks if block.cell != number]
                group.denied = [one for one in group.denied if one[1] != number]
            size = 0
            for block in blocks:
                group.blocks.append(block)
                size += len(block.data)
            for mark in denied:
                group.denied.append((mark, number))
            group.cells[number] = cell
            if group.reopened:
                group.reopened.pop(number, None)
            self._rouse(size)

    def put_reopened(self, cell: int) -> None:
        """A finished cell is to be worked on again."""
        with self._lock:
            self._group.reopened[cell] = None
            self._rouse()

    def put_step(self, step: Step, call: CallRecord | None = None) -> None:
        """A change of the tables, and the call that is recorded with it, if any."""
        with self._lock:
            if call is not None:
                self._group.calls.append(call)
            self._group.steps.append(step)
            self._rouse(0 if call is None else len(call.text))

    def put_meta(self, **values: Any) -> None:
        with self._lock:
            self._group.meta.update(values)
            self._rouse()

    async def flushed(self) -> None:
        """Wait until all that was put in before is committed.

        Raises:
            StorageError, LedgerError: it cannot be.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        with self._lock:
            self._waiters.append((loop, done))
        self._hurry.set()
        self._wake.set()
        await done
        self.check()

    def check(self) -> None:
        """Raise what stopped the writer, if anything did."""
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        """Commit what is left and end the thread."""
        self._closing = True
        self._hurry.set()
        self._wake.set()
        self._thread.join()

    def _rouse(self, size: int = 0) -> None:
        """Count a record with so many bytes of texts, and wake the thread for the first of a group; under the lock."""
        group = self._group
        group.count += 1
        group.size += _RECORD + size
        if group.size + self._writing > BACKLOG:
            self.crowded = True
        if group.count == 1:
            group.since = time.monotonic()
            self._wake.set()
        elif group.count == GROUP:
            self._hurry.set()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            # What came while the last group was being written has waited already.
            self._hurry.wait(max(0.0, self._group.since + DELAY - time.monotonic()))
            with self._lock:
                group, self._group = self._group, Group()
                waiters, self._waiters = self._waiters, []
                self._writing = group.size
                self._wake.clear()
                self._hurry.clear()
                ending = self._closing
            if group.count:
                self._commit_or_fail(group)
            with self._lock:
                self._writing = 0
                self.crowded = self._group.size > BACKLOG
            for loop, done in waiters:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_settle, done)
            if ending:
                return

    def _commit_or_fail(self, group: Group) -> None:
        """Commit; on a full disk again, with the reserve given back and the journal folded; then the run is to stop.

        When that fails, and from then on, nothing but answers is recorded: they are paid for.
        """
        if self.failure is not None:
            self._keep_answers(group)
            return
        try:
            for make_room in (self._make_room, self._fold_journal):
                try:
                    self._commit(group)
                    return
                except (OSError, sqlite3.Error) as exc:
                    if not _no_room(exc):
                        raise
                    self.full = True
                    make_room()
            self._commit(group)
        except OSError as exc:
            self.failure = storage_error(exc, Path(exc.filename or self._files[Kind.ROWS].path))
        except sqlite3.Error as exc:
            self.failure = explained(self._path, exc)
        except Exception as exc:  # a bug of ours: it must reach the run, which would else wait for ever
            self.failure = exc
        if self.failure is not None:
            self._keep_answers(group)

    def _fold_journal(self) -> None:
        """Bring the journal into the ledger and cut it: it may have grown as far as a file may."""
        with suppress(sqlite3.Error):  # the commit that follows tells whether it helped
            self._store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _keep_answers(self, group: Group) -> None:
        """Record the answers of a group whose rows cannot be written, if the ledger can."""
        # What keeps the rows from being written may keep this too; it is what the run ends with in any case.
        with suppress(OSError, sqlite3.Error), transaction(self._store.connection):
            self._store.begin_cells(group.cells.values())
            self._store.add_calls(group.calls)
            self._store.add_spend(_spend(group.calls))
            for step in group.steps:
                step(self._store.connection)

    def _commit(self, group: Group) -> None:
        before = {kind: (file.length, file.crc) for kind, file in self._files.items()}
        try:
            with transaction(self._store.connection):
                self._write(group, before)
        except BaseException:
            for kind, file in self._files.items():
                length, crc = before[kind]
                if file.length != length:
                    file.cut(length)
                    file.length, file.crc = length, crc
            raise

    def _write(self, group: Group, before: dict[Kind, tuple[int, int]]) -> None:
        store = self._store
        placed = self._append(group.blocks)
        if group.calls:
            store.add_calls(group.calls)
            store.add_spend(_spend(group.calls))
        if group.dropped:
            store.drop_blocks(group.dropped)
        if placed:
            store.add_blocks(placed)
        if group.cells:
            store.put_cells(group.cells.values())
        if group.reopened:
            store.reopen_cells(group.reopened)
        if group.denied:
            store.add_denied(group.denied)
        for step in group.steps:
            step(store.connection)
        lengths = [
            (f"{kind.name.lower()}_{what}", value)
            for kind, file in self._files.items()
            if (file.length, file.crc) != before[kind]
            for what, value in (("length", file.length), ("crc", file.crc))
        ]
        store.set_meta([*lengths, *group.meta.items()])

    def _append(self, blocks: list[BlockRecord]) -> list[tuple[int, int, int, int, int, bytes]]:
        """Write the lines of blocks: (kind, cell, offset, length, rows, marks) of each."""
        placed = []
        for number, file in self._files.items():
            mine = [block for block in blocks if block.kind == number]
            if not mine:
                continue
            offset = file.length
            for kind, cell, data, rows, marks in mine:
                placed.append((kind, cell, offset, len(data), rows, marks))
                offset += len(data)
            file.append(b"".join([block.data for block in mine]))
        return placed


def _no_room(exc: OSError | sqlite3.Error) -> bool:
    """Whether an error may go away when room is made; SQLite calls many a failed write by one name."""
    if isinstance(exc, OSError):
        return exc.errno in (errno.ENOSPC, errno.EDQUOT)
    return primary_code(exc) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def _settle(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)


def _spend(calls: list[CallRecord]) -> list[tuple[Any, ...]]:
    """The calls summed per day, model and role."""
    alike: defaultdict[tuple[int, str, str], list[CallRecord]] = defaultdict(list)
    for call in calls:
        alike[int(call.at // 86_400), call.model, call.role].append(call)
    return [
        (
            time.strftime("%Y-%m-%d", time.gmtime(day * 86_400)),
            model,
            role,
            len(group),
            *[sum(map(itemgetter(place), group)) for place in _TOKENS],
            sum([call.cost or 0.0 for call in group]),
            sum([call.cost is None for call in group]),
        )
        for (day, model, role), group in alike.items()
    ]
