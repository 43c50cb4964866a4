"""`Dataset`: rows on disk, what is added to them, views of them, and files that are never half written."""

from __future__ import annotations

import gc
import os
import sys
import tracemalloc
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rowsmith import ConfigError, Dataset, MissingDependencyError, SourceError
from rowsmith.data import lines as lines_module
from rowsmith.data.rows import Rows

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
ROWS = st.lists(st.dictionaries(st.text(), JSON, max_size=4), max_size=12)
FILES = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])

LINES = [
    b'{"id":"007","text":"  def f():\\r\\n\\treturn 1  ","n":12345678901234567890123}',
    b'{ "b" : 1.50, "a" : "\xc3\xa9\\u00e9" }',
    b'{"text":""}',
]
"""Lines of which another writer would make other bytes."""


def numbered(count: int) -> Dataset:
    return Dataset({"id": str(number), "text": f"text {number}", "label": "ab"[number % 2]} for number in range(count))


def file_of(folder: Path, *lines: bytes, end: bytes = b"\n") -> Path:
    path = folder / "rows.jsonl"
    path.write_bytes(b"\n".join(lines) + end)
    return path


@FILES
@given(rows=ROWS)
def test_what_is_saved_is_loaded_again(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    path = tmp_path / "rows.jsonl"
    Dataset(rows).save(path)
    assert Dataset.load(path).to_list() == rows
    assert path.read_bytes().count(b"\n") == len(rows)


def test_lines_are_kept_byte_for_byte(tmp_path: Path) -> None:
    source = Dataset.load(file_of(tmp_path, *LINES))
    copies = {
        "same": source,
        "shuffled": source.shuffle(3),
        "filtered": source.filter(lambda row: True),
        "parts": source.split(train=0.5, test=0.5)["train"],
    }
    for name, dataset in copies.items():
        path = tmp_path / f"{name}.jsonl"
        dataset.save(path)
        assert set(path.read_bytes().splitlines()) <= set(LINES)
    assert (tmp_path / "same.jsonl").read_bytes() == (tmp_path / "rows.jsonl").read_bytes()
    assert source[0]["n"] == 12345678901234567890123
    assert source[0]["id"] == "007"


def test_blank_lines_a_mark_and_a_lacking_line_end_do_not_matter(tmp_path: Path) -> None:
    path = file_of(tmp_path, b'\xef\xbb\xbf{"n":1}\r', b"", b"  ", b'{"n":2}', end=b"")
    assert Dataset.load(path).to_list() == [{"n": 1}, {"n": 2}]
    assert Dataset.load(path)[-1] == {"n": 2}


@pytest.mark.parametrize(
    ("line", "message"), [(b'{"n":2', r"rows.jsonl, line 3, is not JSON"), (b"[1]", "line 3, is not an object")]
)
def test_a_broken_line_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    dataset = Dataset.load(file_of(tmp_path, b'{"n":1}', b"", line, end=b""))
    with pytest.raises(SourceError, match=message):
        dataset.to_list()
    with pytest.raises(SourceError, match=message):
        dataset.save(tmp_path / "copy.jsonl")
    assert not (tmp_path / "copy.jsonl").exists()


def test_a_line_that_a_run_is_writing_is_none_yet(tmp_path: Path) -> None:
    path = file_of(tmp_path, b'{"n":1}', b'{"n":', end=b"")
    rows = Rows(path)
    assert list(rows) == [{"n": 1}]
    with path.open("ab") as file:
        file.write(b"2}\n")
    assert [len(rows), rows[1], rows[-2:]] == [2, {"n": 2}, [{"n": 1}, {"n": 2}]]
    path.unlink()
    assert list(rows) == []


def test_a_view_reads_the_file_that_was_there_when_it_was_made(tmp_path: Path) -> None:
    path = file_of(tmp_path, b'{"n":1}', b'{"n":2}')
    before = Dataset.load(path)
    backwards = before[::-1]
    Dataset([{"n": 9}]).save(path)
    assert backwards.to_list() == [{"n": 2}, {"n": 1}]
    assert Dataset.load(path).to_list() == [{"n": 9}]
    changed = Dataset.load(path)
    path.write_bytes(b'{"n"')
    with pytest.raises(SourceError, match="cut short while it was in use"):
        changed[0]


def test_checkpoints_do_not_change_with_what_is_added_later(tmp_path: Path) -> None:
    dataset = Dataset()
    for number in range(3):
        dataset.extend([{"n": number}])
        dataset.save(tmp_path / f"checkpoint_{number}.jsonl")
    assert [len(Dataset.load(tmp_path / f"checkpoint_{number}.jsonl")) for number in range(3)] == [1, 2, 3]


def test_what_is_added_to_a_loaded_dataset_is_in_it_and_not_in_its_file(tmp_path: Path) -> None:
    path = file_of(tmp_path, b'{"n":1}')
    dataset = Dataset.load(path)
    early = dataset[:]
    dataset.append({"n": 2})
    dataset.extend(dataset)
    assert [row["n"] for row in dataset] == [1, 2, 1, 2]
    assert [row["n"] for row in dataset.shuffle(1)[:4]].count(2) == 2
    assert early.to_list() == [{"n": 1}]
    assert path.read_bytes() == b'{"n":1}\n'


def test_the_file_of_a_run_is_not_written_over(tmp_path: Path) -> None:
    path = file_of(tmp_path, b'{"n":1}')
    (tmp_path / "rows.run").mkdir()
    (tmp_path / "rows.run" / "ledger.sqlite").touch()
    dataset = Dataset.load(path)
    dataset.append({"n": 2})
    with pytest.raises(ConfigError, match=r"belongs to the run in .*rows\.run"):
        dataset.save(path)
    assert path.read_bytes() == b'{"n":1}\n'
    dataset.save(tmp_path / "copy.jsonl")
    assert len(Dataset.load(tmp_path / "copy.jsonl")) == 2


@pytest.mark.parametrize("bad", ["text", 7, None, {"n": float("nan")}, {"n": [{"m": float("inf")}]}, {"n": object()}])
def test_what_is_no_row_is_refused_and_nothing_of_its_batch_added(bad: Any) -> None:
    dataset = numbered(1)
    with pytest.raises(ConfigError):
        dataset.extend([{"id": "good"}, bad])
    assert len(dataset) == 1


def test_where_a_number_is_none_is_said() -> None:
    with pytest.raises(ConfigError, match=r"scores\.1\.x is nan"):
        Dataset([{"scores": [1, {"x": float("nan")}], "none": None}])


def test_many_rows_go_to_a_file_and_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "_CHUNK", 100)
    dataset = numbered(50)
    dataset.append({"id": "last"})
    assert [row["id"] for row in dataset] == [*map(str, range(50)), "last"]
    assert [dataset[place]["id"] for place in (50, 0, -2, 30)] == ["last", "0", "49", "30"]
    chosen = dataset.shuffle(2).shuffle(5).filter(lambda row: row["id"] in ("1", "2"))
    assert sorted(row["id"] for row in chosen) == ["1", "2"]


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"".join(b'{"id":"%d","text":"%s"}\n' % (number, b"x" * 1000) for number in range(10_000)))
    gc.collect()
    tracemalloc.start()
    dataset = Dataset.load(path)
    parts = dataset.shuffle(1).split(train=0.8, test=0.2)
    parts["train"].save(tmp_path / "train.jsonl")
    dataset.statistics()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert path.stat().st_size > 10_000_000
    assert peak < 4_000_000


