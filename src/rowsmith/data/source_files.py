"""The formats of files with a row in each line or record: how to go through one, and how to read a row again."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import orjson

from rowsmith.data.feed import LONGEST_LINE, Feed, TextFile, without_line_end
from rowsmith.data.shapes import NumberFound, Shape, WrongRow, plain, spelled
from rowsmith.errors import SourceError, did_you_mean

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Problem = Callable[[SourceError], None]
"""Told of a row that cannot be read; raises the error, or takes note of it and has the reading go on."""

AS_SPELLED: dict[str, Any] = {"parse_int": str, "parse_float": str, "parse_constant": str}
LONG_NUMBER = re.compile(rb"\d{19}")
"""What may be an integer beyond 64 bits: orjson makes a float of it."""


class Rows(Protocol[T_co]):
    """Rows in an order, each with a position by which it is found again."""

    @property
    def name(self) -> str:
        """What the rows come from, for messages."""

    def scan(self, problem: Problem) -> Iterator[tuple[int, T_co | None]]:
        """All positions with their rows; None for one that is empty.

        Args:
            problem: told of each row that cannot be read.

        Raises:
            SourceError: the source cannot be read at all, or not to its end.
        """

    def read(self, position: int) -> T_co | None:
        """The row at a position that `scan` gave.

        Raises:
            SourceError: there is no longer such a row there.
        """


class Listed(Generic[T]):
    """Rows in memory; a row's position is its index.

    Args:
        name: for messages.
        items: texts, or mappings.
        shape: what they are made into.
    """

    def __init__(self, name: str, items: Sequence[Any], shape: Shape[T]) -> None:
        self.name = name
        self._items = items
        self._shape = shape

    def scan(self, problem: Problem) -> Iterator[tuple[int, T | None]]:
        for index in range(len(self._items)):
            try:
                item = self._made(self._items[index])
            except WrongRow as wrong:
                problem(SourceError(f"Item {index} of {self.name} {wrong}"))
                continue
            yield index, item

    def read(self, position: int) -> T | None:
        try:
            return self._made(self._items[position])
        except (IndexError, WrongRow):
            raise changed(self.name) from None

    def _made(self, row: Any) -> T | None:
        if not isinstance(row, str | Mapping):
            raise WrongRow(f"is neither a text nor a mapping but a {type(row).__name__}.")
        if self._shape.keeps_numbers and not isinstance(row, str):
            row = plain(row)
        return with_numbers(self._shape, row)


class Lines(Generic[T]):
    """A text in each line (`.txt`); its position is the byte its line begins at."""

    def __init__(self, file: TextFile, shape: Shape[T]) -> None:
        self.name = file.name
        self._file = file
        self._shape = shape

    def scan(self, problem: Problem) -> Iterator[tuple[int, T | None]]:
        return _by_lines(self._file, lambda feed, raw: self._shape.of(without_line_end(feed.text(raw))), problem)

    def read(self, position: int) -> T | None:
        try:
            with Feed(self._file, position) as feed:
                return self._shape.of(without_line_end(next(feed, "")))
        except WrongRow:
            raise changed(self.name) from None


def _by_lines(
    file: TextFile, item: Callable[[Feed, bytes], T | None], problem: Problem
) -> Iterator[tuple[int, T | None]]:
    """Each line with the byte it begins at.

    Args:
        file: the file.
        item: makes something of a line, as it was read.
        problem: told of each line of which nothing can be made.
    """
    with Feed(file) as feed:
        start = feed.offset
        while raw := feed.raw():
            try:
                made = item(feed, raw)
            except SourceError as error:
                problem(error)
            except WrongRow as wrong:
                problem(SourceError(f"Line {feed.line} of {file.name} {wrong}"))
            else:
                yield start, made
            start = feed.offset


class WholeFile(Generic[T]):
    """A file that is one text (`.md`, or `.txt` by choice); its one position is 0.

    Args:
        file: the file.
        document_id: what the document is called: its path.
        shape: what the text is made into.
    """

    def __init__(self, file: TextFile, document_id: str, shape: Shape[T]) -> None:
        self.name = file.name
        self._file = file
        self._id = document_id
        self._shape = shape

    def scan(self, problem: Problem) -> Iterator[tuple[int, T | None]]:
        try:
            item = self._shape.whole(self._text(), self._id)
        except SourceError as error:
            problem(error)
        except WrongRow as wrong:
            problem(SourceError(f"{self.name} {wrong}"))
        else:
            yield 0, item

    def read(self, position: int) -> T | None:  # noqa: ARG002  # of the protocol
        try:
            return self._shape.whole(self._text(), self._id)
        except WrongRow:
            raise changed(self.name) from None

    def _text(self) -> str:
        with Feed(self._file) as feed:
            text = "".join(feed)
        if len(text) > LONGEST_LINE:
            raise SourceError(f"{self.name} is too long for one document: {len(text):,} characters.")
        return text


class JSONLines(Generic[T]):
    """An object in each line (`.jsonl`); its position is the byte its line begins at."""

    def __init__(self, file: TextFile, shape: Shape[T]) -> None:
        self.name = file.name
        self._file = file
        self._shape = shape
        self._bytes = file.encoding == "utf-8"

    def scan(self, problem: Problem) -> Iterator[tuple[int, T | None]]:
        return _by_lines(self._file, self._item, problem)

    def read(self, position: int) -> T | None:
        try:
            with Feed(self._file, position) as feed:
                return self._item(feed, feed.raw())
        except WrongRow:
            raise changed(self.name) from None

    def _item(self, feed: Feed, raw: bytes) -> T | None:
        line = raw if self._bytes else feed.text(raw)
        if not line or line.isspace():
            return None
        try:
            return parsed(line, self._shape)
        except ValueError as error:
            feed.text(raw)  # bytes that are no text are told as such
            raise WrongRow(f"is not JSON: {error}.") from None


class Table(Generic[T]):
    """A header, then a row in each record (`.csv`, `.tsv`, RFC 4180); its position is the byte its record begins at.

    Values are texts and stay as they are written: `007` is `007`.

    Args:
        file: the file.
        shape: what rows are made into.
        delimiters: what may divide the columns; that by which the header has all columns that are wanted does, or, if
            none is named, that by which it has most.
    """

    def __init__(self, file: TextFile, shape: Shape[T], delimiters: str) -> None:
        self.name = file.name
        self._file = file
        self._shape = shape
        # The limit belongs to the process and is 131,072 characters; documents are longer. It is only ever raised.
        if csv.field_size_limit() < LONGEST_LINE:
            csv.field_size_limit(LONGEST_LINE)
        self._delimiter, self._header = self._header_by(delimiters)
        self._wanted = [(name, self._header.index(name)) for name in shape.columns or self._header]
        self._last = max((place for _, place in self._wanted), default=0)

    def scan(self, problem: Problem) -> Iterator[tuple[int, T | None]]:
        with Feed(self._file, strict=False) as feed:
            records = self._records(feed)
            next(records, None)
            while True:
                start, line = feed.offset, feed.line + 1
                try:
                    record = next(records, None)
                    _raise_fault(feed)
                    if record is None:
                        return
                    item = self._item(record)
                except SourceError as error:
                    problem(error)
                except WrongRow as wrong:
                    problem(SourceError(f"Line {line} of {self.name} {wrong}"))
                except csv.Error as error:
                    problem(SourceError(f"The record at line {line} of {self.name} is not CSV: {error}."))
                    # Behind its first line: a quote that is never closed has swallowed all that follows.
                    feed.back_to(start, line - 1)
                    feed.raw()
                    records = self._records(feed)
                else:
                    yield start, item

    def read(self, position: int) -> T | None:
        try:
            with Feed(self._file, position) as feed:
                return self._item(next(self._records(feed), []))
        except (csv.Error, WrongRow):
            raise changed(self.name) from None

    def _item(self, record: list[str]) -> T | None:
        if not record:
            return None
        width = len(self._header)
        if len(record) <= self._last:
            name = next(name for name, place in self._wanted if place >= len(record))
            raise WrongRow(f"has {len(record)} columns; {name!r} is column {self._header.index(name) + 1}.")
        if len(record) > width and any(record[width:]):
            raise WrongRow(
                f"has {len(record)} columns, and the header has {width}. "
                f"A text with {self._delimiter!r} in it needs quotes around it."
            )
        return self._shape.of({name: record[place] for name, place in self._wanted})

    def _records(self, feed: Feed, delimiter: str | None = None) -> Iterator[list[str]]:
        # Strict: else a quote that is never closed makes one text of all the rest of the file, without a word.
        return csv.reader(feed, delimiter=delimiter or self._delimiter, strict=True)

    def _header_by(self, delimiters: str) -> tuple[str, list[str]]:
        wanted, headers = self._shape.columns, []
        for delimiter in delimiters:
            try:
                with Feed(self._file) as feed:
                    record = next(self._records(feed, delimiter), [])
            except csv.Error as error:
                raise SourceError(f"The record at line 1 of {self.name} is not CSV: {error}.") from None
            header = [name.strip() for name in record]
            while header and not header[-1]:
                del header[-1]
            if wanted and all(name in header for name in wanted):
                self._must_be_one(wanted, header)
                return delimiter, header
            headers.append((delimiter, header))
        delimiter, known = max(headers, key=lambda one: len(one[1]))
        if not known:
            raise SourceError(f"{self.name} is empty: it has no header.")
        if wanted:
            missing = next(name for name in wanted if name not in known)
            raise SourceError(f"{self.name} has no column {missing!r}. {did_you_mean(missing, known)}")
        self._must_be_one(known, known)
        return delimiter, known

    def _must_be_one(self, names: Sequence[str], header: Sequence[str]) -> None:
        for name in names:
            if header.count(name) > 1:
                raise SourceError(f"{self.name} has {header.count(name)} columns named {name!r}.")


def parsed(line: bytes | str, shape: Shape[T]) -> T | None:
    """What JSON becomes.

    Raises:
        ValueError: it is not JSON.
        WrongRow: it is not what is wanted.
    """
    row = orjson.loads(line)
    if shape.keeps_numbers and LONG_NUMBER.search(line if isinstance(line, bytes) else line.encode()):
        row = json.loads(line)
    try:
        return shape.of(row)
    except NumberFound:
        return shape.of(json.loads(line, **AS_SPELLED))


def with_numbers(shape: Shape[T], row: Any) -> T | None:
    """What a row of a source becomes in which numbers have no spelling of their own."""
    try:
        return shape.of(row)
    except NumberFound:
        return shape.of(spelled(row))


def changed(name: str) -> SourceError:
    """What to say of a source that is no longer what it was."""
    return SourceError(f"{name} was changed while it was in use. Start again.")


def _raise_fault(feed: Feed) -> None:
    if feed.fault is not None:
        fault, feed.fault = feed.fault, None
        raise fault
