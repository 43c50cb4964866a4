"""A JSON file of any size: the elements of its one array, each found by where its brackets close."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Generic, TypeVar

from rowsmith.data.feed import LONGEST_LINE, Feed, TextFile, unreadable
from rowsmith.data.shapes import Shape, WrongRow
from rowsmith.data.source_files import Problem, changed, parsed
from rowsmith.errors import SourceError

T = TypeVar("T")

_CHUNK = 1 << 16
_BLANKS = re.compile(rb"[ \t\n\r]*+")
_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_FLAT = re.compile(rb'\{(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+\}', re.DOTALL)
"""An object without objects or arrays in it, which is what most elements are: found in one go."""
_ENDS = re.compile(rb'["\[\]{},]')
_BRACKETS = re.compile(rb'["\[\]{}]')
_READING = (OSError, EOFError, zlib.error)


class JSONArray(Generic[T]):
    """A `.json` file: an array of objects or texts, or an object with one in it (`{"version": 1, "data": [...]}`).

    The file is never held whole: an element's position is the byte it begins at.

    Args:
        file: the file. In another encoding than UTF-8 it is read into memory.
        shape: what the elements are made into.
    """

    def __init__(self, file: TextFile, shape: Shape[T]) -> None:
        self.name = file.name
        self._file = file
        self._shape = shape
        self._recoded: bytes | None = None
        if file.encoding != "utf-8":
            with Feed(file) as feed:
                self._recoded = "".join(feed).encode()

    def scan(self, problem: Problem) -> Iterator[tuple[int, T | None]]:
        try:
            with self._scanner(self._start()) as scanner:
                for number, (offset, raw) in enumerate(scanner.elements()):
                    try:
                        item = self._item(raw, offset)
                    except WrongRow as wrong:
                        problem(SourceError(f"Item {number} of {self.name} {wrong}"))
                    except SourceError as error:
                        problem(error)
                    else:
                        yield offset, item
        except _Malformed as error:
            raise SourceError(f"{self.name} is not JSON: {error} (byte {error.offset:,}).") from None

    def read(self, position: int) -> T | None:
        with self._scanner(position) as scanner:
            try:
                return self._item(scanner.value(), position)
            except (WrongRow, _Malformed):
                raise changed(self.name) from None

    def _item(self, raw: bytes, offset: int) -> T | None:
        try:
            return parsed(raw, self._shape)
        except ValueError as error:
            self._file.decoded(raw, offset, self._line_at(offset))
            raise WrongRow(f"is not JSON: {error}.") from None

    def _start(self) -> int:
        """The byte behind the bracket that opens the array."""
        with self._scanner(None) as scanner:
            match scanner.sign():
                case b"[":
                    return scanner.offset + 1
                case b"{":
                    arrays = dict(scanner.arrays())
                case b"":
                    raise SourceError(f"{self.name} is empty.")
                case _:
                    arrays = {}
        if len(arrays) == 1:
            return next(iter(arrays.values())) + 1
        what = f"an object with {len(arrays)} arrays: {', '.join(arrays)}" if arrays else "none"
        raise SourceError(
            f"{self.name} has to hold an array of objects or texts, or an object with one; it holds {what}."
        )

    def _scanner(self, position: int | None) -> _Scanner:
        if self._recoded is not None:
            return _Scanner(self.name, io.BytesIO(self._recoded[position or 0 :]), position or 0, None)
        return _Scanner(
            self.name, self._file.opened(position), self._file.start if position is None else position, self._file
        )

    def _line_at(self, offset: int) -> int:
        with self._scanner(None) as scanner:
            return 1 + scanner.count(b"\n", offset)


class _Malformed(Exception):  # noqa: N818  # never leaves this module
    """The brackets and commas are not those of JSON."""

    def __init__(self, words: str, offset: int) -> None:
        self.offset = offset
        super().__init__(words)


class _Scanner:
    """Goes through JSON by its brackets, strings and commas; a context manager that gives the file back."""

    def __init__(self, name: str, file: BinaryIO, base: int, release: TextFile | None) -> None:
        self._name = name
        self._file = file
        self._base = base  # of `_data` in the file
        self._data = b""
        self._at = 0
        self._release = release

    def __enter__(self) -> _Scanner:
        return self

    def __exit__(self, *_: object) -> None:
        if self._release is not None:
            self._release.release()

    @property
    def offset(self) -> int:
        """The byte that comes next."""
        return self._base + self._at

    def elements(self) -> Iterator[tuple[int, bytes]]:
        """The values up to the bracket that closes the array, with their places."""
        if self.sign() == b"]":
            self._at += 1
            return
        while True:
            self.sign()
            offset = self.offset
            yield offset, self.value()
            sign = self.sign()
            self._at += 1
            if sign == b"]":
                return
            if sign != b",":
                raise _Malformed("a comma or ] is missing", self.offset - 1)

    def arrays(self) -> Iterator[tuple[str, int]]:
        """The keys of an object that have arrays, and where these begin; the object must be all that there is."""
        self._at += 1
        while self.sign() == b'"':
            key = self.value()
            if self.sign() != b":":
                raise SourceError(f"{self._name} is not JSON: a colon is missing (byte {self.offset:,}).")
            self._at += 1
            if self.sign() == b"[":
                yield key[1:-1].decode(errors="replace"), self.offset
            try:
                self.value(keep=False)
            except _Malformed as error:
                raise SourceError(f"{self._name} is not JSON: {error} (byte {error.offset:,}).") from None
            if self.sign() != b",":
                break
            self._at += 1
        if self.sign() != b"}":
            raise SourceError(f"{self._name} is not JSON: an object is not closed (byte {self.offset:,}).")
        self._at += 1
        if self.sign():
            raise SourceError(f"{self._name} holds one value after another. If each has a line, call it .jsonl.")

    def sign(self) -> bytes:
        """The next byte that is no blank, without passing it; empty at the end."""
        while True:
            blanks = _BLANKS.match(self._data, self._at)
            self._at = blanks.end() if blanks else self._at
            if self._at < len(self._data):
                return self._data[self._at : self._at + 1]
            if not self._fill(self._at):
                return b""

    def value(self, *, keep: bool = True) -> bytes:
        """The bytes of the value that begins here, which is passed; empty if it is not kept."""
        start, depth = self._at, 0
        if flat := _FLAT.match(self._data, start):
            self._at = flat.end()
            return flat[0] if keep else b""
        while True:
            found = (_BRACKETS if depth else _ENDS).search(self._data, self._at)
            if found is None:
                self._at = len(self._data)
                start = self._more(start, keep)
                continue
            sign, self._at = found[0], found.end()
            if sign == b'"':
                start = self._pass_string(start, keep)
            elif sign in b"[{":
                depth += 1
                continue
            elif sign in b"]}" and depth:
                depth -= 1
            elif not depth:
                self._at = found.start()
            if not depth:
                return self._data[start : self._at].rstrip() if keep else b""

    def count(self, sign: bytes, offset: int) -> int:
        """How often a byte stands between here and a place."""
        number = 0
        while self.offset < offset:
            if self._at >= len(self._data) and not self._fill(self._at):
                break
            end = min(len(self._data), self._at + offset - self.offset)
            number += self._data.count(sign, self._at, end)
            self._at = end
        return number

    def _pass_string(self, start: int, keep: bool) -> int:
        while True:
            inside = _STRING.match(self._data, self._at)
            self._at = inside.end() if inside else self._at
            if self._data[self._at : self._at + 1] == b'"':
                self._at += 1
                return start
            start = self._more(start, keep)

    def _more(self, start: int, keep: bool) -> int:
        """Read on in the middle of a value; where it now begins in what is at hand."""
        if not self._fill(start if keep else self._at):
            raise _Malformed("it ends in the middle", self.offset)
        return 0

    def _fill(self, keep_from: int) -> bool:
        try:
            # As much again as there is: a huge value is not copied once for each chunk.
            more = self._file.read(max(_CHUNK, len(self._data) - keep_from))
        except _READING as error:
            raise unreadable(self._name, error) from error
        self._data = self._data[keep_from:] + more
        self._base += keep_from
        self._at -= keep_from
        if len(self._data) > 2 * LONGEST_LINE:
            raise SourceError(f"A value of {self._name} is longer than {LONGEST_LINE:,} bytes.")
        return bool(more)