def test_no_file_stays_open_behind_a_dataset(tmp_path: Path) -> None:
    path = file_of(tmp_path, b'{"n":1}')
    Dataset.load(path)
    gc.collect()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        Dataset.load(path).shuffle(1).to_list()
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_map_and_filter_call_their_function_once_for_each_row() -> None:
    calls: list[str] = []

    def upper(row: dict[str, Any]) -> dict[str, Any]:
        calls.append(row["id"])
        return {**row, "text": row["text"].upper()}

    made = numbered(5).map(upper).filter(lambda row: row["label"] == "a")
    assert [row["text"] for row in made] == ["TEXT 0", "TEXT 2", "TEXT 4"]
    assert made.to_list() == made.to_list()
    assert calls == list("01234")
    with pytest.raises(ConfigError, match="row 1 is no row but a NoneType"):
        numbered(1).map(lambda row: None)  # type: ignore[arg-type, return-value]  # the mistake that is meant


def test_it_shows_itself(tmp_path: Path) -> None:
    assert repr(Dataset()) == "Dataset(0 rows)"
    assert repr(numbered(1)) == "Dataset(1 row: id, text, label)"
    assert bool(Dataset())
    page = Dataset([{"text": "<script>alert(1)</script>"}])._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    with pytest.raises(IndexError, match="row 5 of 2"):
        numbered(2)[5]
    with pytest.raises(SourceError, match=r"Did you mean 'rows\.jsonl'"):
        Dataset.load(file_of(tmp_path, b"{}").with_name("row.jsonl"))
    with pytest.raises(SourceError, match="is a folder"):
        Dataset.load(tmp_path)


def test_statistics_count_labels_lengths_and_what_stands_twice() -> None:
    found = Dataset(
        [
            {"id": "1", "text": "aa", "label": "x", "language": "en", "metadata": {"n": 1}},
            {"id": "2", "text": "aa", "label": "x", "language": "en", "metadata": {"n": 2}},
            {"id": "2", "text": "bbbb", "label": "y", "language": "fr", "entities": [{"label": "P"}, {"label": "P"}]},
            {"id": "4", "text": "c", "label": "y", "language": "fr", "note": None},
        ]
    ).statistics()
    assert found.rows == 4
    assert found.counts["label"] == {"x": 2, "y": 2}
    assert found.counts["language"] == {"en": 2, "fr": 2}
    assert found.counts["entities"] == {"P": 2}
    assert (found.lengths["text"].least, found.lengths["text"].median, found.lengths["text"].most) == (1, 2, 4)
    assert (found.duplicates, found.repeated_ids) == (1, 1)
    assert found.missing == {"metadata": 2, "entities": 3, "note": 4}
    assert "label:\n  x          2   50.0%" in str(found)
    assert str(Dataset().statistics()).startswith("rows          0")


def test_saving_takes_the_place_of_a_file_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file_of(tmp_path, b'{"n":1}')
    dataset = numbered(3)

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(Exception, match=r"rows\.jsonl cannot be written: No space left"):
        dataset.save(path)
    assert path.read_bytes() == b'{"n":1}\n'
    assert list(tmp_path.iterdir()) == [path]
    monkeypatch.undo()
    dataset.save(path)
    assert [orjson.loads(line) for line in path.read_bytes().splitlines()] == dataset.to_list()


def test_a_folder_called_datasets_is_not_taken_for_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    # What Python makes of such a folder in the current one, where the package is not installed.
    monkeypatch.setitem(sys.modules, "datasets", ModuleType("datasets"))
    with pytest.raises(MissingDependencyError, match=r"rowsmith\[hub\]"):
        Dataset([{"text": "a"}]).to_hf()
