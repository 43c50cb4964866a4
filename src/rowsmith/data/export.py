"""Writes rows to files, in any format: a file is there whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from rowsmith.data.formats import Format, Writer, fitted, resolve
from rowsmith.data.formats.jsonl import JSONLinesWriter
from rowsmith.data.lines import Lines, Row, as_row
from rowsmith.errors import ConfigError, StorageError, did_you_mean

_BUFFER = 1 << 20


def save(lines: Lines, path: Path) -> None:
    """Write lines of JSON to a file as they are, in place of what it had.

    Raises:
        ConfigError: the file belongs to a run.
        SourceError: a line is not a row.
        StorageError: it cannot be written.
    """
    export({path: lines}, Format(name="jsonl", writers={path.suffix.lower(): JSONLinesWriter}), force=True)


def export(
    parts: Mapping[Path, Lines],
    spec: str | Format | Callable[..., Any],
    *,
    columns: Mapping[str, str] | None = None,
    force: bool = False,
    options: Mapping[str, Any] | None = None,
) -> dict[Path, int]:
    """Write parts of a dataset, each to its file. Should one row of them all not fit, nothing is written.

    Args:
        parts: file → the lines that go to it.
        spec: the format; see `rowsmith.data.formats.resolve`.
        columns: the format's field → the rows' column that has it.
        force: write over files that are there.
        options: the format's options.

    Returns:
        file → how many rows were written to it.

    Raises:
        ConfigError: there is no such format or option, a row does not fit it, or a file is there already.
        SourceError: a line is not a row.
        StorageError: a file cannot be written.
    """
    made = resolve(spec)
    written: dict[Path, int] = {}
    for path in parts:
        _check_target(path, force=force)
    with ExitStack() as files:
        for path, lines in parts.items():
            maker = made.writer(path)
            takers = {"read": made.reads, "convert": made.convert, "write": maker}
            read, convert, write = fitted(options or {}, takers, made.name)
            shape = _Shape(made, read, convert, columns or {}, lines)
            file = files.enter_context(_replacing(path))
            writer = maker(file, shape.rows, **write)
            written[path] = _fill(writer, shape)
            writer.close()
    return written


def run_folder(path: Path) -> Path:
    """The folder that a run has beside its rows file, whether it is there or not."""
    return path.parent / f"{path.name.removesuffix('.jsonl')}.run"


class _Shape:
    """Rows in the shape of a format."""

    def __init__(
        self,
        made: Format,
        read: Mapping[str, Any],
        convert: Mapping[str, Any],
        columns: Mapping[str, str],
        lines: Lines,
    ) -> None:
        self.lines = lines
        self.as_they_are = made.convert is None and not columns
        self.name = made.name
        self._made = made
        self._read = read
        self._convert = convert
        self._columns = columns

    def rows(self) -> Iterator[Row]:
        """All rows, made anew each time."""
        for _, found in self.placed():
            yield from found

    def placed(self) -> Iterator[tuple[int, list[Row]]]:
        """For the place of each line what was made of it."""
        for place, line in enumerate(self.lines):
            row = as_row(self.lines, place, line)
            try:
                yield place, self._made_of(row)
            except ConfigError as error:
                raise self.misfit(place, error) from error

    def misfit(self, place: int, error: ConfigError) -> ConfigError:
        """The error for a row that does not fit, with its place."""
        hint = ""
        if "it lacks" in str(error):
            hint = ". If a column has it by another name: --column FIELD=COLUMN"
        return ConfigError(f"{self.lines.where(place)}, cannot be written as {self.name}: {error}{hint}")

    def _made_of(self, row: Row) -> list[Row]:
        for name, column in self._columns.items():
            if column not in row:
                raise ConfigError(f"it has no column {column!r} for {name!r}. {did_you_mean(column, row)}")
        value: Any = {**row, **{name: row[column] for name, column in self._columns.items()}} if self._columns else row
        if self._made.reads is not None:
            value = self._made.reads(value, **self._read)
        if self._made.convert is not None:
            value = self._made.convert(value, **self._convert)
        found = value if isinstance(value, list) else [value]
        for one in found:
            if not isinstance(one, dict):
                raise ConfigError(
                    f"the format made a {type(one).__name__} of it; it must make a row (a dict), or a list of rows"
                )
        return found


def _fill(writer: Writer, shape: _Shape) -> int:
    if shape.as_they_are and isinstance(writer, JSONLinesWriter):
        for place, line in enumerate(shape.lines):
            as_row(shape.lines, place, line)
            writer.write_line(line)
        return len(shape.lines)
    written = 0
    for place, rows in shape.placed():
        for row in rows:
            try:
                writer.write(row)
            except ConfigError as error:
                raise shape.misfit(place, error) from error
            written += 1
    return written


def _check_target(path: Path, *, force: bool) -> None:
    """Refuse a file that must not be written over.

    Raises:
        ConfigError: it must not.
    """
    if (run_folder(path) / "ledger.sqlite").exists():
        raise ConfigError(
            f"{path} belongs to the run in {run_folder(path)}, which would take a changed file for a damaged one. "
            "Write to another file"
        )
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"there is no folder {path.absolute().parent} to write {path.name} in")
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path} is not a file that can be written over")
    if path.exists() and not force:
        raise ConfigError(f"{path} is there already. To write over it, say --force (in Python: force=True)")


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of another once all went well: of those opened together, after the last."""
    target = path.resolve()
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with beside.open("xb", buffering=_BUFFER) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    except OSError as error:
        if error.filename is not None and Path(error.filename) not in (beside, target):
            raise  # not of this file, but of a function that the user gave
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(FileNotFoundError):
            beside.unlink()
