"""Tables: Parquet files, and tables in memory of pandas, Polars, Arrow or `datasets`, taken through Arrow.

Nothing is imported that is not there: a table in memory brings its library with it, and PyArrow is asked for where it
is needed and found missing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Generic, TypeVar

from rowsmith.data.feed import unreadable
from rowsmith.data.shapes import Shape, WrongRow, plain
from rowsmith.data.source_files import Listed, Problem, Rows, changed, with_numbers
from rowsmith.errors import MissingDependencyError, SourceError, did_you_mean

T = TypeVar("T")

BATCH = 256
"""Rows that are decoded at once, at most."""
BATCH_BYTES = 1 << 20
"""Their bytes, by the average of their row group."""
KEPT_BATCHES = 8
WHOLE_GROUP_BYTES = 64 << 20
"""Row groups up to this size are held whole once a row of theirs is asked for: then any of its rows is at hand."""
_BUFFER = 1 << 20


class Parquet(Generic[T]):
    """The rows of a Parquet file; a row's position is its number.

    Row groups are gone through in small batches, so that memory does not grow with them. A row of a large group is
    found again by reading on from the last one; going far back begins the group anew. A small group is held whole.

    Args:
        path: the file.
        shape: what rows are made into; only its columns are read.
        name: for messages.

    Raises:
        SourceError: it is no Parquet file, or a column is not in it.
        MissingDependencyError: PyArrow is not installed.
    """

    def __init__(self, path: Path, shape: Shape[T], name: str | None = None) -> None:
        self.name = name or str(path)
        self._path = path
        self._shape = shape
        with self._opened() as file:
            _must_have(shape.columns, file.schema_arrow.names, self.name)
            groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
        self._starts = [0, *accumulate(group.num_rows for group in groups)]
        self._sizes = [_batch_size(group.num_rows, group.total_byte_size) for group in groups]
        self._columns = None if shape.columns is None else list(shape.columns)
        self._small = [group.total_byte_size <= WHOLE_GROUP_BYTES for group in groups]
        self._group: tuple[int, Any] | None = None
        self._batches: dict[int, list[Any]] = {}
        self._reading: tuple[int, int, Iterator[list[Any]]] | None = None

    def scan(self, problem: Problem) -> Iterator[tuple[int, T | None]]:
        groups = range(len(self._starts) - 1)
        rows = (row for group in groups for batch in self._batches_of(group) for row in batch)
        return _scanned(rows, self._shape, self.name, problem)

    def read(self, position: int) -> T | None:
        group = bisect_right(self._starts, position) - 1
        if group >= len(self._starts) - 1:
            raise changed(self.name)
        place = position - self._starts[group]
        try:
            return _made(
                self._shape, self._row_of_small(group, place) if self._small[group] else self._row(group, place)
            )
        except (IndexError, WrongRow):
            raise changed(self.name) from None

    def _row_of_small(self, group: int, place: int) -> Any:
        if self._group is None or self._group[0] != group:
            with self._opened() as file:
                try:
                    self._group = group, file.read_row_group(group, columns=self._columns, use_threads=False)
                except _errors() as error:
                    raise unreadable(self.name, error) from error
        return self._group[1].slice(place, 1).to_pylist()[0]

    def _row(self, group: int, place: int) -> Any:
        number, place = divmod(place, self._sizes[group])
        return self._batch(group, number)[place]

    def _batch(self, group: int, number: int) -> list[Any]:
        """A batch of a group; the last few stay at hand."""
        key = self._starts[group] * 2 + number  # unique: a group has fewer batches than rows
        while (rows := self._batches.pop(key, None)) is None:
            if self._reading is None or self._reading[0] != group or self._reading[1] > number:
                self._reading = (group, 0, self._batches_of(group))
            _, at, batches = self._reading
            found = next(batches, None)
            if found is None:
                self._reading = None
                raise changed(self.name)
            self._reading = (group, at + 1, batches)
            self._batches[self._starts[group] * 2 + at] = found
            while len(self._batches) > KEPT_BATCHES:
                del self._batches[next(iter(self._batches))]
        self._batches[key] = rows
        return rows

    def _batches_of(self, group: int) -> Iterator[list[Any]]:
        with self._opened() as file:
            try:
                size = self._sizes[group]
                for batch in file.iter_batches(size, row_groups=[group], columns=self._columns, use_threads=False):
                    yield batch.to_pylist()
            except _errors() as error:
                raise unreadable(self.name, error) from error

    def _opened(self) -> Any:
        arrow = _pyarrow("A .parquet file", "parquet")
        import pyarrow.parquet as parquet

        try:
            return parquet.ParquetFile(self._path, buffer_size=_BUFFER, pre_buffer=False)
        except (OSError, arrow.ArrowException) as error:
            raise unreadable(self.name, error) from error


class ArrowTable(Generic[T]):
    """The rows of an Arrow table in memory, none of them copied; a row's position is its number."""

    def __init__(self, name: str, table: Any, shape: Shape[T]) -> None:
        self.name = name
        _must_have(shape.columns, table.column_names, name)
        self._table = table if shape.columns is None else table.select(list(shape.columns))
        self._shape = shape

    def scan(self, problem: Problem) -> Iterator[tuple[int, T | None]]:
        rows = (row for batch in self._table.to_batches(max_chunksize=BATCH) for row in batch.to_pylist())
        return _scanned(rows, self._shape, self.name, problem)

    def read(self, position: int) -> T | None:
        return _made(self._shape, self._table.slice(position, 1).to_pylist()[0])


