"""Values that a person may read and edit: a text file with one value a line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from rowsmith.errors import SourceError, StorageError


def read_values(path: Path) -> list[tuple[int, str]]:
    """(number of its line, value) of each value of a file, without empty lines; none if there is no file.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return []
    except UnicodeDecodeError as exc:
        raise SourceError(f"{path} is not UTF-8 text (byte {exc.start:,} cannot be read)") from None
    except OSError as exc:
        raise SourceError(f"{path} cannot be read: {exc.strerror or exc}") from None
    values = ((number, one_line(line)) for number, line in enumerate(text.splitlines(), start=1))
    return [(number, value) for number, value in values if value]


def write_values(path: Path, values: Sequence[str]) -> None:
    """Write values so that a kill leaves either the old file or the new one.

    Raises:
        StorageError: the file cannot be written.
    """
    beside = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{one_line(value)}\n" for value in values)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as exc:
        raise StorageError(f"cannot write {path}: {exc.strerror or exc}") from exc


def one_line(value: str) -> str:
    """A value as it stands in such a file."""
    return " ".join(value.split())
