"""The formats of local files with texts in them: how to go through one, and how to read one row of it again."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import orjson

from rowsmith.errors import SourceError, did_you_mean

LARGEST_ARRAY = 64 * 1024 * 1024
"""Bytes of the largest `.json` file that is read: an array has to be read whole."""

_BOM = b"\xef\xbb\xbf"
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")
_LONGEST_FIELD = 2**31 - 1


class Rows(Protocol):
    """Texts in an order, each with a position by which it is found again."""

    @property
    def name(self) -> str:
        """What the texts come from, for messages."""

    def scan(self) -> Iterator[tuple[int, str]]:
        """All positions with their texts, empty ones too.

        Raises:
            SourceError: something is not as the format says; the message has the line.
        """

    def read(self, position: int) -> str:
        """The text at a position that `scan` gave.

        Raises:
            SourceError: there is no longer such a text there.
        """


class Listed:
    """Texts in memory; a text's position is its index."""

    def __init__(self, name: str, texts: Sequence[str]) -> None:
        self.name = name
        self._texts = texts

    def scan(self) -> Iterator[tuple[int, str]]:
        for index, text in enumerate(self._texts):
            if not isinstance(text, str):
                raise SourceError(f"Item {index} of {self.name} is not a text but a {type(text).__name__}.")
            if not text.isascii():
                _require_encodable(text, f"item {index} of {self.name}")
            yield index, text

    def read(self, position: int) -> str:
        return self._texts[position]


class Lines:
    """A text in each line (`.txt`); a text's position is the byte its line begins at."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path

    def scan(self) -> Iterator[tuple[int, str]]:
        with _opened(self._path) as file:
            feed = _Feed(self.name, file)
            start = feed.offset
            for line in feed:
                yield start, _without_line_end(line)
                start = feed.offset

    def read(self, position: int) -> str:
        with _opened(self._path, position) as file:
            return _without_line_end(next(_Feed(self.name, file), ""))


class JSONLines:
    """An object in each line (`.jsonl`); a text's position is the byte its line begins at."""

    def __init__(self, path: Path, column: str) -> None:
        self.name = str(path)
        self._path = path
        self._column = column

    def scan(self) -> Iterator[tuple[int, str]]:
        with _opened(self._path) as file:
            feed = _Feed(self.name, file)
            start = feed.offset
            for line in feed:
                yield start, self._text(line, f"Line {feed.line} of {self.name}")
                start = feed.offset

    def read(self, position: int) -> str:
        with _opened(self._path, position) as file:
            return self._text(next(_Feed(self.name, file), ""), f"A line of {self.name}")

    def _text(self, line: str, place: str) -> str:
        if not line or line.isspace():
            return ""
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise SourceError(f"{place} is not JSON: {error}.") from None
        value = _value(row, self._column, place)
        return value if isinstance(value, str) else _spelled(json.loads(line, **_AS_SPELLED), self._column, place)


class Table:
    """A header, then a row in each record (`.csv`, `.tsv`); a text's position is the byte its record begins at.

    Args:
        path: the file.
        column: the name of the column with the texts.
        delimiters: what may divide the columns; the first that gives a header with the column does.
    """

    def __init__(self, path: Path, column: str, delimiters: str) -> None:
        self.name = str(path)
        self._path = path
        self._column = column
        # The limit belongs to the process and is 131,072 characters; documents are longer. It is only ever raised.
        if csv.field_size_limit() < _LONGEST_FIELD:
            csv.field_size_limit(_LONGEST_FIELD)
        self._delimiter, self._place = self._column_in(delimiters)

    def scan(self) -> Iterator[tuple[int, str]]:
        with _opened(self._path) as file:
            feed = _Feed(self.name, file)
            records = self._records(feed, self._delimiter)
            next(records, None)
            start, line = feed.offset, feed.line
            for record in records:
                yield start, self._text(record, line + 1)
                start, line = feed.offset, feed.line

    def read(self, position: int) -> str:
        with _opened(self._path, position) as file:
            return self._text(next(self._records(_Feed(self.name, file), self._delimiter), []), None)

    def _text(self, record: list[str], line: int | None) -> str:
        if not record:
            return ""
        if len(record) <= self._place:
            place = f"Line {line} of {self.name}" if line else f"A line of {self.name}"
            raise SourceError(f"{place} has {len(record)} columns; {self._column!r} is column {self._place + 1}.")
        return record[self._place]

    def _records(self, feed: _Feed, delimiter: str) -> Iterator[list[str]]:
        # Strict: else a quote that is never closed makes one text of all the rest of the file, without a word.
        records = csv.reader(feed, delimiter=delimiter, strict=True)
        while True:
            line = feed.line + 1
            try:
                record = next(records)
            except StopIteration:
                return
            except csv.Error as error:
                raise SourceError(f"The record at line {line} of {self.name} is not CSV: {error}.") from None
            yield record

    def _column_in(self, delimiters: str) -> tuple[str, int]:
        headers = []
        for delimiter in delimiters:
            with _opened(self._path) as file:
                header = [name.strip() for name in next(self._records(_Feed(self.name, file), delimiter), [])]
            if header.count(self._column) > 1:
                raise SourceError(f"{self.name} has {header.count(self._column)} columns named {self._column!r}.")
            if self._column in header:
                return delimiter, header.index(self._column)
            headers.append(header)
        known = max(headers, key=len)
        if not known:
            raise SourceError(f"{self.name} is empty: it has no header.")
        raise SourceError(f"{self.name} has no column {self._column!r}. {did_you_mean(self._column, known)}")


