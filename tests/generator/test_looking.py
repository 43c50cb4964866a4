"""Statistics, retries, checks before a run, and presets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rowsmith import ConfigError, DataSetGenerator, ModelError, OpenAIProvider, ProviderTimeoutError, ServiceError
from rowsmith.engine.options import Options
from rowsmith.errors import RateLimitError
from rowsmith.generator.retries import ChosenRetries, chosen
from rowsmith.testing import BadJSON, Hang, RateLimited, ScriptedServer, ServerError, WrongKey
from support.clock import HurriedClock

Services = Callable[..., ScriptedServer]
TOPICS = [f"Topic {number}" for number in range(40)]


def generator(**settings: Any) -> DataSetGenerator:
    return DataSetGenerator(**{"instructions": "Explain well.", "model_name": "openai/gpt-4", **settings})


def hurried() -> Options:
    return Options(clock=HurriedClock(1000))


# -- statistics -------------------------------------------------------------------------------------------------------


async def test_statistics_tell_what_went_wrong_and_what_it_took(services: Services) -> None:
    services(faults=[None, ServerError(), ServerError(), BadJSON(), RateLimited(retry_after=0.1)])
    priced = {"model": "openai/gpt-4", "input_cost_per_million": 10, "output_cost_per_million": 30}
    made = generator(model_name=priced)
    await made.create_data_async(20, 5, TOPICS, options=hurried())
    stats = made.get_generation_stats()
    assert (stats.rows, stats.expected) == (20, 20)
    assert stats.calls >= 4
    assert stats.retries == 3
    assert stats.avg_retries == pytest.approx(3 / stats.calls)
    assert stats.error_categories["server_error"] == 2
    assert stats.error_categories["rate_limit"] == 1
    assert stats.error_categories["json_parse_error"] >= 1
    assert 0 < stats.success_rate < 1
    assert f"{stats.success_rate:.2%} {stats.avg_retries:.1f}"
    assert stats.input_tokens > 0 < stats.output_tokens
    assert stats.cost > 0
    assert stats.latencies[0.5] <= stats.latencies[0.99]
    assert stats.rows_per_second > 0


async def test_statistics_are_there_while_data_is_made(services: Services) -> None:
    services()
    made = generator(max_concurrency=1)
    rows: list[int] = []
    await made.create_data_async(10, 2, TOPICS, listeners=[lambda _: rows.append(made.get_generation_stats().rows)])
    assert rows == sorted(rows)
    assert set(range(11)) <= set(rows)


async def test_progress_is_told_when_it_is_asked_for(services: Services, capsys: pytest.CaptureFixture[str]) -> None:
    services()
    made = generator()
    await made.create_data_async(4, 2, TOPICS)
    assert capsys.readouterr().err == ""
    made.enable_monitoring(verbose=True)
    await made.create_data_async(4, 2, TOPICS)
    assert "8 of 8 rows" in capsys.readouterr().err
    told: list[str] = []
    made.enable_monitoring(tell=told.append)
    await made.create_data_async(4, 2, TOPICS)
    assert "12 of 12 rows" in told[-1]


# -- retries ----------------------------------------------------------------------------------------------------------


async def test_the_documented_retry_strategy_is_the_engines(services: Services) -> None:
    server = services(faults=[RateLimited(retry_after=0.1), Hang(), RateLimited(retry_after=0.1), BadJSON()])
    made = generator(request_timeout=0.5)
    made.set_retry_strategy(
        max_retries=5,
        backoff_multiplier=2.0,
        max_backoff_seconds=60,
        retry_on_errors=["timeout", "rate_limit", "json_parse_error"],
    )
    dataset = await made.create_data_async(2, 2, TOPICS, options=Options(clock=HurriedClock(20)))
    assert len(dataset) == 2
    assert server.answered >= 1


async def test_a_failure_that_is_not_in_the_list_is_not_tried_again(services: Services) -> None:
    server = services(faults=ServerError())
    made = generator()
    made.set_retry_strategy(retry_on_errors=["timeout"])
    with pytest.raises(ModelError) as caught:
        await made.create_data_async(2, 2, TOPICS, options=hurried())
    assert isinstance(caught.value.__cause__, ServiceError)
    assert server.count == 1


def test_retries_are_the_policys_within_their_list() -> None:
    policy = ChosenRetries(max_retries=2, categories=chosen(["timeout"]))
    assert not policy.gives_up(ProviderTimeoutError("late"), 2)
    assert policy.gives_up(ProviderTimeoutError("late"), 3)
    assert policy.gives_up(RateLimitError("busy"), 0)
    assert not ChosenRetries().gives_up(RateLimitError("busy"), 99)


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ({"retry_on_errors": ["time_out"]}, "'timeout'"),
        ({"retry_on_errors": "timeout"}, "is a list"),
        ({"max_retries": -1}, "max_retries"),
        ({"backoff_multiplier": 0.5}, "multiplier"),
        ({"max_backoff_seconds": 0}, "longest"),
    ],
)
def test_a_wrong_strategy_is_refused(strategy: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        generator().set_retry_strategy(**strategy)


async def test_half_of_the_calls_may_fail(services: Services) -> None:
    services(chances={ServerError(): 0.5})
    made = generator(max_retries=20)
    assert len(await made.create_data_async(60, 3, TOPICS, options=hurried())) == 60


# -- checks -----------------------------------------------------------------------------------------------------------


async def test_nothing_is_found_where_all_is_well(services: Services) -> None:
    server = services()
    made = generator(temperature=0.8, request_timeout=30)
    made.set_template("instruction", "Explain {topic}.")
    assert made.validate_configuration() == []
    assert server.count == 1
    assert made.validate_configuration(calls=False, num_steps=10, topics=TOPICS) == []
    assert server.count == 1


@pytest.mark.parametrize(
    ("settings", "how", "words"),
    [
        ({"temperature": 3.0}, {}, "between 0 and 2, and is 3.0"),
        ({"request_timeout": 10}, {"batch_size": 5}, "5 examples may take 25 s"),
        ({"request_timeout": -1}, {}, "above 0"),
        ({"default_batch_size": 0}, {}, "batch_size"),
        ({"default_batch_size": 500}, {}, "cut off"),
        ({"default_num_examples": 0}, {}, "num_steps"),
        ({"max_retries": -1}, {}, "max_retries"),
        ({"max_cost": 0.0001}, {"num_steps": 1000, "topics": TOPICS}, "max_cost"),
        ({"max_requests": 10}, {"num_steps": 1000, "topics": TOPICS}, "200 calls"),
        ({"model_name": None}, {}, "no model was named"),
        ({}, {"model_name": "opennai/gpt-4"}, "'openai'"),
    ],
)
def test_what_is_wrong_is_listed(services: Services, settings: dict[str, Any], how: dict[str, Any], words: str) -> None:
    services()
    issues = generator(**settings).validate_configuration(calls=False, **how)
    assert [issue for issue in issues if words in issue]
    assert len(issues) <= 2


def test_a_template_without_a_topic_is_listed(services: Services) -> None:
    services()
    made = generator()
    made.set_custom_template("Explain something.")
    assert "no {topic}" in made.validate_configuration()[0]


def test_a_model_that_does_not_answer_is_listed(services: Services) -> None:
    services(faults=WrongKey())
    issues = generator().validate_configuration()
    assert "does not answer" in issues[0]
    assert "a-key" not in str(issues)


def test_few_tokens_for_a_large_batch_are_listed(services: Services) -> None:
    server = services()
    model = OpenAIProvider("gpt-4", api_key="k", api_base=server.base_url, max_completion_tokens=300)
    assert "max_completion_tokens is 300" in generator(model_name=model).validate_configuration()[0]


# -- presets ----------------------------------------------------------------------------------------------------------


async def test_throughput_takes_fewer_calls_and_more_of_them_at_once(services: Services) -> None:
    server = services(latency=0.02)
    plain = generator(max_concurrency=4)
    await plain.create_data_async(200, None, TOPICS)
    calls, at_once = server.count, server.max_in_flight_seen
    assert (calls, at_once) == (40, 4)
    preset = plain.optimize_for_throughput(large_batch_sizes=True, parallel_requests=True, aggressive_timeouts=False)
    assert "default_batch_size: 5 -> 20" in str(preset)
    assert "max_concurrency: 4 -> 256" in str(preset)
    await plain.create_data_async(200, None, TOPICS)
    assert server.count - calls == 10
    assert server.max_in_flight_seen > at_once


async def test_reliability_makes_rows_where_the_plain_settings_make_none(services: Services) -> None:
    services(faults=[ServerError()] * 9)
    made = generator(max_retries=1)
    with pytest.raises(ModelError):
        await made.create_data_async(2, topics=TOPICS, options=hurried())
    preset = made.optimize_for_reliability(conservative_batch_sizes=True, extended_timeouts=True, maximum_retries=True)
    assert preset.changes == {
        "default_batch_size": (5, 2),
        "max_concurrency": (64, 8),
        "request_timeout": (None, 600.0),
        "max_retries": (1, 12),
    }
    assert len(await made.create_data_async(2, topics=TOPICS, options=hurried())) == 2


def test_what_is_not_asked_for_is_not_set() -> None:
    made = generator()
    preset = made.optimize_for_throughput(large_batch_sizes=False, parallel_requests=False, aggressive_timeouts=True)
    assert preset.changes == {"request_timeout": (None, 30.0)}
    assert "nothing had to change" in str(made.optimize_for_reliability(False, False, False))
