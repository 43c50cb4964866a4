"""Which rows exist: a table from a row's mark to the cell that owns it, eight bytes a slot."""

from __future__ import annotations

import mmap
from collections.abc import Sequence

_EMPTY = 0
_GONE = 1
_FIRST_OWNER = 2
_SLACK = 1 << 16


class Seen:
    """Marks of rows and their owners: open addressing with linear probing in one flat array.

    A Python dict of a million marks takes some 150 MB and grows by doubling under way; this takes 12 MB, made at once
    from the number of rows that the plan will make. A slot is found by the mark's upper bits and holds its lower 32
    and the owner, so that a new row is taken for an old one once in about 10^9 rows; it is then asked for again.

    Args:
        rows: how many rows there will be at most; the table has room for half as many again and 65,536 more.
    """

    def __init__(self, rows: int = 0) -> None:
        self._size = rows * 3 // 2 + _SLACK
        self._slots = memoryview(mmap.mmap(-1, 8 * self._size)).cast("Q")

    def owner(self, mark: int) -> int | None:
        """The cell that owns a mark (a number below 2^63), or None."""
        slots = self._slots
        # As nearly always: nobody has it, and nothing is in its way.
        if slots[(mark * self._size) >> 63] == _EMPTY:
            return None
        value = slots[self._find(mark)[0]]
        return None if value == _EMPTY else (value & 0xFFFFFFFF) - _FIRST_OWNER

    def claim(self, mark: int, cell: int) -> None:
        """Make a cell (a number below 2^32 - 2) the owner of a mark, whoever owned it before."""
        found, free = self._find(mark)
        slot = found if self._slots[found] != _EMPTY else free
        self._slots[slot] = (mark & 0xFFFFFFFF) << 32 | (cell + _FIRST_OWNER)

    def load_many(self, marks: Sequence[int], cells: Sequence[int]) -> None:
        """Make the earliest of its cells the owner of each mark: the fast way to take up many, before any release."""
        slots, size = self._slots, self._size
        for mark, cell in zip(marks, cells, strict=True):
            value = (mark & 0xFFFFFFFF) << 32 | (cell + _FIRST_OWNER)
            lower = value >> 32
            slot = (mark * size) >> 63
            while (there := slots[slot]) != _EMPTY and there >> 32 != lower:
                slot = slot + 1 if slot + 1 < size else 0
            if there == _EMPTY or there > value:
                slots[slot] = value

    def release(self, mark: int, cell: int) -> bool:
        """Take a mark from its owner, if it is this cell; says whether it was."""
        slot, _ = self._find(mark)
        if self._slots[slot] & 0xFFFFFFFF != cell + _FIRST_OWNER:
            return False
        slots, size = self._slots, self._size
        slots[slot] = _GONE
        # Before an empty slot no search needs to be told to go on: else slots given up would fill the table in time.
        if slots[slot + 1 if slot + 1 < size else 0] == _EMPTY:
            while slots[slot] == _GONE:
                slots[slot] = _EMPTY
                slot = (slot or size) - 1
        return True

    def _find(self, mark: int) -> tuple[int, int]:
        """(the slot of a mark or the empty one where the search ends, the first slot on the way that is free)."""
        slots, size, lower = self._slots, self._size, mark & 0xFFFFFFFF
        slot = (mark * size) >> 63
        free = -1
        for _ in range(size):
            value = slots[slot]
            if value == _EMPTY:
                return slot, slot if free < 0 else free
            if value == _GONE:
                free = slot if free < 0 else free
            elif value >> 32 == lower:
                return slot, slot
            slot = slot + 1 if slot + 1 < size else 0
        raise OverflowError(f"more marks than the {size} that there is room for")
