"""Where named pieces stand in a text, and the text as tokens with BIO tags.

Offsets count Unicode code points, as Python, spaCy and Hugging Face do; `text[start:end]` is the piece, exactly.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

OUTSIDE = "O"
"""The tag of a token that is in no span (Ramshaw and Marcus, "Text Chunking using Transformation-Based Learning")."""

# A script that puts no blanks between words has a token per character: Han, kana, Thai, Lao, Khmer, Myanmar.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_LETTER = re.compile(rf"(?![{_UNSPACED}])\w")
_TOKEN = re.compile(rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])\w)+(?:['’](?:(?![{_UNSPACED}])\w)+)*|[^\w\s]")


class Span(NamedTuple):
    """A piece of a text with its label: `text[start:end]`."""

    start: int
    end: int
    label: str


class Mention(NamedTuple):
    """A piece as a model names it: its words and its label."""

    text: str
    label: str


class MisplacedError(ValueError):
    """Mentions do not fit their text; the message says how, for whoever wrote them."""


def locate(text: str, mentions: Sequence[Mention], *, overlaps: bool = False) -> list[Span]:
    """The spans of the pieces that were named, ordered by where they stand.

    A piece that stands several times in the text must be named as often; which is which is then clear, if its
    mentions all have one label. Inside a longer word a piece counts only where it stands nowhere as a word of its own.

    Args:
        text: the text.
        mentions: the pieces, in any order.
        overlaps: whether a span may cover a part of another.

    Raises:
        MisplacedError: a piece is not in the text, stands there more often or less often than it was named, has two
            labels, or overlaps another.
    """
    labels: dict[str, str] = {}
    for mention in mentions:
        if not mention.text.strip():
            raise MisplacedError("an entity has no text")
        if labels.setdefault(mention.text, mention.label) != mention.label:
            raise MisplacedError(
                f"{mention.text!r} is named as {labels[mention.text]} and as {mention.label}: which of its places is "
                "which cannot be told"
            )
    counts = Counter(mention.text for mention in mentions)
    taken: list[Span] = []
    # The longest first: "York" is looked for outside of "New York" before it is looked for inside.
    for piece, named in sorted(counts.items(), key=lambda item: -len(item[0])):
        taken += (Span(start, start + len(piece), labels[piece]) for start in _places(text, piece, named, taken))
    spans = sorted(taken)
    if not overlaps:
        for one, other in pairwise(spans):
            if other.start < one.end:
                raise MisplacedError(f"{text[one.start : one.end]!r} and {text[other.start : other.end]!r} overlap")
    return spans


def _places(text: str, piece: str, named: int, taken: Sequence[Span]) -> list[int]:
    found = [match.start() for match in re.finditer(f"(?={re.escape(piece)})", text)]
    if not found:
        raise MisplacedError(f"{piece!r} does not stand in the text in these very characters")
    words = [start for start in found if _is_whole(text, start, start + len(piece))] or found
    free = [start for start in words if not any(span.start < start + len(piece) and start < span.end for span in taken)]
    for places in (free, words):
        if len(places) == named:
            return places
    raise MisplacedError(
        f"{piece!r} stands in the text {len(words)} times and was named {named}: name each place, or write the text so "
        "that it stands there once"
    )


def _is_whole(text: str, start: int, end: int) -> bool:
    """Whether a piece is not cut out of a longer word."""
    return not any(
        0 < at < len(text) and _LETTER.match(text[at - 1]) and _LETTER.match(text[at]) for at in (start, end)
    )


class Token(NamedTuple):
    """A word, a number or a sign: `text[start:end]`."""

    start: int
    end: int


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a text: words with what an apostrophe joins to them, and each other sign by itself."""
    for match in _TOKEN.finditer(text):
        yield Token(match.start(), match.end())


def tagged(text: str, spans: Iterable[Span]) -> tuple[list[str], list[str]]:
    """(tokens, BIO tags) of a text. A token is split where a span begins or ends inside it.

    Of spans that overlap, the longer one has the tags: one tag a token cannot say both.
    """
    kept: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start - span.end, span.start)):
        if all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    edges = sorted({edge for span in kept for edge in (span.start, span.end)})
    owner = {place: span for span in kept for place in range(span.start, span.end)}
    words: list[str] = []
    tags: list[str] = []
    begun: set[Span] = set()
    for token in tokens(text):
        cuts = [token.start, *(edge for edge in edges if token.start < edge < token.end), token.end]
        for start, end in pairwise(cuts):
            words.append(text[start:end])
            inside = owner.get(start)
            tags.append(OUTSIDE if inside is None else f"{'I' if inside in begun else 'B'}-{inside.label}")
            if inside is not None:
                begun.add(inside)
    return words, tags
