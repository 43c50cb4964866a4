"""A source document, taken apart into what questions and answers about it are made of: its own words and sentences."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Final

_WORD = re.compile(r"[^\W\d_]{5,24}")
_SENTENCE = re.compile(r"(?<=[.!?。！？])\s+|\n{2,}")
_MOST_WORDS: Final = 400
_MOST_SENTENCES: Final = 200
_LONGEST_SENTENCE: Final = 240


@lru_cache(maxsize=1)
def _stop_words() -> frozenset[str]:
    """Words of five letters and more that say nothing of what a text is about, in the languages of the material."""
    return frozenset(files(__package__).joinpath("words/stop.txt").read_text(encoding="utf-8").split())


class Source:
    """The words and sentences of a document, in its own order."""

    __slots__ = ("sentences", "words")

    def __init__(self, text: str) -> None:
        stop = _stop_words()
        words = dict.fromkeys(word for word in _WORD.findall(text) if word.lower() not in stop)
        self.words = list(words)[:_MOST_WORDS]
        sentences = [" ".join(sentence.split()) for sentence in _SENTENCE.split(text)[:_MOST_SENTENCES]]
        self.sentences = [_trimmed(sentence) for sentence in sentences if len(sentence) > 15]

    def pair(self, first: int, second: int, spare: Sequence[str]) -> tuple[str, str]:
        """Two different words of the document; `spare` words where it has too few."""
        words: Sequence[str] = self.words if len(self.words) > 1 else [*self.words, *spare]
        at = first % len(words)
        return words[at], words[(at + 1 + second % (len(words) - 1)) % len(words)]

    def sentence(self, number: int, fallback: str) -> str:
        """One sentence of the document; `fallback` as a sentence where it has none."""
        return self.sentences[number % len(self.sentences)] if self.sentences else f"{fallback}."


def _trimmed(sentence: str) -> str:
    if len(sentence) > _LONGEST_SENTENCE:
        return sentence[:_LONGEST_SENTENCE].rsplit(" ", 1)[0] + "…"
    return sentence if sentence[-1] in ".!?。！？…" else sentence + "."


@lru_cache(maxsize=64)
def source_of(text: str) -> Source:
    """The document taken apart; the last 64 are kept, since a document is asked about several times."""
    return Source(text)
