"""Gates: checks of one row. Each accepts it, mends it, or rejects it with a reason; they run in order, cheap first."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rowsmith.quality.text import UNSPACED

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rejection:
    """A gate's no.

    Attributes:
        gate: the gate's name.
        reason: why, in one line, in words that a model can act on.
    """

    gate: str
    reason: str


class Gate(Protocol):
    """One check of one row."""

    @property
    def name(self) -> str:
        """What reports call it."""

    def check(self, row: Row, values: Mapping[str, Any]) -> Row | Rejection:
        """The row itself to accept it, another row to mend it, or a rejection.

        Args:
            row: the row as it would be written.
            values: the cell's values by axis.
        """


@dataclass(frozen=True, slots=True)
class NotEmpty:
    """Rejects a row one of whose fields has no text."""

    fields: Sequence[str]
    name: str = "empty"

    def check(self, row: Row, values: Mapping[str, Any]) -> Row | Rejection:  # noqa: ARG002  # the contract's
        for field in self.fields:
            text = row[field]
            if not text or text.isspace():
                return Rejection(self.name, f"{field} is empty")
        return row


@dataclass(frozen=True, slots=True)
class Length:
    """Rejects a row one of whose fields is shorter or longer than allowed, in characters."""

    fields: Sequence[str]
    least: int = 0
    most: int | None = None
    name: str = "length"

    def check(self, row: Row, values: Mapping[str, Any]) -> Row | Rejection:  # noqa: ARG002  # the contract's
        for field in self.fields:
            size = len(row[field])
            if size < self.least:
                return Rejection(self.name, f"{field} has {size} characters; at least {self.least} are asked for")
            if self.most is not None and size > self.most:
                return Rejection(self.name, f"{field} has {size} characters; at most {self.most} are allowed")
        return row


class Blocklist:
    """Rejects a row in whose fields a blocked word or phrase stands, as whole words, in any case and spacing.

    In scripts that put no spaces between words, it is looked for anywhere.
    """

    name = "blocklist"

    def __init__(self, fields: Sequence[str], phrases: Sequence[str]) -> None:
        self._fields = tuple(fields)
        longest_first = sorted((phrase.split() for phrase in phrases), key=lambda words: -len(" ".join(words)))
        letter = rf"[^\W{UNSPACED}]"
        before, after = rf"(?:(?<!{letter})|(?=[{UNSPACED}]))", rf"(?:(?!{letter})|(?<=[{UNSPACED}]))"
        self._pattern = re.compile(
            "|".join(before + r"\s+".join(map(re.escape, words)) + after for words in longest_first), re.IGNORECASE
        )

    def check(self, row: Row, values: Mapping[str, Any]) -> Row | Rejection:  # noqa: ARG002  # the contract's
        for field in self._fields:
            found = self._pattern.search(row[field])
            if found:
                return Rejection(self.name, f"{field} contains {' '.join(found.group().split())!r}")
        return row


class Filter:
    """A user's own function as a gate.

    Args:
        function: `(content, topic, metadata) -> (bool, reason)`, or just `bool`. `content` is the row's main text,
            `topic` the cell's topic (or label) or an empty string, `metadata` the whole row.
        field: the row's main text.
    """

    def __init__(self, function: Callable[..., Any], field: str) -> None:
        self._function = function
        self._field = field
        self.name = getattr(function, "__name__", type(function).__name__)

    def check(self, row: Row, values: Mapping[str, Any]) -> Row | Rejection:
        topic = row.get("topic") or values.get("topic") or row.get("label") or ""
        verdict = self._function(row[self._field], topic, row)
        accepted, reason = verdict if isinstance(verdict, tuple) else (verdict, "")
        return row if accepted else Rejection(self.name, str(reason) or "refused by the filter")
