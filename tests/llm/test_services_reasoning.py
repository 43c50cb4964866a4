"""Reasoning at each service of the table: how it is asked for, kept out of the text, and counted."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rowsmith.errors import ConfigError
from rowsmith.llm.providers.compatible import (
    DeepSeekProvider,
    GroqProvider,
    LlamaServerProvider,
    MistralProvider,
    OpenRouterProvider,
    XAIProvider,
)
from rowsmith.llm.providers.openai import ChatCompletions, OpenAIProvider
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Finish, Usage

from .loopback import always, served

KEY = "sk-the-secret-of-the-test"


def reply(text: str = "fine", **more: Any) -> dict[str, Any]:
    return {"id": "1", "model": "m", "choices": [{"message": {"content": text}, "finish_reason": "stop"}]} | more


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with Transport() as opened:
        yield opened


@pytest.mark.parametrize(
    ("kind", "effort", "sent"),
    [
        (OpenAIProvider, "high", {"reasoning_effort": "high"}),
        (GroqProvider, "none", {"reasoning_effort": "none"}),
        (DeepSeekProvider, "max", {"reasoning_effort": "max"}),
        (DeepSeekProvider, "none", {"thinking": {"type": "disabled"}}),
        (LlamaServerProvider, "none", {"chat_template_kwargs": {"reasoning_effort": "none"}}),
    ],
)
def test_the_effort_of_reasoning_is_sent_as_the_service_takes_it(
    kind: type[ChatCompletions], effort: str, sent: dict[str, Any]
) -> None:
    made = kind("m", api_key=KEY, reasoning_effort=effort)
    assert made.parameters == sent
    assert made.describe()["parameters"] == sent


def test_the_effort_decides_which_parameters_are_known_to_be_refused(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="rowsmith.llm"):
        free = OpenRouterProvider("openai/gpt-5.6-luna", api_key=KEY, temperature=0.5, reasoning_effort="none")
        assert free.parameters == {"temperature": 0.5, "reasoning_effort": "none"}
        assert not caplog.records
        bound = OpenRouterProvider("openai/gpt-5.6-luna", api_key=KEY, temperature=0.5, reasoning_effort="low")
    assert bound.parameters == {"reasoning_effort": "low"}
    assert "`temperature`" in caplog.text


@pytest.mark.parametrize("effort", ["", " low", 3, True])
def test_an_effort_that_is_none_is_told(effort: Any) -> None:
    with pytest.raises(ConfigError, match="reasoning_effort must be"):
        GroqProvider(api_key=KEY, reasoning_effort=effort)


def test_an_effort_given_twice_is_told() -> None:
    with pytest.raises(ConfigError, match="both set 'reasoning_effort'"):
        GroqProvider(api_key=KEY, reasoning_effort="low", extra_body={"reasoning_effort": "high"})


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [(OpenAIProvider, {"model_id": "gpt-5-mini", "temperature": 0.5}), (XAIProvider, {"frequency_penalty": 0.1})],
)
def test_with_strict_params_what_is_known_to_be_refused_is_an_error(
    kind: type[ChatCompletions], arguments: dict[str, Any]
) -> None:
    (name,) = arguments.keys() - {"model_id"}
    with pytest.raises(ConfigError, match=f"refuses `{name}`"):
        kind(**arguments, api_key=KEY, strict_params=True)


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
async def test_reasoning_in_a_field_of_its_own_is_not_of_the_text(field: str, transport: Transport) -> None:
    message = {"role": "assistant", "content": "fine", field: "let me see"}
    body = reply() | {"choices": [{"message": message, "finish_reason": "stop"}]}
    async with served(always(body)) as server:
        made = DeepSeekProvider(api_key=KEY, api_base=server.url)
        assert (await made.complete(b"{}", transport)).text == "fine"


@pytest.mark.parametrize(
    ("said", "text", "finish"),
    [
        ("<think>let me see</think>\n\nfine", "fine", Finish.STOP),
        ("let me see\n</think>\nfine", "fine", Finish.STOP),
        ("<think>let me see", "", Finish.LENGTH),
        ('{"text": "a </think> tag"}', '{"text": "a </think> tag"}', Finish.STOP),
        ("no thought at all", "no thought at all", Finish.STOP),
    ],
)
async def test_reasoning_between_tags_is_kept_out_of_the_text_of_local_servers(
    said: str, text: str, finish: Finish, transport: Transport
) -> None:
    async with served(always(reply(said))) as server:
        for made in (LlamaServerProvider(api_base=server.url), OpenAIProvider("m", api_base=f"{server.url}/v1")):
            completion = await made.complete(b"{}", transport)
            assert (completion.text, completion.finish) == (text, finish)


async def test_tags_that_a_service_with_fields_for_reasoning_sends_are_the_answer(transport: Transport) -> None:
    async with served(always(reply("<think>asked for</think> so"))) as server:
        made = MistralProvider(api_key=KEY, api_base=f"{server.url}/v1")
        assert (await made.complete(b"{}", transport)).text == "<think>asked for</think> so"


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        # OpenAI counts reasoning in the answer's tokens, xAI beside them.
        ({"prompt_tokens": 9, "completion_tokens": 50, "total_tokens": 59, "reasoning": 30}, Usage(9, 50, 0, 30)),
        ({"prompt_tokens": 9, "completion_tokens": 20, "total_tokens": 59, "reasoning": 30}, Usage(9, 50, 0, 30)),
        ({"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 8}, Usage(9, 2, 8)),
        ({"prompt_tokens": 9, "completion_tokens": 2, "cached_tokens": 7}, Usage(9, 2, 7)),
        ({"prompt_tokens": 9, "completion_tokens": 2, "num_cached_tokens": 6}, Usage(9, 2, 6)),
    ],
)
async def test_tokens_are_counted_as_each_service_tells_them(
    usage: dict[str, Any], counted: Usage, transport: Transport
) -> None:
    told = {"completion_tokens_details": {"reasoning_tokens": usage.pop("reasoning", 0)}, **usage}
    async with served(always(reply(usage=told))) as server:
        made = XAIProvider(api_key=KEY, api_base=f"{server.url}/v1")
        assert (await made.complete(b"{}", transport)).usage == counted
