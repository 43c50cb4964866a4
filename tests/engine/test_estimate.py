"""What a run will take, told before it is paid for."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from rowsmith import MCQDataset, OpenAIProvider
from rowsmith.engine.axes import Axis
from rowsmith.engine.estimate import weighted
from rowsmith.engine.gauge import tokens_of
from rowsmith.engine.plan import Plan, Rows
from rowsmith.errors import ConfigError
from rowsmith.llm.prices import TokenPrices
from rowsmith.llm.provider import KnownLimits
from rowsmith.llm.structured.output import Output
from rowsmith.llm.values import Completion, Usage
from rowsmith.recipes import mcq
from rowsmith.testing import ScriptedServer

from .harness import QUICK, Model, Question, classes, dataset, new_texts, questions, tones

Servers = Callable[..., ScriptedServer]
DOCUMENTS = [f"Document number {number} tells of many things." for number in range(12)]


class Priced(Model):
    token_prices = TokenPrices(1.0, 10.0)


def test_nobody_is_asked_and_nothing_is_written(tmp_path: Path) -> None:
    model = Model()
    found = dataset(tmp_path).estimate(model)
    assert (found.rows, found.cells, found.calls, found.sampled) == (20, 4, 4, 0)
    assert model.asked == []
    assert list(tmp_path.iterdir()) == []


def test_prompts_are_those_that_the_run_sends(tmp_path: Path) -> None:
    model = Model()
    found = dataset(tmp_path).estimate(model)
    dataset(tmp_path).generate(model, options=QUICK)
    assert found.calls == len(model.asked)
    assert found.input_tokens == sum(tokens_of(len(question.body)) for question in model.asked)


def test_steps_that_build_on_an_answer_are_walked_too(tmp_path: Path) -> None:
    made = MCQDataset(questions(tmp_path, DOCUMENTS, num_samples_per_prompt=3))
    found = made.estimate("offline")
    assert {part.role: part.calls for part in found.parts} == {"question": 12, "distractor": 36}
    made.generate("offline", options=QUICK)
    assert made.report is not None
    assert found.calls == made.report.calls


def test_every_model_has_its_part(tmp_path: Path) -> None:
    models: list[Any] = [Priced(model_id="dear"), "offline", Model(model_id="unknown")]
    found = dataset(tmp_path).estimate(models)
    assert {part.model: part.calls for part in found.parts} == {"memory/dear": 4, "offline": 4, "memory/unknown": 4}
    assert dataset(tmp_path).estimate(models, spread=True).calls == 4


def test_cost_is_tokens_times_prices(tmp_path: Path) -> None:
    found = dataset(tmp_path).estimate(Priced())
    assert found.cost == pytest.approx((found.input_tokens * 1 + found.output_tokens * 10) / 1e6, rel=0.01)
    assert "about $0.0" in str(found)
    assert dataset(tmp_path).estimate("offline").cost == 0


def test_an_unknown_price_makes_the_cost_unknown_and_says_whose(tmp_path: Path) -> None:
    found = dataset(tmp_path).estimate([Priced(), Model(model_id="unknown")])
    assert found.cost is None
    assert found.unpriced == ("memory/unknown",)
    assert "cost    unknown: no price for memory/unknown" in str(found)


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [
        (KnownLimits(), None),
        (KnownLimits(rpm=2), 120.0),
        (KnownLimits(tpm=60_000), "tokens"),
        (KnownLimits(rpd=4), None),
        (KnownLimits(rpd=3), 86_400.0),
        (KnownLimits(rpd=1, rpm=1), 3 * 86_400.0),
        (KnownLimits(max_concurrency=1), None),
    ],
)
def test_time_is_that_at_the_limits_that_are_known(tmp_path: Path, limits: KnownLimits, seconds: Any) -> None:
    found = dataset(tmp_path).estimate(Model(limits=limits))
    assert found.calls == 4
    right = (found.input_tokens + found.output_tokens) / 1000 if seconds == "tokens" else seconds
    assert found.seconds == (None if right is None else pytest.approx(right))


# -- sharpened by a sample ---------------------------------------------------------------------------------------------


def wordy(question: Question) -> Completion:
    """Half of what was asked for, at ten times the tokens that it seems to be."""
    texts = new_texts(Question(question.body, question.prompt, "", -(-question.count // 2), "", 0))
    return Completion(texts, usage=Usage(len(question.body), 5_000))


def test_a_paid_sample_makes_it_exact_and_is_kept(tmp_path: Path) -> None:
    model = Priced(wordy, seconds=lambda question: 0.01)
    made = dataset(tmp_path, classes=classes("a", "b", "c", "d"), expansion=tones(*map(str, range(10))))
    guess = made.estimate(model)
    found = made.estimate(model, sample=5, options=QUICK)
    assert (guess.calls, found.sampled) == (40, 5)
    assert len(model.asked) == 5 * 3, "five texts come in three rounds: 3, 1 and 1"

    made.generate(model, options=QUICK)
    assert made.report is not None
    assert made.report.replayed == 15
    assert len(model.asked) == 120
    spent = made.report.total
    assert found.calls == 120
    assert found.output_tokens == spent.output_tokens == 120 * 5_000
    assert found.input_tokens == pytest.approx(spent.input_tokens, rel=0.05)
    assert found.cost == pytest.approx(spent.cost, rel=0.05)
    assert guess.output_tokens < spent.output_tokens / 10
    assert found.seconds is not None
    assert 0.01 < found.seconds < 0.1


def test_a_sample_over_http_tells_the_tokens_of_the_run(tmp_path: Path, scripted_server: Servers) -> None:
    server = scripted_server(hints={"num_samples": 5})
    provider = OpenAIProvider("any", api_base=server.base_url, input_cost_per_million=1, output_cost_per_million=1)
    made = dataset(tmp_path, expansion=tones(*map(str, range(10))))
    found = made.estimate(provider, sample=4, options=QUICK)
    assert server.count == 4
    made.generate(provider, options=QUICK)
    assert made.report is not None
    assert found.input_tokens == pytest.approx(made.report.total.input_tokens, rel=0.1)
    assert found.output_tokens == pytest.approx(made.report.total.output_tokens, rel=0.2)
    assert found.cost == pytest.approx(made.report.total.cost, rel=0.2)
    assert server.answered_again == 0


def test_a_service_that_does_not_tell_tokens_leaves_the_estimate_of_them(tmp_path: Path) -> None:
    silent = Model(lambda question: Completion(new_texts(question), usage=Usage()))
    guess = dataset(tmp_path).estimate(silent)
    found = dataset(tmp_path).estimate(silent, sample=2, options=QUICK)
    assert (found.input_tokens, found.output_tokens) == (guess.input_tokens, guess.output_tokens)


def test_a_sample_of_less_than_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="0 or more cells, not -1"):
        dataset(tmp_path).estimate("offline", sample=-1)


async def test_both_faces_work_inside_a_running_loop(tmp_path: Path) -> None:
    assert dataset(tmp_path).estimate("offline") == await dataset(tmp_path).estimate_async("offline")


# -- any plan ----------------------------------------------------------------------------------------------------------


@given(
    sizes=st.lists(st.integers(1, 7), min_size=1, max_size=3),
    per_cell=st.integers(1, 6),
    target=st.none() | st.integers(1, 300),
    count=st.integers(1, 60),
)
def test_the_cells_that_are_walked_stand_for_all(
    sizes: list[int], per_cell: int, target: int | None, count: int
) -> None:
    axes = [Axis(f"axis {place}", range(size)) for place, size in enumerate(sizes)]
    plan = Plan(axes, Rows(per_cell=per_cell, target=target))
    walked = list(weighted(plan, count))
    assert sum(weight for _, weight in walked) == pytest.approx(len(plan))
    assert len({number for number, _ in walked}) == len(walked) <= count + 1
    rows = sum(plan.cell(number).want * weight for number, weight in walked)
    # Cells at the end differ by one row at most, so that is how wrong each of them can be.
    short = sum(plan.cell(number).want < per_cell for number in range(len(plan)))
    assert abs(rows - plan.total_rows) <= short + 1e-6


def test_a_plan_of_many_cells_is_estimated_at_once(tmp_path: Path) -> None:
    placeholders = {name: [f"{name} {number}" for number in range(100)] for name in ("tone", "place", "time", "mood")}
    prompt = (
        "Write {num_samples} {{tone}} {{place}} {{time}} {{mood}} texts in {language_name}, {label_name}: "
        "{label_description}."
    )
    made = dataset(tmp_path, prompts=[prompt], expansion={"placeholders": placeholders, "max_samples": 10**8})
    began = time.perf_counter()
    found = made.estimate(Priced())
    assert time.perf_counter() - began < 5  # measured: 0.1 s
    assert (found.cells, found.walked, found.calls) == (200_000_000, 200, 200_000_000)


class Odd(BaseModel):
    """An answer that the offline provider cannot make up: its pattern looks ahead."""

    model_config = ConfigDict(regex_engine="python-re")
    text: str = Field(pattern=r"^(?=.*odd)(?!.*even).*$")


def test_calls_are_counted_as_far_as_answers_can_be_made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcq, "distractors", lambda count: Output(Odd))
    found = MCQDataset(questions(tmp_path, DOCUMENTS)).estimate(Priced())
    asking, distracting = found.parts
    assert (asking.role, asking.calls, distracting.role, distracting.calls) == ("question", 12, "distractor", 24)
    assert asking.output_tokens > 0
    assert distracting.input_tokens > 0
    assert distracting.output_tokens == 0
