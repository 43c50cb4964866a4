"""Who may have a row that several cells made: the earliest cell of the plan, whichever came first in time.

Two cells under way at once may make the same row, or nearly the same. If the first to come kept it, the dataset would
depend on the concurrency and on the weather. So the owner of a row is the earliest cell on the plan's line: when that
cell comes later, it takes the row, and the other cell is worked on again from its stored answers, now finding the row
taken. A cell only ever yields to earlier cells, so this ends, and ends where a run of one cell after the other would.

A row's mark is bytes: eight that rows with the same texts share, its exact mark; and after them, where near duplicates
are looked for, what they are known by: the signature of the texts, or of their vector.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from rowsmith.errors import LedgerError
from rowsmith.quality.alike import Alike
from rowsmith.quality.gates import Rejection, Row
from rowsmith.quality.minhash import LANES
from rowsmith.quality.seen import Seen
from rowsmith.quality.text import comparable, mark
from rowsmith.quality.vectors import DIGEST

EXACT = 8
"""Bytes of the part of a mark by which the same texts are known."""
_LOADED_AT_ONCE = 1 << 22
_BLOCKS_AT_ONCE = 1 << 16
"""Bytes of marks."""
_DUPLICATE = Rejection("duplicate", "the same text exists already")
_KINDS = (0, LANES, DIGEST)
"""Bytes of a signature, by the byte with which packed marks begin that have signatures; 0 for marks without."""


class Claims:
    """The rows that cells hold, by mark.

    Args:
        seen: the table of exact marks.
        displace: called with the number of a cell that lost a row to an earlier one.
        near: the index of signatures; None if near duplicates are welcome.
    """

    def __init__(self, seen: Seen, displace: Callable[[int], None], near: Alike | None = None) -> None:
        self._seen = seen
        self._displace = displace
        self._near = near
        self._sign = None if near is None else near.signature
        self._nearly = _DUPLICATE if near is None else Rejection("near_duplicate", near.reason)

    def load(self, blocks: Iterable[tuple[int, bytes]]) -> None:
        """Take up what the ledger says is owned: (cell, its rows' packed marks).

        After a kill two cells may have the same row: the later one lost it and has not been worked on again yet.
        """
        chunks = self._load_exact(blocks)
        if self._near is None:
            for _ in chunks:
                pass
        else:
            width = self._near.width
            self._near.load_many(chunk for chunk in chunks if chunk[2] and len(chunk[0]) == width * len(chunk[2]))

    def _load_exact(self, blocks: Iterable[tuple[int, bytes]]) -> Iterator[tuple[bytes, array[int], array[int]]]:
        """Take up exact marks, and pass on (signatures, marks, cells) of the rows of some blocks at a time.

        What an earlier start made that looked for no near duplicates has no signatures, or others if it found them
        otherwise; all its cells are worked on again, because the check is a new one.
        """
        for chunk, width in _chunks(blocks):
            if width == EXACT:
                cells = array("I", [cell for cell, marks in chunk for _ in range(0, len(marks), EXACT)])
                numbers, signatures = array("Q", b"".join([marks for _, marks in chunk])), b""
            else:
                rows = [len(marks) // width for _, marks in chunk]
                cells = array("I", [cell for (cell, _), count in zip(chunk, rows, strict=True) for _ in range(count)])
                sides = [_sides(marks, count) for (_, marks), count in zip(chunk, rows, strict=True)]
                numbers = array("Q", b"".join([exact for exact, _ in sides]))
                signatures = b"".join([signed for _, signed in sides])
            if sys.byteorder == "little":
                numbers.byteswap()
            self._seen.load_many(numbers, cells)
            yield signatures, numbers, cells

    def stale(self, denied: Iterable[tuple[int, int]]) -> Iterator[int]:
        """The cells, of (mark, cell), that were refused a row because of one which no earlier cell has any more.

        There are some if a run was killed after the earlier cell gave the row up and before they were told, or while
        a cell that had claimed the row was still under way.
        """
        for exact, cell in denied:
            owner = self._seen.owner(exact)
            if owner is None or owner > cell:
                yield cell

    def claim(
        self, holding: Holding, row: Row, fields: Sequence[str], signature: bytes | None = None
    ) -> Rejection | None:
        """Claim a row for an attempt at a cell; None if it is the cell's now, else why not.

        Whether it is refused, and with which words, depends on the rows of earlier cells and on the earlier rows of
        this attempt, and on nothing that time decides. What an earlier attempt at the cell left does not count.

        Args:
            holding: what the attempt has claimed so far.
            row: the row.
            fields: the fields by which rows are compared.
            signature: by which its like is found, where that is not made of its texts.
        """
        texts = comparable(row, fields)
        cell, number = holding.cell, mark(texts)
        if number in holding.numbers:
            return _DUPLICATE
        owner = self._seen.owner(number)
        if owner is not None and owner < cell:
            holding.denied.add(number)
            return _DUPLICATE
        losers = set() if owner is None or owner == cell else {owner}
        signed = signature or b""
        if self._near is not None:
            if signature is None:
                assert self._sign is not None, "rows of this run come with their signatures"
                signed = signature = self._sign(texts)
            alike = self._near.alike(signature)
            refused = self._refused(self._near, alike, number, holding) if alike else None
            if refused is not None:
                return refused
            losers.update(other for other, _ in alike if other != cell)
            left = self._near.find(signature, cell) if alike else None
            if left is None:
                left = self._near.add(signature, number, cell)
            else:
                self._near.rename(left, number)
            holding.handles.add(left)
        self._seen.claim(number, cell)
        holding.numbers.add(number)
        holding.marks.append(number.to_bytes(EXACT, "big") + signed)
        if losers:
            for loser in sorted(losers):
                self._displace(loser)
        return None

    def repeats(self, holding: Holding, rows: Sequence[Row], fields: Sequence[str]) -> list[Rejection | None]:
        """Which rows repeat what the attempt holds, or an earlier one of them, as far as their texts tell.

        What other cells hold is left out: that changes with time until a row is claimed, and must decide nothing else.
        Nothing is claimed.

        Args:
            holding: what the attempt has claimed so far.
            rows: as far as they are made: they have the fields.
            fields: the fields by which rows are compared.
        """
        found: list[Rejection | None] = []
        numbers = set(holding.numbers)
        for row in rows:
            texts = comparable(row, fields)
            number = mark(texts)
            found.append(_DUPLICATE if number in numbers else self._nearly_held(texts, holding))
            numbers.add(number)
        return found

    def _nearly_held(self, texts: Sequence[str], holding: Holding) -> Rejection | None:
        if self._near is None or self._sign is None or not holding.handles:
            return None
        held = any(handle in holding.handles for _, handle in self._near.alike(self._sign(texts)))
        return self._nearly if held else None

    def _refused(
        self, near: Alike, alike: Iterable[tuple[int, int]], number: int, holding: Holding
    ) -> Rejection | None:
        """Why a row is refused because of those that are alike, if one of them is an earlier cell's or this attempt's.

        A row with the very same text may be among them: that of an earlier cell which lost its exact mark to one before
        it that has given the mark up again. The cell will be worked on again and have the row after all, or will not
        and give it up; in any case what is said is what a run of one cell after the other would say.
        """
        earlier = {near.mark(handle) for owner, handle in alike if owner < holding.cell}
        if number in earlier:
            holding.denied.add(number)
            return _DUPLICATE
        if earlier:
            holding.denied.add(min(earlier))
            return self._nearly
        return self._nearly if any(handle in holding.handles for _, handle in alike) else None

    def release(self, given_up: Iterable[bytes], kept: Iterable[bytes], cell: int) -> list[int]:
        """Give up what a cell had in earlier attempts and has no more.

        Returns:
            the exact marks because of which others were denied rows that they may have now: those that were still this
            cell's. Where near duplicates are looked for, all: the cell's row was in the index until now, and denied
            others theirs, even if an earlier cell had taken its exact mark meanwhile and given that up again.
        """
        kept_exact = {one[:EXACT] for one in kept}
        kept_signatures = {one[EXACT:] for one in kept}
        released = []
        for one in given_up:
            exact, signature = one[:EXACT], one[EXACT:]
            if self._near is not None and signature and signature not in kept_signatures:
                handle = self._near.find(signature, cell)
                if handle is not None:
                    self._near.remove(handle)
            number = int.from_bytes(exact, "big")
            freed = exact not in kept_exact and self._seen.release(number, cell)
            if freed or self._near is not None:
                released.append(number)
        return released


@dataclass(slots=True)
class Holding:
    """What one attempt at a cell has claimed.

    Attributes:
        cell: the cell's number.
        marks: of its rows, in their order.
        numbers: the exact parts of the marks, as numbers.
        denied: the exact marks of earlier cells' rows because of which rows were refused.
        handles: its rows' entries in the index of signatures.
    """

    cell: int
    marks: list[bytes] = field(default_factory=list)
    numbers: set[int] = field(default_factory=set)
    denied: set[int] = field(default_factory=set)
    handles: set[int] = field(default_factory=set)


def packed(marks: Sequence[bytes]) -> bytes:
    """The marks of a block's rows as the ledger keeps them.

    That is their exact parts; or a byte that says what their signatures are, their exact parts, and their signatures.
    The length tells which.
    """
    whole = b"".join(marks)
    if len(whole) == EXACT * len(marks):
        return whole
    exact = b"".join([mark[:EXACT] for mark in marks])
    signatures = b"".join([mark[EXACT:] for mark in marks])
    if not signatures:
        return exact
    return _KINDS.index(len(signatures) // len(marks)).to_bytes() + exact + signatures


def unpacked(marks: bytes) -> list[bytes]:
    """The marks of a block's rows."""
    rows = len(marks) // _width(marks)
    exact, signatures = _sides(marks, rows)
    size = len(signatures) // rows if rows else 0
    return [exact[EXACT * row : EXACT * (row + 1)] + signatures[size * row : size * (row + 1)] for row in range(rows)]


def _width(marks: bytes) -> int:
    """Bytes of a row in packed marks."""
    return EXACT + _KINDS[_kind(marks)] if len(marks) % EXACT else EXACT


def _kind(marks: bytes) -> int:
    """What the signatures in packed marks are, as the place in `_KINDS`.

    Raises:
        LedgerError: they are none that are known.
    """
    kind = marks[0]
    if not 0 < kind < len(_KINDS):
        raise LedgerError(f"the marks of rows in the ledger are of an unknown kind ({kind}): upgrade Rowsmith")
    return kind


def _sides(marks: bytes, rows: int) -> tuple[bytes, bytes]:
    """(the exact parts, the signatures) of packed marks."""
    start = len(marks) % EXACT
    return marks[start : start + EXACT * rows], marks[start + EXACT * rows :]


def _chunks(blocks: Iterable[tuple[int, bytes]]) -> Iterator[tuple[list[tuple[int, bytes]], int]]:
    """Many blocks at a time, those of each kind of marks apart, and the bytes of a row in them."""
    groups: list[list[tuple[int, bytes]]] = [[] for _ in _KINDS]
    size = 0
    plain = groups[0]
    for block in blocks:
        length = len(block[1])
        (groups[_kind(block[1])] if length % EXACT else plain).append(block)
        size += length
        if size >= _LOADED_AT_ONCE or len(plain) >= _BLOCKS_AT_ONCE:
            yield from ((group, EXACT + width) for group, width in zip(groups, _KINDS, strict=True))
            groups = [[] for _ in _KINDS]
            plain = groups[0]
            size = 0
    yield from ((group, EXACT + width) for group, width in zip(groups, _KINDS, strict=True))
