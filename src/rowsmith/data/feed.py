"""The bytes of a file, plain or gzip, as lines of text: how a file is opened, decoded, and gone through."""

from __future__ import annotations

import codecs
import io
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from rowsmith.data.inflate import MAGIC, Inflated
from rowsmith.errors import SourceError

LONGEST_LINE = 256 << 20
"""Bytes of the longest line: where a file has no line ends, or a quote that is never closed, memory has an end."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WITHOUT_ORDER = {"utf-16": "utf-16-le", "utf-32": "utf-32-le", "utf-8-sig": "utf-8"}
_READING = (OSError, EOFError, zlib.error)


class TextFile:
    """A file of text: its encoding, and its bytes from any place on.

    A byte order mark (UTF-8, UTF-16, UTF-32) says the encoding and wins over `encoding`. Whether the file is gzip is
    seen in its first bytes, whatever its name.

    Args:
        path: the file.
        encoding: a codec of Python's; None is UTF-8.
        name: what messages call it; its path if not given.

    Raises:
        SourceError: it cannot be opened, or the encoding is none in which lines can be told.
    """

    def __init__(self, path: Path, encoding: str | None = None, name: str | None = None) -> None:
        self.name = name or str(path)
        self._path = path
        self._open: BinaryIO | None = None
        self._gzip = False
        head = self._head()
        mark, marked = next(((len(bom), of) for bom, of in _BOMS if head.startswith(bom)), (0, ""))
        self.encoding = marked or codec(encoding or "utf-8")
        self.start = mark
        """Where the text begins: behind the byte order mark."""
        self.newline = "\n".encode(self.encoding)

    def opened(self, position: int | None = None) -> BinaryIO:
        """The bytes from a position on, or from the start. One reader at a time: to be given back by `release`."""
        try:
            if self._open is None:
                self._open = self._raw()
            self._open.seek(self.start if position is None else position)
        except _READING as error:
            self._close()
            raise unreadable(self.name, error) from error
        return self._open

    def release(self) -> None:
        """Give the bytes back. A gzip file stays open: what was inflated need not be inflated again."""
        if not self._gzip:
            self._close()

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def decoded(self, raw: bytes, start: int, line: int) -> str:
        """Bytes of the file as text.

        Args:
            raw: the bytes.
            start: where they stand, for the message.
            line: in which line, for the message; 0 if that is not known.

        Raises:
            SourceError: they are no text in this encoding.
        """
        try:
            return raw.decode(self.encoding)
        except UnicodeDecodeError as error:
            where = f" in line {line}" if line else ""
            raise SourceError(
                f"{self.name} is not {shown(self.encoding)}: byte 0x{raw[error.start]:02X} at "
                f"{start + error.start},{where}. {_ADVICE if self.encoding == 'utf-8' else ''}".rstrip(" ,")
            ) from None

    def _head(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                head = file.read(4)
            self._gzip = head.startswith(MAGIC)
            if self._gzip:
                with Inflated(self._path) as file:
                    head = io.BufferedReader(file).read(4)
        except _READING as error:
            raise unreadable(self.name, error) from error
        return head

    def _raw(self) -> BinaryIO:
        if self._gzip:
            return cast(BinaryIO, io.BufferedReader(Inflated(self._path), 1 << 16))
        return self._path.open("rb")


_ADVICE = 'Say which encoding it has, such as encoding="cp1252" (Windows), or save it as UTF-8.'


class Feed:
    """The lines of a file, with their ends, and how far it has been read.

    Lines end at a line feed and nowhere else.

    Args:
        file: what to read.
        position: where; None is the start.
        strict: False gives text with replacement characters where bytes cannot be decoded, and says so in `fault`.

    Attributes:
        offset: the byte behind the last line given.
        line: the number of the last line given, from 1; 0 before the first.
        fault: the first thing that was wrong since it was last set to None; only if not strict.
    """

    def __init__(self, file: TextFile, position: int | None = None, *, strict: bool = True) -> None:
        self._of = file
        self._file = file.opened(position)
        self._strict = strict
        self._plain = file.newline == b"\n"
        self.offset = file.start if position is None else position
        self.line = 0
        self.fault: SourceError | None = None

    def __enter__(self) -> Feed:
        return self

    def __exit__(self, *_: object) -> None:
        self._of.release()

    def __iter__(self) -> Feed:
        return self

    def back_to(self, offset: int, line: int) -> None:
        """Read on from a place that was passed before, behind the line with that number."""
        self._file = self._of.opened(offset)
        self.offset, self.line, self.fault = offset, line, None

    def raw(self) -> bytes:
        """The next line as bytes; none at the end.

        Raises:
            SourceError: the line is too long, or the file cannot be read.
        """
        try:
            raw = self._file.readline(LONGEST_LINE + 1) if self._plain else self._wide_line()
        except _READING as error:
            raise unreadable(self._of.name, error) from error
        if len(raw) > LONGEST_LINE:
            raise SourceError(
                f"Line {self.line + 1} of {self._of.name} is longer than {LONGEST_LINE:,} bytes. Has it no line ends?"
            )
        if raw:
            self.offset += len(raw)
            self.line += 1
        return raw

    def __next__(self) -> str:
        raw = self.raw()
        if not raw:
            raise StopIteration
        return self.text(raw)

    def text(self, raw: bytes) -> str:
        """A line that `raw` has just given, as text."""
        try:
            return self._of.decoded(raw, self.offset - len(raw), self.line)
        except SourceError as error:
            if self._strict:
                raise
            self.fault = self.fault or error
            return raw.decode(self._of.encoding, errors="replace")

    def _wide_line(self) -> bytes:
        """A line where a character has two bytes or four: the byte 0x0A alone is no line feed."""
        newline, line = self._of.newline, bytearray()
        width = len(newline)
        while part := self._file.readline(LONGEST_LINE + 1):
            line += part
            line += self._file.read(-len(line) % width)
            if line.endswith(newline) or len(line) > LONGEST_LINE:
                break
        return bytes(line)


def without_line_end(line: str) -> str:
    """The line without LF or CRLF."""
    return line[:-2] if line.endswith("\r\n") else line.removesuffix("\n")


def unreadable(name: str, error: BaseException) -> SourceError:
    """What to say of a file that cannot be read."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return SourceError(f"{name} cannot be read: {reason}.")


def shown(encoding: str) -> str:
    """An encoding's name as people write it."""
    return encoding.upper()


def codec(encoding: str) -> str:
    """Python's name of an encoding.

    Raises:
        SourceError: there is none of that name, or its lines cannot be told in its bytes.
    """
    try:
        name = codecs.lookup(encoding).name
        newline = "\n".encode(_WITHOUT_ORDER.get(name, name))
    except (LookupError, UnicodeError):
        raise SourceError(
            f"There is no encoding {encoding!r}. Some that there are: utf-8, cp1252, latin-1, utf-16, shift_jis."
        ) from None
    name = _WITHOUT_ORDER.get(name, name)
    if newline.strip(b"\0") != b"\n" or name in ("utf-7", "hz"):
        raise SourceError(f"Lines cannot be told in files of the encoding {encoding!r}. Save the file as UTF-8.")
    return name
