"""Lines of JSON, each a row: those of a file, those that were added to it, and views of them.

Nothing here holds the lines in memory, only where each begins: eight bytes a line.
"""

from __future__ import annotations

import math
import os
import re
import stat
import tempfile
import weakref
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import orjson

from rowsmith.errors import ConfigError, SourceError, StorageError, did_you_mean

Row = dict[str, Any]

_BOM = b"\xef\xbb\xbf"
_CHUNK = 1 << 20
_LONG_NUMBER = re.compile(rb"[0-9]{19}")


class Lines(Protocol):
    """Lines in an order, each reached by its place, from 0, and without its end."""

    def __len__(self) -> int:
        """How many there are."""

    def __iter__(self) -> Iterator[bytes]:
        """All of them."""

    def line(self, place: int) -> bytes:
        """The line at a place within the length."""

    def where(self, place: int) -> str:
        """What to call the line in a message."""


class _Spans:
    """Lines that lie one behind the other in bytes that can be read from anywhere."""

    def __init__(self) -> None:
        self._starts = array("Q")
        self._end = 0

    def __len__(self) -> int:
        return len(self._starts)

    def line(self, place: int) -> bytes:
        start, stop = self._starts[place], self._start(place + 1)
        return self._read(start, stop).rstrip()

    def __iter__(self) -> Iterator[bytes]:
        place, count = 0, len(self)
        while place < count:
            start = self._starts[place]
            after = max(place + 1, bisect_right(self._starts, start + _CHUNK, place, count) - 1)
            block = self._read(start, self._start(after))
            for at in range(place, after):
                yield block[self._starts[at] - start : self._start(at + 1) - start].rstrip()
            place = after

    def _start(self, place: int) -> int:
        return self._starts[place] if place < len(self._starts) else self._end

    def _read(self, start: int, stop: int) -> bytes:
        raise NotImplementedError


class FileLines(_Spans):
    """The lines of a file as it was when it was opened. Blank lines are none.

    The file is held open. So one that is replaced or deleted meanwhile is still read as it was, and one that grows
    keeps its length here.

    Args:
        path: the file, in UTF-8.
        growing: somebody may be writing at its end, so that a last line which is not whole is none yet.

    Raises:
        SourceError: it cannot be read.
    """

    def __init__(self, path: Path, *, growing: bool = False) -> None:
        super().__init__()
        self._path = path
        try:
            self._file = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            raise SourceError(f"There is no file {path}. {_neighbours(path)}") from None
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error.strerror}.") from error
        weakref.finalize(self, os.close, self._file)
        status = os.fstat(self._file)
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a device or a pipe"
            raise SourceError(f"{path} is {kind}, not a file.")
        self.stamp = stamp_of(status)
        self._scan(growing=growing)

    def where(self, place: int) -> str:
        number, at, start = 1, 0, self._starts[place]
        while at < start:
            block = os.pread(self._file, min(_CHUNK, start - at), at)
            if not block:
                break
            number, at = number + block.count(b"\n"), at + len(block)
        changed = "" if stamp_of(os.fstat(self._file)) == self.stamp else " (the file was changed since it was opened)"
        return f"{self._path}, line {number}{changed}"

    def _scan(self, *, growing: bool) -> None:
        at, last = 0, b""
        with open(self._file, "rb", closefd=False) as file:
            if file.read(len(_BOM)) == _BOM:
                at = len(_BOM)
            file.seek(at)
            for last in file:
                if not last.isspace():
                    self._starts.append(at)
                at += len(last)
        if growing and last and not last.endswith(b"\n") and not last.isspace() and not _is_whole(last):
            at = self._starts.pop()
        self._end = at

    def _read(self, start: int, stop: int) -> bytes:
        data = os.pread(self._file, stop - start, start)
        if len(data) < stop - start:
            raise SourceError(f"{self._path} was cut short while it was in use. Open it again.")
        return data


class Spool(_Spans):
    """Lines that are added one by one: in memory as long as they are few, then in a temporary file without a name.

    Raises:
        StorageError: there is no room for them.
    """

    def __init__(self) -> None:
        super().__init__()
        self._file = -1
        self._written = 0
        self._tail = bytearray()

    def add(self, line: bytes) -> None:
        """Put a line at the end."""
        self._starts.append(self._end)
        self._tail += line
        self._tail += b"\n"
        self._end += len(line) + 1
        if len(self._tail) >= _CHUNK:
            self._flush()

    def where(self, place: int) -> str:
        return f"row {place + 1}"

    def _read(self, start: int, stop: int) -> bytes:
        if start >= self._written:
            return bytes(self._tail[start - self._written : stop - self._written])
        stored = os.pread(self._file, min(stop, self._written) - start, start)
        return stored + bytes(self._tail[: max(0, stop - self._written)])

    def _flush(self) -> None:
        try:
            if self._file < 0:
                with tempfile.TemporaryFile(prefix="rowsmith-") as file:
                    self._file = os.dup(file.fileno())
                weakref.finalize(self, os.close, self._file)
            view = memoryview(bytes(self._tail))
            while view:
                done = os.pwrite(self._file, view, self._written)
                self._written, view = self._written + done, view[done:]
        except OSError as error:
            raise StorageError(
                f"rows cannot be kept in a temporary file in {tempfile.gettempdir()}: {error.strerror}. "
                "The environment variable TMPDIR names another folder."
            ) from error
        self._tail.clear()


