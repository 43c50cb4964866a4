"""The OpenAI provider: what goes out, field by field, and what comes of every kind of reply."""

from __future__ import annotations

import copy
import logging
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from rowsmith.errors import (
    ConfigError,
)
from rowsmith.llm.provider import KnownLimits, Provider
from rowsmith.llm.providers.openai import OpenAIProvider, takes_sampling
from rowsmith.llm.values import Message, OutputSchema, Request, Rung

SECRET = "sk-the-secret-of-the-test"


class Entry(BaseModel):
    text: str
    label: Literal["good", "bad"] = "good"


class Free(BaseModel):
    scores: dict[str, float]


SCHEMA = OutputSchema("Entry", Entry.model_json_schema())
MESSAGES = (Message.system("You write."), Message.user("Write ünïcode {braces}."))
REQUEST = Request(MESSAGES, SCHEMA, hints={"label": "good"}, seed=7)


def provider(**arguments: Any) -> OpenAIProvider:
    return OpenAIProvider(**{"model_id": "m", "api_key": SECRET, "api_base": "http://127.0.0.1:1/v1"} | arguments)


def sent(request: Request = REQUEST, **arguments: Any) -> Any:
    return orjson.loads(provider(**arguments).encode(request))


# What goes out


def test_it_is_a_provider() -> None:
    made: Provider = provider()
    assert isinstance(made, Provider)
    assert made.name == "openai"
    assert made.rungs == (Rung.SCHEMA, Rung.JSON, Rung.PROMPT)


def test_the_body_holds_exactly_this_in_this_order() -> None:
    arguments: dict[str, Any] = {
        "temperature": 0.5,
        "top_p": 0.9,
        "frequency_penalty": 0.1,
        "max_completion_tokens": 50,
    }
    body = sent(**arguments, extra_body={"seed": 3})
    assert list(body) == [
        "model", "messages", "response_format", "temperature", "top_p", "frequency_penalty", "max_tokens", "seed",
    ]  # fmt: skip
    assert body["model"] == "m"
    assert body["messages"] == [
        {"role": "system", "content": "You write."},
        {"role": "user", "content": "Write ünïcode {braces}."},
    ]
    assert body["temperature"] == 0.5
    assert body["top_p"] == 0.9
    assert body["frequency_penalty"] == 0.1
    assert body["max_tokens"] == 50
    assert body["seed"] == 3


def test_nothing_that_was_not_asked_for_goes_out() -> None:
    assert sent(Request(MESSAGES)).keys() == {"model", "messages"}


def test_each_rung_has_its_response_format() -> None:
    assert sent()["response_format"] == {
        "type": "json_schema",
        "json_schema": {
            "name": "Entry",
            "strict": True,
            "schema": {
                "type": "object",
                "properties": {"text": {"type": "string"}, "label": {"type": "string", "enum": ["good", "bad"]}},
                "required": ["text", "label"],
                "additionalProperties": False,
            },
        },
    }
    assert sent(Request(MESSAGES, SCHEMA, Rung.JSON))["response_format"] == {"type": "json_object"}
    assert "response_format" not in sent(Request(MESSAGES, SCHEMA, Rung.PROMPT))


def test_a_schema_that_strict_mode_cannot_say_goes_out_whole_and_not_strict() -> None:
    schema = Free.model_json_schema()
    made = sent(Request(MESSAGES, OutputSchema("Free", schema)))["response_format"]["json_schema"]
    assert made == {"name": "Free", "strict": False, "schema": schema}


def test_two_schemas_of_one_name_are_not_mixed_up() -> None:
    first = sent(Request(MESSAGES, OutputSchema("Same", Entry.model_json_schema())))
    second = sent(Request(MESSAGES, OutputSchema("Same", Free.model_json_schema())))
    assert first["response_format"] != second["response_format"]


def test_the_same_request_gives_the_same_bytes_and_is_not_changed() -> None:
    before = copy.deepcopy(REQUEST)
    again = Request(MESSAGES, OutputSchema("Entry", Entry.model_json_schema()), hints={"other": 1}, seed=8)
    assert provider().encode(REQUEST) == provider().encode(REQUEST) == provider().encode(again)
    assert before == REQUEST


def test_hints_and_seed_are_sent_to_no_service() -> None:
    body = provider().encode(Request(MESSAGES, hints={"label": "hidden-hint"}, seed=987654))
    assert b"hidden-hint" not in body
    assert b"987654" not in body


@given(st.text(st.characters(exclude_categories=[]), max_size=20))
def test_any_text_can_be_sent(text: str) -> None:
    body = orjson.loads(provider().encode(Request((Message.user(text),))))
    expected = "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
    assert body["messages"][0]["content"] == expected


