"""Which rows exist: a table from a row's mark to the cell that owns it, twelve bytes a slot."""

from __future__ import annotations

import mmap

_EMPTY = 0
_NOBODY = 0xFFFFFFFF
_START_BITS = 16


class Seen:
    """Marks of rows and their owners: open addressing with linear probing in two flat arrays.

    A Python set of a million marks takes some 100 MB and grows by doubling under way; this takes 24 MB, made at once
    from the number of rows that the plan will make. A mark is 63 bits: among ten million rows the chance that any
    two different ones share a mark is 5 in 10^6.

    Args:
        rows: how many rows are expected; the table doubles when it is three quarters full nevertheless.
    """

    def __init__(self, rows: int = 0) -> None:
        self._bits = max(_START_BITS, (rows * 3 // 2).bit_length())
        self._used = 0
        self._marks, self._owners = _table(self._bits)

    def owner(self, mark: int) -> int | None:
        """The cell that owns a mark, or None."""
        slot = self._find(mark or 1)
        if self._marks[slot] == _EMPTY:
            return None
        owner = self._owners[slot]
        return None if owner == _NOBODY else owner

    def claim(self, mark: int, cell: int) -> None:
        """Make a cell the owner of a mark, whoever owned it before."""
        mark = mark or 1
        slot = self._find(mark)
        if self._marks[slot] == _EMPTY:
            self._used += 1
            self._marks[slot] = mark
        self._owners[slot] = cell
        if self._used * 4 >= 3 << self._bits:
            self._grow()

    def release(self, mark: int, cell: int) -> bool:
        """Take a mark from its owner, if it is this cell; says whether it was."""
        slot = self._find(mark or 1)
        if self._marks[slot] == _EMPTY or self._owners[slot] != cell:
            return False
        self._owners[slot] = _NOBODY
        return True

    def _find(self, mark: int) -> int:
        """The slot of a mark, or the empty one where it would go."""
        marks, mask = self._marks, (1 << self._bits) - 1
        slot = mark & mask
        while (there := marks[slot]) != mark and there != _EMPTY:
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        marks, owners = self._marks, self._owners
        self._bits += 1
        self._used = 0
        self._marks, self._owners = _table(self._bits)
        for mark, owner in zip(marks, owners, strict=True):
            if mark != _EMPTY and owner != _NOBODY:
                self.claim(mark, owner)


def _table(bits: int) -> tuple[memoryview, memoryview]:
    return memoryview(mmap.mmap(-1, 8 << bits)).cast("Q"), memoryview(mmap.mmap(-1, 4 << bits)).cast("I")
