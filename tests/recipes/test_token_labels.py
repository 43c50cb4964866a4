"""Texts with marked pieces, made and checked."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rowsmith import ConfigError, OpenAIProvider, TokenLabelsDataset, TokenLabelsDatasetConfig
from rowsmith.testing import ScriptedServer

LABELS = [{"name": "PER", "description": "a person"}, {"name": "LOC", "description": "a place"}]


def config(folder: Path, **fields: object) -> TokenLabelsDatasetConfig:
    given: dict[str, Any] = {
        "labels": LABELS,
        "num_samples_per_prompt": 2,
        "output_file": str(folder / "rows.jsonl"),
        **fields,
    }
    return TokenLabelsDatasetConfig.model_validate(given)


def test_every_span_of_thousands_of_rows_is_its_text_exactly(tmp_path: Path) -> None:
    made = config(tmp_path, negatives=True, rows_per_label=400, languages={"en": "English", "fr": "French"})
    rows = TokenLabelsDataset(made).generate("offline").to_list()
    assert len(rows) == 1200
    for row in rows:
        for entity in row["entities"]:
            assert row["text"][entity["start"] : entity["end"]] == entity["text"]
        assert len(row["tokens"]) == len(row["tags"])
        assert sum(tag.startswith("B-") for tag in row["tags"]) == len(row["entities"])
    assert Counter(row["entities"][0]["label"] if row["entities"] else "" for row in rows) == {
        "PER": 400,
        "LOC": 400,
        "": 400,
    }


def entry(text: str, *entities: tuple[str, str]) -> dict[str, Any]:
    return {"text": text, "entities": [{"text": piece, "label": label} for piece, label in entities]}


BAD = {
    "absent": entry("Ada lives here.", ("Adam", "PER")),
    "ambiguous": entry("Ada and Ada.", ("Ada", "PER")),
    "unknown label": entry("Ada is in Bonn.", ("Ada", "PER"), ("Bonn", "CITY")),
    "label missing": entry("We are in Bonn.", ("Bonn", "LOC")),
}


@pytest.mark.parametrize("fault", BAD)
def test_what_cannot_be_placed_is_asked_for_again_with_the_reason(tmp_path: Path, fault: str) -> None:
    good = entry("Grace and Ada went to Bonn.", ("Ada", "per"), ("Grace", "PER"), ("Bonn", "LOC"))
    answers = iter([json.dumps({"entries": [BAD[fault]]}), json.dumps({"entries": [good]})])
    with ScriptedServer(lambda call: next(answers)) as server:
        model = OpenAIProvider("scripted", api_base=f"{server.url}/v1")
        made = TokenLabelsDataset(config(tmp_path, target_rows=1)).generate(model)
        (row,) = made.to_list()
        assert row["entities"][1] == {"start": 10, "end": 13, "label": "PER", "text": "Ada"}
        assert made.report is not None
        assert made.report.rejected == {"entities": 1}
        again = server.calls[-1].asked.messages[-1].content
        assert BAD[fault]["text"] in again


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([{"name": "PER", "description": "x"}, {"name": "per", "description": "y"}], "stands twice"),
        ([{"name": "a person", "description": "x"}], "no blanks"),
        ([{"name": "nothing", "description": "x"}], "cannot be called"),
    ],
)
def test_labels_that_make_no_tags_are_refused(tmp_path: Path, labels: list[dict[str, str]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(tmp_path, labels=labels)


def test_a_label_more_pays_only_for_itself(tmp_path: Path) -> None:
    TokenLabelsDataset(config(tmp_path)).generate("offline")
    grown = config(tmp_path, labels=[*LABELS, {"name": "ORG", "description": "an organisation"}])
    report = TokenLabelsDataset(grown).generate("offline").report
    assert report is not None
    assert report.complete
    assert report.calls == 1
