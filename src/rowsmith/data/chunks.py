"""Long documents in pieces that overlap, each with its place in the document.

Pieces are spans of the text, never copies of it that were changed: `document[chunk.start:chunk.end] == chunk.text`.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Literal, NamedTuple, Protocol

from rowsmith.errors import ConfigError

By = Literal["characters", "sentences", "paragraphs"]

_PARAGRAPHS = re.compile(r"\n[^\S\n]*\n\s*")
_SENTENCES = re.compile(
    r"""
    (?<![.!?…])[.!?…]++ ["'”’»)\]]*+ \s+  # Latin and its kin: the sign, what closes with it, and a blank
    | [。！？｡]+ [”’」』）]*\s*   # Chinese and Japanese need no blank
    | [؟۔।॥።]+ \s*              # Arabic, Urdu, Hindi, Amharic
    | \n\s*\n\s*                # a paragraph ends its sentence
    """,
    re.VERBOSE,
)
_ENDS = {
    "paragraphs": _PARAGRAPHS,
    "sentences": _SENTENCES,
    "characters": re.compile(r"\s+"),
    "before blanks": re.compile(r"(?<=\S)(?=\s)"),  # where a word fits and the blanks behind it do not
}
_UNITS: tuple[By, ...] = ("paragraphs", "sentences", "characters")
_LONGEST_ABBREVIATION = 8
_ABBREVIATIONS = re.compile(r"(?:\b(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|No|vs|etc|e\.g|i\.e|z\.B|d\.h|bzw|ca|cf|al)\.\s+)\Z")


class Chunk(NamedTuple):
    """A piece of a document.

    Attributes:
        id: the document's id and the piece's number: `guide.md#3`, from 0.
        text: its text.
        start: where it begins in the document, in characters.
        end: the place behind its last character.
    """

    id: str
    text: str
    start: int
    end: int


def chunks(
    text: str,
    document_id: str = "",
    *,
    chunk_size: int = 2_000,
    chunk_overlap: int = 200,
    by: By = "sentences",
) -> Iterator[Chunk]:
    """Pieces of a document, in order; together they are all of it.

    A piece ends where a paragraph or a sentence does, by `by`, and begins where one begins; where one alone is longer
    than a piece may be, it is parted between words, and a longer word between characters as people see them: a letter
    stays with its accents, an emoji with what it is joined to. `characters` parts between words only.

    Args:
        text: the document.
        document_id: its id, for those of the pieces.
        chunk_size: characters that a piece has at most (a single character as people see it may have more).
        chunk_overlap: characters that a piece has in common with the one before, at most; as many whole units of `by`
            as fit.
        by: what is kept together.

    Raises:
        ConfigError: the sizes cannot be: a piece needs more than it has in common with the last.
    """
    if chunk_size < 1 or not 0 <= chunk_overlap < chunk_size:
        raise ConfigError(
            f"chunk_size={chunk_size} and chunk_overlap={chunk_overlap}: the size must be at least 1, "
            "and the overlap at least 0 and less than the size"
        )
    units = (*_UNITS[_UNITS.index(by) :], "before blanks")
    levels: list[_Level] = [*(_Units(text, unit) for unit in units), _Signs(text)]
    start = end = number = 0
    while end < len(text):
        level, end = _end(levels, end, start + chunk_size)
        yield Chunk(f"{document_id}#{number}", text[start:end], start, end)
        number += 1
        # The overlap leaves room for the next unit, and is of whole units as far as the piece itself was.
        _, following = _end(levels, end, end + chunk_size, first=True)
        low = max(end - chunk_overlap, start + 1, following - chunk_size)
        starts = (one.first(low, end) for one in levels[: level + 1])
        start = next((place for place in starts if place is not None), end)


class _Level(Protocol):
    """Places at which a text may be parted, its end among them."""

    def first(self, low: int, high: int) -> int | None:
        """The first from `low` on and before `high`."""

    def last(self, low: int, high: int) -> int | None:
        """The last before `high` and from `low` on."""


def _end(levels: Sequence[_Level], behind: int, reach: int, *, first: bool = False) -> tuple[int, int]:
    """The coarsest level that has a place behind one and within reach, and the last (or first) such place."""
    for number, level in enumerate(levels):
        place = (level.first if first else level.last)(behind + 1, reach + 1)
        if place is not None:
            return number, place
    found = levels[-1].first(behind + 1, sys.maxsize)  # a single character as people see it is longer than a piece
    return len(levels) - 1, behind if found is None else found


class _Units:
    """The places behind each paragraph, sentence or word; the blanks between two belong to the first."""

    def __init__(self, text: str, by: str) -> None:
        self._text = text
        self._by = by

    def first(self, low: int, high: int) -> int | None:
        at = bisect_left(self._places, low)
        return self._places[at] if at < len(self._places) and self._places[at] < high else None

    def last(self, low: int, high: int) -> int | None:
        at = bisect_left(self._places, high) - 1
        return self._places[at] if at >= 0 and self._places[at] >= low else None

    @cached_property
    def _places(self) -> array[int]:
        text = self._text
        places = array("Q", (end for end in self._ends() if end < len(text) and not _joined(text, end)))
        places.append(len(text))
        return places

    def _ends(self) -> Iterator[int]:
        for found in _ENDS[self._by].finditer(self._text):
            abbreviated = self._by == "sentences" and _ABBREVIATIONS.search(
                self._text, max(0, found.start() - _LONGEST_ABBREVIATION), found.end()
            )
            if not abbreviated:
                yield found.end()


class _Signs:
    """The places between characters as people see them."""

    def __init__(self, text: str) -> None:
        self._text = text

    def first(self, low: int, high: int) -> int | None:
        high = min(high, len(self._text) + 1)
        return next((at for at in range(low, high) if not _joined(self._text, at)), None)

    def last(self, low: int, high: int) -> int | None:
        high = min(high, len(self._text) + 1)
        return next((at for at in range(high - 1, low - 1, -1) if not _joined(self._text, at)), None)


def _joined(text: str, at: int) -> bool:
    """Whether the characters before and behind a place are one as people see it (the common rules of UAX #29)."""
    before, behind = text[at - 1], text[at] if at < len(text) else ""
    if not behind:
        return False
    if before == "\r" and behind == "\n":
        return True
    if unicodedata.category(before) == "Cc":
        return False
    if before == "\u200d" or behind == "\u200d":  # the joiner of emoji and of Indic letters
        return True
    if unicodedata.category(behind) in ("Mn", "Me", "Mc") or "\U0001f3fb" <= behind <= "\U0001f3ff":
        return True
    if _regional(before) and _regional(behind):  # two make a flag
        run = 0
        while run < at and _regional(text[at - 1 - run]):
            run += 1
        return run % 2 == 1
    return _hangul(before) and "\u1160" <= behind <= "\u11ff"


def _regional(sign: str) -> bool:
    return "\U0001f1e6" <= sign <= "\U0001f1ff"


def _hangul(sign: str) -> bool:
    return "\u1100" <= sign <= "\u11ff" or "\uac00" <= sign <= "\ud7a3"
