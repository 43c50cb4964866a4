"""What a format says of a row that it cannot take, and of one that it can."""

from __future__ import annotations

from collections.abc import Iterable

from rowsmith.data.lines import Row
from rowsmith.errors import ConfigError


def lacking(row: Row, names: Iterable[str]) -> ConfigError:
    """The error for a row without a field; who exports puts the row's place and the format's name before it."""
    absent = [repr(name) for name in names if row.get(name) is None]
    has = ", ".join(name for name, value in row.items() if value is not None) or "nothing"
    return ConfigError(f"it lacks {' and '.join(absent)} (it has {has})")


def text_of(row: Row, name: str) -> str:
    """The text in a field.

    Raises:
        ConfigError: there is none.
    """
    value = row.get(name)
    if value is None:
        raise lacking(row, [name])
    if not isinstance(value, str):
        raise ConfigError(f"its {name!r} is not a text but a {type(value).__name__}")
    return value


def list_of(row: Row, name: str) -> list[object]:
    """The list in a field.

    Raises:
        ConfigError: there is none.
    """
    value = row.get(name)
    if value is None:
        raise lacking(row, [name])
    if not isinstance(value, list):
        raise ConfigError(f"its {name!r} is not a list but a {type(value).__name__}")
    return value