@pytest.mark.parametrize(
    ("base", "name"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://eu.api.openai.com/v1", "max_completion_tokens"),
        ("https://mine.openai.azure.com/openai/v1", "max_completion_tokens"),
        ("https://api.mistral.ai/v1", "max_tokens"),
        ("http://localhost:8080/v1", "max_tokens"),
        ("https://api.openai.com.evil.example/v1", "max_tokens"),
    ],
)
def test_the_limit_of_tokens_goes_by_the_name_the_server_knows(base: str, name: str) -> None:
    assert sent(api_base=base, max_completion_tokens=5).keys() & {"max_tokens", "max_completion_tokens"} == {name}


@pytest.mark.parametrize(
    ("model", "base", "enforced"),
    [
        ("gpt-5-mini", "https://api.openai.com/v1", True),
        ("ft:gpt-4.1-mini:me::x", "https://api.openai.com/v1", False),
        ("any", "http://10.0.0.2:8000/v1", True),
        ("any", "https://openrouter.ai/api/v1", False),
    ],
)
def test_constraints_are_sent_where_they_are_known_to_be_taken(model: str, base: str, enforced: bool) -> None:
    schema = OutputSchema("S", {"type": "object", "properties": {"a": {"type": "string", "maxLength": 9}}})
    made = sent(Request(MESSAGES, schema), model_id=model, api_base=base)["response_format"]["json_schema"]
    field = {"type": "string", "maxLength": 9} if enforced else {"type": "string", "description": "(maxLength: 9)"}
    assert made["schema"]["properties"]["a"] == field
    assert made["strict"] is True


# Models that reason


@pytest.mark.parametrize(
    ("model", "effort", "takes"),
    [
        ("gpt-4.1-mini", None, True),
        ("gpt-4o", None, True),
        ("o1", None, False),
        ("o3-2025-04-16", None, False),
        ("o4-mini", None, False),
        ("gpt-5", None, False),
        ("gpt-5-mini", None, False),
        ("gpt-5-mini", "none", False),
        ("gpt-5-nano-2025-08-07", None, False),
        ("gpt-5-chat-latest", None, True),
        ("gpt-5.1", None, True),
        ("gpt-5.1-2025-11-13", "low", False),
        ("gpt-5.4-mini", None, True),
        ("gpt-5.4-pro", None, False),
        ("gpt-5.1-codex", None, False),
        ("gpt-5.6-luna", None, False),
        ("gpt-5.6-luna", "none", True),
        ("gpt-6.1-terra", None, False),
        ("chat-latest", None, False),
        ("openai/gpt-5-mini", None, False),
        ("ft:gpt-5-mini:me::x", None, False),
        ("gpt-oss-20b", None, True),
        ("olmo-2", None, True),
        ("qwen3", None, True),
    ],
)
def test_which_models_take_sampling_parameters(model: str, effort: str | None, takes: bool) -> None:
    assert takes_sampling(model, effort) is takes


def test_what_a_model_refuses_is_left_out_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="rowsmith.llm"):
        made = provider(model_id="gpt-5-mini", temperature=0.7, top_p=0.9, max_completion_tokens=9)
        bodies = {made.encode(REQUEST) for _ in range(3)}
    assert len(caplog.records) == 1
    assert caplog.records[0].levelno == logging.WARNING
    assert all(part in caplog.text for part in ("gpt-5-mini", "`temperature`", "`top_p`"))
    (body,) = map(orjson.loads, bodies)
    assert body.keys() == {"model", "messages", "response_format", "max_tokens"}
    assert "temperature" not in made.describe()["parameters"]


def test_the_effort_in_extra_body_frees_the_parameters(caplog: pytest.LogCaptureFixture) -> None:
    body = sent(model_id="gpt-6-luna", temperature=0.7, extra_body={"reasoning_effort": "none"})
    assert body["temperature"] == 0.7
    assert not caplog.records


# Keys, addresses, arguments


def test_a_missing_key_is_an_error_that_names_the_variable() -> None:
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        OpenAIProvider()


@pytest.mark.parametrize(
    "base",
    [
        "http://localhost:8080/v1",
        "http://127.0.0.1/v1",
        "http://[::1]:1/v1",
        "http://192.168.1.5:8000/v1",
        "http://vllm:8000/v1",
    ],
)
def test_a_server_of_ones_own_needs_no_key(base: str) -> None:
    assert OpenAIProvider("m", api_base=base).api_key is None


def test_a_key_in_a_header_of_ones_own_is_a_key() -> None:
    made = OpenAIProvider("m", api_base="https://x.openai.azure.com/openai/v1", extra_headers={"API-Key": SECRET})
    assert made.api_key is None


