"""Rows, read from their lines when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

from rowsmith.data.lines import Chosen, FileLines, Lines, Row, Spool, as_row, stamp_of

__all__ = ["Row", "Rows"]


class Rows(Sequence[Row]):
    """The rows of a JSONL file as a sequence. Only the places of the lines are kept in memory, eight bytes each.

    The file may grow while it is read: `len` and iteration see the lines that are complete at that moment.

    Args:
        origin: the file; one that does not exist yet has no rows. Or lines that are at hand.
    """

    def __init__(self, origin: Path | Lines) -> None:
        self._path = origin if isinstance(origin, Path) else None
        self._lines: Lines = Spool() if isinstance(origin, Path) else origin

    @property
    def path(self) -> Path | None:
        """The file, where the rows are in one of their own."""
        return self._path

    @property
    def lines(self) -> Lines:
        """The lines as they are now; what is added later is not among them."""
        if self._path is None:
            fixed = isinstance(self._lines, Chosen | FileLines)
            return self._lines if fixed else Chosen(self._lines, range(len(self._lines)))
        try:
            stamp = stamp_of(self._path.stat())
        except FileNotFoundError:
            self._lines = Spool()
        else:
            if not isinstance(self._lines, FileLines) or self._lines.stamp != stamp:
                self._lines = FileLines(self._path, growing=True)
        return self._lines

    def __len__(self) -> int:
        return len(self.lines)

    def __iter__(self) -> Iterator[Row]:
        lines = self.lines
        return (as_row(lines, place, line) for place, line in enumerate(lines))

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        lines = self.lines
        count = len(lines)
        if isinstance(index, slice):
            return [as_row(lines, place, lines.line(place)) for place in range(*index.indices(count))]
        place = index + count if index < 0 else index
        if not 0 <= place < count:
            raise IndexError(f"row {index} of {count}")
        return as_row(lines, place, lines.line(place))

    def __repr__(self) -> str:
        return f"Rows({str(self._path)!r}, {len(self)} rows)" if self._path else f"Rows({len(self)} rows)"
