"""Tables: CSV that no spreadsheet runs and that gives back every text, and Parquet."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rowsmith import ConfigError, Dataset
from rowsmith.data.formats import parquet
from rowsmith.data.formats.csv import guarded, unguarded

TEXT = st.text(st.characters(codec="utf-8")) | st.text("'=+-@\t\r\n,;\"a＝", max_size=6)
FILES = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def cells(path: Path, encoding: str = "utf-8", delimiter: str = ",") -> list[list[str]]:
    with path.open(encoding=encoding, newline="") as file:
        return list(csv.reader(file, delimiter=delimiter))


@given(TEXT)
def test_a_guarded_text_begins_no_formula_and_is_given_back(text: str) -> None:
    cell = guarded(text)
    assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠") or not cell
    assert unguarded(cell) == text


@given(TEXT, TEXT)
def test_no_two_texts_make_the_same_cell(one: str, other: str) -> None:
    assert (guarded(one) == guarded(other)) == (one == other)


@FILES
@given(rows=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=8))
def test_texts_survive_csv(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    path = tmp_path / "rows.csv"
    Dataset({"id": one, "text": other} for one, other in rows).export(path, "csv", force=True)
    head, *found = cells(path)
    assert head == ["id", "text"]
    assert [tuple(map(unguarded, record)) for record in found] == rows


def test_csv_has_every_column_and_no_formula(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "007", "text": '=HYPERLINK("http://x","y")', "score": -5},
        {"id": "8", "labels": ["a", "b"], "score": 0.5, "ok": True, "none": None, "=head": "'=already"},
    ]
    path = tmp_path / "rows.csv"
    assert Dataset(rows).export(path, "csv") == 2
    assert cells(path) == [
        ["id", "text", "score", "labels", "ok", "none", "'=head"],
        ["007", '\'=HYPERLINK("http://x","y")', "-5", "", "", "", ""],
        ["8", "", "0.5", '["a","b"]', "true", "", "''=already"],
    ]
    assert b'"007"' in path.read_bytes()


def test_csv_as_excel_wants_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    Dataset([{"text": "é;ü"}]).export(path, "csv", encoding="utf-8-sig", delimiter="semicolon", guard="no")
    assert path.read_bytes() == b'\xef\xbb\xbf"text"\r\n"\xc3\xa9;\xc3\xbc"\r\n'
    assert cells(path, "utf-8-sig", ";") == [["text"], ["é;ü"]]


def test_a_trainers_format_may_be_stored_as_a_table(tmp_path: Path) -> None:
    path = tmp_path / "dpo.csv"
    Dataset([{"question": "?", "chosen": "a", "rejected": "b"}]).export(path, "dpo", style="standard")
    assert cells(path) == [["prompt", "chosen", "rejected"], ["?", "a", "b"]]


VALUE = st.fixed_dictionaries(
    {
        "id": st.text(st.characters(codec="utf-8")),
        "score": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "count": st.integers(-(2**63), 2**63 - 1),
        "messages": st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": TEXT}), min_size=1, max_size=2),
        "metadata": st.fixed_dictionaries({"provider": TEXT, "calls": st.lists(TEXT, max_size=2)}),
    }
)


@FILES
@given(rows=st.lists(VALUE, min_size=1, max_size=9))
def test_rows_survive_parquet_and_arrow(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "rows.parquet"
    dataset = Dataset(rows)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(parquet, "BATCH", 4)
        dataset.export(path, "parquet", force=True)
        assert pq.read_table(path).to_pylist() == rows
        assert pq.ParquetFile(path).num_row_groups == -(-len(rows) // 4)
        assert parquet.table_of(dataset).to_pylist() == rows


def test_parquet_columns_have_one_type(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "rows.parquet"
    Dataset([{"n": 1, "p": {}}, {"n": 0.5, "p": {"tone": "dry"}}, {"x": []}]).export(path, "parquet")
    assert pq.read_table(path).to_pylist() == [
        {"n": 1.0, "p": None, "x": None},
        {"n": 0.5, "p": {"tone": "dry"}, "x": None},
        {"n": None, "p": None, "x": []},
    ]
    with pytest.raises(ConfigError, match="the field 'id' cannot be a column, which has one type"):
        Dataset([{"id": "007"}, {"id": 8}]).export(tmp_path / "other.parquet", "parquet")
    assert [file.name for file in tmp_path.iterdir()] == ["rows.parquet"]
