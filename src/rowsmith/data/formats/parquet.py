"""`parquet`: columns, for `datasets`, pandas, DuckDB and the like. It needs pyarrow.

A field has one type in all rows; whole numbers and fractions together become fractions, anything else that differs is
an error. A field that a row lacks is null there. An object without fields is null too: Parquet has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, BinaryIO, Literal

from rowsmith.data.formats import Format, Scan
from rowsmith.data.lines import Row
from rowsmith.errors import ConfigError, MissingDependencyError

BATCH = 4_096
"""Rows that are in memory at once."""


class ParquetWriter:
    """Writes a Parquet file, in groups of `BATCH` rows.

    Args:
        file: where to.
        scan: gives all rows, of which the columns' types are found.
        compression: of the columns.

    Raises:
        MissingDependencyError: pyarrow is not installed.
        ConfigError: a field has values of kinds that do not go together.
    """

    def __init__(
        self, file: BinaryIO, scan: Scan, *, compression: Literal["snappy", "zstd", "gzip", "none"] = "snappy"
    ) -> None:
        self._arrow = _pyarrow()
        from pyarrow import parquet

        self._schema = schema_of(scan())
        self._parquet = parquet.ParquetWriter(file, self._schema, compression=compression)
        self._waiting: list[Row] = []

    def write(self, row: Row) -> None:
        self._waiting.append(without_empty(row))
        if len(self._waiting) == BATCH:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._parquet.close()

    def _flush(self) -> None:
        if self._waiting:
            self._parquet.write_table(self._arrow.Table.from_pylist(self._waiting, schema=self._schema))
            self._waiting.clear()


def table_of(rows: Iterable[Row]) -> Any:
    """Rows as a `pyarrow.Table`; they are gone through twice.

    Raises:
        MissingDependencyError, ConfigError: as `ParquetWriter`.
    """
    pyarrow = _pyarrow()
    schema = schema_of(rows)
    parts = [pyarrow.RecordBatch.from_pylist(batch, schema=schema) for batch in _batches(rows)]
    return pyarrow.Table.from_batches(parts, schema=schema)


def schema_of(rows: Iterable[Row]) -> Any:
    """The type of each column, over all rows, as a `pyarrow.Schema`.

    Raises:
        MissingDependencyError, ConfigError: as `ParquetWriter`.
    """
    pyarrow = _pyarrow()
    found = pyarrow.schema([])
    for batch in _batches(rows):
        names = dict.fromkeys(name for row in batch for name in row)
        for name in names:
            try:
                column = pyarrow.array([row.get(name) for row in batch])
                one = pyarrow.schema([(name, column.type)])
                found = pyarrow.unify_schemas([found, one], promote_options="permissive")
            except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, OverflowError) as error:
                reason = str(error).splitlines()[0]
                raise ConfigError(f"the field {name!r} cannot be a column, which has one type: {reason}") from error
    return found


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    left = map(without_empty, rows)
    while batch := list(islice(left, BATCH)):
        yield batch


def without_empty(value: Any) -> Any:
    """The value with null where an object has no fields."""
    if isinstance(value, dict):
        return {name: without_empty(part) for name, part in value.items()} or None
    return [without_empty(part) for part in value] if isinstance(value, list) else value


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise MissingDependencyError("Parquet", "parquet") from error
    return pyarrow


FORMAT = Format(writers={".parquet": ParquetWriter})
