"""`jsonl` and JSON: rows as they are, an object in each line, or an array of objects."""

from __future__ import annotations

from typing import BinaryIO

from rowsmith.data.formats import STORED, Format, Scan
from rowsmith.data.lines import Row, as_line


class JSONLinesWriter:
    """Writes an object in each line."""

    def __init__(self, file: BinaryIO, scan: Scan) -> None:
        del scan
        self._file = file

    def write(self, row: Row) -> None:
        self.write_line(as_line(row))

    def write_line(self, line: bytes) -> None:
        """Put a line of JSON at the end, byte for byte."""
        self._file.write(line)
        self._file.write(b"\n")

    def close(self) -> None:
        """Nothing is left to write."""


class JSONArrayWriter:
    """Writes an array, with an object in each line."""

    def __init__(self, file: BinaryIO, scan: Scan) -> None:
        del scan
        self._file = file
        self._before = b"[\n"

    def write(self, row: Row) -> None:
        self._file.write(self._before)
        self._file.write(as_line(row))
        self._before = b",\n"

    def close(self) -> None:
        self._file.write(b"[]\n" if self._before == b"[\n" else b"\n]\n")


FORMAT = Format(writers={".jsonl": STORED[".jsonl"], ".json": STORED[".json"]})
