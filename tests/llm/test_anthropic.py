"""The Anthropic provider: what goes out, field by field, and its arguments."""

from __future__ import annotations

import copy
import logging
from dataclasses import replace
from typing import Any, Literal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from rowsmith.errors import ConfigError
from rowsmith.llm.parameters import Parametrised
from rowsmith.llm.provider import Provider
from rowsmith.llm.providers.anthropic import AnthropicProvider
from rowsmith.llm.registry import resolve
from rowsmith.llm.values import Message, OutputSchema, Request, Rung

SECRET = "sk-ant-the-secret-of-the-test"


class Entry(BaseModel):
    text: str
    label: Literal["good", "bad"] = "good"


class Free(BaseModel):
    scores: dict[str, float]


SCHEMA = OutputSchema("Entry", Entry.model_json_schema())
FREE = OutputSchema("Free", Free.model_json_schema())
MESSAGES = (Message.system("You write."), Message.user("Write ünïcode {braces}."))
REQUEST = Request(MESSAGES, SCHEMA, hints={"label": "good"}, seed=7)
OLD = "claude-haiku-4-5"
NEW = "claude-haiku-5-5"


def provider(model_id: str = OLD, **arguments: Any) -> AnthropicProvider:
    return AnthropicProvider(**{"model_id": model_id, "api_key": SECRET} | arguments)


def sent(request: Request = REQUEST, model_id: str = OLD, **arguments: Any) -> Any:
    return orjson.loads(provider(model_id, **arguments).encode(request))


def told(*messages: Message) -> Any:
    body = sent(Request(messages))
    return body.get("system"), [(turn["role"], turn["content"]) for turn in body["messages"]]


# What goes out


def test_it_is_a_provider_with_parameters() -> None:
    made: Provider = provider()
    assert isinstance(made, Provider)
    assert isinstance(made, Parametrised)
    assert made.name == "anthropic"
    assert made.rungs == (Rung.SCHEMA, Rung.JSON, Rung.PROMPT)


def test_the_default_model_is_a_cheap_one_and_named_by_string_too() -> None:
    assert AnthropicProvider(api_key=SECRET).model_id == NEW
    made = resolve({"model": f"anthropic/{OLD}", "api_key": SECRET, "temperature": 0.5})
    assert made == provider(temperature=0.5)


def test_the_body_holds_exactly_this_in_this_order() -> None:
    body = sent(temperature=0.5, max_completion_tokens=50, extra_body={"stop_sequences": ["###"]})
    assert list(body) == [
        "model", "max_tokens", "system", "messages", "output_config", "temperature", "stop_sequences",
    ]  # fmt: skip
    assert body["model"] == OLD
    assert body["max_tokens"] == 50
    assert body["system"] == "You write."
    assert body["messages"] == [{"role": "user", "content": "Write ünïcode {braces}."}]
    assert body["temperature"] == 0.5
    assert body["stop_sequences"] == ["###"]


def test_top_p_goes_out_alone() -> None:
    assert sent(top_p=0.9)["top_p"] == 0.9


def test_nothing_that_was_not_asked_for_goes_out() -> None:
    assert sent(Request(MESSAGES)).keys() == {"model", "max_tokens", "system", "messages"}
    assert sent(Request(MESSAGES[1:])).keys() == {"model", "max_tokens", "messages"}


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("claude-haiku-5-5", 16_000),
        ("claude-opus-4-20250514", 16_000),
        ("claude-3-5-haiku-latest", 8_192),
        ("claude-3-opus-20240229", 4_096),
        ("qwen3", 8_192),
    ],
)
def test_the_limit_of_tokens_that_the_api_demands_goes_by_the_model(model: str, tokens: int) -> None:
    assert sent(model_id=model)["max_tokens"] == tokens
    assert sent(model_id=model, max_completion_tokens=7)["max_tokens"] == 7


def test_a_budget_of_thinking_comes_on_top_of_the_limit() -> None:
    thinking = {"type": "enabled", "budget_tokens": 2000}
    body = sent(extra_body={"thinking": thinking})
    assert (body["max_tokens"], body["thinking"]) == (18_000, thinking)
    assert sent(extra_body={"thinking": thinking}, max_completion_tokens=5000)["max_tokens"] == 5000


def test_the_surest_rung_constrains_the_answer() -> None:
    body = sent()
    assert body["output_config"] == {
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {"text": {"type": "string"}, "label": {"type": "string", "enum": ["good", "bad"]}},
                "required": ["text", "label"],
                "additionalProperties": False,
            },
        }
    }
    assert body.keys().isdisjoint({"tools", "tool_choice"})


