"""The dataset classes as a person uses them, with the offline provider."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import pytest

from rowsmith import (
    ClassificationDataset,
    ClassificationDatasetConfig,
    ConfigError,
    MCQDataset,
    MCQDatasetConfig,
    OfflineProvider,
    PromptExpansionConfig,
    TemplateError,
)
from rowsmith.engine.events import CellFinished, Event, RowAccepted, RunFinished, RunStarted

CLASSES = [
    {"name": "positive", "description": "Text expressing positive emotions"},
    {"name": "negative", "description": "Text expressing negative emotions"},
]


def config(folder: Path, **fields: object) -> ClassificationDatasetConfig:
    given = {"classes": CLASSES, "output_file": str(folder / "rows.jsonl"), "num_samples_per_prompt": 2, **fields}
    return ClassificationDatasetConfig.model_validate(given)


def test_expected_rows_multiply_with_models_unless_the_prompts_are_spread(tmp_path: Path) -> None:
    dataset = ClassificationDataset(config(tmp_path, languages={"en": "English", "fr": "French"}))
    assert dataset.get_num_expected_rows() == 8
    assert dataset.get_num_expected_rows(llms=["openai/gpt-5-mini", "ollama/gemma3:4b"]) == 16
    assert dataset.get_num_expected_rows(llms=["openai/gpt-5-mini", "ollama/gemma3:4b"], spread=True) == 8


def test_several_models_each_get_every_prompt(tmp_path: Path) -> None:
    models = [OfflineProvider("offline-a"), OfflineProvider("offline-b")]
    dataset = ClassificationDataset(config(tmp_path)).generate(models)
    assert [row["model_id"] for row in dataset] == ["offline-a"] * 2 + ["offline-b"] * 2 + ["offline-a"] * 2 + [
        "offline-b"
    ] * 2
    assert len(dataset) == dataset.get_num_expected_rows(models)


def test_spread_deals_the_prompts_out(tmp_path: Path) -> None:
    models = [OfflineProvider("offline-a"), OfflineProvider("offline-b")]
    dataset = ClassificationDataset(config(tmp_path, languages={"en": "English", "fr": "French"}))
    dataset.generate(models, spread=True)
    pairs = {(row["label"], row["language"], row["model_id"]) for row in dataset}
    assert len(dataset) == 8
    assert len(pairs) == 4
    assert {model for _, _, model in pairs} == {"offline-a", "offline-b"}


def test_a_model_named_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="offline stands twice"):
        ClassificationDataset(config(tmp_path)).generate(["offline", "offline"])


def test_no_model_is_ever_chosen_unasked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no model was named"):
        ClassificationDataset(config(tmp_path)).generate()
    assert not (tmp_path / "rows.jsonl").exists()


def test_rows_are_read_from_disk_by_place_by_slice_and_one_by_one(tmp_path: Path) -> None:
    dataset = ClassificationDataset(config(tmp_path, target_rows=11)).generate("offline")
    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert len(dataset) == len(dataset.rows) == 11
    assert dataset.to_list() == list(dataset) == lines
    assert dataset.rows[0] == lines[0]
    assert dataset.rows[-1] == lines[10]
    assert dataset.rows[3:5] == lines[3:5]
    with pytest.raises(IndexError, match="row 11 of 11"):
        dataset.rows[11]


def test_a_dataset_without_rows_yet_is_empty_and_still_true(tmp_path: Path) -> None:
    dataset = ClassificationDataset(config(tmp_path))
    assert len(dataset) == 0
    assert list(dataset) == []
    assert dataset


def test_target_rows_and_rows_per_label_are_exact(tmp_path: Path) -> None:
    per_label = config(tmp_path, rows_per_label=7, languages={"en": "English", "fr": "French"})
    rows = ClassificationDataset(per_label).generate("offline").to_list()
    assert sorted(row["label"] for row in rows) == ["negative"] * 7 + ["positive"] * 7
    with pytest.raises(ConfigError, match="both say how many rows"):
        config(tmp_path, rows_per_label=7, target_rows=3)


def test_random_sampling_makes_exactly_so_many_variations(tmp_path: Path) -> None:
    prompts = [
        "{num_samples} {{tone}} texts in {language_name} about {label_name}, that is {label_description}.",
        "{num_samples} {{size}} ones in {language_name} about {label_name}, that is {label_description}.",
    ]
    expansion = PromptExpansionConfig(
        placeholders={"tone": ["dry", "warm", "odd"], "size": ["short", "long"]},
        combinatorial=False,
        num_random_samples=6,
    )
    dataset = ClassificationDataset(config(tmp_path, prompts=prompts, expansion=expansion))
    assert dataset.get_num_expected_rows() == 12
    rows = dataset.generate("offline").to_list()
    prompts_used = {(row["label"], json.dumps(row["metadata"]["placeholders"])) for row in rows}
    assert len(rows) == 12
    assert len(prompts_used) == 6
    assert [row["label"] for row in rows].count("positive") == 6


async def test_generate_works_inside_a_running_loop(tmp_path: Path) -> None:
    threads = threading.active_count()
    dataset = ClassificationDataset(config(tmp_path)).generate("offline")
    assert len(dataset) == 4
    await asyncio.sleep(0)
    assert threading.active_count() <= threads + 1


async def test_generate_async_runs_in_the_callers_loop(tmp_path: Path) -> None:
    seen: set[int] = set()

    def listen(event: Event) -> None:
        del event
        seen.add(threading.get_ident())

    dataset = await ClassificationDataset(config(tmp_path)).generate_async("offline", listeners=[listen])
    assert len(dataset) == 4
    assert seen == {threading.get_ident()}


def test_errors_in_a_running_loop_reach_the_caller(tmp_path: Path) -> None:
    async def main() -> None:
        ClassificationDataset(config(tmp_path)).generate("offline", listeners=[explode])

    def explode(event: Event) -> None:
        if isinstance(event, RowAccepted):
            raise ZeroDivisionError("from the listener")

    with pytest.raises(ZeroDivisionError, match="from the listener"):
        asyncio.run(main())


def test_events_tell_the_whole_story_in_order(tmp_path: Path) -> None:
    events: list[Event] = []
    ClassificationDataset(config(tmp_path)).generate("offline", listeners=[events.append])
    assert isinstance(events[0], RunStarted)
    assert events[0].rows == 4
    assert isinstance(events[-1], RunFinished)
    assert events[-1].report.complete
    assert sum(isinstance(event, RowAccepted) for event in events) == 4
    assert [event.status for event in events if isinstance(event, CellFinished)] == ["done", "done"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"classes": CLASSES[:1]}, "classes"),
        ({"classes": [CLASSES[0], CLASSES[0]]}, "'positive' stands twice"),
        ({"num_samples_per_prompt": 0}, "num_samples_per_prompt"),
        ({"languages": {}}, "languages"),
        ({"lenguages": {"en": "English"}}, "languages"),
        ({"classes": [{"name": "a", "descripton": "b"}, CLASSES[0]]}, "description"),
    ],
)
def test_a_wrong_configuration_says_what_would_be_right(
    tmp_path: Path, fields: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        config(tmp_path, **fields)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("Write {num_samples} texts in {language_name}: {label_name}.", "label_description"),
        ("{num_samples} {language_name} {label_nam} {label_description} {label_name}", "label_name"),
        ("{num_samples} {language_name} {label_name} {label_description} {{tone}}", "tone"),
    ],
)
def test_a_prompt_that_cannot_be_filled_in_is_refused_before_anything_is_paid_for(
    tmp_path: Path, prompt: str, message: str
) -> None:
    with pytest.raises(TemplateError, match=message):
        config(tmp_path, prompts=[prompt])


def test_too_many_variations_are_refused_with_both_ways_out(tmp_path: Path) -> None:
    prompt = "{num_samples} {language_name} {label_name} {label_description} {{a}} {{b}}"
    values = [str(number) for number in range(40)]
    expansion = PromptExpansionConfig(placeholders={"a": values, "b": values})
    with pytest.raises(ConfigError, match=r"1,?600 variations.*max_samples.*num_random_samples"):
        ClassificationDataset(config(tmp_path, prompts=[prompt], expansion=expansion))


def test_questions_from_a_csv_file(tmp_path: Path) -> None:
    text = "Bridges, canals and ferries have crossed the water here since the first settlers came. " * 2
    source = tmp_path / "documents.csv"
    source.write_text(f'name,body\na,"{text} One."\nb,"{text} Two."\nc,too short\n')
    dataset = MCQDataset(
        MCQDatasetConfig(
            local_file_path=str(source),
            text_column="body",
            output_file=str(tmp_path / "mcq.jsonl"),
            languages={"en": "English", "de": "German"},
        )
    )
    assert dataset.get_num_expected_rows() == 12
    rows = dataset.generate("offline").to_list()
    assert len(rows) == 12
    for row in rows:
        wrong = {row[f"incorrect_answer_{number}"] for number in (1, 2, 3)}
        assert len(wrong | {row["correct_answer"]}) == 4
        assert row["mcq_source"] == "synthetic"