def _scanned(rows: Iterable[Any], shape: Shape[T], name: str, problem: Problem) -> Iterator[tuple[int, T | None]]:
    """Each row with its number."""
    for position, row in enumerate(rows):
        try:
            item = _made(shape, row)
        except WrongRow as wrong:
            problem(SourceError(f"Row {position} of {name} {wrong}"))
        else:
            yield position, item


def rows_in_memory(origin: Any, shape: Shape[T]) -> Rows[T]:
    """The rows of a list, of a table, or of anything with a length and rows by number (a `datasets.Dataset`).

    Raises:
        SourceError: it is none of these, or a column is not in it.
        MissingDependencyError: only Arrow can read the table, and PyArrow is not installed.
    """
    kind = type(origin).__name__
    if hasattr(origin, "__arrow_c_stream__"):
        try:
            arrow = _pyarrow(f"A table of the type {kind}", "parquet")
        except MissingDependencyError:
            listed = _listed(origin)
            if listed is None:
                raise
            _must_have(shape.columns, listed[0], f"the {kind}")
            return Listed(f"the {kind}", listed[1], shape)
        return ArrowTable(f"the {kind}", arrow.table(origin), shape)
    if isinstance(origin, str | bytes | dict) or not (hasattr(origin, "__len__") and hasattr(origin, "__getitem__")):
        raise SourceError(
            f"Rows are read from a list of texts or of mappings, or from a table; this is a {kind}. "
            + ("Give list(...) of it." if hasattr(origin, "__iter__") else "")
        )
    name = "the list" if isinstance(origin, list | tuple) else f"the {kind}"
    columns = getattr(origin, "column_names", None)
    if isinstance(columns, list):
        _must_have(shape.columns, columns, name)
    return Listed(name, origin, shape)


def _listed(table: Any) -> tuple[list[str], Sequence[Any]] | None:
    """A table's columns and rows by its own means; None if it has none that are known."""
    if hasattr(table, "to_dicts"):  # Polars
        return list(table.columns), table.to_dicts()
    if hasattr(table, "to_dict") and hasattr(table, "columns"):  # pandas
        return [str(name) for name in table.columns], table.to_dict("records")
    return None


def _made(shape: Shape[T], row: Any) -> T | None:
    return with_numbers(shape, {name: plain(value) for name, value in row.items()})


def _batch_size(rows: int, size: int) -> int:
    return max(1, min(BATCH, BATCH_BYTES * rows // max(size, 1)))


def _must_have(wanted: Sequence[str] | None, known: Sequence[str], name: str) -> None:
    for column in wanted or ():
        if column not in known:
            raise SourceError(f"{name} has no column {column!r}. {did_you_mean(column, known)}")
        if list(known).count(column) > 1:
            raise SourceError(f"{name} has {list(known).count(column)} columns named {column!r}.")


def _pyarrow(feature: str, extra: str) -> Any:
    try:
        import pyarrow
    except ImportError:
        raise MissingDependencyError(feature, extra) from None
    return pyarrow


def _errors() -> tuple[type[BaseException], ...]:
    import pyarrow

    return (OSError, pyarrow.ArrowException)
