"""Texts to work from: a column of a local file, or a list in memory, each reached by its number.

A file is scanned once. What is kept of it is 16 bytes for each text: where its row begins, and a fingerprint. The text
itself is read from the file when it is asked for, so memory does not grow with the size of the texts.
"""

from __future__ import annotations

import difflib
import hashlib
import os
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from rowsmith.data.source_files import JSONLines, Lines, Listed, Rows, Table, array_of
from rowsmith.errors import SourceError, did_you_mean

FINGERPRINT_BYTES = 8

EMPTY = "empty"
TOO_SHORT = "too short"
TOO_LONG = "too long"
REPEATED = "repeated"

_SUFFIXES = (".txt", ".csv", ".tsv", ".jsonl", ".ndjson", ".json")
_SHOWN_NEIGHBOURS = 10


@dataclass(frozen=True, slots=True)
class Bounds:
    """The lengths that texts may have, in characters, both ends included; `longest` None is no bound."""

    shortest: int = 0
    longest: int | None = None

    def reason_against(self, text: str) -> str | None:
        """Why a text is left out: `empty` (blanks alone), `too short`, `too long`; None if it is not."""
        if not text or text.isspace():
            return EMPTY
        if len(text) < self.shortest:
            return TOO_SHORT
        return TOO_LONG if self.longest is not None and len(text) > self.longest else None

    def __str__(self) -> str:
        upper = "" if self.longest is None else f" and at most {self.longest}"
        return f"at least {self.shortest}{upper} characters"


class Source(Sequence[str]):
    """Texts by number, in their order, read when asked for.

    Args:
        rows: where the texts come from.
        bounds: the lengths they may have; the others are left out.
        distinct: leave out a text that came before.
        limit: stop after so many texts; None reads all.

    Attributes:
        name: what the texts come from, for messages.
        skipped: how many texts were left out, by reason.

    Raises:
        SourceError: the rows cannot be read.
    """

    def __init__(self, rows: Rows, bounds: Bounds, *, distinct: bool = False, limit: int | None = None) -> None:
        self.name = rows.name
        self.skipped: Counter[str] = Counter()
        self._rows = rows
        self._positions = array("Q")
        self._fingerprints = bytearray()
        seen: set[bytes] = set()
        for position, text in rows.scan():
            mark = fingerprint(text)
            reason = bounds.reason_against(text) or (REPEATED if mark in seen else None)
            if reason is None:
                if distinct:
                    seen.add(mark)
                self._positions.append(position)
                self._fingerprints += mark
                if len(self._positions) == limit:
                    break
            else:
                self.skipped[reason] += 1

    @property
    def fingerprints(self) -> memoryview:
        """`FINGERPRINT_BYTES` bytes for each text, one after another: equal for equal texts, on every machine."""
        return memoryview(self._fingerprints).toreadonly()

    def fingerprint(self, number: int) -> bytes:
        """The fingerprint of one text."""
        start = number * FINGERPRINT_BYTES
        return bytes(self._fingerprints[start : start + FINGERPRINT_BYTES])

    def __len__(self) -> int:
        return len(self._positions)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        """The text with a number.

        Raises:
            SourceError: the file is gone, or is no longer what it was when it was scanned.
        """
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(f"{self.name} has {len(self)} texts, and none has the number {index}.")
        text = self._rows.read(self._positions[at])
        start = at * FINGERPRINT_BYTES
        if fingerprint(text) != self._fingerprints[start : start + FINGERPRINT_BYTES]:
            raise SourceError(f"{self.name} was changed while it was in use. Start again.")
        return text

    def __iter__(self) -> Iterator[str]:
        return (self[at] for at in range(len(self)))


def open_source(
    origin: str | os.PathLike[str] | Sequence[str],
    column: str = "text",
    *,
    min_length: int = 0,
    max_length: int | None = None,
    distinct: bool = False,
    limit: int | None = None,
) -> Source:
    """The texts of a file, or of a list of texts.

    Files are UTF-8, with or without a byte order mark, and known by their ending: `.txt` has a text in each line,
    `.csv` and `.tsv` a header, `.jsonl` (`.ndjson`) an object in each line, `.json` an array of objects or of texts.
    Texts stay as they are, to the byte; a number or a truth value in JSON gives its spelling. Texts of blanks alone
    are left out.

    Args:
        origin: the path, or the texts themselves.
        column: the column or key with the text. A `.txt` file has none, a list neither.
        min_length: characters that a text must have.
        max_length: characters that a text may have; None is no bound.
        distinct: leave out a text that came before.
        limit: only so many texts, the first that fit; the rest of a file is not read. None is all.

    Raises:
        SourceError: the file is missing, not UTF-8, not of its format, without the column, or without usable texts.
    """
    bounds = Bounds(min_length, max_length)
    if isinstance(origin, str | os.PathLike):
        source = Source(_rows_of(Path(origin), column), bounds, distinct=distinct, limit=limit)
    else:
        source = Source(Listed("the list of texts", list(origin)), bounds, distinct=distinct, limit=limit)
    if len(source):
        return source
    if not source.skipped:
        raise SourceError(f"{source.name} has no texts in it.")
    reasons = ", ".join(f"{count} {reason}" for reason, count in source.skipped.most_common())
    raise SourceError(f"No text of {source.name} can be used: {reasons}. A text needs {bounds}.")


def fingerprint(text: str) -> bytes:
    """`FINGERPRINT_BYTES` bytes that stand for a text (BLAKE2b of its UTF-8)."""
    return hashlib.blake2b(text.encode(), digest_size=FINGERPRINT_BYTES).digest()


def _rows_of(path: Path, column: str) -> Rows:
    if path.is_dir():
        raise SourceError(f"{path} is a folder, not a file.")
    if not path.exists():
        raise SourceError(f"There is no file {path}. {_neighbours(path)}")
    match path.suffix.lower():
        case ".txt":
            return Lines(path)
        case ".csv":
            return Table(path, column, delimiters=",;\t|")
        case ".tsv":
            return Table(path, column, delimiters="\t")
        case ".jsonl" | ".ndjson":
            return JSONLines(path, column)
        case ".json":
            return array_of(path, column)
        case other:
            raise SourceError(
                f"{path} ends in {other!r}, which is not a format known here. Known: {', '.join(_SUFFIXES)}."
            )


def _neighbours(path: Path) -> str:
    folder = path.absolute().parent
    if not folder.is_dir():
        return f"Neither is there a folder {folder}."
    names = sorted(one.name for one in folder.iterdir() if one.suffix.lower() in _SUFFIXES)
    if not names:
        return f"There is no {', '.join(_SUFFIXES[:-1])} or {_SUFFIXES[-1]} file in {folder}."
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    return did_you_mean(path.name, near or names[:_SHOWN_NEIGHBOURS])
