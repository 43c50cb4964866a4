"""Which rows are nearly the same: an index of signatures that finds, adds and removes rows one by one."""

from __future__ import annotations

import mmap
import struct
from array import array
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from rowsmith.quality.minhash import LANES, Signature, signer

BANDS = 16
_WIDEST = LANES // BANDS
_RECALL = 0.87
_NOBODY = 0xFFFFFFFF
_LEAST_ROWS = 1 << 10
_MOST_ROWS = 1 << 24
_CHUNK = 1 << 12
_KEYS = struct.Struct(f"={BANDS}Q")
_LOW = int.from_bytes(b"\x7f" * LANES, "little")
_HIGH = int.from_bytes(b"\x80" * LANES, "little")


class NearIndex:
    """Signatures of rows and their owners, in flat arrays: 268 bytes a row, made once for the expected rows.

    Whether two rows are alike depends on their two signatures and on nothing else: not on what else is in the index,
    nor on the order in which it came. So what is found is the same at any concurrency. Two rows are alike if

    - they share a band, which is how they are found: signatures are cut into 16 bands of 8 bytes, of which as many
      are compared as let at least 87 of 100 pairs that are just at the threshold share one (95 at 0.8, 99 at 0.85);
    - and so many of all 128 bytes are the same that the similarity they stand for reaches the threshold.

    Each band has chains of the rows whose bytes, modulo the table's size, are the same: `heads` has their first rows,
    `after` the next one of each row. The cost of finding grows with the rows that share a band and are not alike: with
    low thresholds, and with texts that are all of one mould.

    Args:
        threshold: the Jaccard similarity of two rows' words and pairs of words from which on they are alike, 0.5 to 1.
        rows: how many rows are expected; above them the index doubles.

    Raises:
        MissingDependencyError: the package that makes signatures is not installed.
    """

    width = LANES
    reason = "nearly the same text exists already"

    def __init__(self, threshold: float, rows: int = 0) -> None:
        self.signature = signer()
        self._mask = (1 << 8 * band_bytes(threshold)) - 1
        self._most_different = most_different(threshold)
        self._count = 0
        self._used = 1
        """The first entry never given to a row; entry 0 ends a chain."""
        self._linked = 1
        """The first entry that the chains do not have."""
        self._free = 0
        self._filling: Future[None] | None = None
        self._allocate(min(max(rows, _LEAST_ROWS), _MOST_ROWS) * 17 // 16)

    def __len__(self) -> int:
        return self._count

    def alike(self, signature: Signature) -> list[tuple[int, int]]:
        """(owner, handle) of every row that is alike."""
        if self._filling is not None:
            self._wait()
        mask, size = self._mask, self._size
        found: list[int] = []
        for head, after, keys, key in zip(self._heads, self._after, self._keys, _KEYS.unpack(signature), strict=True):
            key &= mask
            entry = head[key % size]
            while entry:
                if keys[entry] & mask == key:
                    found.append(entry)
                entry = after[entry]
        if not found:
            return []
        mine = int.from_bytes(signature, "little")
        return [(self._owners[entry], entry) for entry in dict.fromkeys(found) if self._is_alike(entry, mine)]

    def add(self, signature: Signature, mark: int, cell: int) -> int:
        """Put a row in; returns its handle.

        Args:
            signature: of the row's texts.
            mark: the row's exact mark, by which the ledger knows it.
            cell: its owner.
        """
        if self._filling is not None:
            self._wait()
        entry = self._entry()
        self._bytes[entry * LANES : (entry + 1) * LANES] = signature
        self._marks[entry] = mark
        self._owners[entry] = cell
        mask, size = self._mask, self._size
        for head, after, key in zip(self._heads, self._after, _KEYS.unpack(signature), strict=True):
            slot = (key & mask) % size
            after[entry] = head[slot]
            head[slot] = entry
        self._count += 1
        return entry

    def find(self, signature: Signature, cell: int) -> int | None:
        """The handle of the row with this very signature that a cell owns, or None; also for one of another kind."""
        if self._filling is not None:
            self._wait()
        if len(signature) != LANES:
            return None
        (key,) = struct.unpack_from("=Q", signature)
        entry: int = self._heads[0][(key & self._mask) % self._size]
        while entry:
            if self._owners[entry] == cell and self._bytes[entry * LANES : (entry + 1) * LANES] == signature:
                return entry
            entry = self._after[0][entry]
        return None

    def remove(self, handle: int) -> None:
        """Take a row out; its handle may be another row's afterwards."""
        mask, size = self._mask, self._size
        for head, after, keys in zip(self._heads, self._after, self._keys, strict=True):
            slot = (keys[handle] & mask) % size
            entry = head[slot]
            if entry == handle:
                head[slot] = after[handle]
                continue
            while after[entry] != handle:
                entry = after[entry]
            after[entry] = after[handle]
        self._owners[handle] = _NOBODY
        self._marks[handle], self._free = self._free, handle
        self._count -= 1

    def mark(self, handle: int) -> int:
        """The exact mark of a row."""
        mark: int = self._marks[handle]
        return mark

    def rename(self, handle: int, mark: int) -> None:
        """Give a row another mark: texts that differ in punctuation alone have one signature and two marks."""
        self._marks[handle] = mark

    def load_many(self, chunks: Iterable[tuple[bytes, array[int], array[int]]]) -> None:
        """Put in the rows that an earlier start had, before any other, at a fraction of the cost of adding each.

        The chains are made by a thread, so that the first calls need not wait for them; what needs them waits.

        Args:
            chunks: of some rows each: their signatures one after the other, their marks, their owners.
        """
        for signatures, marks, cells in chunks:
            first, last = self._used, self._used + len(cells)
            while last > len(self._owners):
                self._double()
            self._bytes[first * LANES : last * LANES] = signatures
            self._marks[first:last] = memoryview(marks)
            self._owners[first:last] = memoryview(cells)
            self._used = last
            self._count += len(cells)
        pool = ThreadPoolExecutor(1, "rowsmith-near")
        self._filling = pool.submit(self._link)
        pool.shutdown(wait=False)

    def _wait(self) -> None:
        filling, self._filling = self._filling, None
        if filling is not None:
            filling.result()

    def _is_alike(self, entry: int, mine: int) -> bool:
        """Whether a row that shares a band is alike: counts the bytes that differ, all 128 at once."""
        difference = int.from_bytes(self._bytes[entry * LANES : (entry + 1) * LANES], "little") ^ mine
        return ((((difference & _LOW) + _LOW) | difference) & _HIGH).bit_count() <= self._most_different

    def _entry(self) -> int:
        """An entry for one more row."""
        entry = self._free
        if entry:
            self._free = self._marks[entry]
            return entry
        if self._used == len(self._owners):
            self._double()
            self._link()
        entry = self._used
        self._used = self._linked = entry + 1
        return entry

    def _allocate(self, rows: int) -> None:
        """Make the arrays; a page of them takes up memory when it is first written to."""
        # Odd: modulo a power of two only the key's last bytes would count.
        self._size = rows | 1
        self._bytes = memoryview(mmap.mmap(-1, (rows + 1) * LANES))
        words = self._bytes.cast("Q")
        self._keys = [words[band::BANDS] for band in range(BANDS)]
        self._heads = [_zeros(self._size) for _ in range(BANDS)]
        self._after = [_zeros(rows + 1) for _ in range(BANDS)]
        self._owners = _zeros(rows + 1)
        self._marks = memoryview(mmap.mmap(-1, (rows + 1) * 8)).cast("Q")

    def _double(self) -> None:
        """Make twice the room, with no row in the chains yet. There is no removed row when this is needed."""
        content, marks, owners = self._bytes, self._marks, self._owners
        self._allocate(2 * (len(owners) - 1))
        self._bytes[: len(content)] = content
        self._marks[: len(marks)] = marks
        self._owners[: len(owners)] = owners
        self._linked = 1

    def _link(self) -> None:
        """Enter the rows that the chains do not have, a band at a time."""
        mask, size, first, last = self._mask, self._size, self._linked, self._used
        for head, after, keys in zip(self._heads, self._after, self._keys, strict=True):
            for start in range(first, last, _CHUNK):
                slots = [(key & mask) % size for key in keys[start : min(start + _CHUNK, last)].tolist()]
                chain = []
                for entry, slot in enumerate(slots, start):
                    chain.append(head[slot])
                    head[slot] = entry
                after[start : start + len(chain)] = memoryview(array("I", chain))
        self._linked = last


def band_bytes(threshold: float) -> int:
    """How many bytes of a band are compared: the most that let enough pairs at the threshold share one."""
    fitting = [size for size in range(1, _WIDEST + 1) if 1 - (1 - threshold**size) ** BANDS >= _RECALL]
    return fitting[-1]


def most_different(threshold: float) -> int:
    """How many of the bytes of two alike signatures may differ; they also agree by chance, one in 256."""
    return int(LANES * (1 - threshold) * 255 / 256 + 1e-9)


def _zeros(count: int) -> memoryview:
    return memoryview(mmap.mmap(-1, count * 4)).cast("I")
