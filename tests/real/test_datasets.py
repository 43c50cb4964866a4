"""The main job on a real engine: llama.cpp over HTTP, with real grammar-constrained JSON."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rowsmith import (
    ClassificationDataset,
    ClassificationDatasetConfig,
    MCQDataset,
    MCQDatasetConfig,
    OpenAIProvider,
    PromptExpansionConfig,
)
from rowsmith.engine.events import CallMade, Event
from rowsmith.llm.values import Rung
from support.llama_server import LlamaServer

CLASSES: Any = [
    {"name": "positive", "description": "Text expressing positive emotions"},
    {"name": "negative", "description": "Text expressing negative emotions"},
]


@pytest.fixture
def model(llama_server: LlamaServer) -> OpenAIProvider:
    return OpenAIProvider(
        llama_server.model, api_base=llama_server.base_url, temperature=1.0, max_completion_tokens=1000
    )


def sentiment(folder: Path) -> ClassificationDatasetConfig:
    return ClassificationDatasetConfig(
        classes=CLASSES,
        num_samples_per_prompt=5,
        output_file=str(folder / "sentiment_dataset.jsonl"),
        languages={"en": "English", "fr": "French"},
        prompts=[
            "Write {num_samples} {{length}} reviews in {language_name} that are {label_name}: {label_description}."
        ],
        expansion=PromptExpansionConfig(placeholders={"length": ["short", "long"]}, combinatorial=True),
        max_rounds=10,
    )


def test_a_classification_dataset_comes_out_exact_and_balanced(model: OpenAIProvider, tmp_path: Path) -> None:
    dataset = ClassificationDataset(sentiment(tmp_path))
    assert dataset.get_num_expected_rows(llms=["openai/gpt-5-mini"]) == 40

    assert dataset.generate(llms=[model]) is dataset

    rows = dataset.to_list()
    assert len(dataset) == len(rows) == 40
    groups = Counter((row["label"], row["language"], row["metadata"]["placeholders"]["length"]) for row in rows)
    assert set(groups.values()) == {5}
    assert len(groups) == 8
    assert len({row["id"] for row in rows}) == len({row["text"] for row in rows}) == 40
    for row in rows:
        assert list(row) == ["id", "text", "label", "language", "model_id", "label_source", "metadata"]
        assert row["text"].strip()
        assert row["model_id"] == "tiny"
        assert row["label_source"] == "synthetic"
        assert row["metadata"]["provider"] == "openai"
    assert dataset.report is not None
    assert dataset.report.complete
    assert dataset.report.total.output_tokens > 0


def test_a_second_start_asks_nothing(model: OpenAIProvider, tmp_path: Path) -> None:
    before = ClassificationDataset(sentiment(tmp_path)).generate(model).to_list()
    again = ClassificationDataset(sentiment(tmp_path)).generate(model)
    assert again.report is not None
    assert again.report.calls == 0
    assert again.to_list() == before


@pytest.mark.parametrize("rung", list(Rung))
def test_every_rung_of_structured_output_works(
    llama_server: LlamaServer, tmp_path: Path, rung: Rung, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OpenAIProvider, "rungs", (rung,))
    model = OpenAIProvider(
        llama_server.model, api_base=llama_server.base_url, temperature=1.0, max_completion_tokens=600
    )
    config = sentiment(tmp_path).model_copy(update={"max_rounds": 1})
    report = ClassificationDataset(config).generate(model).report
    assert report is not None
    assert report.calls >= 8
    # Only a grammar makes this model of nonsense write the fields asked for; the lower rungs must account for it all.
    assert report.rows == 40 if rung is Rung.SCHEMA else report.rows + report.missing == 40
    if rung is not Rung.SCHEMA:
        assert sum(report.rejected.values()) > 0
        assert sum(lack.rows for lack in report.lacks) == report.missing


def test_questions_and_then_wrong_answers_are_asked_of_documents(model: OpenAIProvider, tmp_path: Path) -> None:
    documents = tmp_path / "documents.txt"
    documents.write_text("\n".join(f"Document {n}. " + "The river has many old bridges. " * 5 for n in range(4)))
    roles: Counter[str] = Counter()

    def count(event: Event) -> None:
        if isinstance(event, CallMade):
            roles[event.role] += 1

    config = MCQDatasetConfig(
        local_file_path=str(documents),
        num_samples_per_prompt=3,
        output_file=str(tmp_path / "mcq.jsonl"),
        max_rounds=10,
    )
    dataset = MCQDataset(config).generate(model, listeners=[count])
    assert len(dataset) == 12
    assert roles["question"] >= 4
    assert roles["distractor"] >= 12
    for row in dataset:
        answers = [row["correct_answer"], *(row[f"incorrect_answer_{number}"] for number in (1, 2, 3))]
        assert len({answer.casefold().strip(" .!?") for answer in answers}) == 4
        assert row["source_document"] in documents.read_text()
        assert len(row["metadata"]["calls"]) == 2
