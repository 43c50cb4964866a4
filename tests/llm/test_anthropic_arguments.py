"""The Anthropic provider's arguments: keys, addresses, and what is wrong with them."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rowsmith.errors import ConfigError
from rowsmith.llm.provider import KnownLimits
from rowsmith.llm.providers.anthropic import AnthropicProvider

SECRET = "sk-ant-the-secret-of-the-test"
OLD = "claude-haiku-4-5"
NEW = "claude-haiku-5-5"


def provider(model_id: str = OLD, **arguments: Any) -> AnthropicProvider:
    return AnthropicProvider(**{"model_id": model_id, "api_key": SECRET} | arguments)


def test_a_missing_key_is_an_error_that_names_the_variable() -> None:
    with pytest.raises(ConfigError, match="ANTHROPIC_API_KEY"):
        AnthropicProvider()


@pytest.mark.parametrize("base", ["http://localhost:8080", "http://127.0.0.1:1", "http://192.168.1.5", "http://proxy"])
def test_a_server_of_ones_own_needs_no_key(base: str) -> None:
    assert AnthropicProvider("m", api_base=base).api_key is None


def test_key_and_address_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", f" {SECRET}\n")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://proxy.example/anthropic/")
    made = AnthropicProvider()
    assert (made.api_key, made.endpoint) == (SECRET, "https://proxy.example/anthropic/v1/messages")
    given = AnthropicProvider(api_key="sk-other", api_base="https://api.anthropic.com")
    assert (given.api_key, given.endpoint) == ("sk-other", "https://api.anthropic.com/v1/messages")


def test_a_gateways_own_header_keeps_the_key_of_the_environment_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    made = AnthropicProvider(api_base="https://gateway.example", extra_headers={"Authorization": "Bearer of-the-gate"})
    assert made.api_key is None
    assert SECRET not in str(made._headers)


def test_a_key_in_a_env_file_is_found() -> None:
    Path(".env").write_text(f"ANTHROPIC_API_KEY='{SECRET}'\n")
    assert AnthropicProvider().api_key == SECRET


def test_the_key_is_in_no_repr_and_no_description() -> None:
    made = provider(extra_headers={"X-Extra": SECRET})
    assert SECRET not in f"{made!r} {made} {made.describe()} {made.endpoint}"
    assert made.describe()["headers"] == ["x-extra"]


def test_it_is_a_value() -> None:
    assert provider(temperature=0.5) == provider(temperature=0.5)
    assert hash(provider(extra_body={"a": 1})) == hash(provider(extra_body={"a": 1}))
    assert provider(api_key="sk-1") != provider(api_key="sk-2")
    assert provider(NEW, reasoning_effort="low") != provider(NEW)
    assert replace(provider(), temperature=0.5) == provider(temperature=0.5)
    assert pickle.loads(pickle.dumps(provider())) == provider()
    with pytest.raises(AttributeError):
        provider().temperature = 1  # type: ignore[misc]  # what must not be possible


def test_describe_holds_all_that_changes_the_answer() -> None:
    made = provider("claude-opus-4-5", temperature=0.5, reasoning_effort="low", extra_body={"top_k": 1}, timeout=9.0)
    assert made.describe() == {
        "provider": "anthropic",
        "model": "claude-opus-4-5",
        "endpoint": "https://api.anthropic.com/v1/messages",
        "parameters": {"max_tokens": 16_000, "temperature": 0.5, "effort": "low", "top_k": 1},
    }


def test_the_limits_are_those_given() -> None:
    limits = provider(rpm_limit=1, tpm_limit=2, rpd_limit=3, max_concurrency=4).limits
    assert limits == KnownLimits(rpm=1, tpm=2, rpd=3, max_concurrency=4)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"model_id": ""}, "model_id"),
        ({"temperature": 1.1}, "from 0 to 1; it is 1.1"),
        ({"model_id": "somebody-elses", "temperature": 2.1}, "from 0 to 2; it is 2.1"),
        ({"top_p": -0.1}, "-0.1"),
        ({"max_completion_tokens": 0}, "at least 1; it is 0"),
        ({"reasoning_effort": "hihg"}, "Did you mean 'high'?"),
        ({"reasoning_effort": 3}, "it is 3"),
        ({"model_id": NEW, "reasoning_effort": "low", "extra_body": {"output_config": {"effort": "low"}}}, "'effort'"),
        ({"extra_body": {"output_config": {"format": {}}}}, "`format`"),
        ({"extra_body": {"system": "x", "tools": []}}, "'system', 'tools'"),
        ({"extra_body": {"a": {1, 2}}}, "JSON"),
        ({"extra_headers": {"Bad Name": "x"}}, "'Bad Name'"),
        ({"api_base": "https://api.anthropic.com/v1"}, "the host's root"),
        ({"api_base": "api.anthropic.com"}, "'api.anthropic.com'"),
        ({"api_key": ""}, "api_key"),
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
        {"api_base": f"https://me:{SECRET}@host"},
        {"extra_headers": {"X-Key": f"{SECRET}\r\nY: z"}},
    ],
)
def test_a_wrong_secret_is_told_without_showing_it(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        provider(**arguments)
    assert SECRET not in str(caught.value)
