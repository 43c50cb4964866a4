"""`parquet`: columns, for `datasets`, pandas, DuckDB and the like. It needs pyarrow.

A field has one type in all rows; whole numbers and fractions together become fractions, anything else that differs is
an error. A field that a row lacks is null there. An object without fields is null too: Parquet has none.

So the schemas of tools, and the arguments of their calls, cannot be columns: each has fields of its own. They are JSON
texts, which is what TRL takes beside objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, BinaryIO, Literal

from rowsmith.data.choosing import spelled
from rowsmith.data.formats import Format, Scan
from rowsmith.data.formats.conversation import calls_tools, tools_of
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
        self._waiting.append(as_columns(row))
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
    left = map(as_columns, rows)
    while batch := list(islice(left, BATCH)):
        yield batch


def as_columns(row: Row) -> Row:
    """The row in values of one type for all rows: tools and arguments as JSON, objects without fields as null."""
    if tools_of(row):
        row = {**row, "tools": spelled(row["tools"])}
    if isinstance(row.get("messages"), list) and any(map(calls_tools, row["messages"])):
        row = {**row, "messages": [_with_texts(message) for message in row["messages"]]}
    made: Row = without_empty(row) or {}
    return made


def _with_texts(message: Any) -> Any:
    if not calls_tools(message) or not message.get("tool_calls"):
        return message
    calls = [
        {**call, "function": {**call["function"], "arguments": spelled(call["function"]["arguments"])}}
        if isinstance(call, dict) and isinstance(call.get("function"), dict) and "arguments" in call["function"]
        else call
        for call in message["tool_calls"]
    ]
    return {**message, "tool_calls": calls}


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
