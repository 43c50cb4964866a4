"""Calls of tools, asked of services in the form of each, also of those that refuse it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from rowsmith import AnthropicProvider, GeminiProvider, OllamaProvider, OpenAIProvider
from rowsmith.testing import ScriptedServer, UnsupportedSchema

from .test_tool_calling import TOPICS, is_first
from .toolkit import ADD, BOOK, EITHER, MANY, TREE, WEATHER, calls_of, generator, require_valid

Services = Callable[..., ScriptedServer]


def openai_model(url: str) -> Any:
    return OpenAIProvider("gpt-4", api_key="k", api_base=url)


def anthropic_model(url: str) -> Any:
    return AnthropicProvider("claude-sonnet-4-5", api_key="k", api_base=url.removesuffix("/v1"))


def gemini_model(url: str) -> Any:
    return GeminiProvider("gemini-2.5-flash", api_key="k", api_base=url.removesuffix("/v1"))


def ollama_model(url: str) -> Any:
    return OllamaProvider("llama3", api_base=url.removesuffix("/v1"))


@pytest.mark.parametrize("model", [openai_model, anthropic_model, gemini_model, ollama_model])
@pytest.mark.parametrize("tools", [MANY, [WEATHER, ADD, BOOK, TREE, EITHER]], ids=["many", "varied"])
@pytest.mark.parametrize("refuses", [False, True])
async def test_every_service_is_asked_in_a_way_that_gives_valid_calls(
    scripted_server: Services, model: Callable[[str], Any], tools: list[Any], refuses: bool
) -> None:
    faults = (lambda call: UnsupportedSchema() if call.asked.rung == "schema" else None) if refuses else None
    server = scripted_server(faults=faults)
    made = generator(tools, model_name=model(server.base_url), max_tool_steps=2, seed=4)
    rows = (await made.create_data_async(20, 2, TOPICS)).to_list()
    assert len(rows) == 20
    assert require_valid(rows, tools) >= 40
    schemas = [call.asked.schema for call in server.calls if call.status == 200 and is_first(call)]
    assert schemas
    assert all(found is None for found in schemas) == refuses or model is not openai_model


async def test_strict_mode_can_leave_out_what_is_optional(services: Services) -> None:
    server = services()
    rows = (await generator(MANY, model_name="openai/gpt-4").create_data_async(60, 5, TOPICS)).to_list()
    format_ = server.calls[0].body["response_format"]["json_schema"]
    assert format_["strict"] is True
    given = Counter(frozenset(arguments) for row in rows for _, arguments in calls_of(row))
    assert given[frozenset({"text", "level", "kind"})]
    assert any("kind" not in names for names in given)
    assert require_valid(rows, MANY)
