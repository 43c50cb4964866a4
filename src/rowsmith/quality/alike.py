"""What rows are compared by: an index of signatures in which those that are alike are found."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol


class Alike(Protocol):
    """An index of the rows of a run, by signatures, that finds, adds and removes rows one by one.

    Whether two rows are alike depends on their two signatures and on nothing else: not on what else is in the index,
    nor on the order in which it came. So what is found is the same at any concurrency.
    """

    @property
    def signature(self) -> Callable[[Sequence[str]], bytes] | None:
        """Makes a row's signature of its texts; None where it is made of more, and brought along."""

    @property
    def width(self) -> int:
        """Bytes of a signature; no two kinds have as many."""

    @property
    def reason(self) -> str:
        """Why a row is refused that is like another, in words that a model can act on."""

    def alike(self, signature: bytes) -> list[tuple[int, int]]:
        """(owner, handle) of every row that is alike."""

    def add(self, signature: bytes, mark: int, cell: int) -> int:
        """Put a row in; returns its handle.

        Args:
            signature: of the row.
            mark: the row's exact mark, by which the ledger knows it.
            cell: its owner.
        """

    def find(self, signature: bytes, cell: int) -> int | None:
        """The handle of the row with this very signature that a cell owns, or None; also for one of another width."""

    def remove(self, handle: int) -> None:
        """Take a row out; its handle may be another row's afterwards."""

    def mark(self, handle: int) -> int:
        """The exact mark of a row."""

    def rename(self, handle: int, mark: int) -> None:
        """Give a row another mark."""

    def load_many(self, chunks: Iterable[tuple[bytes, array[int], array[int]]]) -> None:
        """Put in the rows that an earlier start had, before any other.

        Args:
            chunks: of some rows each: their signatures one after the other, their marks, their owners.
        """
