"""Where the documents of a dataset come from, as a configuration says it and as runs go on with it."""

from __future__ import annotations

import csv
import gzip
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from data.test_readers_tables import parquet
from engine.harness import QUICK, Model, Question, ledger, lines
from rowsmith import MCQDataset, MCQDatasetConfig
from rowsmith.errors import ConfigChangedError, ConfigError, SourceError
from rowsmith.recipes.sources import InMemory


def answer(question: Question) -> str:
    """Questions, or wrong answers, no two alike."""
    if question.schema == "Distractors" or "wrong answers" in question.prompt:
        return json.dumps({f"incorrect_answer_{n}": f"wrong {question.digest:x} {n}" for n in (1, 2, 3)})
    entries = [
        {"question": f"{question.digest:x} {n}?", "correct_answer": f"right {question.digest:x} {n}"}
        for n in range(question.count)
    ]
    return json.dumps({"entries": entries})


def config(**settings: Any) -> MCQDatasetConfig:
    plain: dict[str, Any] = {"output_file": "rows.jsonl", "num_samples_per_prompt": 1, "min_document_length": 1}
    return MCQDatasetConfig(**(plain | settings))


def calls(**settings: Any) -> int:
    """How many calls a run makes; two make a row."""
    model = Model(answer)
    MCQDataset(config(**settings)).generate(model, options=QUICK)
    return len(model.asked)


def documents() -> list[str]:
    return [row["source_document"] for row in lines(Path.cwd())]


# --- the configuration ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "received: none"),
        ({"local_file_path": "a.txt", "documents": ["a"]}, "received: local_file_path and documents"),
        ({"hf_dataset_name": "a/b", "local_file_path": "a.txt"}, "received: local_file_path and hf_dataset_name"),
        ({"documents": ["a"], "split": "test"}, "split can be given with hf_dataset_name only"),
        ({"local_file_path": "./rows.jsonl"}, "are the same file"),
        ({"documents": ["a"], "sample_count": 0}, "sample_count"),
        ({"documents": ["a"], "bad_rows": "ignore"}, "bad_rows"),
        ({"documents": ["a"], "min_document_length": 9, "max_document_length": 8}, "no document can fit"),
        ({"documents": ["a"], "context_column": "c", "prompts": ["{num_samples} {language_name} {document}"]}, "lacks"),
        ({"documents": ["a"], "prompts": ["{num_samples} {language_name} {document} {context}"]}, "no context_column"),
    ],
)
def test_a_source_that_cannot_be_meant_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config(**settings)


def test_the_arguments_of_the_field_are_taken_as_they_are_known() -> None:
    made = config(
        hf_dataset_name="org/name", text_column="chunk_text", context_column="document_summary", sample_count=3
    )
    assert made.remote
    MCQDataset(made)  # no network in a constructor


def test_a_table_is_a_source_and_is_not_part_of_what_is_kept_of_the_configuration() -> None:
    pandas = pytest.importorskip("pandas")
    made = config(
        documents=pandas.DataFrame({"body": ["one", "two"], "id": ["007", "8"]}), text_column="body", id_column="id"
    )
    assert "documents" not in made.model_dump(mode="json")
    assert "documents" not in repr(made)
    MCQDataset(made).generate(Model(answer), options=QUICK)
    assert documents() == ["one", "two"]
    assert [row["metadata"]["source_id"] for row in lines(Path.cwd())] == ["007", "8"]
    ((fingerprint,),) = ledger(Path.cwd(), "SELECT value FROM meta WHERE name = 'fingerprint'")
    assert "documents" not in fingerprint


def test_the_schema_for_editors_says_what_documents_are() -> None:
    found = TypeAdapter(InMemory).json_schema()
    assert found["items"] == {"anyOf": [{"type": "string"}, {"type": "object"}]}


