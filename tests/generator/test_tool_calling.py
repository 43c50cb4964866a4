"""Conversations that call tools, with results that a model makes up."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from rowsmith import (
    ConfigError,
    DataSetGenerator,
    DataSetGeneratorError,
    OpenAIProvider,
)
from rowsmith.engine.events import RowAccepted
from rowsmith.engine.options import Options
from rowsmith.errors import ConfigChangedError
from rowsmith.testing import Empty, ScriptedServer
from rowsmith.testing.answers import default_answer
from rowsmith.testing.calls import Call

from .toolkit import ADD, MANY, TEXT, TOOLS, WEATHER, calls_of, generator, require_valid, schema

Services = Callable[..., ScriptedServer]
TOPICS = ["Optics", "Heat", "Sound", "Tides", "Rain"]


def entry(question: str, *calls: tuple[str, Any]) -> dict[str, Any]:
    return {"question": question, "calls": [{"name": name, "arguments": arguments} for name, arguments in calls]}


def entries(*listed: dict[str, Any]) -> str:
    return orjson.dumps({"entries": listed}).decode()


def is_first(call: Call) -> bool:
    return call.prompt.startswith("Write ")


def is_simulation(call: Call) -> bool:
    return call.prompt.startswith("You stand in for a tool")


# -- many rows --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "settings", "steps"),
    [
        (150, {}, {1}),
        (150, {"max_tool_steps": 3}, {2, 3}),
        (1000, {"max_tool_steps": 4, "min_tool_steps": 1}, {1, 2, 3, 4}),
    ],
)
def test_of_a_thousand_rows_every_call_fits_its_tool(count: int, settings: dict[str, Any], steps: set[int]) -> None:
    made = generator(tool_failure_rate=0.1, **settings)
    rows = made.create_data(count, 5, TOPICS).to_list()
    assert len(rows) == len({row["id"] for row in rows}) == len({row["question"] for row in rows}) == count
    assert require_valid(rows, TOOLS) >= count * min(steps)
    assert {row["metadata"]["tool_steps"] for row in rows} == steps
    assert {name for row in rows for name, _ in calls_of(row)} == {tool["function"]["name"] for tool in TOOLS}
    assert len(made.rejected) == 0
    for row in rows:
        told = row["metadata"]
        assert sum("tool_calls" in message for message in row["messages"]) == told["tool_steps"]
        assert len(list(calls_of(row))) == told["tool_calls"]
        assert row["tools"] == TOOLS
        assert row["messages"][-1]["content"] == row["answer"]


def test_a_request_that_its_call_has_already_is_refused_before_its_results_are_paid_for(
    scripted_server: Services,
) -> None:
    def answer(call: Call) -> str:
        if not is_first(call):
            return default_answer(call)
        weather = ("get_weather", {"city": "Bonn"})
        known = "Rain?" in call.prompt
        return entries(*(entry(text, weather) for text in (["Snow?"] if known else ["Rain?", "Rain?", "Sun?"])))

    server = scripted_server(answer)
    model = OpenAIProvider("gpt-4", api_key="k", api_base=server.base_url)
    made = generator([WEATHER], model_name=model, tool_failure_rate=0)
    rows = made.create_data(3, 3, ["Rain"]).to_list()
    assert len({row["question"] for row in rows}) == 3
    assert made.get_generation_stats().rejected["duplicate"] >= 1
    assert sum(is_simulation(call) for call in server.calls) == 3


def test_as_many_results_as_asked_for_are_errors_and_marked_as_such() -> None:
    rows = generator([WEATHER, ADD], tool_failure_rate=0.3).create_data(600, 5, TOPICS).to_list()
    errors = [error for row in rows for error in row["metadata"]["tool_errors"]]
    calls = sum(row["metadata"]["tool_calls"] for row in rows)
    assert 0.25 < len(errors) / calls < 0.35
    assert {error["kind"] for error in errors} == {"simulated"}
    ids = {call["id"] for row in rows for message in row["messages"] for call in message.get("tool_calls") or ()}
    assert {error["tool_call_id"] for error in errors} <= ids


@pytest.mark.parametrize("concurrency", [1, 64])
def test_the_rows_are_the_same_at_any_concurrency(tmp_path: Path, concurrency: int) -> None:
    settings = {"max_tool_steps": 3, "tool_failure_rate": 0.2}
    expected = generator(**settings).create_data(60, 3, TOPICS).to_list()
    made = generator(**settings, max_concurrency=concurrency)
    made.create_data(60, 3, TOPICS, output_file=tmp_path / "rows.jsonl")
    assert [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()] == expected


async def test_the_order_in_which_answers_come_changes_no_row(scripted_server: Services) -> None:
    drawn, pace = random.Random(3), [0.0]
    server = scripted_server(
        faults=lambda call: Empty() if int(call.key[:2], 16) < 50 and len(call.asked.messages) == 1 else None,
        latency=lambda _: pace[0] * drawn.random(),
    )
    model = OpenAIProvider("gpt-4", api_key="k", api_base=server.base_url)
    made = []
    for seconds, concurrency in ((0.0, 1), (0.004, 64), (0.02, 8)):
        pace[0] = seconds
        how = {"model_name": model, "max_tool_steps": 2, "max_concurrency": concurrency}
        made.append((await generator(MANY, **how).create_data_async(40, 4, TOPICS)).to_list())
    assert made[0] == made[1] == made[2]
    # Some results that are asked for at once with others were asked for again.
    assert max(len(row["metadata"]["calls"]) - row["metadata"]["tool_calls"] for row in made[0]) == 3
    assert server.count > 3 * sum(len(row["metadata"]["calls"]) - 1 for row in made[0])


# -- what is wrong is asked for again ---------------------------------------------------------------------------------


async def test_calls_that_do_not_fit_are_refused_with_the_reason_and_cost_one_entry_each(services: Services) -> None:
    first = [
        entry("Good?", ("get_weather", {"city": "Rome", "unit": None})),
        entry("Unknown?", ("get_wether", {"city": "Rome"})),
        entry("Wrong?", ("add", {"a": 1, "b": 12})),
        entry("Lacking?", ("get_weather", {"unit": "C"})),
        entry("Text?", ("add", '{"a": 1, "b": 5}')),
    ]
    second = [entry(f"New {number}?", ("add", {"a": 2.5, "b": 3})) for number in range(3)]

    def answer(call: Call) -> str:
        if is_first(call):
            return entries(*(first if call.prompt.startswith("Write 5 ") else second))
        return "18" if is_simulation(call) else orjson.dumps({"answer": "It is 18."}).decode()

    server = services(answer)
    made = generator([WEATHER, ADD], model_name="openai/gpt-4")
    rows = (await made.create_data_async(5, 5, ["Numbers"])).to_list()
    assert sorted(row["question"] for row in rows) == ["Good?", "New 0?", "New 1?", "New 2?", "Text?"]
    assert [list(calls_of(row)) for row in rows if row["question"] == "Good?"] == [[("get_weather", {"city": "Rome"})]]
    assert Counter(row["gate"] for row in made.rejected) == {"tool_call": 3}
    reasons = sorted(row["reason"] for row in made.rejected)
    assert reasons[0] == "the call of add does not fit: b: must be at most 9 (received: 12)"
    assert "city" in reasons[1]
    assert reasons[2] == "there is no tool 'get_wether'. Did you mean 'get_weather'?"
    (again,) = [call.prompt for call in server.calls if call.prompt.startswith("Write 3 ")]
    assert all(reason in again for reason in reasons)
    assert made.get_generation_stats().error_categories == {"tool_call": 3}


async def test_a_missing_answer_is_asked_for_again_and_so_is_a_wrong_call_in_a_later_step(services: Services) -> None:
    steps = iter(
        [
            {"next": {"calls": [{"name": "add", "arguments": {"a": 1, "b": 1}}]}},
            {"next": {"calls": [{"name": "add", "arguments": {"a": 1, "b": 4}}]}},
            {"answer": "  "},
            {"answer": "5, then 6."},
        ]
    )

    def answer(call: Call) -> str:
        if is_first(call):
            return entries(entry("What is 1 + 4?", ("add", {"a": 1, "b": 4})))
        return "```json\n5\n```" if is_simulation(call) else orjson.dumps(next(steps)).decode()

    server = services(answer)
    made = generator([ADD], model_name="openai/gpt-4", max_tool_steps=2, min_tool_steps=1)
    (row,) = await made.create_data_async(1, 1, ["Numbers"])
    assert row["answer"] == "5, then 6."
    assert [message["content"] for message in row["messages"] if message["role"] == "tool"] == ["5", "5"]
    assert len(row["metadata"]["calls"]) == 5
    corrections = [call.prompt for call in server.calls if len(call.asked.messages) == 3]
    assert "b: must be at least 3 (received: 1)" in corrections[0]
    assert "answer is empty" in corrections[1]
    assert len(made.rejected) == 2


async def test_a_conversation_that_never_ends_costs_one_row_and_another_is_asked_for(services: Services) -> None:
    def answer(call: Call) -> str:
        if is_first(call):
            again = "These were refused" in call.prompt
            return entries(entry("A new one?" if again else "Endless?", ("add", {"a": 1, "b": 4})))
        if is_simulation(call):
            return "5"
        return '{"answer": ""}' if "Endless?" in call.asked.messages[0].content else '{"answer": "5."}'

    services(answer)
    made = generator([ADD], model_name="openai/gpt-4", max_rounds=1)
    rows = await made.create_data_async(1, 1, ["Numbers"])
    assert [row["question"] for row in rows] == ["A new one?"]


# -- prompts ----------------------------------------------------------------------------------------------------------


async def test_what_was_said_before_is_in_every_later_prompt(services: Services) -> None:
    server = services()
    made = generator([WEATHER, ADD], model_name="openai/gpt-4", max_tool_steps=2)
    (row,) = await made.create_data_async(1, 1, ["Optics"])
    simulated = [call.prompt for call in server.calls if is_simulation(call)]
    writer = [call.prompt for call in server.calls if not is_simulation(call)]
    assert len(writer) == 3
    for call in (call for message in row["messages"] for call in message.get("tool_calls") or ()):
        assert any(call["function"]["arguments"] in prompt for prompt in simulated)
        assert call["function"]["arguments"] in writer[-1]
    for message in row["messages"][:-1]:
        assert (message["content"] or "") in writer[-1]
    # What has come back before holds for what comes back later.
    first_results = [message["content"] for message in row["messages"][2:] if message["role"] == "tool"]
    assert first_results[0] in simulated[-1]


async def test_results_are_made_up_by_the_model_that_is_named(services: Services) -> None:
    server = services()
    made = generator([WEATHER], model_name="openai/gpt-4", tool_model="openai/gpt-4o-mini")
    rows = await made.create_data_async(4, 2, TOPICS)
    assert {(is_simulation(call), call.body["model"]) for call in server.calls} == {
        (False, "gpt-4"),
        (True, "gpt-4o-mini"),
    }
    assert {row["metadata"]["tool_model_id"] for row in rows} == {"gpt-4o-mini"}
    assert {row["model_id"] for row in rows} == {"gpt-4"}


async def test_a_template_of_ones_own_is_in_the_first_prompt_and_in_the_later_ones(services: Services) -> None:
    server = services()
    made = generator([WEATHER], model_name="openai/gpt-4")
    made.set_template("tool_calling", "Requests of {audience} about {topic}.")
    await made.create_data_async(1, 1, ["Optics"])
    prompts = [call.prompt for call in server.calls if not is_simulation(call)]
    assert len(prompts) == 2
    assert all("Requests of people who know the basics of the field about Optics." in prompt for prompt in prompts)


# -- rows -------------------------------------------------------------------------------------------------------------


def test_only_the_tools_that_are_called_are_listed_where_that_is_wanted(tmp_path: Path) -> None:
    output = tmp_path / "rows.jsonl"
    generator().create_data(20, 4, TOPICS, output_file=output)
    again = generator(only_used_tools=True)
    for row in again.create_data(20, 4, TOPICS, output_file=output):
        assert {tool["function"]["name"] for tool in row["tools"]} == {name for name, _ in calls_of(row)}
    assert again.get_generation_stats().calls == 0


def test_the_system_message_of_rows_stands_before_the_request() -> None:
    made = generator(generation_system_prompt="You write.", dataset_system_prompt="You help.")
    with_it = made.create_data(3, topics=TOPICS)[0]["messages"]
    assert with_it[0] == {"role": "system", "content": "You help."}
    assert made.create_data(3, topics=TOPICS, sys_msg=False)[0]["messages"][0]["role"] == "user"


def test_a_content_filter_gets_the_whole_conversation() -> None:
    seen: list[tuple[str, Any]] = []

    def content_filter(content: str, topic: str, metadata: Any) -> bool:
        seen.append((content, metadata))
        return "part_number" not in content

    made = generator(max_tool_steps=2)
    made.add_content_filter(content_filter)
    rows = made.create_data(60, 5, TOPICS).to_list()
    assert len(rows) == 60
    assert not [name for row in rows for name, _ in calls_of(row) if name == "part_number"]
    assert len(made.rejected) > 5
    for content, row in seen:
        assert row["question"] in content
        assert row["answer"] in content
        for message in row["messages"]:
            assert (message.get("content") or "") in content
            for call in message.get("tool_calls") or ():
                assert f"{call['function']['name']} {call['function']['arguments']}" in content


def test_batches_know_what_earlier_ones_have_made() -> None:
    made = generator()
    batches = [made.create_batch(["Optics", "Heat"], 4).to_list() for _ in range(3)]
    assert len({row["question"] for batch in batches for row in batch}) == 12
    assert require_valid([row for batch in batches for row in batch], TOOLS)


async def test_what_is_made_is_told_as_it_is() -> None:
    told = [type(event) async for event in generator().create_data_events(4, 2, TOPICS)]
    assert told.count(RowAccepted) == 4


def test_the_same_answers_are_used_again_after_an_end(tmp_path: Path) -> None:
    output = tmp_path / "rows.jsonl"
    generator(max_tool_steps=2).create_data(10, 2, TOPICS, output_file=output)
    before = output.read_bytes()
    again = generator(max_tool_steps=2)
    again.create_data(10, 2, TOPICS, output_file=output)
    assert output.read_bytes() == before
    assert again.get_generation_stats().calls == 0


async def test_batches_of_a_service_make_the_same_rows(scripted_server: Services) -> None:
    server = scripted_server()
    model = OpenAIProvider("gpt-4", api_key="k", api_base=server.base_url, batch_endpoint=True)
    made = generator([WEATHER, ADD], model_name=model, max_tool_steps=2, tool_failure_rate=0.2)
    expected = (await made.create_data_async(12, 3, TOPICS)).to_list()
    calls = server.count
    quick = Options(batch=True, batch_poll=0.01)
    assert (await made.create_data_async(12, 3, TOPICS, options=quick)).to_list() == expected
    assert server.count == calls


# -- checks before anything is paid for -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"tools": [ADD]}, "tools"),
        ({"tools": [WEATHER, schema("add", {"a": TEXT})]}, "tools"),
        ({"max_tool_steps": 2}, "max_tool_steps"),
        ({"tool_failure_rate": 0.5}, "tool_failure_rate"),
        ({"max_parallel_calls": 2}, "max_parallel_calls"),
    ],
)
def test_an_output_does_not_go_on_with_other_tools(tmp_path: Path, changes: dict[str, Any], field: str) -> None:
    output = tmp_path / "rows.jsonl"
    given: dict[str, Any] = {"tools": [WEATHER, ADD]}
    generator(**given).create_data(4, 2, TOPICS, output_file=output)
    with pytest.raises(DataSetGeneratorError, match=rf"Changed:(?s:.*)  {field}: was") as caught:
        generator(**{**given, **changes}).create_data(4, 2, TOPICS, output_file=output)
    assert isinstance(caught.value.__cause__, ConfigChangedError)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tools": None}, "belong together.*not given"),
        ({"conversation_type": "instruction"}, "belong together.*'instruction', and tools are given"),
        ({"conversation_type": "instruction", "tools": None, "max_tool_steps": 2}, "max_tool_steps is a setting of"),
        ({"tools": []}, "tools is empty"),
        ({"tools": [WEATHER, WEATHER]}, "two tools are called 'get_weather'"),
        ({"tools": [{"name": "x y"}]}, "tools.0."),
        ({"max_tool_steps": 2, "min_tool_steps": 3}, "min_tool_steps is 3 and max_tool_steps 2"),
        ({"max_tool_steps": 0}, "max_tool_steps"),
        ({"tool_results": "executed"}, "'get_weather' cannot be executed"),
        ({"tool_results": "executed", "tool_failure_rate": 0.1}, "tool_failure_rate is for simulated results"),
        ({"tool_errors": "keep"}, "tool_errors is for executed calls"),
        ({"tool_failure_rate": 1.5}, "tool_failure_rate"),
        ({"tool_result": "executed"}, "no argument 'tool_result'.*'tool_results'"),
    ],
)
def test_what_does_not_go_together_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        generator(**{"tools": [WEATHER], **settings})


async def test_an_estimate_knows_of_every_further_call(services: Services) -> None:
    services()
    few = generator([WEATHER], model_name="openai/gpt-4", max_requests=30, max_parallel_calls=1)
    issues = await few._issues(None, calls=False, num_steps=10, batch_size=5, topics=TOPICS, topic_model=None)
    assert issues == []
    many = generator([WEATHER], model_name="openai/gpt-4", max_requests=30, max_parallel_calls=1, max_tool_steps=3)
    issues = await many._issues(None, calls=False, num_steps=10, batch_size=5, topics=TOPICS, topic_model=None)
    assert "max_requests" in str(issues)
    rows = await DataSetGenerator(
        instructions="x", model_name="openai/gpt-4", conversation_type="tool_calling", tools=[WEATHER]
    ).create_data_async(2, 2, TOPICS)
    assert len(rows) == 2
