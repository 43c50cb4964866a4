"""Passages of a corpus to ask about: documents in pieces, and further pieces that a question needs as well."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import overload

from rowsmith.data.chunks import By, chunks
from rowsmith.data.shapes import Document
from rowsmith.engine.axes import identity

_CANDIDATES = 24
"""Pieces that are looked at for each one that is to go with a passage: memory stays flat, whatever the corpus."""
_WORD = re.compile(r"\w{5,}")


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document.

    Attributes:
        document: the document's id.
        text: the piece.
        start: where it begins in the document, in characters.
        context: what stands in the document's context column, or None.
    """

    document: str
    text: str
    start: int
    context: str | None = None

    @property
    def name(self) -> str:
        """Where it is from: `guide.md@1200`."""
        return f"{self.document}@{self.start}"


class Passages(Sequence[Passage]):
    """The pieces of all documents in their order, each read when it is asked for; 16 bytes are kept of one.

    Args:
        documents: the documents.
        chunk_size: the most characters of a piece.
        chunk_overlap: the most characters that it has in common with the one before.
        by: what is kept together.
    """

    def __init__(self, documents: Sequence[Document], chunk_size: int, chunk_overlap: int, by: By) -> None:
        self._documents = documents
        self._first = array("Q")
        self._starts = array("Q")
        self._ends = array("Q")
        for document in documents:
            self._first.append(len(self._starts))
            for chunk in chunks(document.text, chunk_size=chunk_size, chunk_overlap=chunk_overlap, by=by):
                self._starts.append(chunk.start)
                self._ends.append(chunk.end)

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, index: int) -> Passage: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Passage]: ...
    def __getitem__(self, index: int | slice) -> Passage | Sequence[Passage]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(f"passage {index} is outside 0 to {len(self) - 1}")
        document = self._documents[bisect_right(self._first, index) - 1]
        start, end = self._starts[index], self._ends[index]
        return Passage(document.id, document.text[start:end], start, document.context)

    @property
    def skipped(self) -> Counter[str]:
        """How many documents are left out, by reason."""
        return Counter(getattr(self._documents, "skipped", {}))

    def fingerprint(self, position: int) -> bytes:
        """Eight bytes for a piece: of its document, its place and its text."""
        passage = self[position]
        return identity([passage.document, passage.start, passage.text, passage.context])

    def beside(self, passage: Passage, count: int, chance: Random) -> list[Passage]:
        """Other pieces that have most to do with one, of some that are drawn: those that share the rarer words.

        Args:
            passage: the one.
            count: how many others; fewer where the corpus has fewer.
            chance: draws the candidates.
        """
        words = set(_WORD.findall(passage.text.casefold()))
        drawn = chance.sample(range(len(self)), min(len(self), _CANDIDATES * count))
        others = [other for other in map(self.__getitem__, drawn) if other != passage]
        ranked = sorted(others, key=lambda other: -_shared(words, other.text))
        kept: list[Passage] = []
        for other in ranked:
            if all(not _overlap(other, one) for one in (passage, *kept)):
                kept.append(other)
            if len(kept) == count:
                break
        return kept


def _shared(words: set[str], text: str) -> float:
    """The share of words that two texts have in common (Jaccard)."""
    other = set(_WORD.findall(text.casefold()))
    return len(words & other) / len(words | other) if words or other else 0.0


def _overlap(one: Passage, other: Passage) -> bool:
    """Whether two pieces have a part in common."""
    if one.document != other.document:
        return False
    return one.start < other.start + len(other.text) and other.start < one.start + len(one.text)
