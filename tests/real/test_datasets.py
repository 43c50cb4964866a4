"""The main job on a real engine: llama.cpp over HTTP, with real grammar-constrained JSON."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from rowsmith import (
    Axis,
    ClassificationDataset,
    ClassificationDatasetConfig,
    GenericPipelineDataset,
    GenericPipelineDatasetConfig,
    MCQDataset,
    MCQDatasetConfig,
    OpenAIProvider,
    PromptExpansionConfig,
    RawDataset,
    RawDatasetConfig,
    Task,
    TaskDataset,
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


class Ticket(BaseModel):
    text: str = Field(description="what the customer wrote", max_length=200)
    urgency: Literal["low", "medium", "high"]
    seats: int = Field(ge=1, le=500)


def test_rows_of_a_task_are_valid_and_its_axis_is_written_first(model: OpenAIProvider, tmp_path: Path) -> None:
    task = Task(
        description="You write support tickets.",
        output=Ticket,
        axes=[
            Axis("product", values=["billing", "login"], prompt="The ticket is about {value}."),
            Axis.generated("persona", amount=3, prompt="Name {amount} kinds of customers."),
        ],
        num_samples_per_prompt=2,
        max_rounds=10,
    )
    dataset = TaskDataset(task, tmp_path / "tickets.jsonl").generate(model)
    assert dataset.report is not None
    assert dataset.report.complete
    assert {role for _, role in dataset.report.spend} == {"axis", "writer"}
    personas = (tmp_path / "tickets.run" / "axes" / "persona.txt").read_text().splitlines()
    assert len(set(personas)) == 3
    groups = Counter(tuple(row["metadata"]["axes"].values()) for row in dataset)
    assert groups == {(product, persona): 2 for product in ("billing", "login") for persona in personas}
    for row in dataset:
        Ticket.model_validate({name: row[name] for name in Ticket.model_fields})


def test_rows_of_rows_have_the_fields_asked_for(model: OpenAIProvider, tmp_path: Path) -> None:
    fields: Any = {"angry": "bool", "kind": {"choices": ["praise", "complaint"]}}
    config = GenericPipelineDatasetConfig(
        documents=[{"review": "It boils fast.", "stars": 3}, {"review": "It broke.", "stars": 1}],
        input_columns=["review"],
        forward_columns=["stars"],
        output_columns=fields,
        prompts=["Write {num_samples} judgement of this review: {review}"],
        output_file=str(tmp_path / "rows.jsonl"),
        max_rounds=10,
    )
    rows = GenericPipelineDataset(config).generate(model).to_list()
    assert [(row["review"], row["stars"]) for row in rows] == [("It boils fast.", 3), ("It broke.", 1)]
    assert all(isinstance(row["angry"], bool) and row["kind"] in ("praise", "complaint") for row in rows)


def test_free_texts_are_balanced(model: OpenAIProvider, tmp_path: Path) -> None:
    config = RawDatasetConfig(
        document_types=["letter", "note"],
        topics=["ports"],
        seed_texts=["The harbour was quiet."],
        num_samples_per_prompt=2,
        output_file=str(tmp_path / "rows.jsonl"),
        max_rounds=10,
    )
    rows = RawDataset(config).generate(model).to_list()
    assert Counter(row["document_type"] for row in rows) == {"letter": 2, "note": 2}
