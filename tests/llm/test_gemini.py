"""The Gemini provider: what goes out, field by field, keys, addresses, arguments."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from rowsmith.errors import ConfigError
from rowsmith.llm.batch import Batching
from rowsmith.llm.parameters import Parametrised
from rowsmith.llm.prices import Prices
from rowsmith.llm.provider import KnownLimits, Provider
from rowsmith.llm.providers.gemini import GeminiProvider
from rowsmith.llm.registry import resolve
from rowsmith.llm.values import Message, OutputSchema, Request, Rung, Usage

SECRET = "AQ.the-secret-of-the-test"
GOOGLE = "https://generativelanguage.googleapis.com"


class Entry(BaseModel):
    text: str
    label: Literal["good", "bad"] = "good"


SCHEMA = OutputSchema("Entry", Entry.model_json_schema())
MESSAGES = (Message.system("You write."), Message.user("Write ünïcode {braces}."))
REQUEST = Request(MESSAGES, SCHEMA, hints={"label": "good"}, seed=7)
USER_TURN = {"role": "user", "parts": [{"text": "Write ünïcode {braces}."}]}


def provider(**arguments: Any) -> GeminiProvider:
    return GeminiProvider(**{"model_id": "gemini-3.8-flash", "api_key": SECRET} | arguments)


def sent(request: Request = REQUEST, **arguments: Any) -> Any:
    return orjson.loads(provider(**arguments).encode(request))


# What goes out


def test_it_is_a_provider_with_parameters_and_batches() -> None:
    made: Provider = provider()
    assert isinstance(made, Provider)
    assert isinstance(made, Parametrised)
    assert isinstance(made, Batching)
    assert (made.name, made.endpoint) == ("gemini", f"{GOOGLE}/v1beta/models/gemini-3.8-flash:generateContent")
    assert made.rungs == (Rung.SCHEMA, Rung.JSON, Rung.PROMPT)


def test_the_body_holds_exactly_this_in_this_order() -> None:
    safety = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    body = sent(
        temperature=0.5,
        top_p=0.9,
        frequency_penalty=0.1,
        max_completion_tokens=50,
        reasoning_effort="low",
        extra_body={"safetySettings": safety, "generationConfig": {"topK": 40, "seed": 3}},
    )
    assert list(body) == ["systemInstruction", "contents", "generationConfig", "safetySettings"]
    assert body["systemInstruction"] == {"parts": [{"text": "You write."}]}
    assert body["contents"] == [USER_TURN]
    assert body["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {
            "type": "object",
            "properties": {"text": {"type": "string"}, "label": {"type": "string", "enum": ["good", "bad"]}},
            "required": ["text"],
        },
        "temperature": 0.5,
        "topP": 0.9,
        "frequencyPenalty": 0.1,
        "maxOutputTokens": 50,
        "thinkingConfig": {"thinkingLevel": "LOW"},
        "topK": 40,
        "seed": 3,
    }
    assert body["safetySettings"] == safety


def test_nothing_that_was_not_asked_for_goes_out() -> None:
    assert sent(Request((Message.user("Hi"),))) == {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    body = provider().encode(Request(MESSAGES, hints={"label": "hidden-hint"}, seed=987654))
    assert b"hidden-hint" not in body
    assert b"987654" not in body


def test_each_rung_has_its_fields() -> None:
    asked = {rung: sent(Request(MESSAGES, SCHEMA, rung)) for rung in Rung}
    assert asked[Rung.SCHEMA]["generationConfig"].keys() == {"responseMimeType", "responseJsonSchema"}
    assert asked[Rung.JSON]["generationConfig"] == {"responseMimeType": "application/json"}
    assert "generationConfig" not in asked[Rung.PROMPT]


def test_instructions_join_and_turns_of_one_speaker_in_a_row_are_one() -> None:
    body = sent(
        Request(
            (
                Message.system("One."),
                Message.user("a"),
                Message.user("b"),
                Message.assistant("c"),
                Message.system("Two."),
                Message.assistant("d"),
                Message.user("e"),
            )
        )
    )
    assert body == {
        "systemInstruction": {"parts": [{"text": "One.\n\nTwo."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
            {"role": "model", "parts": [{"text": "c"}, {"text": "d"}]},
            {"role": "user", "parts": [{"text": "e"}]},
        ],
    }


def test_where_only_the_system_speaks_it_is_the_user() -> None:
    body = sent(Request((Message.system("Write."), Message.system("More."))))
    assert body == {"contents": [{"role": "user", "parts": [{"text": "Write.\n\nMore."}]}]}


def test_what_the_model_refuses_is_left_out_by_the_name_it_goes_by() -> None:
    made = provider(temperature=0.5, frequency_penalty=0.1, reasoning_effort="low", extra_body={"store": False})
    assert dict(made.parameters) == {
        "temperature": 0.5,
        "frequencyPenalty": 0.1,
        "thinkingConfig": {"thinkingLevel": "LOW"},
        "store": False,
    }
    every = replace(REQUEST, schema=None, omit=frozenset(made.parameters))
    assert orjson.loads(made.encode(every)).keys() == {"systemInstruction", "contents"}
    some = orjson.loads(made.encode(replace(REQUEST, omit=frozenset({"frequencyPenalty", "store"}))))
    assert "store" not in some
    assert "frequencyPenalty" not in some["generationConfig"]
    assert some["generationConfig"]["temperature"] == 0.5
    assert orjson.loads(made.encode(REQUEST))["generationConfig"]["frequencyPenalty"] == 0.1


def test_the_same_request_gives_the_same_bytes_and_is_not_changed() -> None:
    before = copy.deepcopy(REQUEST)
    again = Request(MESSAGES, OutputSchema("Other", Entry.model_json_schema()), hints={"other": 1}, seed=8)
    assert provider().encode(REQUEST) == provider().encode(REQUEST) == provider().encode(again)
    assert before == REQUEST


@given(st.text(st.characters(exclude_categories=[]), max_size=20))
def test_any_text_can_be_sent(text: str) -> None:
    body = sent(Request((Message.user(text),), SCHEMA))
    expected = "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
    assert body["contents"] == [{"role": "user", "parts": [{"text": expected}]}]
    assert "responseJsonSchema" in body["generationConfig"]


@pytest.mark.parametrize(
    ("model", "effort", "config"),
    [
        ("gemini-3.8-flash", "high", {"thinkingLevel": "HIGH"}),
        ("gemini-3.5-flash-lite", "minimal", {"thinkingLevel": "MINIMAL"}),
        ("gemini-flash-latest", "medium", {"thinkingLevel": "MEDIUM"}),
        ("gemini-4-argon", "xhigh", {"thinkingLevel": "XHIGH"}),
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
        ("models/gemini-2.5-pro", "low", {"thinkingBudget": 1024}),
        ("gemini-2.5-flash-lite", "high", {"thinkingBudget": 24_576}),
    ],
)
def test_the_effort_goes_as_each_family_takes_it(model: str, effort: str, config: dict[str, Any]) -> None:
    body = sent(Request(MESSAGES), model_id=model, reasoning_effort=effort)
    assert body["generationConfig"] == {"thinkingConfig": config}


@pytest.mark.parametrize(
    ("model", "effort", "told"),
    [
        ("gemini-3.8-flash", "none", "It always thinks"),
        ("gemini-3.8-flash", "hihg", "Did you mean 'high'"),
        ("gemini-2.5-flash", "xhigh", "Did you mean 'high'"),
        ("gemini-3.8-flash", 1024, "1024"),
    ],
)
def test_an_effort_that_the_family_does_not_know_is_told(model: str, effort: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        provider(model_id=model, reasoning_effort=effort)


# Addresses and models


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-3.8-flash", "models/gemini-3.8-flash"),
        ("models/gemini-3.8-flash", "models/gemini-3.8-flash"),
        ("tunedModels/mine-1", "tunedModels/mine-1"),
        ("openai/gpt-5-mini", "models/openai/gpt-5-mini"),
        ("a b?c#d", "models/a%20b%3Fc%23d"),
    ],
)
def test_the_model_stands_in_the_address(model: str, path: str) -> None:
    assert provider(model_id=model).endpoint == f"{GOOGLE}/v1beta/{path}:generateContent"


def test_a_model_with_and_without_its_prefix_is_the_same() -> None:
    assert provider(model_id="models/gemini-3.8-flash") == provider(model_id="gemini-3.8-flash")


def test_key_and_address_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "AIza-second")
    assert GeminiProvider().api_key == "AIza-second"
    monkeypatch.setenv("GEMINI_API_KEY", f" {SECRET}\n")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "https://proxy.example/gemini/")
    made = GeminiProvider("m")
    assert (made.api_key, made.endpoint) == (SECRET, "https://proxy.example/gemini/v1beta/models/m:generateContent")
    given = GeminiProvider("m", api_key="other-key", api_base=GOOGLE)
    assert (given.api_key, given.endpoint) == ("other-key", f"{GOOGLE}/v1beta/models/m:generateContent")


def test_a_key_in_a_env_file_is_found() -> None:
    Path(".env").write_text(f"GEMINI_API_KEY='{SECRET}'\n")
    assert GeminiProvider().api_key == SECRET


def test_a_missing_key_is_an_error_that_names_the_variable() -> None:
    with pytest.raises(ConfigError, match="GEMINI_API_KEY"):
        GeminiProvider()


@pytest.mark.parametrize("base", ["http://localhost:4000", "http://192.168.1.5:8000", "http://[::1]:1"])
def test_a_server_of_ones_own_needs_no_key(base: str) -> None:
    assert GeminiProvider("m", api_base=base).api_key is None


@pytest.mark.parametrize("header", ["X-Goog-Api-Key", "Authorization"])
def test_a_key_in_a_header_of_ones_own_is_the_key(monkeypatch: pytest.MonkeyPatch, header: str) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "AIza-another")
    made = GeminiProvider("m", extra_headers={header: SECRET})
    assert made.api_key is None
    assert [name.lower() for name in made._headers].count(header.lower()) == 1
    assert "AIza-another" not in made._headers.values()


@pytest.mark.parametrize("end", ["v1", "v1beta", "v1beta/openai"])
def test_an_address_that_goes_on_after_the_root_is_told_with_its_origin(
    monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    with pytest.raises(ConfigError, match="api_base must be the root"):
        provider(api_base=f"{GOOGLE}/{end}/")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", f"{GOOGLE}/{end}")
    with pytest.raises(ConfigError, match="GOOGLE_GEMINI_BASE_URL"):
        provider()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"temperature": 2.1}, "from 0 to 2; it is 2.1"),
        ({"max_completion_tokens": 0}, "at least 1"),
        ({"extra_body": {"contents": []}}, "'contents'"),
        ({"extra_body": {"generation_config": {}}}, "'generation_config'"),
        ({"extra_body": {"generationConfig": {"responseSchema": {}}}}, "'responseSchema'"),
        ({"extra_body": {"generationConfig": 3}}, "it is 3"),
        ({"extra_body": {"a": {1, 2}}}, "JSON"),
        ({"extra_headers": {"Bad Name": "x"}}, "'Bad Name'"),
        ({"api_base": "localhost:8080"}, "'localhost:8080'"),
        ({"api_key": "two words"}, "api_key"),
    ],
)
def test_a_wrong_argument_is_told(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        provider(**arguments)


# A value


def test_the_key_is_in_no_repr_description_address_or_body() -> None:
    made = provider(extra_headers={"X-Extra": SECRET})
    assert SECRET not in f"{made!r} {made} {made.describe()} {made.endpoint} {made.parameters} {made.batches!r}"
    assert SECRET.encode() not in made.encode(REQUEST)
    assert made.describe()["headers"] == ["x-extra"]


def test_it_is_a_value() -> None:
    full: dict[str, Any] = {"temperature": 0.5, "extra_body": {"generationConfig": {"topK": 1}, "store": False}}
    assert provider(**full) == provider(**full)
    assert hash(provider(**full)) == hash(provider(**full))
    assert provider(api_key="one-key") != provider(api_key="two-key")
    assert provider(reasoning_effort="low") != provider()
    assert replace(provider(), **full) == provider(**full)
    assert replace(provider(**full), temperature=0.1).encode(REQUEST) == provider(**full | {"temperature": 0.1}).encode(
        REQUEST
    )
    assert pickle.loads(pickle.dumps(provider(**full))) == provider(**full)


def test_what_is_given_is_copied() -> None:
    extra: dict[str, Any] = {"generationConfig": {"topK": 1}}
    made = provider(extra_body=extra)
    extra["generationConfig"]["topK"] = 2
    assert orjson.loads(made.encode(REQUEST))["generationConfig"]["topK"] == 1


def test_describe_holds_all_that_changes_the_answer() -> None:
    assert provider(temperature=0.5, extra_body={"generationConfig": {"topK": 1}}, timeout=9.0).describe() == {
        "provider": "gemini",
        "model": "gemini-3.8-flash",
        "endpoint": f"{GOOGLE}/v1beta/models/gemini-3.8-flash:generateContent",
        "parameters": {"temperature": 0.5, "topK": 1},
    }


def test_it_is_reached_by_its_name_with_its_arguments() -> None:
    made = resolve({"model": "gemini/gemini-2.5-flash", "api_key": SECRET, "rpm_limit": 15, "rpd_limit": 1500})
    assert isinstance(made, GeminiProvider)
    assert made.model_id == "gemini-2.5-flash"
    assert made.limits == KnownLimits(rpm=15, rpd=1500)


# What it costs


def test_the_price_is_that_of_googles_list() -> None:
    noon = 1_795_176_000.0  # 2026-11-20 12:00 UTC
    usage = Usage(input_tokens=1_000_000, output_tokens=1_000_000, cached_tokens=500_000, reasoning_tokens=900_000)
    prices = Prices(lambda: noon)
    assert prices(provider(model_id="models/gemini-2.5-flash"), usage) == pytest.approx(0.15 + 0.015 + 2.5)
    assert prices(provider(), usage) == pytest.approx(0.375 + 0.0375 + 3.75)
    assert prices(provider(api_base="http://localhost:4000"), usage) is None
    own = provider(input_cost_per_million=1, output_cost_per_million=2)
    assert prices(own, usage) == pytest.approx(3)