def test_the_second_rung_is_a_forced_tool_whose_input_is_the_answer() -> None:
    body = sent(Request(MESSAGES, SCHEMA, Rung.JSON))
    (tool,) = body["tools"]
    assert tool.keys() == {"name", "description", "input_schema"}
    assert (tool["name"], tool["input_schema"]) == ("Entry", Entry.model_json_schema())
    assert body["tool_choice"] == {"type": "tool", "name": "Entry", "disable_parallel_tool_use": True}
    assert "output_config" not in body


def test_the_last_rung_is_the_prompt_alone() -> None:
    assert sent(Request(MESSAGES, SCHEMA, Rung.PROMPT)).keys() == {"model", "max_tokens", "system", "messages"}


@pytest.mark.parametrize(
    ("model", "more", "forced"),
    [
        ("claude-haiku-4-5", {}, True),
        ("claude-haiku-5-5", {}, True),
        ("claude-opus-5", {}, True),
        ("claude-opus-5-5", {}, False),
        ("claude-sonnet-5-5", {}, False),
        ("claude-fable-5-1", {}, False),
        ("somebody-elses", {}, True),
        ("claude-haiku-4-5", {"extra_body": {"thinking": {"type": "enabled", "budget_tokens": 1024}}}, False),
        ("claude-sonnet-4-6", {"reasoning_effort": "low"}, False),
    ],
)
def test_a_tool_is_not_forced_on_models_that_refuse_it(model: str, more: dict[str, Any], forced: bool) -> None:
    choice = sent(Request(MESSAGES, SCHEMA, Rung.JSON), model, **more)["tool_choice"]
    assert choice["type"] == ("tool" if forced else "auto")


def test_a_schema_that_cannot_be_said_goes_out_whole_as_a_tool() -> None:
    body = sent(Request(MESSAGES, FREE))
    assert body["tools"][0]["input_schema"] == Free.model_json_schema()
    assert "output_config" not in body


def test_two_schemas_of_one_name_are_not_mixed_up() -> None:
    first = sent(Request(MESSAGES, OutputSchema("Same", Entry.model_json_schema())))
    second = sent(Request(MESSAGES, OutputSchema("Same", {"type": "object", "properties": {}})))
    assert first["output_config"] != second["output_config"]


def test_the_same_request_gives_the_same_bytes_and_is_not_changed() -> None:
    before = copy.deepcopy(REQUEST)
    again = Request(MESSAGES, OutputSchema("Entry", Entry.model_json_schema()), hints={"other": 1}, seed=8)
    assert provider().encode(REQUEST) == provider().encode(REQUEST) == provider().encode(again)
    assert before == REQUEST


def test_hints_and_seed_are_sent_to_no_service() -> None:
    body = provider().encode(Request(MESSAGES, hints={"label": "hidden-hint"}, seed=987654))
    assert b"hidden-hint" not in body
    assert b"987654" not in body


@given(st.text(st.characters(exclude_categories=[]), min_size=1, max_size=20))
def test_any_text_can_be_sent(text: str) -> None:
    body = orjson.loads(provider().encode(Request((Message.user(text),))))
    expected = "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
    assert body["messages"][0]["content"] == expected


# The conversation


def test_several_system_messages_are_one_field_wherever_they_stand() -> None:
    system, turns = told(Message.system("One."), Message.user("a"), Message.system("Two."))
    assert system == "One.\n\nTwo."
    assert turns == [("user", "a")]


def test_instructions_alone_are_the_request() -> None:
    assert told(Message.system("Write a poem.")) == (None, [("user", "Write a poem.")])


def test_turns_of_one_speaker_are_joined_and_empty_ones_dropped() -> None:
    _, turns = told(Message.user("a"), Message.user(" "), Message.user("b"), Message.assistant("c"), Message.user("d"))
    assert turns == [("user", "a\n\nb"), ("assistant", "c"), ("user", "d")]


def test_a_conversation_begins_and_ends_with_the_user() -> None:
    _, turns = told(Message.assistant("Hello."))
    assert turns == [("user", "Begin."), ("assistant", "Hello."), ("user", "Go on.")]


SPEAKERS = st.sampled_from(["system", "user", "assistant"])


@given(st.lists(st.builds(Message, SPEAKERS, st.text(max_size=3)), min_size=1, max_size=6))
def test_whatever_the_conversation_turns_alternate_and_no_word_is_lost(messages: list[Message]) -> None:
    body = orjson.loads(provider().encode(Request(tuple(messages))))
    roles = [turn["role"] for turn in body["messages"]]
    assert roles == (["user", "assistant"] * len(roles))[: len(roles)]
    assert roles[-1] == "user"
    said = body.get("system", "") + "".join(turn["content"] for turn in body["messages"])
    assert all(message.content in said for message in messages if message.content.strip())


# Parameters


