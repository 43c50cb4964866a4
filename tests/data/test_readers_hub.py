"""Datasets of the Hugging Face Hub: a stand-in on loopback, and folders laid out like a dataset."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rowsmith.data import hub_source
from rowsmith.data.hub_source import HubDataset
from rowsmith.data.readers import open_rows, open_source
from rowsmith.errors import MissingDependencyError, SourceError

from .reading import LONG, file_at, message, shards, texts

pytest.importorskip("datasets")


@pytest.fixture
def dataset(tmp_path: Path) -> HubDataset:
    """A folder laid out like a dataset of the Hub: 4 files of 50 rows."""
    for path, content in shards(4, 50).items():
        file_at(tmp_path / "dataset", path, content)
    return HubDataset(name=str(tmp_path / "dataset"), folder=tmp_path / "fetched")


def fetched(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_only_the_rows_that_are_needed_are_fetched_and_kept(dataset: HubDataset) -> None:
    source = open_source(dataset, id_column="id", limit=10)
    assert [document.id for document in source] == [f"{at:04d}" for at in range(10)]
    assert source[7].text.startswith("7 ")
    parts = fetched(Path(dataset.folder))
    assert sorted(parts) == ["000000000000-000000000010.jsonl", "about.json"]
    assert json.loads(parts["000000000000-000000000010.jsonl"].splitlines()[3]) == {"text": f"3 {LONG}", "id": "0003"}


def test_more_rows_are_fetched_behind_those_that_were(dataset: HubDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_source, "PART_BYTES", 50_000)
    few = open_source(dataset, limit=60)
    parts = fetched(Path(dataset.folder))
    many = open_source(dataset, limit=120)
    assert [many.fingerprint(at) for at in range(60)] == [few.fingerprint(at) for at in range(60)]
    assert texts(many) == [f"{at} {LONG}" for at in range(120)]
    later = fetched(Path(dataset.folder))
    assert all(later[name] == content for name, content in parts.items())
    assert len(later) > len(parts) > 2
    assert len(open_source(dataset)) == 200


def test_what_was_fetched_is_enough_without_the_hub(dataset: HubDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = texts(open_source(dataset))
    some = texts(open_rows_as_documents(dataset, 30))
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert texts(open_source(dataset)) == whole
    assert texts(open_rows_as_documents(dataset, 30)) == some
    with pytest.raises(MissingDependencyError, match=r"rowsmith\[hub\]"):
        open_rows_as_documents(dataset, 31)


def open_rows_as_documents(dataset: HubDataset, limit: int) -> Any:
    return open_source(dataset, "text", context_column="unused", limit=limit)


def test_a_gap_in_what_was_fetched_is_fetched_again(dataset: HubDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_source, "PART_BYTES", 50_000)
    whole = texts(open_source(dataset))
    parts = sorted(Path(dataset.folder).rglob("*.jsonl"))
    parts[1].unlink()
    (parts[0].parent / ".000000000999-000000001000.jsonl.1").write_bytes(b"half")
    assert texts(open_source(dataset)) == whole
    assert sorted(Path(dataset.folder).rglob("0*.jsonl")) >= parts


def test_rows_of_the_hub_have_all_their_columns_or_those_that_are_wanted(dataset: HubDataset) -> None:
    assert set(open_rows(dataset, limit=1)[0]) == {"id", "text", "unused"}
    assert open_rows(dataset, ["id"], limit=2)[1] == {"id": "0001"}


def test_a_column_a_split_or_a_dataset_that_there_is_not_is_an_error(dataset: HubDataset, tmp_path: Path) -> None:
    assert "has no column 'txt'. Did you mean 'text'?" in message(dataset, "txt")
    other = HubDataset(name=dataset.name, folder=dataset.folder, split="tset")
    assert "'tset'" in message(other)
    assert "train" in message(other)
    (tmp_path / "bare").mkdir()
    assert "cannot be fetched" in message(HubDataset(name=str(tmp_path / "bare"), folder=dataset.folder))


def test_parquet_shards_are_read_too(tmp_path: Path) -> None:
    arrow, writer = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    (tmp_path / "dataset").mkdir()
    writer.write_table(arrow.table({"text": ["a", "b"], "n": [1, 2]}), tmp_path / "dataset/test-00000-of-00001.parquet")
    dataset = HubDataset(name=str(tmp_path / "dataset"), folder=tmp_path / "fetched", split="test")
    assert list(open_rows(dataset)) == [{"text": "a", "n": 1}, {"text": "b", "n": 2}]


# --- over HTTP --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of the steps of `hub_child.py`: one process for all of them, as importing `datasets` takes seconds."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("hub_child.py"))],
        cwd=tmp_path_factory.mktemp("hub"),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert "hf_only_for_this_test" not in done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_a_dataset_is_streamed_from_the_hub_no_further_than_needed(seen: dict[str, Any]) -> None:
    assert seen["first"]["texts"] == [str(at) for at in range(30)]
    files = {
        path.rsplit("/", 1)[1] for path in seen["first"]["requests"] if ".jsonl" in path and path.startswith("GET")
    }
    assert files == {"train-00000-of-00006.jsonl"}
    assert seen["first"]["sent"] < seen["total"] / 2
    assert seen["tokens"] == ["Bearer hf_only_for_this_test"]


def test_what_was_fetched_is_not_asked_for_again(seen: dict[str, Any]) -> None:
    assert seen["again"]["texts"] == seen["first"]["texts"]
    assert seen["again"]["requests"] == []


def test_rows_fetched_later_are_of_the_commit_that_was_read_first(seen: dict[str, Any]) -> None:
    assert seen["more"]["texts"] == [str(at) for at in range(40)]
    assert seen["commit since"] != seen["commit"]
    asked = [path for path in seen["more"]["requests"] if ".jsonl" in path]
    assert asked
    assert all(f"/{seen['commit']}/" in path for path in asked)


def test_a_dataset_that_the_hub_has_not_is_one_error_in_one_line(seen: dict[str, Any]) -> None:
    assert seen["error"].startswith("the dataset org/nmae ('train') cannot be fetched: ")
    assert "HF_TOKEN" in seen["error"]
    assert "\n" not in seen["error"]


def test_a_run_fetches_when_it_begins_and_no_constructor_does(seen: dict[str, Any]) -> None:
    assert seen["run"]["rows"] == ["0", "1", "2"]
    assert seen["run"]["in constructor"] == 0
    assert seen["run"]["requests"] > 0
    assert seen["run"]["kept"] == ["000000000000-000000000003.jsonl"]


def test_a_run_goes_on_without_the_hub_and_a_higher_count_fetches_only_what_is_new(seen: dict[str, Any]) -> None:
    assert seen["run again"] == {**seen["run"], "requests": 0, "calls": 0}
    assert seen["run grown"]["rows"] == ["0", "1", "2", "3", "4"]
    assert seen["run grown"]["calls"] == 2 * 2
    assert seen["run grown"]["kept"] == [*seen["run"]["kept"], "000000000003-000000000005.jsonl"]


def test_starting_anew_keeps_what_was_fetched(seen: dict[str, Any]) -> None:
    assert seen["run fresh"]["rows"] == ["0", "1", "2", "3", "4"]
    assert seen["run fresh"]["calls"] == 5 * 2
    assert seen["run fresh"]["requests"] == 0


def test_no_file_is_left_half_written_when_the_disk_is_full(
    dataset: HubDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rowsmith.errors import StorageError

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        open_source(dataset, limit=3)
    assert fetched(Path(dataset.folder)) == {}
    monkeypatch.undo()
    assert len(open_source(dataset, limit=3)) == 3


def test_a_spoiled_note_of_what_was_fetched_is_an_error_with_the_way_out(dataset: HubDataset) -> None:
    open_source(dataset, limit=3)
    next(Path(dataset.folder).rglob("about.json")).write_text("{")
    with pytest.raises(SourceError, match=r"Delete .* to fetch the rows again"):
        open_source(dataset, limit=9)
