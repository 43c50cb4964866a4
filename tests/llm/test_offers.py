"""What is offered to somebody who named no model, and what a bare name of a model is taken for."""

from __future__ import annotations

import pytest

from rowsmith.errors import ConfigError
from rowsmith.llm.discovery import offers
from rowsmith.llm.providers.services import SERVICES
from rowsmith.llm.registry import resolve
from rowsmith.llm.transport import Transport

KEY = "the-secret-of-the-test"
HOSTED = [
    (service.keys[0], f"{service.name}/{service.model}") for service in SERVICES if not service.own and service.model
]
NATIVE = [("ANTHROPIC_API_KEY", "anthropic/claude-"), ("GEMINI_API_KEY", "gemini/"), ("GOOGLE_API_KEY", "gemini/")]


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "http://ollama.example")
    for service in SERVICES:
        for variable in service.keys:
            monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(("variable", "model"), [*HOSTED, *NATIVE])
async def test_a_key_that_is_set_offers_its_models(variable: str, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, KEY)
    async with Transport() as transport:
        (line,) = await offers(transport)
    assert line.startswith(model)
    assert line.endswith(f"({variable} is set)")
    assert KEY not in line


async def test_a_key_of_a_server_of_ones_own_offers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    async with Transport() as transport:
        assert await offers(transport) == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("mistral-small-latest", "mistral/mistral-small-latest"),
        ("deepseek-flash", "deepseek/deepseek-flash"),
        ("grok-4.3", "xai/grok-4.3"),
        ("claude-haiku-4-5", "anthropic/claude-haiku-4-5"),
        ("gemini-3.8-flash", "gemini/gemini-3.8-flash"),
    ],
)
def test_a_models_bare_name_tells_its_maker(name: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=f"such as {meant}\\."):
        resolve(name)
