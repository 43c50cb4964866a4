"""Labels for rows that exist already."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rowsmith import (
    ClassificationDataset,
    ClassificationDatasetConfig,
    ConfigError,
    LabelsDataset,
    LabelsDatasetConfig,
    OpenAIProvider,
)
from rowsmith.testing import Call, ScriptedServer

MOOD = {"classes": [{"name": "good", "description": "glad"}, {"name": "bad", "description": "sad"}]}
TOPICS = {
    "multi_label": True,
    "classes": [{"name": name, "description": f"about {name}"} for name in ("food", "staff", "price")],
}
STARS = {"quantity": "how satisfied the writer is", "grades": {"poor": 0.0, "fair": 0.5, "fine": 1.0}}
NAMES = {"labels": [{"name": "PER", "description": "a person"}]}
ROWS = [{"id": f"00{number}", "text": f"Ada ate soup number {number}.", "source": "web"} for number in range(4)]


def config(folder: Path, **fields: object) -> LabelsDatasetConfig:
    given: dict[str, Any] = {
        "documents": ROWS,
        "tasks": {"label": MOOD},
        "output_file": str(folder / "rows.jsonl"),
        **fields,
    }
    return LabelsDatasetConfig.model_validate(given)


def labellers(server: ScriptedServer, *names: str) -> dict[str, Any]:
    arguments = ["labeller_llm", *(f"labeller_{number}_llm" for number in range(2, 10))]
    return {
        argument: OpenAIProvider(name, api_base=server.base_url)
        for argument, name in zip(arguments, names, strict=False)
    }


def saying(**answers: Any) -> Any:
    def say(call: Call) -> str:
        return json.dumps(answers[call.asked.model])

    return say


def test_each_row_comes_out_once_with_its_columns_and_its_id_as_it_was(tmp_path: Path) -> None:
    with ScriptedServer(saying(a={"label": "good"})) as server:
        rows = LabelsDataset(config(tmp_path)).generate(**labellers(server, "a")).to_list()
    assert [row["text"] for row in rows] == [row["text"] for row in ROWS]
    assert [row["metadata"]["source_id"] for row in rows] == ["000", "001", "002", "003"]
    assert all(row["label"] == "good" and row["source"] == "web" and "votes" not in row for row in rows)


def test_rows_that_are_alike_are_labelled_all_the_same(tmp_path: Path) -> None:
    made = config(tmp_path, documents=["the same"] * 5)
    assert len(LabelsDataset(made).generate("offline")) == 5


def test_several_tasks_are_answered_at_once(tmp_path: Path) -> None:
    tasks = {"mood": MOOD, "topics": TOPICS, "stars": STARS, "entities": NAMES}
    answer = {
        "mood": "bad",
        "topics": ["price", "food"],
        "stars": "fair",
        "entities": [{"text": "Ada", "label": "per"}],
    }
    with ScriptedServer(saying(a=answer)) as server:
        row = LabelsDataset(config(tmp_path, tasks=tasks)).generate(**labellers(server, "a")).to_list()[0]
        assert server.count == len(ROWS)
    assert (row["mood"], row["topics"], row["stars"], row["stars_label"]) == ("bad", ["food", "price"], 0.5, "fair")
    assert row["entities"] == [{"start": 0, "end": 3, "label": "PER", "text": "Ada"}]
    assert row["tags"] == ["B-PER", "O", "O", "O", "O", "O"]
    assert row["tokens"] == ["Ada", "ate", "soup", "number", "0", "."]


@pytest.mark.parametrize(
    ("task", "answers", "agreed"),
    [
        (MOOD, ["good", "bad", "good"], "good"),
        (TOPICS, [["food"], ["staff", "food"], ["staff", "price"]], ["food", "staff"]),
        (STARS, ["poor", "fine", "fair"], 0.5),
        (NAMES, [[{"text": "Ada", "label": "PER"}], [], [{"text": "Ada", "label": "PER"}]], "Ada"),
    ],
)
def test_labellers_vote(tmp_path: Path, task: dict[str, Any], answers: list[Any], agreed: Any) -> None:
    said = {name: {"label": answer} for name, answer in zip("abc", answers, strict=True)}
    with ScriptedServer(saying(**said)) as server:
        made = LabelsDataset(config(tmp_path, tasks={"label": task}, labellers=3))
        rows = made.generate(**labellers(server, "a", "b", "c")).to_list()
    assert len(rows) == 4
    for row in rows:
        got = row["label"][0]["text"] if task is NAMES else row["label"]
        assert got == agreed
        assert len(row["votes"]["label"]) == 3
        assert row["model_id"] == "a + b + c"


@pytest.mark.parametrize(
    ("agreement", "answers", "kept"),
    [("vote", "good bad", False), ("unanimous", "good good bad", False), ("keep", "good bad", True)],
)
def test_disagreement_is_refused_or_kept_by_choice(tmp_path: Path, agreement: str, answers: str, kept: bool) -> None:
    said = {name: {"label": answer} for name, answer in zip("abc", answers.split(), strict=False)}
    with ScriptedServer(saying(**said)) as server:
        made = LabelsDataset(config(tmp_path, labellers=len(said), agreement=agreement, max_rounds=0))
        made.generate(**labellers(server, *said))
    rows = made.to_list()
    assert len(rows) == (4 if kept else 0)
    assert all(row["label"] is None and row["votes"]["label"] == ["good", "bad"] for row in rows)
    assert made.report is not None
    assert made.report.rejected == ({} if kept else {"agreement": 4})


def test_a_piece_that_is_not_in_the_text_is_asked_for_again(tmp_path: Path) -> None:
    answers = iter(["Bob", "Ada"])

    def say(call: Call) -> str:
        return json.dumps({"names": [{"text": next(answers), "label": "PER"}]})

    with ScriptedServer(say) as server:
        made = config(tmp_path, tasks={"names": NAMES}, sample_count=1)
        (row,) = LabelsDataset(made).generate(**labellers(server, "a")).to_list()
        assert "'Bob' does not stand in the text" in server.calls[-1].asked.messages[-1].content
    assert row["names"][0]["text"] == "Ada"
    assert row["names_tags"][0] == "B-PER"


def test_what_one_kind_made_another_labels(tmp_path: Path) -> None:
    made = ClassificationDatasetConfig.model_validate(
        {"classes": MOOD["classes"], "rows_per_label": 300, "output_file": str(tmp_path / "made.jsonl")}
    )
    ClassificationDataset(made).generate("offline")
    given = {"local_file_path": made.output_file, "documents": None, "tasks": {"topics": TOPICS, "stars": STARS}}
    rows = LabelsDataset(config(tmp_path, **given)).generate("offline").to_list()
    assert Counter(row["label"] for row in rows) == {"good": 300, "bad": 300}
    assert all(set(row["topics"]) <= {"food", "staff", "price"} and 0 <= row["stars"] <= 1 for row in rows)


def test_more_rows_pay_only_for_themselves(tmp_path: Path) -> None:
    LabelsDataset(config(tmp_path)).generate("offline")
    grown = LabelsDataset(config(tmp_path, documents=[*ROWS, {"text": "One more."}])).generate("offline")
    assert grown.report is not None
    assert grown.report.complete
    assert grown.report.calls == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tasks": {"text": MOOD}}, "cannot be called 'text'"),
        ({"tasks": {"a b": MOOD}}, "cannot be called 'a b'"),
        ({"tasks": {"label": {"classes": [MOOD["classes"][0]] * 2}}}, "stands twice"),
        ({"tasks": {"label": {"quantity": "x"}}}, "grades"),
        ({"tasks": {"source": MOOD}}, "a column 'source' already"),
        ({"agreement": "keep"}, "set `labellers`"),
        ({"target_rows": 5}, "sample_count"),
        ({"languages": {"en": "English", "fr": "French"}}, "languages"),
        ({"text_column": "txt"}, "Did you mean 'text'"),
    ],
)
def test_what_cannot_be_labelled_is_refused(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LabelsDataset(config(tmp_path, **fields))
