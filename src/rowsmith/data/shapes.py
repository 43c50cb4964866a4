"""What becomes of one row of a source: a document, which is a text, or the row itself."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, Protocol, TypeVar
from uuid import UUID

import orjson

from rowsmith.errors import did_you_mean

FINGERPRINT_BYTES = 8

EMPTY = "empty"
TOO_SHORT = "too short"
TOO_LONG = "too long"

Row = Mapping[str, Any]
T = TypeVar("T")


class WrongRow(Exception):  # noqa: N818  # never leaves this package: the formats say where, and raise SourceError
    """A row cannot be taken. The message goes on behind the row's place: `has no 'text'. ...`."""


class NumberFound(Exception):  # noqa: N818  # as above
    """A number stands where a text is wanted: its spelling is wanted, which the parsed value has lost."""


class Document(NamedTuple):
    """A text to work from.

    Attributes:
        text: the text, to the byte as it stands in its source.
        id: the value of the id column; the path of a file that is one document; else the text's fingerprint.
        context: the value of the context column, or None where none was named.
    """

    text: str
    id: str = ""
    context: str | None = None


class Shape(Protocol[T]):
    """What a source's rows are made into."""

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The columns that are looked at; None for all."""

    @property
    def keeps_numbers(self) -> bool:
        """True if numbers stay numbers, so that long ones must not lose digits."""

    def of(self, row: Any) -> T | None:
        """A row, an object or a text, as an item; None if it is empty.

        Raises:
            WrongRow: it lacks a column, or has something else than is needed.
            NumberFound: the row is to come again with its numbers as they are spelled.
        """

    def whole(self, text: str, name: str) -> T | None:
        """A file that is one text as an item; `name` is its path."""

    def fingerprint(self, item: T) -> bytes:
        """`FINGERPRINT_BYTES` bytes that stand for an item: equal for equal ones, on every machine."""

    def reason_against(self, item: T) -> str | None:
        """Why an item is left out, or None if it is not."""

    def finished(self, item: T, mark: bytes) -> T:
        """The item as it is given out."""


class Bounds(NamedTuple):
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


class Documents:
    """Rows as documents.

    Args:
        text: the column of the text.
        context: the column of what goes with it, or None.
        id_column: the column of its id, or None.
        bounds: the lengths that a text may have.
    """

    keeps_numbers = False

    def __init__(
        self,
        text: str,
        context: str | None = None,
        id_column: str | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        self._text, self._context, self._id = text, context, id_column
        self._more = tuple(name for name in (context, id_column) if name is not None)
        self.columns: tuple[str, ...] = tuple(dict.fromkeys((text, *self._more)))
        self.bounds = bounds or Bounds()

    def of(self, row: Any) -> Document | None:
        if not self._more:  # the usual case, without a further call
            text = row.get(self._text) if type(row) is dict else row
            if type(text) is str:
                return Document(text if text.isascii() else _encodable(text))
        if row is None:
            return None
        if isinstance(row, str):
            if self._more:
                raise WrongRow(f"is a text alone, without a {self._more[0]!r}.")
            return Document(_encodable(row))
        if not isinstance(row, Mapping):
            raise WrongRow(f"is not an object but a {type(row).__name__}.")
        text = _text_of(row, self._text)
        context = None if self._context is None else _text_of(row, self._context)
        return Document(text, "" if self._id is None else _text_of(row, self._id), context)

    def whole(self, text: str, name: str) -> Document:
        if self._more:
            raise WrongRow(f"is a text alone, without a {self._more[0]!r}.")
        return Document(text, name)

    def fingerprint(self, item: Document) -> bytes:
        text, _, context = item
        return fingerprint(text if context is None else f"{text}\0{context}")

    def reason_against(self, item: Document) -> str | None:
        return self.bounds.reason_against(item[0])

    def finished(self, item: Document, mark: bytes) -> Document:
        return item if item.id else item._replace(id=mark.hex())


class Records:
    """Rows as they are, or some of their columns.

    Args:
        columns: the columns to take, each of which every row must have; None for all that a row has.
    """

    keeps_numbers = True

    def __init__(self, columns: Sequence[str] | None = None) -> None:
        self.columns = None if columns is None else tuple(dict.fromkeys(columns))

    def of(self, row: Any) -> Row | None:
        if row is None or row == "":
            return None
        if isinstance(row, str):
            row = {"text": _encodable(row)}
        elif not isinstance(row, Mapping):
            raise WrongRow(f"is not an object but a {type(row).__name__}.")
        if self.columns is None:
            return row if type(row) is dict else dict(row)
        try:
            return {name: row[name] for name in self.columns}
        except KeyError:
            missing = next(name for name in self.columns if name not in row)
            raise WrongRow(f"has no {missing!r}. {did_you_mean(missing, map(str, row))}") from None

    def whole(self, text: str, name: str) -> Row | None:
        return self.of({"text": text, "id": name})

    def fingerprint(self, item: Row) -> bytes:
        try:
            text = orjson.dumps(item, option=orjson.OPT_SORT_KEYS)
        except TypeError:  # an integer beyond 64 bits, or something that is no JSON at all
            text = _by_hand(item)
        return hashlib.blake2b(text, digest_size=FINGERPRINT_BYTES).digest()

    def reason_against(self, item: Row) -> str | None:
        return None if item else EMPTY

    def finished(self, item: Row, mark: bytes) -> Row:  # noqa: ARG002  # of the protocol
        return item


def fingerprint(text: str) -> bytes:
    """`FINGERPRINT_BYTES` bytes that stand for a text (BLAKE2b of its UTF-8)."""
    return hashlib.blake2b(text.encode(), digest_size=FINGERPRINT_BYTES).digest()


def plain(value: Any) -> Any:
    """A value of a table as JSON has it: dates and times in ISO 8601, decimals as they are spelled, no NaN.

    Raises:
        WrongRow: it is something that JSON has not, such as bytes.
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if value - value == 0 else None
        case Mapping():
            return {str(key): plain(part) for key, part in value.items()}
        case list() | tuple():
            return [plain(part) for part in value]
        case date() | time():
            return value.isoformat()
        case Decimal() | UUID() | timedelta():
            return str(value)
    if hasattr(value, "tolist"):  # NumPy's scalars and arrays
        return plain(value.tolist())
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    raise WrongRow(f"has a value of the type {type(value).__name__}, which JSON has not.")


def spelled(row: Any) -> Any:
    """A row whose numbers are texts; for sources in which they have no spelling of their own."""
    if not isinstance(row, Mapping):
        return row
    return {
        key: str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
        for key, value in row.items()
    }


def _text_of(row: Row, column: str) -> str:
    """The text in a column; null is an empty text, a truth value is `true` or `false`."""
    if column not in row:
        raise WrongRow(f"has no {column!r}. {did_you_mean(column, map(str, row))}")
    value = row[column]
    if isinstance(value, str):
        return _encodable(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        raise NumberFound
    kind = "an array" if isinstance(value, list) else "an object" if isinstance(value, dict) else type(value).__name__
    raise WrongRow(f"has {kind} under {column!r}; a text is needed.")


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise WrongRow(f"has half of a surrogate pair at character {error.start}; no file can hold it.") from None
    return text


def _by_hand(item: Row) -> bytes:
    import json

    try:
        return json.dumps(item, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    except (TypeError, UnicodeEncodeError) as error:
        raise WrongRow(f"is not JSON: {error}.") from None
