"""aimock, which others wrote to test others' clients, in OpenAI's, Anthropic's, Gemini's and Ollama's formats.

Of every request it keeps what it understood (`journal`), in one form for all formats: what has arrived there has been
said in the format's own way. It knows nothing of structured outputs but OpenAI's, and tells no tokens in Ollama's.
"""

from __future__ import annotations

import subprocess
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
    OllamaProvider,
    OpenAIProvider,
)
from rowsmith.engine.events import Event, Retry
from rowsmith.engine.options import Options
from rowsmith.errors import (
    AuthenticationError,
    BadRequestError,
    ConnectionFailedError,
    MalformedReplyError,
    ModelNotFoundError,
    ProviderError,
    ProviderTimeoutError,
    QuotaError,
    RateLimitError,
    ServiceError,
)
from rowsmith.llm.retry import RetryPolicy
from rowsmith.llm.structured.output import Output
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Finish, Message, Request, Rung
from support.aimock import GUARD, AIMock
from support.clock import HurriedClock

Model = OpenAIProvider | AnthropicProvider | GeminiProvider | OllamaProvider

MODELS: dict[type[Model], str] = {
    OpenAIProvider: "gpt-4.1-mini",
    AnthropicProvider: "claude-sonnet-4-5",
    GeminiProvider: "gemini-2.5-flash",
    OllamaProvider: "gemma3:4b",
}
PATHS: dict[type[Model], str] = {
    OpenAIProvider: "/v1/chat/completions",
    AnthropicProvider: "/v1/messages",
    GeminiProvider: "/v1beta/models/gemini-2.5-flash:generateContent",
    OllamaProvider: "/api/chat",
}
HELLO = Request((Message.system("Be brief."), Message.user("Hello.")))
ANYTHING: dict[str, Any] = {}


class Note(BaseModel):
    text: str
    stars: int


OUTPUT = Output(Note)


@pytest.fixture(params=list(MODELS), ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> type[Model]:
    made: type[Model] = request.param
    return made


def asked(kind: type[Model], server: AIMock, **settings: Any) -> Model:
    base = f"{server.url}/v1" if kind is OpenAIProvider else server.url
    return kind(MODELS[kind], **{"api_base": base, "api_key": server.key, **settings})


async def failed(llm: Model, transport: Transport) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await llm.complete(llm.encode(HELLO), transport)
    return caught.value


async def test_a_text_is_read_as_it_was_told(aimock_server: AIMock, transport: Transport, kind: type[Model]) -> None:
    usage = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}
    aimock_server.answers({"userMessage": "Hello.", "systemMessage": "brief"}, {"content": "Hi “Ü”.", "usage": usage})
    llm = asked(kind, aimock_server)
    answer = await llm.complete(llm.encode(HELLO), transport)
    assert (answer.text, answer.finish) == ("Hi “Ü”.", Finish.STOP)
    if kind is not OllamaProvider:
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (11, 5)


async def test_a_whole_conversation_and_its_limits_are_understood(
    aimock_server: AIMock, transport: Transport, kind: type[Model]
) -> None:
    aimock_server.answers(ANYTHING, {"content": "Yes."})
    llm = asked(kind, aimock_server, temperature=0.5, max_completion_tokens=400)
    turns = (*HELLO.messages, Message.assistant("What?"), Message.user("Go on."))
    await llm.complete(llm.encode(Request(turns)), transport)
    [entry] = aimock_server.journal
    assert entry["path"] == PATHS[kind]
    body = entry["body"]
    assert body["messages"] == [{"role": turn.role, "content": turn.content} for turn in turns]
    assert body["model"] == MODELS[kind]
    assert body["max_tokens"] == 400
    assert body["temperature"] == 0.5
    assert not body.get("stream")
    assert aimock_server.key not in str(entry)


