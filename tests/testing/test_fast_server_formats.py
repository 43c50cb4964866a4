"""The fast server answers in the format that it is asked in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rowsmith import AnthropicProvider, GeminiProvider, OllamaProvider, OpenAIProvider
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Finish, Message, Request, Usage

from .test_server_processes import ended, started

REQUEST = Request((Message.system("You write data."), Message.user("Write two texts.")))


@pytest.mark.parametrize("latency", ["0", "0.01"])
async def test_each_provider_reads_its_answers(latency: str) -> None:
    process, address = started("rowsmith.testing.fast", "--entries", "2", "--latency", latency)
    root = address["url"]
    models: list[Any] = [
        OpenAIProvider(api_base=address["base_url"]),
        AnthropicProvider(api_base=root),
        GeminiProvider(api_base=root),
        OllamaProvider(api_base=root),
    ]
    try:
        async with Transport() as transport:
            for model in models:
                answer = await model.complete(model.encode(REQUEST), transport)
                assert len(json.loads(answer.text)["entries"]) == 2
                assert (answer.model, answer.finish, answer.usage) == ("fast", Finish.STOP, Usage(60, 40))
    finally:
        assert ended(process) == 0
