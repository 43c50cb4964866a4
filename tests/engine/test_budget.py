"""What a run may spend, and that it stops before."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowsmith import ClassificationDataset, OpenAIProvider
from rowsmith.engine.events import CallMade
from rowsmith.engine.gauge import HIDDEN
from rowsmith.engine.options import Options
from rowsmith.engine.wording import money
from rowsmith.errors import ConfigError, ServiceError
from rowsmith.llm.prices import TokenPrices
from rowsmith.llm.values import Completion, Usage
from rowsmith.testing import ScriptedServer, ServerError

from .harness import QUICK, Events, Model, Question, classes, dataset, ledger, lines, must_be_exact, new_texts

Servers = Callable[..., ScriptedServer]
PRICES = TokenPrices(input=1.0, output=10.0)


@dataclass(eq=False)
class Metered(Model):
    """A model that has a price, a limit of its answers, or both, and whose answers take the tokens they are told to.

    Attributes:
        taking: the tokens of the answer to a question.
    """

    taking: Callable[[Question], Usage] = lambda question: Usage(100, 100)
    max_completion_tokens: int | None = None
    token_prices: TokenPrices | None = None

    def __post_init__(self) -> None:
        say = self.answer
        self.answer = lambda question: Completion(str(say(question)), usage=self.taking(question))


def drawn(question: Question, low: int, high: int, salt: str = "") -> int:
    """A number that belongs to a question."""
    digest = hashlib.blake2b(question.body + salt.encode(), digest_size=6).digest()
    return low + int.from_bytes(digest, "big") % (high - low + 1)


def cells(folder: Path, number: int) -> ClassificationDataset:
    """A dataset of so many cells of one row."""
    names = classes(*(f"class {place}" for place in range(number)))
    return dataset(folder, classes=names, num_samples_per_prompt=1, expansion={}, prompts=[PROMPT])


PROMPT = "Write {num_samples} texts in {language_name}, {label_name}: {label_description}."


def tokens_spent(folder: Path) -> int:
    ((tokens,),) = ledger(folder, "SELECT coalesce(sum(input_tokens + output_tokens), 0) FROM calls")
    return int(tokens)


def cost_spent(folder: Path) -> float:
    ((cost,),) = ledger(folder, "SELECT coalesce(sum(cost), 0) FROM calls")
    return float(cost)


def carry_out(made: ClassificationDataset, model: Any, **limits: Any) -> str:
    """Make it; why it stopped."""
    made.generate(model, options=QUICK, **limits)
    assert made.report is not None
    return made.report.why


# -- requests ----------------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(
    most=st.integers(0, 40),
    concurrency=st.sampled_from([1, 3, 16, 256]),
    seed=st.integers(0, 10_000),
    failing=st.sampled_from([0.0, 0.3]),
)
def test_a_run_never_sends_more_requests_than_it_may(most: int, concurrency: int, seed: int, failing: float) -> None:
    def says(question: Question) -> str:
        if drawn(question, 0, 99, f"{seed}/{question.number}") < 100 * failing:
            raise ServiceError("no", status=503)
        return new_texts(question)

    model = Model(says, seconds=lambda question: drawn(question, 0, 20, str(seed)) / 10_000)
    with tempfile.TemporaryDirectory() as folder:
        made = cells(Path(folder), 30)
        why = carry_out(made, model, max_requests=most, max_concurrency=concurrency)
        assert len(model.asked) <= most
        assert made.report is not None
        if made.report.complete:
            assert len(model.asked) >= 30
        elif not made.report.lacks:
            assert len(model.asked) == most
            assert f"max_requests is reached: {most} of {most} requests are sent" in why


def test_requests_of_earlier_starts_count_and_a_higher_limit_goes_on(tmp_path: Path) -> None:
    model = Model()
    assert "max_requests is reached: 7 of 7" in carry_out(cells(tmp_path, 20), model, max_requests=7)
    assert "max_requests is reached: 7 of 7" in carry_out(cells(tmp_path, 20), model, max_requests=7)
    assert len(model.asked) == 7
    assert "higher max_requests" in carry_out(cells(tmp_path, 20), model, max_requests=12)
    assert len(model.asked) == 12
    assert carry_out(cells(tmp_path, 20), model) == ""
    assert len(model.asked) == 20
    must_be_exact(tmp_path, 20)


def test_requests_that_fail_count_over_all_starts(tmp_path: Path, scripted_server: Servers) -> None:
    server = scripted_server(faults=[ServerError(), ServerError(), None, ServerError()])
    provider = OpenAIProvider("any", api_base=server.base_url)
    why = carry_out(cells(tmp_path, 20), provider, max_requests=6, max_concurrency=1)
    assert "6 of 6" in why
    assert (server.count, server.answered) == (6, 3)
    carry_out(cells(tmp_path, 20), provider, max_requests=6)
    assert server.count == 6
    carry_out(cells(tmp_path, 20), provider, max_requests=8)
    assert server.count == 8
    assert ledger(tmp_path, "SELECT count(*) FROM calls") == [(5,)]


def test_a_run_that_needs_just_what_it_may_send_is_complete(tmp_path: Path) -> None:
    model = Model()
    assert carry_out(cells(tmp_path, 20), model, max_requests=20) == ""
    must_be_exact(tmp_path, 20)


def test_no_requests_at_all_still_makes_rows_of_what_was_answered_before(tmp_path: Path) -> None:
    model = Model()
    cells(tmp_path, 20).generate_sample(model, 20, options=QUICK)
    assert lines(tmp_path) == []
    assert carry_out(cells(tmp_path, 20), model, max_requests=0) == ""
    must_be_exact(tmp_path, 20)
    assert len(model.asked) == 20


# -- tokens and money --------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    most=st.integers(0, 60_000),
    cap=st.sampled_from([50, 800, 3_000]),
    concurrency=st.sampled_from([1, 4, 64]),
    seed=st.integers(0, 10_000),
)
def test_where_answers_are_limited_tokens_and_cost_are_never_passed(
    most: int, cap: int, concurrency: int, seed: int
) -> None:
    model = Metered(
        seconds=lambda question: drawn(question, 0, 20, str(seed)) / 10_000,
        taking=lambda question: Usage(drawn(question, 1, len(question.body) + HIDDEN, "in"), drawn(question, 1, cap)),
        max_completion_tokens=cap,
        token_prices=PRICES,
    )
    limit = {"max_tokens": most} if seed % 2 else {"max_cost": most / 1e5}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = cells(folder, 25)
        why = carry_out(made, model, max_concurrency=concurrency, **limit)
        assert made.report is not None
        spent = tokens_spent(folder) if seed % 2 else cost_spent(folder)
        (allowed,) = limit.values()
        assert spent <= allowed
        assert made.report.complete == (why == "")
        if why:
            largest = max(len(question.body) for question in model.asked) if model.asked else 1_000
            next_call = largest + HIDDEN + 100 + cap if seed % 2 else (largest + HIDDEN + 100 + 10 * cap) / 1e6
            assert spent + next_call > allowed, "it stopped while the next call would still have fitted"


@settings(max_examples=25)
@given(
    most=st.integers(20_000, 200_000),
    concurrency=st.sampled_from([1, 4, 64]),
    seed=st.integers(0, 10_000),
)
def test_without_such_a_limit_they_are_passed_by_no_more_than_what_was_in_flight(
    most: int, concurrency: int, seed: int
) -> None:
    model = Metered(
        seconds=lambda question: drawn(question, 0, 20, str(seed)) / 10_000,
        taking=lambda question: Usage(drawn(question, 50, 300, "in"), drawn(question, 1, 8_000)),
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        carry_out(cells(folder, 40), model, max_concurrency=concurrency, max_tokens=most)
        assert tokens_spent(folder) <= most + concurrency * 8_300


def test_money_that_earlier_starts_spent_is_not_spent_again(tmp_path: Path) -> None:
    model = Metered(max_completion_tokens=100, token_prices=PRICES)
    why = carry_out(cells(tmp_path, 50), model, max_cost=0.02)
    assert "max_cost is reached: $0.0" in why
    spent = cost_spent(tmp_path)
    assert 0.01 < spent <= 0.02
    carry_out(cells(tmp_path, 50), model, max_cost=0.02)
    assert cost_spent(tmp_path) == spent
    carry_out(cells(tmp_path, 50), model, max_cost=1)
    must_be_exact(tmp_path, 50)


def test_cost_is_kept_over_http_as_the_service_counts_tokens(tmp_path: Path, scripted_server: Servers) -> None:
    server = scripted_server(latency=0.002, hints={"num_samples": 1})
    provider = OpenAIProvider(
        "any",
        api_base=server.base_url,
        max_completion_tokens=300,
        input_cost_per_million=1,
        output_cost_per_million=10,
    )
    why = carry_out(cells(tmp_path, 200), provider, max_cost=0.05)
    assert "max_cost is reached" in why
    assert 0.04 < cost_spent(tmp_path) <= 0.05
    assert server.answered == server.count == ledger(tmp_path, "SELECT count(*) FROM calls")[0][0]


def test_the_limit_is_for_all_models_together(tmp_path: Path) -> None:
    models = [Metered(model_id=name, max_completion_tokens=100, token_prices=PRICES) for name in ("one", "two")]
    carry_out(cells(tmp_path, 50), models, max_tokens=8_000)
    assert 6_000 < tokens_spent(tmp_path) <= 8_000
    assert all(model.asked for model in models)


def test_an_unknown_price_is_an_error_before_anything_is_paid_for_or_written(tmp_path: Path) -> None:
    model = Model()
    with pytest.raises(ConfigError, match=r"(?s)memory/model.*input_cost_per_million.*output_cost_per_million"):
        cells(tmp_path, 3).generate(model, max_cost=5)
    assert model.asked == []
    assert list(tmp_path.iterdir()) == []


def test_models_that_cost_nothing_are_within_any_limit(tmp_path: Path) -> None:
    assert carry_out(cells(tmp_path, 3), "offline", max_cost=0) == ""


def test_a_small_budget_lets_the_first_call_of_an_unknown_model_go(tmp_path: Path) -> None:
    model = Metered(taking=lambda question: Usage(100, 400), token_prices=PRICES)
    carry_out(cells(tmp_path, 50), model, max_cost=0.05)
    assert 0.03 < cost_spent(tmp_path) <= 0.05


def test_a_model_whose_answers_are_not_known_yet_is_not_asked_for_more_than_the_budget_bears(tmp_path: Path) -> None:
    """Answers of 30,000 tokens, a budget for four of them: nobody knows until the first is there."""
    model = Metered(taking=lambda question: Usage(100, 30_000), token_prices=PRICES, seconds=lambda question: 0.005)
    carry_out(cells(tmp_path, 50), model, max_cost=1.25)
    assert len(model.asked) <= 4
    assert 0.5 < cost_spent(tmp_path) <= 1.25


def test_tokens_that_a_service_does_not_tell_are_estimated_and_stay_so_over_starts(tmp_path: Path) -> None:
    model = Metered(taking=lambda question: Usage(), max_completion_tokens=200, token_prices=PRICES)
    carry_out(cells(tmp_path, 200), model, max_cost=0.02)
    asked = len(model.asked)
    assert 5 < asked < 200
    assert cost_spent(tmp_path) == 0
    carry_out(cells(tmp_path, 200), model, max_cost=0.02)
    assert len(model.asked) == asked


def test_calls_whose_price_was_not_known_then_are_priced_when_it_is(tmp_path: Path) -> None:
    unknown = Metered(max_completion_tokens=100)
    carry_out(cells(tmp_path, 50), unknown, max_requests=10)
    known = Metered(max_completion_tokens=100, token_prices=PRICES)
    why = carry_out(cells(tmp_path, 50), known, max_cost=10 * (100 + 1_000) / 1e6)
    assert "$0.011 of $0.011 are spent" in why
    assert known.asked == []


def test_calls_in_flight_are_finished_and_kept(tmp_path: Path) -> None:
    model, events = Metered(seconds=lambda question: 0.02, max_completion_tokens=100), Events()
    carry_out(cells(tmp_path, 50), model, max_tokens=10_000, listeners=[events])
    assert model.answered == len(model.asked) == len(events.of(CallMade)) == len(lines(tmp_path))
    assert model.in_flight == 0


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"max_cost": -1}, "max_cost must be an amount of US dollars, 0 or more, got -1"),
        ({"max_cost": float("inf")}, "got inf"),
        ({"max_cost": float("nan")}, "got nan"),
        ({"max_requests": -1}, "max_requests must be a whole number, 0 or more, got -1"),
        ({"max_requests": 1.5}, "got 1.5"),
        ({"max_tokens": -1}, "max_tokens must be"),
    ],
)
def test_a_limit_that_is_none_is_an_error(limit: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Options(**limit)


@pytest.mark.parametrize(
    ("dollars", "words"),
    [(0, "$0.00"), (0.5, "$0.50"), (0.0312, "$0.031"), (0.00042, "$0.00042"), (1234.5, "$1,234.50"), (0.999, "$1.00")],
)
def test_small_amounts_are_not_rounded_to_nothing(dollars: float, words: str) -> None:
    assert money(dollars) == words
