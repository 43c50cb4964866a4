"""Which cells are next: those reopened first, then the line from its start, without what is settled."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator


class Pending:
    """The cells of a run that are still to be worked on.

    Args:
        line: the numbers to work on, ascending.
        settled: the numbers among them that need no work, ascending.
    """

    def __init__(self, line: Iterable[int], settled: Iterable[int]) -> None:
        self._line = _without(line, settled)
        self._at = -1
        self._reopened: list[int] = []
        self._queued: set[int] = set()
        self._ahead: set[int] = set()
        """Cells of an earlier start that were reopened before the line has come to them; it passes them by then."""

    def next(self) -> tuple[int, bool] | None:
        """(a cell's number, whether it was reopened), or None if there is nothing at the moment."""
        if self._reopened:
            number = heapq.heappop(self._reopened)
            self._queued.discard(number)
            return number, True
        for number in self._line:
            self._at = number
            if number not in self._ahead:
                return number, False
            self._ahead.discard(number)
        return None

    def reopen(self, number: int) -> None:
        """Put a finished cell back."""
        if number > self._at:
            self._ahead.add(number)
        if number not in self._queued:
            self._queued.add(number)
            heapq.heappush(self._reopened, number)


def _without(line: Iterable[int], settled: Iterable[int]) -> Iterator[int]:
    skip = iter(settled)
    settled_next = next(skip, -1)
    for number in line:
        while 0 <= settled_next < number:
            settled_next = next(skip, -1)
        if number != settled_next:
            yield number
