"""The providers of OpenAI's format against a llama.cpp server that nobody here wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from rowsmith.errors import AuthenticationError, BadRequestError, ModelNotFoundError
from rowsmith.llm.providers.compatible import LlamaServerProvider, LMStudioProvider, OpenAICompatibleProvider
from rowsmith.llm.structured.output import Output
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Finish, Message, Request, Rung
from support.llama_server import LlamaServer


class Note(BaseModel):
    text: str = Field(min_length=1, max_length=40)
    stars: int = Field(ge=1, le=5)


OUTPUT = Output(Note)
ASKED = (Message.system("You write data."), Message.user("Write a note."))


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


async def test_a_text_comes_with_its_tokens_and_those_from_the_cache(
    llama_server: LlamaServer, transport: Transport
) -> None:
    made = LlamaServerProvider(llama_server.model, api_base=llama_server.base_url, max_completion_tokens=200)
    body = made.encode(Request((Message.user("One question, asked twice in the very same words."),)))
    first, second = [await made.complete(body, transport) for _ in range(2)]
    assert first.text.strip()
    assert (first.finish, first.model) == (Finish.STOP, llama_server.model)
    assert first.usage.input_tokens == second.usage.input_tokens > 40
    assert 0 < first.usage.output_tokens <= 200
    assert first.usage.cached_tokens < second.usage.cached_tokens < second.usage.input_tokens


@pytest.mark.parametrize("rung", [Rung.JSON, Rung.PROMPT])
async def test_what_the_lower_rungs_send_is_taken(llama_server: LlamaServer, transport: Transport, rung: Rung) -> None:
    made = LlamaServerProvider(llama_server.model, api_base=llama_server.base_url, max_completion_tokens=300)
    answer = await made.complete(made.encode(Request(OUTPUT.prompt_for(rung, ASKED), OUTPUT.schema, rung)), transport)
    # Its grammar of JSON binds the model; the prompt alone does not.
    assert answer.text.lstrip().startswith("{") is (rung is Rung.JSON)


async def test_too_long_a_prompt_befalls_one_request_only(llama_server: LlamaServer, transport: Transport) -> None:
    made = LlamaServerProvider(llama_server.model, api_base=llama_server.base_url)
    with pytest.raises(BadRequestError, match="context size") as caught:
        await made.complete(made.encode(Request((Message.user("x " * 20_000),))), transport)
    assert not caught.value.fatal


async def test_an_address_that_ends_wrongly_is_told_with_a_hint(
    llama_server: LlamaServer, transport: Transport
) -> None:
    made = LlamaServerProvider(llama_server.model, api_base=f"{llama_server.root_url}/v2")
    with pytest.raises(ModelNotFoundError, match="how `api_base` must end"):
        await made.complete(made.encode(Request(ASKED)), transport)


@pytest.mark.parametrize("kind", [LlamaServerProvider, OpenAICompatibleProvider])
async def test_a_key_is_sent_where_it_is_given(
    kind: type[OpenAICompatibleProvider], tmp_path: Path, transport: Transport
) -> None:
    with LlamaServer(tmp_path, slots=1, context=512, api_key="sesame") as server:
        right, wrong, none = [
            kind(server.model, api_base=server.base_url, api_key=key) for key in ("sesame", "x", None)
        ]
        assert (await right.complete(right.encode(Request(ASKED)), transport)).text
        for other in (wrong, none):
            with pytest.raises(AuthenticationError):
                await other.complete(other.encode(Request(ASKED)), transport)
