"""A sample: rows from all over the plan, paid for once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from rowsmith import MCQDataset, OpenAIProvider
from rowsmith.errors import AuthenticationError, ConfigChangedError, ConfigError
from rowsmith.llm.prices import TokenPrices
from rowsmith.llm.providers.offline import OfflineProvider
from rowsmith.testing import Call, ScriptedServer, WrongKey
from rowsmith.testing.answers import default_answer

from .harness import (
    QUICK,
    Events,
    Model,
    Question,
    classes,
    dataset,
    entries,
    ledger,
    lines,
    must_be_exact,
    new_texts,
    questions,
    tones,
)

Servers = Callable[..., ScriptedServer]
DOCUMENTS = [f"Document number {number} tells of many things." for number in range(12)]


def never_the_same(call: Call) -> str:
    return default_answer(call, question=b"%d" % call.number)


def test_the_rows_are_spread_over_the_plan(tmp_path: Path) -> None:
    made = dataset(
        tmp_path,
        classes=classes("good", "bad"),
        languages={"en": "English", "fr": "French"},
        expansion=tones(*(f"tone {number}" for number in range(100))),
    )
    rows = made.generate_sample(Model(), 8, options=QUICK).rows
    assert len(rows) == 8
    assert Counter(row["label"] for row in rows) == {"good": 4, "bad": 4}
    assert Counter(row["language"] for row in rows) == {"en": 4, "fr": 4}
    assert len({row["metadata"]["placeholders"]["tone"] for row in rows}) == 8


def test_nothing_is_written_to_the_output(tmp_path: Path) -> None:
    made = dataset(tmp_path)
    made.generate_sample(Model(), 4, options=QUICK)
    assert list(made) == []
    assert ledger(tmp_path, "SELECT count(*) FROM cells WHERE status <> 0 OR rows > 0") == [(0,)]


def test_what_was_sampled_is_not_asked_for_again(tmp_path: Path, scripted_server: Servers) -> None:
    server = scripted_server(never_the_same, hints={"num_samples": 5})
    provider = OpenAIProvider("any", api_base=server.base_url)
    made = dataset(tmp_path, expansion=tones(*(f"tone {number}" for number in range(10))))
    sample = made.generate_sample(provider, 6, options=QUICK)
    assert (server.count, sample.calls) == (6, 6)
    again = made.generate_sample(provider, 6, options=QUICK)
    assert (server.count, again.calls) == (6, 0)
    assert again.rows == sample.rows

    made.generate(provider, options=QUICK)
    assert made.report is not None
    assert (made.report.calls, made.report.replayed) == (14, 6)
    assert (server.count, server.answered_again) == (20, 0)
    must_be_exact(tmp_path, 100)
    kept = {row["id"]: row for row in lines(tmp_path)}
    assert all(kept[row["id"]] == row for row in sample)


def test_each_row_comes_with_the_prompts_behind_it(tmp_path: Path) -> None:
    sample = MCQDataset(questions(tmp_path, DOCUMENTS)).generate_sample(OfflineProvider(), 3, options=QUICK)
    assert len(sample) == len(sample.prompts) == 3
    for row, (asking, distracting) in zip(sample.rows, sample.prompts, strict=True):
        assert (asking.role, distracting.role) == ("question", "distractor")
        assert asking.model == "offline"
        assert row["source_document"] in asking.messages[-1].content
        assert row["question"] in [entry["question"] for entry in json.loads(asking.answer)["entries"]]
        assert row["question"] in distracting.messages[-1].content
        assert row["incorrect_answer_1"] in distracting.answer


@pytest.mark.parametrize(("wanted", "rows", "calls"), [(1, 1, 1), (4, 4, 4), (10, 10, 4), (20, 20, 4), (1000, 20, 4)])
def test_a_plan_of_few_cells_gives_more_rows_of_each(tmp_path: Path, wanted: int, rows: int, calls: int) -> None:
    model = Model()
    sample = dataset(tmp_path).generate_sample(model, wanted, options=QUICK)
    assert (len(sample), len(model.asked)) == (rows, calls)
    assert sample.expected == rows
    labels = [row["label"] for row in sample]
    assert wanted == 1 or abs(labels.count("good") - labels.count("bad")) <= 1
    assert len({row["id"] for row in sample}) == rows


def test_a_finished_dataset_is_sampled_from_its_rows_without_a_call(tmp_path: Path) -> None:
    model = Model()
    made = dataset(tmp_path).generate(model, options=QUICK)
    sample = made.generate_sample(model, 8, options=QUICK)
    assert sample.calls == 0
    assert len(sample) == 8
    assert all(row in list(made) for row in sample)
    assert all(exchanges for exchanges in sample.prompts)
    assert ledger(tmp_path, "SELECT value FROM meta WHERE name = 'state'") == [("finished",)]
    made.generate(model, options=QUICK)
    assert made.report is not None
    assert made.report.complete
    assert len(model.asked) == 4


def test_a_finished_dataset_is_never_asked_for_again_though_its_duplicates_were_others(tmp_path: Path) -> None:
    """The run found rows of two cells alike, which a sample of single cells cannot know."""

    def says(question: Question) -> str:
        if question.count < 5:
            return new_texts(question)
        own = f"{question.digest} twice"
        return entries("the same for all", own, own, *(f"{question.digest} {number}" for number in range(2)))

    model = Model(says)
    made = dataset(tmp_path, max_rounds=2).generate(model, options=QUICK)
    asked = len(model.asked)
    assert asked == 8, "in the first cell one text lacks, in the others two"
    sample = made.generate_sample(model, 20, options=QUICK)
    assert len(model.asked) == asked
    assert sorted(row["id"] for row in sample) == sorted(row["id"] for row in made)


def test_rounds_are_part_of_a_sample(tmp_path: Path) -> None:
    def says(question: Question) -> str:
        return (
            entries("the same", "the same", "the same")
            if "exist already" not in question.prompt
            else new_texts(question)
        )

    sample = dataset(tmp_path).generate_sample(Model(says), 20, options=QUICK)
    assert sample.calls > 4
    assert sample.rejected["duplicate"] >= 4
    assert len({row["text"] for row in sample if row["text"] != "the same"}) == 16


def test_an_output_of_another_configuration_is_not_sampled(tmp_path: Path) -> None:
    model = Model()
    dataset(tmp_path).generate_sample(model, 2, options=QUICK)
    with pytest.raises(ConfigChangedError, match="system_prompt"):
        dataset(tmp_path, system_prompt="Be brief.").generate_sample(model, 2, options=QUICK)
    assert len(model.asked) == 2
    dataset(tmp_path, system_prompt="Be brief.").generate_sample(model, 2, fresh=True, options=QUICK)
    assert len(model.asked) == 4


def test_a_sample_says_what_it_cost(tmp_path: Path) -> None:
    class Priced(Model):
        token_prices = TokenPrices(1.0, 10.0)

    model = Priced()
    sample = dataset(tmp_path).generate_sample(model, 3, options=QUICK)
    assert sample.cost == pytest.approx(3 * (10 * 1.0 + 10 * 10.0) / 1e6)
    assert dataset(tmp_path).generate_sample(model, 3, options=QUICK).cost == 0
    assert dataset(tmp_path).generate_sample(Model(model_id="m2"), 3, fresh=True, options=QUICK).cost is None


def test_a_sample_keeps_to_the_budget_and_says_why_it_is_short(tmp_path: Path) -> None:
    model = Model()
    sample = dataset(tmp_path).generate_sample(model, 20, max_requests=2, options=QUICK)
    assert (len(model.asked), len(sample), sample.expected) == (2, 10, 20)
    assert "max_requests is reached" in sample.why


def test_a_wrong_key_is_an_error_of_the_sample(tmp_path: Path, scripted_server: Servers) -> None:
    server = scripted_server(faults=WrongKey())
    with pytest.raises(AuthenticationError):
        dataset(tmp_path).generate_sample(OpenAIProvider("any", api_base=server.base_url), 4, options=QUICK)
    assert server.count == 1


def test_fewer_than_one_row_is_an_error_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="num_samples must be at least 1, got 0"):
        dataset(tmp_path).generate_sample(Model(), 0)
    assert not (tmp_path / "rows.run").exists()


async def test_both_faces_work_inside_a_running_loop(tmp_path: Path) -> None:
    model, events = Model(), Events()
    blocking = dataset(tmp_path).generate_sample(model, 4, options=QUICK, listeners=[events])
    waiting = await dataset(tmp_path).generate_sample_async(model, 4, options=QUICK)
    assert blocking.rows == waiting.rows
    assert events.calls == len(model.asked) == 4
