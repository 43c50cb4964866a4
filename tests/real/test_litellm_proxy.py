"""The LiteLLM proxy in front of llama.cpp, asked in OpenAI's, Anthropic's and Gemini's formats.

It translates each of them to the format of the server behind it and back, so what comes out has been read and written
by others twice. (https://docs.litellm.ai/docs/proxy/quick_start)
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from rowsmith import (
    AnthropicProvider,
    ClassificationDataset,
    ClassificationDatasetConfig,
    GeminiProvider,
    OpenAIProvider,
)
from rowsmith.errors import AuthenticationError, BadRequestError, ModelNotFoundError
from rowsmith.llm.structured.output import Output
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Finish, Message, Request, Rung
from support.litellm_proxy import LiteLLMProxy

Model = OpenAIProvider | AnthropicProvider | GeminiProvider

FORMATS: list[type[Model]] = [OpenAIProvider, AnthropicProvider, GeminiProvider]
HELLO = Request((Message.system("Be brief."), Message.user("Hello.")))


class Note(BaseModel):
    text: str
    stars: int


OUTPUT = Output(Note)


@pytest.fixture(params=FORMATS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> type[Model]:
    made: type[Model] = request.param
    return made


def asked(kind: type[Model], proxy: LiteLLMProxy, model: str = "tiny", **settings: Any) -> Model:
    base = f"{proxy.url}/v1" if kind is OpenAIProvider else proxy.url
    return kind(model, **{"api_base": base, "api_key": proxy.key, "max_completion_tokens": 400, **settings})


def structured(rung: Rung) -> Request:
    asking = OUTPUT.prompt_for(rung, (Message.system("You write data."), Message.user("Write a note.")))
    return Request(asking, OUTPUT.schema, rung)


@pytest.mark.parametrize("model", ["tiny", "native"])
async def test_a_text_comes_with_its_tokens(
    litellm_server: LiteLLMProxy, transport: Transport, kind: type[Model], model: str
) -> None:
    llm = asked(kind, litellm_server, model, temperature=0.8, top_p=0.9)
    answer = await llm.complete(llm.encode(HELLO), transport)
    assert answer.finish is Finish.STOP
    assert answer.text.strip()
    # The system prompt has arrived too: both texts are longer than either.
    assert answer.usage.input_tokens > len("Be brief.") + len("Hello.")
    assert 0 < answer.usage.output_tokens <= 400


async def test_a_schema_is_kept(litellm_server: LiteLLMProxy, transport: Transport, kind: type[Model]) -> None:
    llm = asked(kind, litellm_server)
    answer = await llm.complete(llm.encode(structured(Rung.SCHEMA)), transport)
    note = OUTPUT.read(answer).value
    assert isinstance(note, Note)
    assert answer.text.lstrip().startswith("{")


@pytest.mark.parametrize("rung", [Rung.JSON, Rung.PROMPT])
async def test_what_the_lower_rungs_send_is_taken(
    litellm_server: LiteLLMProxy, transport: Transport, kind: type[Model], rung: Rung
) -> None:
    llm = asked(kind, litellm_server)
    answer = await llm.complete(llm.encode(structured(rung)), transport)
    assert answer.text
    # The schema stands in the prompt.
    assert answer.usage.input_tokens > len("You write data.") + len("Write a note.") + 200


async def test_an_answer_at_its_limit_of_tokens_says_so(
    litellm_server: LiteLLMProxy, transport: Transport, kind: type[Model]
) -> None:
    llm = asked(kind, litellm_server, max_completion_tokens=3)
    answer = await llm.complete(llm.encode(HELLO), transport)
    assert (answer.finish, answer.usage.output_tokens) == (Finish.LENGTH, 3)


async def test_a_conversation_of_several_turns_arrives_whole(
    litellm_server: LiteLLMProxy, transport: Transport, kind: type[Model]
) -> None:
    llm = asked(kind, litellm_server)
    turns = [Message.user("One of several turns."), Message.assistant("And another of them."), Message.user("Go on.")]
    short, long = [
        (await llm.complete(llm.encode(Request(tuple(part))), transport)).usage.input_tokens
        for part in (turns[-1:], turns)
    ]
    assert long - short >= len("One of several turns.And another of them.")


async def test_a_wrong_key_is_told_as_one(
    litellm_server: LiteLLMProxy, transport: Transport, kind: type[Model]
) -> None:
    llm = asked(kind, litellm_server, api_key="sk-mistaken-as-can-be")
    with pytest.raises(AuthenticationError, match="Check the key in") as caught:
        await llm.complete(llm.encode(HELLO), transport)
    assert caught.value.fatal
    assert "mistaken" not in str(caught.value)


async def test_an_unknown_model_is_told_as_one(
    litellm_server: LiteLLMProxy, transport: Transport, kind: type[Model]
) -> None:
    llm = asked(kind, litellm_server, "unheard-of")
    with pytest.raises(ModelNotFoundError, match="unheard-of") as caught:
        await llm.complete(llm.encode(HELLO), transport)
    assert caught.value.fatal


async def test_too_long_a_prompt_befalls_one_request_only(
    litellm_server: LiteLLMProxy, transport: Transport, kind: type[Model]
) -> None:
    llm = asked(kind, litellm_server)
    with pytest.raises(BadRequestError, match="ContextWindow") as caught:
        await llm.complete(llm.encode(Request((Message.user("x " * 20_000),))), transport)
    assert not caught.value.fatal


async def test_a_path_that_is_not_there_is_told_with_a_hint(
    litellm_server: LiteLLMProxy, transport: Transport, kind: type[Model]
) -> None:
    llm = asked(kind, litellm_server, api_base=f"{litellm_server.url}/elsewhere")
    with pytest.raises(ModelNotFoundError, match="Check the model's name"):
        await llm.complete(llm.encode(HELLO), transport)


def sentiment(folder: Path, **settings: Any) -> ClassificationDatasetConfig:
    classes: Any = [{"name": name, "description": f"texts that are {name}"} for name in ("good", "bad")]
    return ClassificationDatasetConfig(
        classes=classes, num_samples_per_prompt=5, output_file=str(folder / "rows.jsonl"), **settings
    )


def test_a_run_makes_exactly_the_rows_that_were_asked_for(
    litellm_server: LiteLLMProxy, tmp_path: Path, kind: type[Model]
) -> None:
    llm = asked(kind, litellm_server, max_completion_tokens=1000)
    dataset = ClassificationDataset(sentiment(tmp_path, target_rows=20)).generate(llm)
    assert Counter(row["label"] for row in dataset) == {"good": 10, "bad": 10}
    assert len({row["text"] for row in dataset}) == 20
    report = dataset.report
    assert report is not None
    assert report.complete
    assert report.total.input_tokens > report.calls
    again = ClassificationDataset(sentiment(tmp_path, target_rows=20)).generate(llm)
    assert again.report is not None
    assert again.report.calls == 0


def test_a_run_with_a_wrong_key_ends_with_its_first_request(
    litellm_server: LiteLLMProxy, tmp_path: Path, kind: type[Model]
) -> None:
    before = litellm_server.log.count("400 Bad Request")
    llm = asked(kind, litellm_server, api_key="sk-mistaken-as-can-be")
    with pytest.raises(AuthenticationError):
        ClassificationDataset(sentiment(tmp_path)).generate(llm)
    assert litellm_server.log.count("400 Bad Request") == before + 1
