"""`csv`: a table with a header, in which no cell is taken for a formula.

A spreadsheet runs a cell that begins with `=`, `+`, `-`, `@`, a tab or a line end. Texts come from models and
documents, so a text that begins so gets an apostrophe before it, as OWASP advises
(https://owasp.org/www-community/attacks/CSV_Injection). It can be undone to the byte: a text that has apostrophes
before such a character already gets one more, so that `unguarded` takes one away from each. Numbers are not texts: -5
stays -5.

Texts stand in quotes, numbers do not. null is an empty cell; lists and objects stand as JSON.
"""

from __future__ import annotations

import csv
import io
import re
from typing import Any, BinaryIO, Literal

from rowsmith.data.choosing import spelled
from rowsmith.data.formats import Format, Scan
from rowsmith.data.lines import Row

_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t"}


def guarded(text: str) -> str:
    """The text as a cell that no spreadsheet runs."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(cell: str) -> str:
    """The text that was `guarded`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell, 1) else cell


class CSVWriter:
    """Writes a table (RFC 4180); its columns are all fields that a row has, in the order in which they first come.

    Args:
        file: where to.
        scan: gives all rows.
        delimiter: what divides columns; spreadsheets in countries with a decimal comma expect a semicolon.
        encoding: `utf-8-sig` puts the byte order mark at the head by which Excel knows UTF-8.
        guard: False writes texts as they are, for programs that are no spreadsheets.
    """

    def __init__(
        self,
        file: BinaryIO,
        scan: Scan,
        *,
        delimiter: Literal["comma", "semicolon", "tab"] = "comma",
        encoding: Literal["utf-8", "utf-8-sig"] = "utf-8",
        guard: bool = True,
    ) -> None:
        self._guard = guard
        self._columns = list(dict.fromkeys(name for row in scan() for name in row))
        self._text = io.TextIOWrapper(file, encoding=encoding, newline="")
        self._csv = csv.writer(self._text, delimiter=_DELIMITERS[delimiter], quoting=csv.QUOTE_NONNUMERIC)
        if self._columns:
            self._csv.writerow([self._cell(name) for name in self._columns])

    def write(self, row: Row) -> None:
        self._csv.writerow([self._cell(row.get(name)) for name in self._columns])

    def close(self) -> None:
        self._text.detach()

    def _cell(self, value: Any) -> str | float | None:
        if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            return value
        text = spelled(value)
        return guarded(text) if self._guard else text


FORMAT = Format(writers={".csv": CSVWriter})
