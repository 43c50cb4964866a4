"""Which rows say nearly the same: an index of vectors, in which every row is compared with every other, exactly."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable
from typing import Any

from rowsmith.llm.vectors import numpy

DIGEST = 8
"""Bytes of a signature."""
_LEAST_ROWS = 1 << 10
_MOST_BYTES = 1 << 31
"""Bytes that are set aside for the expected rows; a page of them takes up memory when it is first written to."""


class Signature(bytes):
    """By what a row is known whose vector is at hand: eight bytes of the vector's hash, and the vector with them."""

    vector: bytes


def signed(vector: bytes, identity: bytes) -> Signature:
    """The signature of a vector, with the vector.

    Args:
        vector: as `llm.vectors` rounds it.
        identity: of the model: vectors of two models must not be compared.
    """
    made = Signature(hashlib.blake2b(vector, digest_size=DIGEST, key=identity).digest())
    made.vector = vector
    return made


class VectorIndex:
    """Vectors of rows and their owners, in one matrix: 4 bytes a number, and some 300 a row.

    Two rows are alike if the cosine of their vectors reaches the threshold. The vectors are whole numbers of such a
    size that all sums are exact (`llm.vectors`): that two rows are alike is the same on every machine, and does not
    depend on what else is in the index.

    A check is one product of the matrix with a vector, so its cost grows with the rows: with vectors of 384 numbers
    some 0.9 ms at 10,000 rows and 15 ms at 100,000, where it reads 150 MB. Nothing is left out to be faster.

    Args:
        threshold: the cosine from which on two rows are alike, above 0 and up to 1.
        rows: how many rows are expected; above them the index doubles.
        identity: of the model.
        stored: gives the vectors that the ledger has, to find again those of an earlier start's rows.

    Raises:
        MissingDependencyError: NumPy is not installed.
    """

    signature = None
    width = DIGEST
    reason = "a text that says nearly the same exists already"

    def __init__(
        self, threshold: float, rows: int = 0, identity: bytes = b"", stored: Callable[[], Iterable[bytes]] = tuple
    ) -> None:
        self._np = numpy()
        self._threshold = threshold * threshold
        self._expected = max(rows, _LEAST_ROWS)
        self._identity = identity
        self._stored = stored
        self._handles: dict[tuple[bytes, int], int] = {}
        self._keys: list[tuple[bytes, int]] = []
        """By handle: whose row it is, and its signature."""
        self._free: list[int] = []
        self._marks = array("Q")
        self._rows: Any = None
        self._squares: Any = None

    def __len__(self) -> int:
        return len(self._handles)

    def sign(self, vector: bytes) -> Signature:
        """The signature of a vector, with the vector."""
        return signed(vector, self._identity)

    def alike(self, signature: bytes) -> list[tuple[int, int]]:
        """(owner, handle) of every row that is alike.

        Args:
            signature: one with its vector, from `sign`.
        """
        if not self._handles:
            return []
        used = len(self._keys)
        vector, square = self._read(signature)
        # Not `@`: its threads would wait for each other and for the event loop's, and one thread is as fast.
        products = self._np.einsum("ij,j->i", self._rows[:used], vector).astype(self._np.float64)
        # Squares of whole numbers below 2**24, so exact: two equal vectors are alike also at a threshold of 1.
        near = products * products >= self._threshold * (self._squares[:used] * square)
        found = self._np.flatnonzero(near & (products > 0)).tolist()
        return [(self._keys[handle][1], handle) for handle in found]

    def add(self, signature: bytes, mark: int, cell: int) -> int:
        """Put a row in; returns its handle.

        Args:
            signature: one with its vector, from `sign`.
            mark: the row's exact mark.
            cell: its owner.
        """
        vector, square = self._read(signature)
        key = (bytes(signature), cell)
        if self._free:
            handle = self._free.pop()
            self._keys[handle], self._marks[handle] = key, mark
        else:
            handle = len(self._keys)
            self._make_room(handle, len(vector))
            self._keys.append(key)
            self._marks.append(mark)
        self._rows[handle] = vector
        self._squares[handle] = square
        self._handles[key] = handle
        return handle

    def find(self, signature: bytes, cell: int) -> int | None:
        """The handle of the row with this very signature that a cell owns, or None."""
        return self._handles.get((signature, cell))

    def remove(self, handle: int) -> None:
        """Take a row out; its handle may be another row's afterwards."""
        del self._handles[self._keys[handle]]
        self._squares[handle] = self._np.inf  # nothing is near a row of that size
        self._free.append(handle)

    def mark(self, handle: int) -> int:
        """The exact mark of a row."""
        return self._marks[handle]

    def rename(self, handle: int, mark: int) -> None:
        """Give a row another mark: two texts may have the same vector."""
        self._marks[handle] = mark

    def load_many(self, chunks: Iterable[tuple[bytes, array[int], array[int]]]) -> None:
        """Put in the rows that an earlier start had, whose vectors are looked for among those that are stored.

        Rows whose vectors are another model's are passed over: they are being worked on again.

        Args:
            chunks: of some rows each: their signatures one after the other, their marks, their owners.
        """
        wanted: dict[bytes, list[tuple[int, int]]] = {}
        for signatures, marks, cells in chunks:
            for place, row in enumerate(zip(marks, cells, strict=True)):
                wanted.setdefault(signatures[place * DIGEST : (place + 1) * DIGEST], []).append(row)
        if not wanted:
            return
        for vector in self._stored():
            signature = self.sign(vector)
            for mark, cell in wanted.pop(signature, ()):
                self.add(signature, mark, cell)

    def _read(self, signature: bytes) -> tuple[Any, float]:
        """A vector and the square of its length."""
        assert isinstance(signature, Signature), "a signature is only of use together with its vector"
        vector = self._np.frombuffer(signature.vector, self._np.int8).astype(self._np.float32)
        return vector, float(vector @ vector)

    def _make_room(self, used: int, numbers: int) -> None:
        np = self._np
        if self._rows is None:
            room = max(_LEAST_ROWS, min(self._expected, _MOST_BYTES // (4 * numbers)))
            self._rows, self._squares = np.zeros((room, numbers), np.float32), np.zeros(room)
        elif used == len(self._rows):
            rows, squares = np.zeros((2 * used, numbers), np.float32), np.zeros(2 * used)
            rows[:used], squares[:used] = self._rows, self._squares
            self._rows, self._squares = rows, squares
