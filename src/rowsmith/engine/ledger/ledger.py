"""The ledger of one run: opened, recovered, written in groups, closed."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rowsmith.engine.ledger.batches import BatchBook
from rowsmith.engine.ledger.extend import extend
from rowsmith.engine.ledger.files import BlockFile, storage_error, sync_folder
from rowsmith.engine.ledger.lock import RunLock
from rowsmith.engine.ledger.output import delete_run, must_be_new, refuse_strangers, set_aside
from rowsmith.engine.ledger.paths import RunPaths
from rowsmith.engine.ledger.records import BlockRecord, CallRecord, CellRecord, CellStatus, Kind
from rowsmith.engine.ledger.store import Store, connect, connect_again, damaged, explained, transaction
from rowsmith.engine.ledger.writer import Writer
from rowsmith.engine.plan import Plan
from rowsmith.llm.values import Finish

_READING = (sqlite3.Error, UnicodeDecodeError)
_FINISHES = frozenset(Finish)
_WANTS = re.compile(r"[1-9]\d*(,[1-9]\d*)*")
_RESERVE = 4 << 20
_RESERVE_PER_CALL = 32 << 10
"""Bytes set aside for a full disk: room for the group at hand, and for the answers that are still in flight."""


def reserve_for(in_flight: int) -> int:
    """Bytes that a run sets aside on the disk before its first call."""
    return _RESERVE + in_flight * _RESERVE_PER_CALL


class Ledger:
    """Everything that has happened in a run, and the files that were made of it.

    Used as a context manager: entering takes the lock, opens or makes the files, and recovers from a kill; leaving
    commits what is left. All methods are for the event loop's thread; the writing is done by the writer's.

    Args:
        paths: where the run's files lie.
        fresh: delete what an earlier run made, once the lock is held; never a file that is not of a run.
        in_flight: calls that may be answered after the disk was found full.

    Raises:
        RunLockedError: another process has the run.
        LedgerError: the ledger is damaged, foreign or newer.
        OutputChangedError: the rows file is not as it was left, or not of a run.
        StorageError: a file or folder cannot be made.
    """

    def __init__(self, paths: RunPaths, *, fresh: bool = False, in_flight: int = 0) -> None:
        self.paths = paths
        self._fresh = fresh
        self._reserved = reserve_for(in_flight)
        self._stack = ExitStack()
        self.was_finished = False
        """The last start left nothing to be done."""

    def __enter__(self) -> Self:
        folder = self.paths.folder
        try:
            refuse_strangers(self.paths)
            folder.mkdir(parents=True, exist_ok=True)
            with self._stack as stack:
                stack.enter_context(RunLock(self.paths.lock))
                if self._fresh:
                    delete_run(self.paths)
                stack.callback(self.paths.reserve.unlink, missing_ok=True)
                set_aside(self.paths.reserve, self._reserved)
                self._open(stack)
                self._stack = stack.pop_all()
        except OSError as exc:
            raise storage_error(exc, Path(exc.filename or folder)) from exc
        except _READING as exc:
            raise self.explained(exc) from exc
        return self

    def _open(self, stack: ExitStack) -> None:
        if not self.paths.ledger.exists() or not self.paths.ledger.stat().st_size:
            must_be_new(self.paths)
        connection = connect(self.paths.ledger)
        stack.callback(connection.close)
        self._writing = Store(connection)
        reader = connect_again(self.paths.ledger)
        stack.callback(reader.close)
        self._reading = Store(reader)
        self.meta: dict[str, Any] = self._reading.meta()
        if "fingerprint" not in self.meta:
            must_be_new(self.paths)
        self._recover_order()
        self._files = {kind: self._file(kind) for kind in Kind}
        self.was_finished = self.meta.get("state") == "finished"
        clean = self.meta.get("state") in {"stopped", "finished"}
        for file in self._files.values():
            stack.callback(file.close)
            file.open(stopped_cleanly=clean, aside=self.paths.folder / f"{file.path.stem}.uncommitted.jsonl")
        self._writer = Writer(self._writing, self._files, self.paths.ledger, self._give_back)
        stack.callback(self._writer.close)
        self.batches = BatchBook(reader, self._writer.put_step)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        if kind is None:
            self._writer.check()
        if isinstance(error, _READING):
            raise self.explained(error) from error

    def explained(self, error: Exception) -> Exception:
        """What SQLite says, as one of our errors; any other error as it is."""
        return explained(self.paths.ledger, error) if isinstance(error, _READING) else error

    # -- what has happened ------------------------------------------------------------------------------------------

    def settled(self) -> Iterator[int]:
        """The numbers of the cells that need no more work, ascending."""
        return self._reading.settled()

    def cell(self, number: int) -> CellRecord | None:
        """What is recorded of a cell's end."""
        found = self._reading.cell(number)
        if found is not None and not _WANTS.fullmatch(found.wants):
            raise damaged(self.paths.ledger, ValueError(f"cell {number} wants {found.wants!r} rows"))
        return found

    def calls_of(self, number: int) -> list[CallRecord]:
        """The answered calls of a cell."""
        found = self._reading.calls_of(number)
        if not _FINISHES.issuperset(call.finish for call in found):
            raise damaged(self.paths.ledger, ValueError(f"a call of cell {number} ended in no known way"))
        return found

    def block_of(self, number: int, kind: Kind) -> tuple[bytes, bytes]:
        """(the lines, the marks) of a cell's committed block in a file; empty where it has none."""
        found = self._reading.block_of(number, kind)
        if found is None:
            return b"", b""
        offset, length, marks = found
        return self._files[kind].read(offset, length), marks

    def marks(self) -> Iterator[tuple[int, bytes]]:
        """(cell, eight bytes per row) of every block of rows, in the order of the cells."""
        return self._reading.marks()

    def denied(self) -> Iterator[tuple[int, int]]:
        """(mark, cell) of every row that a cell was refused because an earlier one has it."""
        return self._reading.denied()

    def denied_of(self, number: int) -> set[int]:
        """The marks because of which a cell was refused rows."""
        return self._reading.denied_of(number)

    async def denied_for(self, mark: int) -> list[int]:
        """The finished cells that were refused a row with this mark."""
        await self.flushed()
        return self._reading.denied_for(mark)

    @property
    def store(self) -> Store:
        """The reading side, for statistics and reports."""
        return self._reading

    # -- what happens -------------------------------------------------------------------------------------------------

    @property
    def crowded(self) -> bool:
        """So much waits to be committed that producers should wait with `flushed`."""
        return self._writer.crowded

    @property
    def full(self) -> bool:
        """The disk was full: what was at hand went into the reserve, and the run is to stop."""
        return self._writer.full

    @property
    def failed(self) -> bool:
        """Nothing can be recorded any more; `flushed` raises why."""
        return self._writer.failure is not None

    def add_call(self, call: CallRecord, begun: CellRecord | None = None) -> None:
        """Record an answered call, before anything is made of it; with a cell's first, that the cell is begun.

        Also when nothing else can be recorded any more, if it can.

        Raises:
            StorageError, LedgerError: rows made of it cannot be recorded.
        """
        writer = self._writer
        writer.put_call(call, begun)
        if writer.failure is not None:
            raise writer.failure

    def finish_cell(
        self, cell: CellRecord, blocks: Sequence[BlockRecord], denied: Iterable[int] = (), *, replace: bool
    ) -> None:
        """Record a cell's end.

        Args:
            cell: its record.
            blocks: its lines.
            denied: the marks of rows that it was refused because an earlier cell has them.
            replace: all this comes instead of what the cell had.
        """
        writer = self._writer
        if writer.failure is not None:
            raise writer.failure
        writer.put_cell(cell, blocks, denied, replace=replace)

    def reopen(self, cell: int) -> None:
        """Record that a finished cell is to be worked on again."""
        self._writer.put_reopened(cell)

    def adopt(self, plan: Plan | None, reopened: Sequence[CellStatus], **meta: Any) -> None:
        """Bring the ledger to another configuration, all of it or nothing; before any cell is worked on.

        Args:
            plan: a longer plan to number the cells by, or None if the plan is the same.
            reopened: cells of these statuses are to be worked on again, from their stored answers.
            meta: facts of the run itself, its fingerprint among them.

        Raises:
            NotAnExtensionError: the plan lacks a cell, or lowers a count; the ledger is as before.
        """
        with transaction(self._writing.connection) as connection:
            if plan is not None:
                extend(connection, plan)
            self._writing.reopen_all(reopened)
            self._writing.set_meta(meta.items())
        self.meta.update(meta)

    def set_meta(self, **values: Any) -> None:
        """Record facts of the run itself."""
        self.meta.update(values)
        self._writer.put_meta(**values)

    async def flushed(self) -> None:
        """Wait until all that was recorded before is committed."""
        await self._writer.flushed()

    # -- order -------------------------------------------------------------------------------------------------------

    def put_in_order(self) -> None:
        """Bring both files into plan order and drop what was displaced; blocking, and only when all is committed.

        Each file is written anew beside itself and renamed over the old one. The ledger's new offsets are committed
        between the two, with the note that the rename is due; a kill at any instant leaves one of the two states,
        and `_recover_order` carries the rename out.
        """
        try:
            for kind, file in self._files.items():
                if not self._reading.in_order(kind, file.length):
                    self._sort(kind, file)
        except OSError as exc:
            raise storage_error(exc, Path(exc.filename or self.paths.rows)) from exc

    def _sort(self, kind: Kind, file: BlockFile) -> None:
        target = _sorted(file.path)
        try:
            length, crc = file.copy(self._reading.pieces(kind), target)
            sync_folder(target.parent)
            with transaction(self._writing.connection):
                self._writing.close_ranks(kind)
                name = kind.name.lower()
                self._writing.set_meta([(f"{name}_length", length), (f"{name}_crc", crc), (f"{name}_rename", 1)])
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        file.close()
        self._rename(kind, file.path)
        file.length, file.crc = length, crc
        file.open(stopped_cleanly=True, aside=file.path)

    def _recover_order(self) -> None:
        for kind in Kind:
            path = self._path(kind)
            if self.meta.get(f"{kind.name.lower()}_rename"):
                self._rename(kind, path)
            else:
                _sorted(path).unlink(missing_ok=True)

    def _rename(self, kind: Kind, path: Path) -> None:
        source = _sorted(path)
        if source.exists():
            os.replace(source, path)  # noqa: PTH105  # the one call whose atomicity is documented for every system
            sync_folder(path.parent)
        self._writing.set_meta([(f"{kind.name.lower()}_rename", 0)])

    # -- files ---------------------------------------------------------------------------------------------------------

    def _path(self, kind: Kind) -> Path:
        # Where a link leads: a rename onto the link itself would put a file in its place.
        return self.paths.rows.resolve() if kind is Kind.ROWS else self.paths.rejected

    def _file(self, kind: Kind) -> BlockFile:
        name = kind.name.lower()
        length, crc = self.meta.get(f"{name}_length", 0), self.meta.get(f"{name}_crc", 0)
        if not isinstance(length, int) or not isinstance(crc, int):
            raise damaged(self.paths.ledger, ValueError(f"{name}: a length of {length!r}, a checksum of {crc!r}"))
        return BlockFile(self._path(kind), length, crc)

    def _give_back(self) -> None:
        self.paths.reserve.unlink(missing_ok=True)


def _sorted(path: Path) -> Path:
    """Where a file is written anew in order: beside it, since only within one file system a rename is atomic."""
    return path.with_name(f".{path.name}.sorted")
