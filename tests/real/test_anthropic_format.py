"""Anthropic's format on a real engine: llama.cpp's `/v1/messages`.

It ignores `output_config.format`, and this model's template has no tools, so what it writes is nonsense on every rung.
What can be shown is that it takes whatever is sent, and that every answer is accounted for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from rowsmith import AnthropicProvider, ClassificationDataset, ClassificationDatasetConfig
from rowsmith.errors import AuthenticationError, BadRequestError, ModelNotFoundError
from rowsmith.llm.structured.output import ListOutput
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Finish, Message, Request, Rung
from support.llama_server import LlamaServer

HELLO = Request((Message.system("Be brief."), Message.user("Hello.")))


class Entry(BaseModel):
    text: str


def model(server: LlamaServer, **settings: Any) -> AnthropicProvider:
    return AnthropicProvider(server.model, api_base=server.root_url, **{"max_completion_tokens": 300, **settings})


async def test_a_text_comes_with_its_tokens(llama_server: LlamaServer, transport: Transport) -> None:
    llm = model(llama_server, temperature=1.0, top_p=0.9, reasoning_effort="low", extra_body={"top_k": 50})
    answer = await llm.complete(llm.encode(HELLO), transport)
    assert answer.finish is Finish.STOP
    assert answer.text.strip()
    assert answer.model == llama_server.model
    assert answer.usage.input_tokens > 10
    assert answer.usage.output_tokens > 0
    assert answer.request_id


async def test_tokens_read_from_its_cache_are_part_of_the_input(
    llama_server: LlamaServer, transport: Transport
) -> None:
    llm = model(llama_server)
    body = llm.encode(Request((Message.user("The very same question, asked twice, word by word."),)))
    first, second = [(await llm.complete(body, transport)).usage for _ in range(2)]
    assert first.input_tokens == second.input_tokens
    assert second.cached_tokens > first.cached_tokens
    assert second.cached_tokens < second.input_tokens


async def test_an_answer_at_its_limit_of_tokens_says_so(llama_server: LlamaServer, transport: Transport) -> None:
    llm = model(llama_server, max_completion_tokens=2)
    answer = await llm.complete(llm.encode(HELLO), transport)
    assert (answer.finish, answer.usage.output_tokens) == (Finish.LENGTH, 2)


@pytest.mark.parametrize("rung", list(Rung))
async def test_what_every_rung_sends_is_taken(llama_server: LlamaServer, transport: Transport, rung: Rung) -> None:
    llm, output = model(llama_server), ListOutput(Entry)
    asking = output.prompt_for(rung, (Message.system("You write data."), Message.user("Write two texts.")))
    answer = await llm.complete(llm.encode(Request(asking, output.schema, rung)), transport)
    assert answer.text
    assert answer.usage.output_tokens > 0


async def test_a_conversation_of_any_order_is_taken(llama_server: LlamaServer, transport: Transport) -> None:
    llm = model(llama_server)
    turns = (Message.assistant("a"), Message.user("b"), Message.user("c"), Message.assistant("d"), Message.system("e"))
    assert (await llm.complete(llm.encode(Request(turns)), transport)).text


async def test_too_long_a_prompt_befalls_one_request_only(llama_server: LlamaServer, transport: Transport) -> None:
    llm = model(llama_server)
    with pytest.raises(BadRequestError, match="context size") as caught:
        await llm.complete(llm.encode(Request((Message.user("x " * 20_000),))), transport)
    assert not caught.value.fatal


async def test_an_address_that_is_no_root_is_told_with_a_hint(llama_server: LlamaServer, transport: Transport) -> None:
    llm = AnthropicProvider(llama_server.model, api_base=f"{llama_server.root_url}/elsewhere")
    with pytest.raises(ModelNotFoundError, match="`api_base` is a root"):
        await llm.complete(llm.encode(HELLO), transport)


async def test_the_key_goes_in_the_header_that_it_looks_for(tmp_path: Path, transport: Transport) -> None:
    with LlamaServer(tmp_path, slots=1, context=512, api_key="sesame") as server:
        llm = model(server, api_key="sesame")
        assert (await llm.complete(llm.encode(HELLO), transport)).text
        other = model(server, api_key="mistaken")
        with pytest.raises(AuthenticationError):
            await other.complete(other.encode(HELLO), transport)


def test_a_run_accounts_for_every_row(llama_server: LlamaServer, tmp_path: Path) -> None:
    classes: Any = [{"name": name, "description": f"texts that are {name}"} for name in ("good", "bad")]
    config = ClassificationDatasetConfig(
        classes=classes,
        num_samples_per_prompt=5,
        max_rounds=1,
        output_file=str(tmp_path / "rows.jsonl"),
        prompts=["Write {num_samples} texts in {language_name}, {label_name}: {label_description}."],
    )
    report = ClassificationDataset(config).generate(model(llama_server)).report
    assert report is not None
    assert report.calls >= 2
    assert report.rows + report.missing == 10
    assert sum(lack.rows for lack in report.lacks) == report.missing
    assert sum(report.rejected.values()) > 0
