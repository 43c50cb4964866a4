"""What datasets are made from: documents or rows of a file, of many files, of a table or a list, each by its number.

A source is gone through once. What is kept of it is 16 bytes for each row: where it begins, and a fingerprint. The row
itself is read when it is asked for, so memory does not grow with the size of the rows.
"""

from __future__ import annotations

import hashlib
import logging
import os
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, Generic, Literal, TypeVar, overload

from rowsmith.data.folders import UNKNOWN_FORMAT, Reading, rows_of_path
from rowsmith.data.hub_source import HubDataset, HubRows
from rowsmith.data.shapes import FINGERPRINT_BYTES, Bounds, Document, Documents, Records, Row, Shape, WrongRow
from rowsmith.data.source_files import Problem, Rows, changed
from rowsmith.data.tables import rows_in_memory
from rowsmith.errors import SourceError

REPEATED = "repeated"
UNREADABLE = "unreadable"

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Source(Sequence[T], Generic[T]):
    """Documents or rows by number, in their order, read when asked for.

    Args:
        rows: where they come from.
        shape: what they are made into.
        distinct: leave out one that came before. If not, it stays, and its fingerprint is another.
        limit: stop after so many; None reads all.
        bad_rows: `skip` leaves out rows that cannot be read, and counts them.
        skipped: counts to go on with.

    Attributes:
        name: what they come from, for messages.
        skipped: how many were left out, by reason.

    Raises:
        SourceError: the rows cannot be read.
    """

    def __init__(
        self,
        rows: Rows[T],
        shape: Shape[T],
        *,
        distinct: bool = False,
        limit: int | None = None,
        bad_rows: Literal["error", "skip"] = "error",
        skipped: Counter[str] | None = None,
    ) -> None:
        self.name = rows.name
        self.skipped: Counter[str] = skipped if skipped is not None else Counter()
        self._rows = rows
        self._shape = shape
        self._positions = array("Q")
        self._fingerprints = bytearray()
        self._repeats: dict[int, int] = {}
        self._scan(distinct, limit, self._skip if bad_rows == "skip" else _refuse)

    @property
    def fingerprints(self) -> memoryview:
        """`FINGERPRINT_BYTES` bytes for each, one after another."""
        return memoryview(self._fingerprints).toreadonly()

    def fingerprint(self, number: int) -> bytes:
        """The fingerprint of one: the same for the same content on every machine, and no other has the same.

        Where one comes several times, the second time is the same as the second time of a longer source, and so on.
        """
        start = number * FINGERPRINT_BYTES
        return bytes(self._fingerprints[start : start + FINGERPRINT_BYTES])

    def __len__(self) -> int:
        return len(self._positions)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        """The document or row with a number.

        Raises:
            SourceError: the source is gone, or is no longer what it was when it was gone through.
        """
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(f"{self.name} has {len(self)} rows, and none has the number {index}.")
        item = self._rows.read(self._positions[at])
        if item is None or self._marked(item, at) != self.fingerprint(at):
            raise changed(self.name)
        return self._shape.finished(item, self.fingerprint(at))

    def __iter__(self) -> Iterator[T]:
        return (self[at] for at in range(len(self)))

    def __repr__(self) -> str:
        return f"Source({self.name!r}, {len(self)} rows)"

    def _scan(self, distinct: bool, limit: int | None, problem: Problem) -> None:
        seen, shape = _Marks(), self._shape
        times: Counter[bytes] = Counter()
        with closing(self._rows.scan(problem)) as rows:  # type: ignore[type-var]  # a generator, which can be closed
            for position, item in rows:
                if item is None:
                    self.skipped["empty"] += 1
                    continue
                if (reason := shape.reason_against(item)) is not None:
                    self.skipped[reason] += 1
                    continue
                try:
                    mark = shape.fingerprint(item)
                except WrongRow as wrong:
                    problem(SourceError(f"A row of {self.name}, behind {len(self)} good ones, {wrong}"))
                    continue
                if not seen.add(mark):
                    if distinct:
                        self.skipped[REPEATED] += 1
                        continue
                    times[mark] += 1
                    self._repeats[len(self)] = times[mark]
                    mark = _repeat(mark, times[mark])
                self._positions.append(position)
                self._fingerprints += mark
                if len(self._positions) == limit:
                    break

    def _marked(self, item: T, at: int) -> bytes:
        mark = self._shape.fingerprint(item)
        time = self._repeats.get(at)
        return mark if time is None else _repeat(mark, time)

    def _skip(self, error: SourceError) -> None:
        if not self.skipped[UNREADABLE]:
            _log.warning("%s It is left out, and so are others like it.", error)
        self.skipped[UNREADABLE] += 1