@pytest.mark.parametrize("rung", list(Rung))
async def test_every_rung_is_asked_for_and_read(
    aimock_server: AIMock, transport: Transport, kind: type[Model], rung: Rung
) -> None:
    note = {"text": "Fine.", "stars": 4}
    # Anthropic has no JSON mode: there, the answer is the input of a tool.
    aimock_server.answers({"toolName": OUTPUT.schema.name}, {"toolCalls": [{"name": "Note", "arguments": note}]})
    aimock_server.answers({"userMessage": "Write a note."}, {"content": note})
    llm = asked(kind, aimock_server)
    asking = OUTPUT.prompt_for(rung, (Message.system("You write data."), Message.user("Write a note.")))
    answer = await llm.complete(llm.encode(Request(asking, OUTPUT.schema, rung)), transport)
    assert OUTPUT.read(answer).value == Note(text="Fine.", stars=4)
    [entry] = aimock_server.journal
    tools = [tool["function"]["name"] for tool in entry["body"].get("tools") or ()]
    assert tools == (["Note"] if kind is AnthropicProvider and rung is Rung.JSON else [])
    if kind is OpenAIProvider:
        form = {Rung.SCHEMA: "json_schema", Rung.JSON: "json_object", Rung.PROMPT: None}[rung]
        assert entry["body"].get("response_format", {}).get("type") == form


@pytest.mark.parametrize("kind", [OpenAIProvider, AnthropicProvider, GeminiProvider])  # Ollama's always ends well
async def test_a_cut_off_answer_says_so(aimock_server: AIMock, transport: Transport, kind: type[Model]) -> None:
    aimock_server.answers(ANYTHING, {"content": "Hi the", "finishReason": "length"})
    llm = asked(kind, aimock_server)
    answer = await llm.complete(llm.encode(HELLO), transport)
    assert (answer.text, answer.finish) == ("Hi the", Finish.LENGTH)


@pytest.mark.parametrize("kind", [OpenAIProvider, GeminiProvider])
async def test_a_filtered_answer_is_a_refusal(aimock_server: AIMock, transport: Transport, kind: type[Model]) -> None:
    aimock_server.answers(ANYTHING, {"content": "-", "finishReason": "content_filter"})
    llm = asked(kind, aimock_server)
    assert (await llm.complete(llm.encode(HELLO), transport)).finish is Finish.REFUSED


async def test_thoughts_are_not_of_the_text(aimock_server: AIMock, transport: Transport, kind: type[Model]) -> None:
    aimock_server.answers(ANYTHING, {"content": "42", "reasoning": "Six times seven, I think."})
    llm = asked(kind, aimock_server)
    assert (await llm.complete(llm.encode(HELLO), transport)).text == "42"


@pytest.mark.parametrize(
    ("status", "error", "fatal"),
    [
        (400, BadRequestError, True),
        (401, AuthenticationError, True),
        (402, QuotaError, True),
        (403, AuthenticationError, True),
        (404, ModelNotFoundError, True),
        (429, RateLimitError, False),
        (500, ServiceError, False),
        (503, ServiceError, False),
        (529, ServiceError, False),
    ],
)
async def test_an_error_is_of_the_class_that_fits(
    aimock_server: AIMock,
    transport: Transport,
    kind: type[Model],
    status: int,
    error: type[ProviderError],
    fatal: bool,
) -> None:
    aimock_server.answers(ANYTHING, {"content": "Hi."})
    aimock_server.fail_once(status, "something went wrong")
    caught = await failed(asked(kind, aimock_server), transport)
    assert (type(caught), caught.status, caught.fatal) == (error, status, fatal)
    assert caught.message == "something went wrong"


async def test_a_limit_of_requests_says_when_to_come_back(
    aimock_server: AIMock, transport: Transport, kind: type[Model]
) -> None:
    told = {"message": "Slow down.", "type": "rate_limit_error"}
    aimock_server.answers(ANYTHING, {"error": told, "status": 429, "retryAfter": 7})
    caught = await failed(asked(kind, aimock_server), transport)
    assert isinstance(caught, RateLimitError)
    assert (caught.message, caught.retry_after) == ("Slow down", 7.0)


