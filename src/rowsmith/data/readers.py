"""Texts to work from: a column of a local file, or a list in memory, each reached by its number.

A file is scanned once. What is kept of it is 16 bytes for each text: where its row begins, and a fingerprint. The text
itself is read from the file when it is asked for, so memory does not grow with the size of the texts.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, overload

import orjson

from rowsmith.errors import SourceError, did_you_mean

FINGERPRINT_BYTES = 8
LARGEST_ARRAY = 64 * 1024 * 1024
"""Bytes of the largest `.json` file that is read: an array has to be read whole."""

EMPTY = "empty"
TOO_SHORT = "too short"
TOO_LONG = "too long"

_BOM = b"\xef\xbb\xbf"
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")
_LONGEST_FIELD = 2**31 - 1
_SUFFIXES = (".txt", ".csv", ".tsv", ".jsonl", ".ndjson", ".json")


class Source(Sequence[str]):
    """Texts by number, in their order; those outside the bounds of length are left out.

    Attributes:
        name: what the texts come from, for messages.
        skipped: how many texts were left out, by reason: `empty`, `too short`, `too long`.
    """

    def __init__(self, name: str, bounds: Bounds, read: Callable[[int, int], str]) -> None:
        """`read` gives the text of a kept row, from its index and the position that was noted for it."""
        self.name = name
        self.skipped: Counter[str] = Counter()
        self._bounds = bounds
        self._read = read
        self._positions = array("Q")
        self._fingerprints = bytearray()

    @property
    def fingerprints(self) -> memoryview:
        """`FINGERPRINT_BYTES` bytes for each text, one after another: equal for equal texts, on every machine."""
        return memoryview(self._fingerprints).toreadonly()

    def __len__(self) -> int:
        return len(self._positions)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(f"{self.name} has {len(self)} texts, and none has the number {index}.")
        text = self._read(at, self._positions[at])
        start = at * FINGERPRINT_BYTES
        if fingerprint(text) != self._fingerprints[start : start + FINGERPRINT_BYTES]:
            raise _changed(self.name)
        return text

    def __iter__(self) -> Iterator[str]:
        return (self[at] for at in range(len(self)))

    def _note(self, position: int, text: str) -> None:
        reason = self._bounds.reason_against(text)
        if reason is not None:
            self.skipped[reason] += 1
            return
        self._positions.append(position)
        self._fingerprints += fingerprint(text)

    def _require_texts(self) -> None:
        if len(self):
            return
        if not self.skipped:
            raise SourceError(f"{self.name} has no texts in it.")
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.skipped.most_common())
        raise SourceError(f"No text of {self.name} can be used: {reasons}. {self._bounds}")


@dataclass(frozen=True, slots=True)
class Bounds:
    """The lengths that texts may have, in characters, both ends included; `longest` None is no bound."""

    shortest: int = 0
    longest: int | None = None

    def reason_against(self, text: str) -> str | None:
        if not text or text.isspace():
            return EMPTY
        if len(text) < self.shortest:
            return TOO_SHORT
        return TOO_LONG if self.longest is not None and len(text) > self.longest else None

    def __str__(self) -> str:
        upper = "" if self.longest is None else f" and at most {self.longest}"
        return f"Texts need at least {self.shortest}{upper} characters."


def open_source(
    origin: str | os.PathLike[str] | Sequence[str],
    column: str = "text",
    *,
    min_length: int = 0,
    max_length: int | None = None,
) -> Source:
    """The texts of a file, or of a list of texts.

    Files are UTF-8, with or without a byte order mark, and known by their ending: `.txt` has a text in each line,
    `.csv` and `.tsv` a header, `.jsonl` (`.ndjson`) an object in each line, `.json` an array of objects or of texts.
    Texts stay as they are, to the byte; of numbers and words in JSON it is their spelling. Empty texts (blanks alone)
    are left out.

    Args:
        origin: the path, or the texts themselves.
        column: the column or key with the text; a `.txt` file has none.
        min_length: characters that a text must have.
        max_length: characters that a text may have; None is no bound.

    Raises:
        SourceError: the file is missing, not UTF-8, not of its format, without the column, or without usable texts.
    """
    bounds = Bounds(min_length, max_length)
    source = _in_memory(list(origin), bounds) if _is_list(origin) else _from_file(Path(os.fspath(origin)), column, bounds)  # type: ignore[arg-type]
    source._require_texts()
    return source