def open_source(
    origin: str | os.PathLike[str] | HubDataset | Any,
    column: str = "text",
    *,
    context_column: str | None = None,
    id_column: str | None = None,
    min_length: int = 0,
    max_length: int | None = None,
    distinct: bool = False,
    limit: int | None = None,
    reading: Reading | None = None,
) -> Source[Document]:
    """Documents: the texts of one column.

    Files are known by their ending, with `.gz` behind it or not: `.txt` has a text in each line, `.md` is one text,
    `.csv` and `.tsv` have a header, `.jsonl` (`.ndjson`) an object in each line, `.json` an array of objects or of
    texts, `.parquet` rows. A folder or a pattern (`notes/**/*.md`) is all its files in the order of their paths. Texts
    stay as they are, to the byte; a number or a truth value gives its spelling. Texts of blanks alone are left out.

    Args:
        origin: the path; or a list of texts or of mappings; or a table (pandas, Polars, Arrow, `datasets`); or a
            dataset of the Hugging Face Hub.
        column: the column or key with the text. Lines and whole files have none, a list of texts neither.
        context_column: the column of what belongs to the text; the texts that come with another are others.
        id_column: the column of the ids; without it, see `Document.id`.
        min_length: characters that a text must have.
        max_length: characters that a text may have; None is no bound.
        distinct: leave out a text that came before.
        limit: only so many texts, the first that fit; the rest is not read. None is all.
        reading: how files are read.

    Raises:
        SourceError: there is no such source, it cannot be read, lacks the column, or has no usable texts.
        MissingDependencyError: it needs a package that is not installed.
    """
    shape = Documents(column, context_column, id_column, Bounds(min_length, max_length))
    source = _opened(origin, shape, distinct, limit, reading or Reading())
    return _told(source, f" A text needs {shape.bounds}.")


def open_rows(
    origin: str | os.PathLike[str] | HubDataset | Any,
    columns: Sequence[str] | None = None,
    *,
    distinct: bool = False,
    limit: int | None = None,
    reading: Reading | None = None,
) -> Source[Row]:
    """Rows, each a mapping from column to value.

    Values are those of the source: texts in `.csv` and `.tsv`, JSON in `.jsonl` and `.json`, and what JSON has for it
    in tables (dates in ISO 8601). A line of `.txt` is a row with `text`; a whole file one with `text` and `id`.

    Args:
        origin: as for `open_source`.
        columns: the columns that are wanted, in this order; each row must have them. None is all that a row has.
        distinct: leave out a row that came before.
        limit: only so many rows; the rest is not read. None is all.
        reading: how files are read.

    Raises:
        SourceError, MissingDependencyError: as `open_source`.
    """
    return _told(_opened(origin, Records(columns), distinct, limit, reading or Reading()), "")


def _opened(origin: Any, shape: Shape[T], distinct: bool, limit: int | None, reading: Reading) -> Source[T]:
    skipped: Counter[str] = Counter()
    rows = _rows(origin, shape, reading, skipped)
    return Source(rows, shape, distinct=distinct, limit=limit, bad_rows=reading.bad_rows, skipped=skipped)


def _rows(origin: Any, shape: Shape[T], reading: Reading, skipped: Counter[str]) -> Rows[T]:
    if isinstance(origin, str | os.PathLike):
        return rows_of_path(os.fspath(origin), shape, reading, skipped)
    if isinstance(origin, HubDataset):
        hub: HubRows[T] = HubRows(origin, shape)
        return hub
    return rows_in_memory(origin, shape)


def _told(source: Source[T], needs: str) -> Source[T]:
    """The source, with a word in the log on what was left out; one without anything usable is an error."""
    others = source.skipped[UNKNOWN_FORMAT]
    left_out = {reason: count for reason, count in source.skipped.most_common() if reason != UNKNOWN_FORMAT and count}
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items())
    files = f" {others:,} files of other formats were passed over." if others else ""
    if not len(source):
        if not reasons:
            raise SourceError(f"{source.name} has no rows in it.{files}")
        raise SourceError(f"Nothing of {source.name} can be used: {reasons}.{needs}{files}")
    if reasons:
        total = len(source) + sum(left_out.values())
        _log.warning(
            "%s: %s of %s rows left out: %s.%s", source.name, f"{total - len(source):,}", f"{total:,}", reasons, needs
        )
    if files:
        _log.warning("%s:%s", source.name, files)
    return source


def _refuse(error: SourceError) -> None:
    raise error


def _repeat(mark: bytes, time: int) -> bytes:
    """The fingerprint of what has come so many times before."""
    return hashlib.blake2b(mark + time.to_bytes(8, "big"), digest_size=FINGERPRINT_BYTES).digest()


class _Marks:
    """A set of fingerprints in one flat array, 12 to 24 bytes each; a set of Python's takes ten times as much."""

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 << 12))
        self._mask = (1 << 12) - 1
        self._count = 0

    def add(self, mark: bytes) -> bool:
        """Put a fingerprint in; False if it was in."""
        value = int.from_bytes(mark, "little") or 1
        slots, mask = self._slots, self._mask
        slot = value & mask
        while there := slots[slot]:
            if there == value:
                return False
            slot = (slot + 1) & mask
        slots[slot] = value
        self._count += 1
        if self._count * 3 > mask * 2:
            self._grow()
        return True

    def _grow(self) -> None:
        old = self._slots
        self._mask = mask = 2 * self._mask + 1
        self._slots = slots = array("Q", bytes(8 * (mask + 1)))
        for value in old:
            if value:
                slot = value & mask
                while slots[slot]:
                    slot = (slot + 1) & mask
                slots[slot] = value