def test_key_and_address_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f" {SECRET}\n")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://proxy.example/v1/")
    made = OpenAIProvider()
    assert (made.api_key, made.endpoint) == (SECRET, "https://proxy.example/v1/chat/completions")
    given = OpenAIProvider(api_key="sk-other", api_base="https://api.openai.com/v1")
    assert (given.api_key, given.endpoint) == ("sk-other", "https://api.openai.com/v1/chat/completions")


def test_a_key_in_a_env_file_is_found() -> None:
    Path(".env").write_text(f"OPENAI_API_KEY='{SECRET}'\n")
    assert OpenAIProvider().api_key == SECRET


def test_the_key_is_in_no_repr_and_no_description() -> None:
    made = provider(extra_headers={"X-Extra": SECRET})
    assert SECRET not in f"{made!r} {made} {made.describe()} {made.endpoint}"
    assert made.describe()["headers"] == ["x-extra"]


def test_it_is_a_value() -> None:
    assert provider(temperature=0.5) == provider(temperature=0.5)
    assert hash(provider(extra_body={"a": 1})) == hash(provider(extra_body={"a": 1}))
    assert provider(api_key="sk-1") != provider(api_key="sk-2")
    assert provider(extra_body={"a": 1}) != provider(extra_body={"a": 2})
    assert replace(provider(), temperature=0.5) == provider(temperature=0.5)
    assert pickle.loads(pickle.dumps(provider())) == provider()
    with pytest.raises(AttributeError):
        provider().temperature = 1  # type: ignore[misc]  # what must not be possible


def test_what_is_given_is_copied() -> None:
    extra = {"metadata": {"a": 1}}
    made = provider(extra_body=extra)
    extra["metadata"]["a"] = 2
    assert orjson.loads(made.encode(REQUEST))["metadata"] == {"a": 1}


def test_describe_holds_all_that_changes_the_answer() -> None:
    assert provider(temperature=0.5, extra_body={"seed": 1}, timeout=9.0).describe() == {
        "provider": "openai",
        "model": "m",
        "endpoint": "http://127.0.0.1:1/v1/chat/completions",
        "parameters": {"temperature": 0.5, "seed": 1},
    }


def test_the_limits_are_those_given() -> None:
    limits = provider(rpm_limit=1, tpm_limit=2, rpd_limit=3, max_concurrency=4).limits
    assert limits == KnownLimits(rpm=1, tpm=2, rpd=3, max_concurrency=4)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"model_id": ""}, "model_id"),
        ({"model_id": " m"}, "model_id"),
        ({"model_id": None}, "None"),
        ({"temperature": 3}, "from 0 to 2; it is 3"),
        ({"temperature": "0.5"}, "'0.5'"),
        ({"temperature": True}, "True"),
        ({"temperature": float("nan")}, "nan"),
        ({"top_p": 1.1}, "1.1"),
        ({"frequency_penalty": -2.1}, "-2.1"),
        ({"max_completion_tokens": 0}, "at least 1; it is 0"),
        ({"max_completion_tokens": 1.5}, "1.5"),
        ({"rpm_limit": 0}, "rpm_limit"),
        ({"tpm_limit": -1}, "tpm_limit"),
        ({"rpd_limit": True}, "rpd_limit"),
        ({"max_concurrency": 0}, "max_concurrency"),
        ({"timeout": 0}, "above 0; it is 0"),
        ({"timeout": float("inf")}, "inf"),
        ({"api_key": ""}, "api_key"),
        ({"api_base": "localhost:8080/v1"}, "'localhost:8080/v1'"),
        ({"api_base": "ftp://h/v1"}, "ftp"),
        ({"api_base": "http://h:x/v1"}, "http://h:x/v1"),
        ({"api_base": "http://h/v1?a=b"}, "query"),
        ({"api_base": 8080}, "8080"),
        ({"extra_body": {"stream": True}}, "'stream'"),
        ({"extra_body": {"a": {1, 2}}}, "JSON"),
        ({"extra_headers": {"Bad Name": "x"}}, "'Bad Name'"),
        ({"extra_headers": {"X": 1}}, "'X'"),
    ],
)
def test_a_wrong_argument_is_told_with_its_value(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        provider(**arguments)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"api_key": f"{SECRET}\nX: y"},
        {"api_key": f"{SECRET}é"},
        {"api_key": f"{SECRET} {SECRET}"},
        {"api_base": f"https://me:{SECRET}@host/v1"},
        {"api_base": f"nothing://me:{SECRET}@host/v1"},
        {"api_base": "sk-proj-12345678901234567890"},
        {"extra_headers": {"X-Key": f"{SECRET}\r\nY: z"}},
    ],
)
def test_a_wrong_secret_is_told_without_showing_it(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        provider(**arguments)
    assert SECRET not in str(caught.value)
    assert "12345678" not in str(caught.value)
