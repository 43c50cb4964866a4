"""A file of rows, read from disk when they are asked for."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import orjson

from rowsmith.errors import SourceError

Row = dict[str, Any]


class Rows(Sequence[Row]):
    """The rows of a JSONL file as a sequence. Only the places of the lines are kept in memory, eight bytes each.

    The file may grow while it is read: `len` and iteration see the lines that are complete at that moment.

    Args:
        path: the file; one that does not exist yet has no rows.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._starts = array("Q")
        self._stamp: tuple[int, int, int] = (0, 0, 0)

    def __len__(self) -> int:
        self._index()
        return max(0, len(self._starts) - 1)

    def __iter__(self) -> Iterator[Row]:
        if not self.path.exists():
            return
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.endswith(b"\n"):
                    yield self._parse(line, number)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        count = len(self)
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(count))]
        place = index + count if index < 0 else index
        if not 0 <= place < count:
            raise IndexError(f"row {index} of {count}")
        start, end = self._starts[place], self._starts[place + 1]
        with self.path.open("rb") as file:
            file.seek(start)
            return self._parse(file.read(end - start), place + 1)

    def __repr__(self) -> str:
        return f"Rows({str(self.path)!r}, {len(self)} rows)"

    def _index(self) -> None:
        """Find where the lines start, if the file has changed since."""
        if not self.path.exists():
            self._starts, self._stamp = array("Q"), (0, 0, 0)
            return
        status = self.path.stat()
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        if stamp == self._stamp:
            return
        starts, at = array("Q", [0]), 0
        with self.path.open("rb") as lines:
            for line in lines:
                at += len(line)
                if line.endswith(b"\n"):
                    starts.append(at)
        self._starts, self._stamp = starts, stamp

    def _parse(self, line: bytes, number: int) -> Row:
        try:
            row: Row = orjson.loads(line)
        except orjson.JSONDecodeError as exc:
            raise SourceError(f"{self.path}, line {number}, is not JSON: {exc}") from exc
        return row
