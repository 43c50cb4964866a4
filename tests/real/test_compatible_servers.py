"""The providers of OpenAI's format against a llama.cpp server that nobody here wrote."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from pydantic import BaseModel, Field

from rowsmith.llm.providers.compatible import LlamaServerProvider, LMStudioProvider, OpenAICompatibleProvider
from rowsmith.llm.structured.output import Output
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Finish, Message, Request
from support.llama_server import LlamaServer


class Note(BaseModel):
    text: str = Field(min_length=1, max_length=40)
    stars: int = Field(ge=1, le=5)


OUTPUT = Output(Note)
ASKED = (Message.system("You write data."), Message.user("Write a note."))


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with Transport() as opened:
        yield opened


@pytest.mark.parametrize("kind", [LlamaServerProvider, LMStudioProvider, OpenAICompatibleProvider])
async def test_the_whole_request_is_taken_and_the_schema_kept(
    kind: type[OpenAICompatibleProvider], llama_server: LlamaServer, transport: Transport
) -> None:
    made = kind(
        llama_server.model,
        api_base=llama_server.base_url,
        temperature=0.8,
        top_p=0.9,
        frequency_penalty=0.1,
        max_completion_tokens=400,
        reasoning_effort="low",
        timeout=60.0,
    )
    completion = await made.complete(made.encode(Request(ASKED, OUTPUT.schema)), transport)
    assert OUTPUT.read(completion).value is not None
    assert 0 < completion.usage.output_tokens <= 400


async def test_the_limit_of_tokens_cuts_an_answer_off(llama_server: LlamaServer, transport: Transport) -> None:
    made = LlamaServerProvider(llama_server.model, api_base=llama_server.base_url, max_completion_tokens=3)
    completion = await made.complete(made.encode(Request(ASKED, OUTPUT.schema)), transport)
    assert completion.finish is Finish.LENGTH
    assert completion.usage.output_tokens == 3