class Chosen:
    """Some lines of others, by their places: a selection, another order, or a part."""

    def __init__(self, lines: Lines, places: Sequence[int]) -> None:
        # A view of a view is one of what lies below both, so that views do not pile up.
        self._lines: Lines = lines._lines if isinstance(lines, Chosen) else lines
        self._places: Sequence[int] = places
        if isinstance(lines, Chosen):
            self._places = array("Q", [lines._places[place] for place in places])

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[bytes]:
        return map(self._lines.line, self._places)

    def line(self, place: int) -> bytes:
        return self._lines.line(self._places[place])

    def where(self, place: int) -> str:
        return self._lines.where(self._places[place])


class Joined:
    """Lines, and others after them."""

    def __init__(self, first: Lines, second: Lines) -> None:
        self._first = first
        self._second = second

    def __len__(self) -> int:
        return len(self._first) + len(self._second)

    def __iter__(self) -> Iterator[bytes]:
        yield from self._first
        yield from self._second

    def line(self, place: int) -> bytes:
        ahead = len(self._first)
        return self._first.line(place) if place < ahead else self._second.line(place - ahead)

    def where(self, place: int) -> str:
        ahead = len(self._first)
        return self._first.where(place) if place < ahead else f"row {place + 1}"


def as_lines(rows: Iterable[Mapping[str, Any]]) -> Spool:
    """Rows as lines of their own.

    Raises:
        ConfigError: one is not a row, or holds what JSON cannot.
    """
    spool = Spool()
    for row in rows:
        spool.add(as_line(row, f"row {len(spool) + 1}"))
    return spool


def as_line(row: Mapping[str, Any], name: str = "the row") -> bytes:
    """A row as a line of JSON, without its end.

    Args:
        row: field → value.
        name: what to call it in a message.

    Raises:
        ConfigError: it is not a row, or holds what JSON cannot.
    """
    if not isinstance(row, Mapping):
        raise ConfigError(
            f"{name} is no row but a {type(row).__name__}: a row is a mapping such as {{'text': 'Hello'}}"
        )
    try:
        line = orjson.dumps(row if isinstance(row, dict) else dict(row))
    except TypeError as error:
        if "64-bit" in str(error):
            import json

            return json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        raise ConfigError(f"{name} cannot be written as JSON: {error}") from error
    # NaN and the infinities come out as null.
    if b"null" in line and (found := _not_a_number(row)):
        raise ConfigError(f"{name} cannot be written as JSON: {found}; use None where there is no value")
    return line


def as_row(lines: Lines, place: int, line: bytes) -> Row:
    """The row in a line.

    Args:
        lines: where it is from, for the message.
        place: its place there.
        line: the line.

    Raises:
        SourceError: it is not a JSON object.
    """
    try:
        row = orjson.loads(line)
        if _LONG_NUMBER.search(line):
            # orjson rounds numbers beyond 64 bits; they are ids more often than amounts.
            import json

            row = json.loads(line)
    except ValueError as error:
        raise SourceError(f"{lines.where(place)}, is not JSON: {error}") from error
    if not isinstance(row, dict):
        raise SourceError(f"{lines.where(place)}, is not an object with fields but a {type(row).__name__}")
    return row


def stamp_of(status: os.stat_result) -> tuple[int, int, int]:
    """What changes when a file does."""
    return status.st_ino, status.st_size, status.st_mtime_ns


def _is_whole(line: bytes) -> bool:
    """Whether a line without an end is complete: no beginning of an object is an object."""
    try:
        return isinstance(orjson.loads(line), dict)
    except ValueError:
        return False


def _not_a_number(value: Any, path: str = "") -> str:
    """Where a float is that JSON has no spelling for; empty if there is none."""
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"{path} is {value}"
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    for name, item in items:
        if found := _not_a_number(item, f"{path}.{name}" if path else str(name)):
            return found
    return ""


def _neighbours(path: Path) -> str:
    folder = path.absolute().parent
    if not folder.is_dir():
        return f"Neither is there a folder {folder}."
    return did_you_mean(path.name, (one.name for one in folder.glob("*.jsonl")))
