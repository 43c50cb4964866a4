"""Parquet files, and tables in memory of the libraries that people have."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rowsmith.data import tables
from rowsmith.data.readers import open_rows, open_source
from rowsmith.data.shapes import Document
from rowsmith.errors import MissingDependencyError, SourceError

from .reading import message, texts

COLUMNS: dict[str, list[Any]] = {"id": ["007", "8", None], "n": [1, 2, 3], "text": ["one", "two", "three"]}


def parquet(folder: Path, columns: dict[str, list[Any]], name: str = "a.parquet", **how: Any) -> Path:
    arrow, writer = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    writer.write_table(arrow.table(columns), folder / name, **how)
    return folder / name


@pytest.mark.parametrize("whole", [0, 1 << 20], ids=["in batches", "whole groups"])
def test_rows_of_a_parquet_file_are_read_at_any_number(
    tmp_path: Path, whole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "WHOLE_GROUP_BYTES", whole)
    numbers = list(range(2_000))
    path = parquet(tmp_path, {"text": [f"text {n}" for n in numbers], "n": numbers}, row_group_size=700)
    source = open_source(path)
    assert texts(source) == [f"text {n}" for n in numbers]
    assert [source[n].text for n in (1999, 3, 700, 699, 2)] == [f"text {n}" for n in (1999, 3, 700, 699, 2)]
    assert list(open_rows(path, ["n"], limit=2)) == [{"n": 0}, {"n": 1}]


def test_going_forward_in_a_parquet_file_reads_each_row_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "WHOLE_GROUP_BYTES", 0)
    path = parquet(tmp_path, {"text": [f"text {n}" for n in range(3_000)]})
    source = open_source(path)
    begun: list[int] = []
    plain = tables.Parquet._batches_of

    def noted(self: tables.Parquet[Document], group: int) -> Iterator[list[Any]]:
        begun.append(group)
        return plain(self, group)

    monkeypatch.setattr(tables.Parquet, "_batches_of", noted)
    order = [at + near for at in range(2_900) for near in (5, 0, 60)]  # as many cells at once ask for them
    assert [source[at].text for at in order] == [f"text {at}" for at in order]
    assert begun == [0]


def test_values_of_a_parquet_file_are_what_json_has_for_them(tmp_path: Path) -> None:
    path = parquet(
        tmp_path,
        {
            "when": [datetime(2026, 1, 2, 3, 4, tzinfo=UTC)],
            "price": [Decimal("1.10")],
            "nested": [{"a": [1, None], "b": "x"}],
            "big": [2**62],
            "nan": [float("nan")],
        },
    )
    assert list(open_rows(path)) == [
        {
            "when": "2026-01-02T03:04:00+00:00",
            "price": "1.10",
            "nested": {"a": [1, None], "b": "x"},
            "big": 2**62,
            "nan": None,
        }
    ]
    with pytest.raises(SourceError, match=r"Row 0 of .* has a value of the type bytes, which JSON has not"):
        open_rows(parquet(tmp_path, {"b": [b"x"]}))


def test_a_parquet_file_lacks_a_column_or_is_none(tmp_path: Path) -> None:
    path = parquet(tmp_path, COLUMNS)
    assert "no column 'txt'. Did you mean 'text'?" in message(path, "txt")
    (tmp_path / "b.parquet").write_bytes(b"not a table")
    assert "b.parquet cannot be read" in message(tmp_path / "b.parquet")
    assert "no rows" in message(parquet(tmp_path, {"text": []}, "c.parquet"))


def test_a_parquet_file_of_large_texts_is_never_held_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "WHOLE_GROUP_BYTES", 1 << 20)
    arrow = pytest.importorskip("pyarrow")
    path = parquet(tmp_path, {"text": [f"{n} " + "x" * 10_000 for n in range(6_000)]}, compression="none")
    pool = arrow.default_memory_pool()
    tracemalloc.start()
    before = pool.bytes_allocated()
    try:
        source = open_source(path)
        assert source[5_999].text.startswith("5999 ")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12_000_000
    assert pool.bytes_allocated() - before < 30_000_000  # Arrow takes 22 MB whatever the row group has


def made(kind: str) -> Any:
    if kind == "pandas":
        return pytest.importorskip("pandas").DataFrame(COLUMNS)
    if kind == "polars":
        return pytest.importorskip("polars").DataFrame(COLUMNS)
    if kind == "arrow":
        return pytest.importorskip("pyarrow").table(COLUMNS)
    return pytest.importorskip("datasets").Dataset.from_dict(COLUMNS)


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow", "datasets"])
def test_a_table_in_memory_is_a_source(kind: str) -> None:
    table = made(kind)
    assert list(open_source(table, id_column="id"))[:2] == [Document("one", "007"), Document("two", "8")]
    assert list(open_rows(table)) == [
        dict(zip(COLUMNS, values, strict=True)) for values in zip(*COLUMNS.values(), strict=True)
    ]
    assert open_source(table, "n")[2].text == "3"
    assert "no column 'txt'. Did you mean 'text'?" in message(table, "txt")


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_a_table_is_read_without_pyarrow(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table = made(kind)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert open_rows(table, ["id", "n"])[0] == {"id": "007", "n": 1}
    assert texts(open_source(table)) == ["one", "two", "three"]
    assert "no column 'txt'" in message(table, "txt")


def test_a_parquet_file_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = parquet(tmp_path, COLUMNS)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"rowsmith\[parquet\]"):
        open_source(path)


def test_what_is_no_table_is_refused() -> None:
    assert "this is a int" in message(3)
    assert "this is a dict" in message({"text": ["a"]})
