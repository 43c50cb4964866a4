"""Who may have a row that several cells made: the earliest cell of the plan, whichever came first in time.

Two cells under way at once may make the same row. If the first to come kept it, the dataset would depend on the
concurrency and on the weather. So the owner of a row is the earliest cell on the plan's line: when that cell comes
later, it takes the row, and the other cell is worked on again from its stored answers, now finding the row taken. A
cell only ever yields to earlier cells, so this ends, and it ends where a run of one cell after the other would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rowsmith.quality.seen import Seen


class Claims:
    """The rows that cells hold, by mark.

    Args:
        seen: the table of marks.
        displace: called with the number of a cell that lost a row to an earlier one.
        deny: called with a mark and the number of a cell that was refused it.
    """

    def __init__(self, seen: Seen, displace: Callable[[int], None], deny: Callable[[int, int], None]) -> None:
        self._seen = seen
        self._displace = displace
        self._deny = deny

    def load(self, marks: Iterable[tuple[int, bytes]]) -> None:
        """Take up what the ledger says is owned: (cell, eight bytes per row)."""
        claim = self._seen.claim
        for cell, packed in marks:
            for at in range(0, len(packed), 8):
                claim(int.from_bytes(packed[at : at + 8], "big"), cell)

    def claim(self, mark: int, cell: int) -> bool:
        """Try to own a mark: False if an earlier cell has it."""
        owner = self._seen.owner(mark)
        if owner is not None and owner < cell:
            self._deny(mark, cell)
            return False
        self._seen.claim(mark, cell)
        if owner is not None and owner != cell:
            self._displace(owner)
        return True

    def release(self, marks: Iterable[int], cell: int) -> list[int]:
        """Give up marks; those that were still this cell's are returned: others may want them now."""
        return [mark for mark in marks if self._seen.release(mark, cell)]