def array_of(path: Path, column: str) -> Listed:
    """The texts of a `.json` file: an array of texts, or of objects with the text under a key.

    Raises:
        SourceError: it is something else, or too large to be read whole.
    """
    size = path.stat().st_size
    if size > LARGEST_ARRAY:
        raise SourceError(
            f"{path} has {size:,} bytes; a .json file is read whole, up to {LARGEST_ARRAY:,}. "
            "Make it a .jsonl file, with an object in each line."
        )
    with _opened(path) as file:
        text = "".join(_Feed(str(path), file))
    if not text or text.isspace():
        raise SourceError(f"{path} is empty.")
    try:
        rows = json.loads(text, **_AS_SPELLED)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is not JSON: {error}.") from None
    if not isinstance(rows, list):
        raise SourceError(f"{path} has to hold an array of objects or texts; it holds one {type(rows).__name__}.")
    return Listed(str(path), [_spelled(row, column, f"Item {at} of {path}") for at, row in enumerate(rows)])


_AS_SPELLED: dict[str, Any] = {"parse_int": str, "parse_float": str, "parse_constant": str}


def _value(row: Any, column: str, place: str) -> Any:
    if isinstance(row, str):
        return row
    if not isinstance(row, dict):
        raise SourceError(f"{place} is not an object but a {type(row).__name__}.")
    if column not in row:
        raise SourceError(f"{place} has no {column!r}. {did_you_mean(column, row)}")
    return row[column]


def _spelled(row: Any, column: str, place: str) -> str:
    """The text of a row whose numbers were left as they are spelled; null is an empty text."""
    value = _value(row, column, place)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        kind = "an array" if isinstance(value, list) else "an object"
        raise SourceError(f"{place} has {kind} under {column!r}; a text is needed.")
    _require_encodable(value, place)
    return value


def _require_encodable(text: str, place: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise SourceError(
            f"{place}: character {error.start} is half of a surrogate pair; no file can hold it."
        ) from None


class _Feed(Iterable[str]):
    """The lines of a file as text, with their ends, and how far it has been read.

    Lines end at a line feed and nowhere else.

    Attributes:
        offset: the byte behind the last line given.
        line: the number of the last line given, from 1; 0 before the first.
    """

    def __init__(self, name: str, file: BinaryIO) -> None:
        self._name = name
        self._file = file
        self.offset = file.tell()
        self.line = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        raw = self._file.readline()
        if not raw:
            raise StopIteration
        start, self.offset, self.line = self.offset, self.offset + len(raw), self.line + 1
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{self._name} is not UTF-8: byte 0x{raw[error.start]:02X} at {start + error.start}, in line "
                f"{self.line}. Save it as UTF-8; if it is Windows-1252: iconv -f WINDOWS-1252 -t UTF-8."
            ) from None


def _opened(path: Path, position: int = 0) -> BinaryIO:
    """The file at a position; at its start, behind its byte order mark."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        if position:
            file.seek(position)
            return file
        mark = file.read(len(_BOM))
        if mark.startswith(_WIDE_BOMS):
            raise SourceError(f"{path} is not UTF-8 but UTF-16. Save it as UTF-8: iconv -f UTF-16 -t UTF-8.")
        file.seek(len(_BOM) if mark == _BOM else 0)
    except BaseException:
        file.close()
        raise
    return file


def _without_line_end(line: str) -> str:
    return line[:-2] if line.endswith("\r\n") else line.removesuffix("\n")
