"""Which rows are meant: by the values of their fields, by a text in them, by their ids."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from rowsmith.data.lines import Lines, Row, as_row
from rowsmith.errors import ConfigError, did_you_mean

_MISSING = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a row must have to be chosen. All that is said must be so.

    Attributes:
        where: field → value, both as they are written: `label` → `positive`, `is_impossible` → `true`, `score` → `0.5`,
            and `metadata.provider` for a field within a field. Of a list, one item must be it.
        contains: a text that must stand in one of the row's texts, in whatever case; `metadata` does not count.
        ids: the row's `id` must be one of these, if there are any.
    """

    where: Mapping[str, Any] = field(default_factory=dict)
    contains: str | None = None
    ids: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.where or self.contains or self.ids)

    def places(self, lines: Lines) -> Sequence[int]:
        """The places of the lines that are chosen.

        Raises:
            ConfigError: no row has a field that was named.
        """
        if not self:
            return range(len(lines))
        where = {name: spelled(value) for name, value in self.where.items()}
        needle = self.contains.casefold() if self.contains else None
        ids = set(self.ids)
        seen: dict[str, bool] = {}
        lacking = {*where}
        places = array("Q")
        for place, line in enumerate(lines):
            row = as_row(lines, place, line)
            seen.update(dict.fromkeys(row, True))
            values = {name: value_at(row, name, _MISSING) for name in where}
            lacking -= {name for name, value in values.items() if value is not _MISSING}
            if (
                all(_is(values[name], value) for name, value in where.items())
                and (not ids or spelled(row.get("id")) in ids)
                and (needle is None or _contains(row, needle))
            ):
                places.append(place)
        if lacking and len(lines):
            name = sorted(lacking)[0]
            raise ConfigError(f"no row has a field {name!r}. {did_you_mean(name, seen)}")
        return places


def condition(text: str) -> tuple[str, str]:
    """`label=positive` as a field and its value.

    Raises:
        ConfigError: it is not written so.
    """
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ConfigError(f"a condition is written FIELD=VALUE, such as label=positive; got {text!r}")
    return name, value


def value_at(row: Mapping[str, Any], name: str, missing: Any = None) -> Any:
    """The value of a field, or of one within a field: `metadata.provider`."""
    if name in row:
        return row[name]
    value: Any = row
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return missing
        value = value[part]
    return value


def spelled(value: Any) -> str:
    """A value as it is written: a text as it is, all else as JSON."""
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()


def texts(value: Any) -> Iterator[str]:
    """All texts in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts(part)


def _is(value: Any, wanted: str) -> bool:
    if isinstance(value, list):
        return any(spelled(item) == wanted for item in value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return value == float(wanted)
        except ValueError:
            return False
    return value is not _MISSING and spelled(value) == wanted


def _contains(row: Row, needle: str) -> bool:
    return any(needle in text.casefold() for name, value in row.items() if name != "metadata" for text in texts(value))
