"""Rows on the Hugging Face Hub: the real client against a stand-in on loopback."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from rowsmith import ConfigError, Dataset, HubError, RawDataset, RawDatasetConfig
from rowsmith.data import hub as pushing
from rowsmith.data.card import BEGIN, END, Origin, Use
from rowsmith.data.formats.parquet import schema_of
from support.hub import Fault, Hub

from .pushed import SHAPES

pytest.importorskip("huggingface_hub")
parquet: Any = pytest.importorskip("pyarrow.parquet")

# The client's own way of sending a file is one that its transport would rather see written otherwise.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

TOKEN = "hf_only_for_this_test"
ROWS = [{"id": str(number), "text": f"text {number}", "label": "ab"[number % 2]} for number in range(20)]
ORIGIN = Origin(
    kind="classification",
    expected=25,
    models=[Use(model="openai/m|n", role="writer", calls=3, input_tokens=1_000, output_tokens=2_000, cost=1.5)],
    prompts=["Write {num_samples} texts.\n```\nA fence.\n```"],
    rejected={"duplicates": 4, "length": 1},
    configuration="dataset: classification\n",
)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    constants: Any = import_module("huggingface_hub.constants")
    utils: Any = import_module("huggingface_hub.utils")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    # The client's own waiting before it tries again.
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    utils.disable_progress_bars()
    with Hub(users={TOKEN: "ada"}) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        # Of what the client asks besides; it takes its addresses from the environment once, when it is imported.
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        resolve = f"{running.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", resolve)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield running
    utils.enable_progress_bars()


def header(hub: Hub, name: str = "ada/rows") -> dict[str, Any]:
    card = hub.datasets[name]["README.md"].decode()
    found: dict[str, Any] = yaml.safe_load(card.split("---\n")[1])
    return found


def paths(hub: Hub, name: str = "ada/rows") -> list[str]:
    return sorted(path for path in hub.datasets[name] if path != ".gitattributes")


def rows_of(hub: Hub, split: str = "train", name: str = "ada/rows") -> list[dict[str, Any]]:
    files = hub.datasets[name]
    found = [parquet.read_table(io.BytesIO(files[path])) for path in sorted(files) if path.startswith(f"data/{split}-")]
    return [row for table in found for row in table.to_pylist()]


# -- what is there afterwards -----------------------------------------------------------------------------------------


def test_rows_are_pushed_in_one_commit_to_a_private_dataset(hub: Hub) -> None:
    done: list[Any] = []
    url = Dataset(ROWS).push_to_hub("ada/rows", commit_message="First", progress=done.append)
    assert url == f"{hub.url}/datasets/ada/rows"
    assert rows_of(hub) == ROWS
    assert paths(hub) == ["README.md", "data/train-00000-of-00001.parquet"]
    assert hub.private == {"ada/rows"}
    assert [message for message, _ in hub.commits] == ["First"]
    assert [(one.rows, one.of, one.files) for one in done] == [(20, 20, 1)]


def test_a_public_dataset_is_public_only_when_that_is_said(hub: Hub) -> None:
    Dataset(ROWS).push_to_hub("ada/rows", private=False)
    assert hub.private == set()
    before = dict(hub.datasets["ada/rows"])
    with pytest.raises(ConfigError, match=r"ada/rows is there already and public.*--public"):
        Dataset([{"text": "secret"}]).push_to_hub("ada/rows")
    assert hub.datasets["ada/rows"] == before


def test_parts_are_drawn_from_the_seed_or_left_in_order(hub: Hub) -> None:
    Dataset(ROWS).push_to_hub("ada/rows", train_size=0.75, seed=5)
    train, test = rows_of(hub), rows_of(hub, "test")
    assert (len(train), len(test)) == (15, 5)
    assert sorted(train + test, key=lambda row: int(row["id"])) == ROWS
    assert train == Dataset(ROWS).split(train=0.75, seed=5)["train"].to_list() != ROWS[:15]
    Dataset(ROWS).push_to_hub("ada/rows", train_size=0.75, shuffle=False)
    assert (rows_of(hub), rows_of(hub, "test")) == (ROWS[:15], ROWS[15:])


def test_many_rows_go_in_several_files_of_which_one_is_on_disk(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pushing, "SHARD_BYTES", 2_000)
    monkeypatch.setattr(pushing, "BATCH", 50)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    rows = [{"n": number, "text": f"{number * 7919:x}" * 5} for number in range(1_000)]
    most: list[int] = []
    Dataset(rows).push_to_hub(
        "ada/rows", progress=lambda done: most.append(len(list(tmp_path.rglob("rowsmith-*/*.parquet"))))
    )
    files = [path for path in paths(hub) if path.startswith("data/")]
    assert len(files) > 5
    assert files == [f"data/train-{number:05d}-of-{len(files):05d}.parquet" for number in range(len(files))]
    assert rows_of(hub) == rows
    assert max(most) <= 1
    assert not list(tmp_path.glob("rowsmith-*"))


def test_a_push_replaces_an_earlier_one_and_leaves_all_else(hub: Hub) -> None:
    Dataset(ROWS).push_to_hub("ada/rows", train_size=0.5, origin=ORIGIN)
    hub.datasets["ada/rows"] |= {
        "notes.md": b"mine",
        "data/extra.csv": b"a,b",
        "data/train-00007-of-00009.parquet": b"",
    }
    assert "rowsmith.yaml" in paths(hub)
    Dataset(ROWS[:3]).push_to_hub("ada/rows")
    assert paths(hub) == ["README.md", "data/extra.csv", "data/train-00000-of-00001.parquet", "notes.md"]
    assert rows_of(hub) == ROWS[:3]
    assert len(hub.commits) == 2


def test_someone_who_pushes_at_the_same_time_is_not_undone(hub: Hub) -> None:
    Dataset(ROWS).push_to_hub("ada/rows")

    def another() -> None:
        hub.before_commit = lambda: None
        files = hub.datasets["ada/rows"]
        card = files["README.md"].replace(BEGIN.encode(), b"By hand.\n" + BEGIN.encode())
        hub.datasets["ada/rows"] = {**files, "theirs.txt": b"!", "README.md": card}

    hub.before_commit = another
    Dataset(ROWS[:5]).push_to_hub("ada/rows")
    assert "theirs.txt" in paths(hub)
    assert b"By hand." in hub.datasets["ada/rows"]["README.md"]
    assert rows_of(hub) == ROWS[:5]


def test_a_dataset_that_made_its_rows_tells_how(hub: Hub, tmp_path: Path) -> None:
    config = RawDatasetConfig(document_types=["letter"], topics=["tides"], output_file=str(tmp_path / "letters.jsonl"))
    RawDataset(config).generate("offline").push_to_hub("ada/rows")
    card = hub.datasets["ada/rows"]["README.md"].decode()
    assert "of the kind `raw`" in card
    assert "| offline | writer | 1 |" in card
    assert len(rows_of(hub)) == 5


# -- the card ---------------------------------------------------------------------------------------------------------


def test_the_card_tells_what_is_known_and_nothing_else(hub: Hub) -> None:
    Dataset(ROWS).push_to_hub("ada/rows", origin=ORIGIN)
    card = hub.datasets["ada/rows"]["README.md"].decode()
    for told in ("| a | 10 |", "| openai/m\\|n | writer | 3 | 1,000 | 2,000 | $1.50 |", "Cost: $1.50.", "25 rows were"):
        assert told in card
    assert "| duplicates | 4 |" in card
    assert "````text\nWrite {num_samples} texts.\n```\nA fence.\n```\n````" in card
    assert hub.datasets["ada/rows"]["rowsmith.yaml"] == b"dataset: classification\n"
    assert header(hub).keys() == {"dataset_info", "configs", "size_categories", "tags"}
    assert header(hub)["tags"] == ["synthetic", "rowsmith"]
    assert header(hub)["size_categories"] == ["n<1K"]


def test_license_and_languages_are_those_that_were_given(hub: Hub) -> None:
    Dataset(ROWS).push_to_hub("ada/rows", license="cc-by-4.0", languages=["en", "no"])
    assert header(hub)["license"] == "cc-by-4.0"
    assert header(hub)["language"] == ["en", "no"]
    assert header(hub)["tags"] == ["rowsmith"]


def test_what_a_person_wrote_into_the_card_stays(hub: Hub) -> None:
    Dataset(ROWS).push_to_hub("ada/rows", license="mit")
    files = hub.datasets["ada/rows"]
    text = files["README.md"].decode()
    text = (
        text.replace("tags:\n", "pretty_name: Mine\ntags:\n- mine\n").replace(BEGIN, f"By hand.\n\n{BEGIN}")
        + "\nBelow.\n"
    )
    files["README.md"] = text.encode()
    Dataset(ROWS[:3]).push_to_hub("ada/rows")
    card = files_after = hub.datasets["ada/rows"]["README.md"].decode()
    assert (
        files_after.index("By hand.")
        < card.index(BEGIN)
        < card.index("3 rows")
        < card.index(END)
        < card.index("Below.")
    )
    assert "20 rows" not in card
    found = header(hub)
    assert (found["license"], found["pretty_name"], found["tags"]) == ("mit", "Mine", ["mine", "rowsmith"])
    assert found["dataset_info"]["splits"][0]["num_examples"] == 3


def test_without_a_card_only_what_loading_depends_on_is_changed(hub: Hub) -> None:
    Dataset(ROWS).push_to_hub("ada/bare", upload_card=False, origin=ORIGIN)
    assert paths(hub, "ada/bare") == ["data/train-00000-of-00001.parquet"]
    other = {"config_name": "raw", "data_files": "raw/*"}
    text = yaml.safe_dump({"license": "mit", "configs": [other], "dataset_info": {"features": []}})
    hub.datasets["ada/rows"] = {"README.md": f"---\n{text}---\nBy hand.\n".encode()}
    hub.private.add("ada/rows")
    Dataset(ROWS).push_to_hub("ada/rows", upload_card=False)
    assert hub.datasets["ada/rows"]["README.md"].endswith(b"---\nBy hand.\n")
    assert header(hub)["license"] == "mit"
    assert other in header(hub)["configs"]
    assert [one["name"] for one in header(hub)["dataset_info"]["features"]] == ["id", "text", "label"]


@pytest.mark.parametrize("text", ["a | b", f"x {END} y", "<script>", "```", "|\n| evil | 1 |"])
def test_what_a_model_wrote_does_not_become_markup(hub: Hub, text: str) -> None:
    rows = [{"text": text, "label": text, "model_id": "m"}] * 2
    Dataset(rows).push_to_hub("ada/rows")
    Dataset(rows).push_to_hub("ada/rows")
    card = hub.datasets["ada/rows"]["README.md"].decode()
    assert card.count(BEGIN) == card.count(END) == 1
    counted = next(line for line in card.splitlines() if line.endswith("| 2 |") and not line.startswith("| train"))
    assert len(re.findall(r"(?<!\\)\|", counted)) == 3
    assert not re.search(r"(?<!\\)<script", card.split("```")[-1])


@pytest.mark.parametrize("shape", SHAPES)
def test_the_columns_of_the_card_are_what_datasets_takes_them_for(shape: str) -> None:
    datasets: Any = pytest.importorskip("datasets")
    schema = schema_of(SHAPES[shape])
    assert pushing.features_of(schema) == datasets.Features.from_arrow_schema(schema)._to_yaml_list()


# -- what goes wrong --------------------------------------------------------------------------------------------------


def test_without_a_token_nothing_is_asked(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(ConfigError, match=r"no token .*HF_TOKEN.*hf auth login"):
        Dataset(ROWS).push_to_hub("ada/rows")
    assert hub.requests == []


@pytest.mark.parametrize("name", ["ada/ro ws", "a/b/c", "-x/y", "ada/" + "x" * 200, ""])
def test_a_name_that_is_none_is_refused_before_anything_is_asked(hub: Hub, name: str) -> None:
    with pytest.raises(ConfigError, match="is no name of a dataset"):
        Dataset(ROWS).push_to_hub(name)
    assert hub.requests == []


@pytest.mark.parametrize(
    ("rows", "train_size", "message"),
    [
        ([], None, "there are no rows"),
        (ROWS[:2], 0.9, "the split 'test' would have no rows"),
        (ROWS, 15, "the share of 'train' is 15"),
        ([{"a": 1}, {"a": [1]}], None, "the field 'a' cannot be a column"),
    ],
)
def test_rows_that_cannot_be_pushed_are_refused_before_a_dataset_is_made(
    hub: Hub, rows: list[dict[str, Any]], train_size: float | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Dataset(rows).push_to_hub("ada/rows", train_size=train_size)
    assert hub.datasets == {}


def test_a_wrong_token_is_told_without_showing_it(hub: Hub) -> None:
    with pytest.raises(HubError, match=r"does not know this token.*settings/tokens") as caught:
        Dataset(ROWS).push_to_hub("ada/rows", token="hf_wrong_one")
    assert caught.value.status == 401
    assert "hf_wrong_one" not in str(caught.value)
    assert hub.datasets == {}


def test_a_token_without_the_right_to_write_is_told(hub: Hub) -> None:
    with pytest.raises(HubError, match=r"may not write to grace/rows.*rights to write") as caught:
        Dataset(ROWS).push_to_hub("grace/rows")
    assert caught.value.status == 403
    assert hub.datasets == {}


@pytest.mark.parametrize("request_", ["PUT /lfs", "POST /datasets/ada/rows.git", "POST /api/datasets/ada/rows/commit"])
@pytest.mark.parametrize("status", [500, 0])
def test_a_push_that_fails_in_the_middle_leaves_the_dataset_as_it_was(
    hub: Hub, request_: str, status: int, tmp_path: Path
) -> None:
    Dataset(ROWS).push_to_hub("ada/rows")
    before = dict(hub.datasets["ada/rows"])
    Dataset(ROWS[:7]).save(tmp_path / "rows.jsonl")
    hub.faults = [Fault(request_, status)]
    with pytest.raises(HubError, match="Nothing has changed in the repository"):
        Dataset.load(tmp_path / "rows.jsonl").push_to_hub("ada/rows")
    assert hub.datasets["ada/rows"] == before
    hub.faults.clear()
    Dataset.load(tmp_path / "rows.jsonl").push_to_hub("ada/rows")
    assert rows_of(hub) == ROWS[:7]


def test_a_connection_that_breaks_once_is_made_again(hub: Hub) -> None:
    hub.faults = [Fault("PUT /lfs", 0, 1)]
    Dataset(ROWS).push_to_hub("ada/rows")
    assert rows_of(hub) == ROWS


def test_an_address_where_nobody_is(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match=r"failed: .*refused") as caught:
        Dataset(ROWS).push_to_hub("ada/rows")
    assert caught.value.status is None


# -- loaded back ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `datasets` gave back of what was pushed: one process for all, as importing it takes seconds."""
    pytest.importorskip("datasets")
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("push_child.py"))],
        cwd=tmp_path_factory.mktemp("push"),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_of_every_shape_come_back_as_they_were(seen: dict[str, Any], shape: str) -> None:
    loaded = seen[shape]["rows"]
    assert seen[shape]["splits"] == ["train"]
    assert [_bare(row) for row in loaded] == [_bare(row) for row in SHAPES[shape]]


def test_splits_are_loaded_by_their_names(seen: dict[str, Any]) -> None:
    assert {name: len(values) for name, values in seen["split"].items()} == {"train": 7, "test": 3}
    assert sorted(seen["split"]["train"] + seen["split"]["test"]) == list(range(10))


def test_what_was_pushed_last_is_loaded_though_its_columns_are_others(seen: dict[str, Any]) -> None:
    assert seen["again"] == [{"text": "one"}]


def test_the_token_goes_to_the_hub_alone(seen: dict[str, Any]) -> None:
    assert seen["tokens"] == [f"Bearer {TOKEN}"]


def _bare(value: Any) -> Any:
    """The value without nulls and empty objects, which columns cannot tell from what is not there."""
    if isinstance(value, dict):
        return {name: bare for name, part in value.items() if (bare := _bare(part)) not in (None, {})}
    return [_bare(part) for part in value] if isinstance(value, list) else value