def test_omitted_parameters_are_not_sent_by_whatever_way_they_came() -> None:
    arguments: dict[str, Any] = {"temperature": 0.5, "reasoning_effort": "low", "extra_body": {"top_k": 5}}
    made = provider("claude-opus-4-5", **arguments)
    assert made.parameters == {"temperature": 0.5, "effort": "low", "top_k": 5}
    body = orjson.loads(made.encode(replace(REQUEST, omit=frozenset({"effort", "top_k", "none-of-ours"}))))
    assert body["temperature"] == 0.5
    assert body["output_config"].keys() == {"format"}
    assert "top_k" not in body
    assert orjson.loads(made.encode(replace(REQUEST, omit=frozenset({"temperature"})))).keys() >= {"top_k"}


def test_the_limit_of_tokens_cannot_be_omitted() -> None:
    assert "max_tokens" not in provider(max_completion_tokens=5).parameters
    assert sent(replace(REQUEST, omit=frozenset({"max_tokens"})))["max_tokens"] == 16_000


@pytest.mark.parametrize(
    ("model", "effort", "body"),
    [
        ("claude-haiku-5-5", "low", {"output_config": {"effort": "low"}}),
        ("claude-opus-5-5", "xhigh", {"output_config": {"effort": "xhigh"}}),
        ("claude-opus-4-5", "high", {"output_config": {"effort": "high"}}),
        ("claude-sonnet-4-6", "low", {"output_config": {"effort": "low"}, "thinking": {"type": "adaptive"}}),
        ("somebody-elses", "low", {"output_config": {"effort": "low"}}),
        ("claude-haiku-5-5", "none", {"thinking": {"type": "disabled"}}),
        ("claude-sonnet-5", "none", {"thinking": {"type": "disabled"}}),
        ("claude-sonnet-5-5", "none", {"thinking": {"type": "between_tools"}}),
        ("claude-haiku-4-5", "none", {}),
        ("claude-sonnet-4-6", "none", {}),
        ("somebody-elses", "none", {"thinking": {"type": "disabled"}}),
    ],
)
def test_reasoning_effort_is_said_as_each_model_takes_it(model: str, effort: str, body: dict[str, Any]) -> None:
    made = sent(Request(MESSAGES), model, reasoning_effort=effort)
    assert {name: made[name] for name in ("output_config", "thinking") if name in made} == body


def test_effort_and_format_go_out_together() -> None:
    config = sent(model_id=NEW, reasoning_effort="low", extra_body={"output_config": {"task_budget": 9}})[
        "output_config"
    ]
    assert list(config) == ["task_budget", "effort", "format"]


LEFT_OUT: list[tuple[str, dict[str, Any], list[str]]] = [
    (NEW, {"temperature": 0.7, "top_p": 0.9}, ["`temperature`", "`top_p`"]),
    ("claude-opus-4-7", {"temperature": 0.7}, ["`temperature`"]),
    ("anthropic/claude-sonnet-5", {"top_p": 0.7}, ["`top_p`"]),
    (OLD, {"frequency_penalty": 0.5}, ["`frequency_penalty`"]),
    (OLD, {"temperature": 0.7, "top_p": 0.9}, ["`top_p` beside `temperature`"]),
    (OLD, {"reasoning_effort": "low"}, ["`reasoning_effort` 'low'"]),
    ("claude-opus-5-5", {"reasoning_effort": "none"}, ["`reasoning_effort` 'none'"]),
    (
        OLD,
        {"temperature": 0.7, "extra_body": {"thinking": {"type": "enabled", "budget_tokens": 1024}}},
        ["`temperature` while it thinks"],
    ),
    ("claude-opus-4-6", {"top_p": 0.5, "reasoning_effort": "low"}, ["`top_p` below 0.95 while it thinks"]),
]


@pytest.mark.parametrize(("model", "arguments", "names"), LEFT_OUT)
def test_what_a_model_refuses_is_left_out_with_one_warning(
    model: str, arguments: dict[str, Any], names: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="rowsmith.llm"):
        made = provider(model, **arguments)
        (body,) = map(orjson.loads, {made.encode(REQUEST) for _ in range(3)})
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert all(part in caplog.text for part in (model, *names))
    assert body.keys().isdisjoint(names and {name.split("`")[1] for name in names})


@pytest.mark.parametrize(("model", "arguments", "names"), LEFT_OUT)
def test_with_strict_params_what_a_model_refuses_is_an_error(
    model: str, arguments: dict[str, Any], names: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        provider(model, strict_params=True, **arguments)
    assert all(part in str(caught.value) for part in (model, *names))


@pytest.mark.parametrize(
    ("model", "arguments"),
    [
        (NEW, {"temperature": 1}),
        (OLD, {"frequency_penalty": 0}),
        (OLD, {"temperature": 0.0}),
        ("somebody-elses", {"temperature": 1.5, "top_p": 0.5}),
    ],
)
def test_what_changes_nothing_or_is_taken_needs_no_word(
    model: str, arguments: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    provider(model, strict_params=True, **arguments)
    assert not caplog.records