async def test_the_key_goes_where_it_is_looked_for(
    aimock_server: AIMock, transport: Transport, kind: type[Model]
) -> None:
    caught = await failed(asked(kind, aimock_server, api_key="mistaken-as-can-be"), transport)
    assert isinstance(caught, AuthenticationError)
    assert "mistaken" not in str(caught)
    assert isinstance(await failed(asked(kind, aimock_server, api_key=None), transport), AuthenticationError)
    assert aimock_server.journal == []


async def test_what_nobody_answers_is_told_in_the_servers_words(
    aimock_server: AIMock, transport: Transport, kind: type[Model]
) -> None:
    caught = await failed(asked(kind, aimock_server), transport)
    assert isinstance(caught, ServiceError)
    assert "no fixture matched" in str(caught)


@pytest.mark.parametrize(
    ("chaos", "error"),
    [
        ({"dropRate": 1}, ServiceError),
        ({"rateLimitRate": 1}, RateLimitError),
        ({"malformedRate": 1}, MalformedReplyError),
        ({"disconnectRate": 1}, ConnectionFailedError),
        ({"latencyMs": 5000}, ProviderTimeoutError),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_every_fault_is_told_by_its_class_and_can_be_tried_again(
    aimock_server: AIMock,
    transport: Transport,
    kind: type[Model],
    chaos: dict[str, float],
    error: type[ProviderError],
) -> None:
    aimock_server.answers(ANYTHING, {"content": "Hi."})
    aimock_server.chaos(**chaos)
    llm = asked(kind, aimock_server, timeout=0.3)
    caught = await failed(llm, transport)
    assert type(caught) is error
    assert caught.retryable
    assert not caught.fatal
    aimock_server.chaos()
    assert (await llm.complete(llm.encode(HELLO), transport)).text == "Hi."


@pytest.mark.usefixtures("aimock_server")
@pytest.mark.parametrize("way", ["net.connect(9, HOST)", "http.get({host: HOST})", "fetch(`http://${HOST}/`)"])
@pytest.mark.parametrize(("host", "refused"), [("203.0.113.1", True), ("mock.example", True), ("127.0.0.1", False)])
def test_its_process_can_reach_nothing_but_this_machine(way: str, host: str, refused: bool) -> None:
    command = ["node", "--require", str(GUARD), "--eval", f"const HOST = {host!r}; {way}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as tried:
        assert tried.stderr is not None
        told = tried.stderr.read()
    # Nobody listens at these ports of this machine: what is let through fails too.
    assert ("may reach nothing but loopback" in told, "ECONNREFUSED" in told) == (refused, not refused)


def test_a_run_makes_every_row_once_whatever_goes_wrong(
    aimock_server: AIMock, tmp_path: Path, kind: type[Model]
) -> None:
    aimock_server.add(
        {
            "match": {"userMessage": "texts", "sequenceIndex": number},
            "response": {"content": {"entries": [{"text": f"The text of number {number}, and no other."}]}},
        }
        for number in range(400)
    )
    aimock_server.chaos(dropRate=0.2, malformedRate=0.2, rateLimitRate=0.1, disconnectRate=0.2)
    classes: Any = [{"name": name, "description": f"texts that are {name}"} for name in ("good", "bad")]
    config = ClassificationDatasetConfig(
        classes=classes,
        num_samples_per_prompt=1,
        target_rows=40,
        output_file=str(tmp_path / "rows.jsonl"),
        prompts=["Write {num_samples} texts in {language_name}, {label_name}: {label_description}."],
    )
    retried: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Retry):
            retried.append(event.error)

    options = Options(policy=RetryPolicy(max_retries=100), max_concurrency=8, clock=HurriedClock(1000))
    llm = asked(kind, aimock_server)
    dataset = ClassificationDataset(config).generate(llm, options=options, listeners=[listen])
    assert Counter(row["label"] for row in dataset) == {"good": 20, "bad": 20}
    assert len({row["text"] for row in dataset}) == 40
    assert dataset.report is not None
    assert dataset.report.calls == 40
    answered = [entry for entry in aimock_server.journal if entry["response"].get("chaosAction") is None]
    assert len(answered) == 40
    assert len(retried) == len(aimock_server.journal) - 40 > 10