def test_a_context_is_shown_with_its_document() -> None:
    model = Model(answer)
    rows = [{"text": "The body.", "summary": "A {summary} of it"}]
    MCQDataset(config(documents=rows, context_column="summary")).generate(model, options=QUICK)
    assert "A {summary} of it" in model.prompts[0]
    assert "The body." in model.prompts[0]
    own = "{num_samples} in {language_name}: {document} ({context})"
    model = Model(answer)
    MCQDataset(config(documents=rows, context_column="summary", prompts=[own], output_file="own.jsonl")).generate(
        model, options=QUICK
    )
    assert model.prompts[0] == "1 in English: The body. (A {summary} of it)"


def test_what_was_left_out_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        MCQDataset(config(documents=["a", "long enough", "a"], min_document_length=5)).generate(
            Model(answer), options=QUICK
        )
    assert [record.getMessage() for record in caplog.records] == [
        "the list: 2 of 3 rows left out: 2 too short. A text needs at least 5 and at most 10000 characters."
    ]


def test_wrong_sources_are_named_when_the_dataset_is_made() -> None:
    with pytest.raises(SourceError, match=r"There is no file nowhere\.csv"):
        MCQDataset(config(local_file_path="nowhere.csv"))


def test_the_dataset_itself_and_its_run_are_no_source_of_it() -> None:
    Path("a.txt").write_text("first\n")
    settings = {"local_file_path": "."}
    assert calls(**settings) == 2
    Path("b.txt").write_text("second\n")
    assert calls(**settings) == 2
    assert documents() == ["first", "second"]


# --- growth -----------------------------------------------------------------------------------------------------------


def write(name: str, texts: Sequence[str]) -> str:
    """The texts in a format."""
    path = Path(name)
    rows = [{"id": f"{at:03d}", "text": text} for at, text in enumerate(texts)]
    match path.suffixes:
        case [".txt"]:
            path.write_text("".join(f"{text}\n" for text in texts))
        case [".csv"]:
            with path.open("w", newline="") as file:
                csv.writer(file).writerows([["id", "text"], *(row.values() for row in rows)])
        case [".json"]:
            path.write_text(json.dumps({"data": rows}))
        case [".jsonl", ".gz"]:
            path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
        case [".parquet"]:
            parquet(path.parent, {"id": [row["id"] for row in rows], "text": list(texts)}, path.name)
        case _:
            path.mkdir(exist_ok=True)
            for at, text in enumerate(texts):
                (path / f"{at}.md").write_text(text)
    return name


SOURCES: dict[str, Callable[[Sequence[str]], dict[str, Any]]] = {
    **{
        name: lambda texts, name=name: {"local_file_path": write(name, texts)}  # type: ignore[misc]  # mypy infers no lambda with a default
        for name in ("a.txt", "a.csv", "a.json", "a.jsonl.gz", "a.parquet", "folder")
    },
    "list": lambda texts: {"documents": list(texts)},
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=list(SOURCES))
def test_documents_appended_are_the_only_ones_that_are_paid_for(source: Callable[..., dict[str, Any]]) -> None:
    assert calls(**source(["one", "two"])) == 4
    assert calls(**source(["one", "two"])) == 0
    assert calls(**source(["one", "two", "three"])) == 2
    assert documents() == ["one", "two", "three"]


@pytest.mark.parametrize("source", SOURCES.values(), ids=list(SOURCES))
def test_a_higher_sample_count_pays_for_what_it_adds(source: Callable[..., dict[str, Any]]) -> None:
    texts = ["one", "two", "three"]
    assert calls(**source(texts), sample_count=1) == 2
    assert calls(**source(texts), sample_count=3) == 4
    assert documents() == texts


def test_wider_bounds_add_and_narrower_ones_are_refused_by_their_name() -> None:
    texts = ["short", "a longer one"]
    assert calls(documents=texts, min_document_length=10) == 2
    assert calls(documents=texts, min_document_length=1) == 2
    with pytest.raises(ConfigChangedError) as caught:
        calls(documents=texts, min_document_length=10)
    assert caught.value.fields == ("min_document_length",)


def test_the_same_documents_from_elsewhere_are_the_same_documents() -> None:
    assert calls(documents=["one", "two"]) == 4
    assert calls(local_file_path=write("a.csv", ["one", "two"])) == 0
