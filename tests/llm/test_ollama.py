"""The Ollama provider: its addresses, what goes out, what comes back, and what is offered to a user without a model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from pydantic import BaseModel

from rowsmith.errors import (
    BadRequestError,
    ConfigError,
    ConnectionFailedError,
    MalformedReplyError,
    ModelNotFoundError,
    ProviderError,
    ServiceError,
)
from rowsmith.llm.discovery import offers
from rowsmith.llm.failures import Caller
from rowsmith.llm.provider import Provider
from rowsmith.llm.providers import ollama
from rowsmith.llm.providers.ollama import OllamaProvider, base_url
from rowsmith.llm.transport import Reply, Transport
from rowsmith.llm.values import Completion, Finish, Message, OutputSchema, Request, Rung, Usage

from .loopback import always, served, unused_port


class Entry(BaseModel):
    text: str
    stars: int = 1


SCHEMA = OutputSchema("Entry", Entry.model_json_schema())
MESSAGES = (Message.system("You write."), Message.user("Write."))
REQUEST = Request(MESSAGES, SCHEMA, hints={"label": "hidden-hint"}, seed=987654)
ANSWER = {
    "model": "gemma3:4b",
    "created_at": "2026-01-01T00:00:00Z",
    "message": {"role": "assistant", "content": '{"text":"hi","stars":2}', "thinking": "hm"},
    "done": True,
    "done_reason": "stop",
    "total_duration": 5,
    "prompt_eval_count": 26,
    "eval_count": 9,
}


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with Transport() as opened:
        yield opened


def sent(request: Request = REQUEST, **arguments: Any) -> Any:
    return orjson.loads(OllamaProvider("gemma3:4b", **arguments).encode(request))


def read(body: object) -> Completion:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return ollama._completion(Reply(200, CIMultiDict(), content), Caller("ollama", "m"))


def test_it_is_a_provider() -> None:
    made: Provider = OllamaProvider()
    assert isinstance(made, Provider)
    assert (made.name, made.endpoint) == ("ollama", "http://127.0.0.1:11434/api/chat")


def test_the_body_holds_exactly_this_in_this_order() -> None:
    body = sent(temperature=0.5, top_p=0.9, frequency_penalty=0.1, max_completion_tokens=50, num_ctx=8192, think=False)
    assert list(body) == ["model", "messages", "stream", "format", "think", "options"]
    assert body["model"] == "gemma3:4b"
    assert body["messages"] == [{"role": "system", "content": "You write."}, {"role": "user", "content": "Write."}]
    assert body["stream"] is False
    assert body["format"] == Entry.model_json_schema()
    assert body["think"] is False
    assert body["options"] == {
        "temperature": 0.5,
        "top_p": 0.9,
        "frequency_penalty": 0.1,
        "num_predict": 50,
        "num_ctx": 8192,
    }


def test_nothing_that_was_not_asked_for_goes_out() -> None:
    assert sent(Request(MESSAGES)) == {
        "model": "gemma3:4b",
        "messages": [{"role": "system", "content": "You write."}, {"role": "user", "content": "Write."}],
        "stream": False,
    }
    assert b"hidden-hint" not in OllamaProvider().encode(REQUEST)
    assert b"987654" not in OllamaProvider().encode(REQUEST)


def test_each_rung_has_its_format() -> None:
    assert sent(Request(MESSAGES, SCHEMA, Rung.JSON))["format"] == "json"
    assert "format" not in sent(Request(MESSAGES, SCHEMA, Rung.PROMPT))


def test_thinking_goes_by_level_too() -> None:
    assert sent(think="low")["think"] == "low"


@pytest.mark.parametrize(
    ("written", "base"),
    [
        ("http://host:1234", "http://host:1234"),
        ("http://host:1234/", "http://host:1234"),
        ("https://ollama.example/behind", "https://ollama.example/behind"),
        ("host", "http://host:11434"),
        ("host:1234", "http://host:1234"),
        ("host:1234/", "http://host:1234"),
        (":1234", "http://127.0.0.1:1234"),
        ("127.0.0.1", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:1234", "http://127.0.0.1:1234"),
        ("http://0.0.0.0:1234", "http://127.0.0.1:1234"),
        ("[::]:1234", "http://[::1]:1234"),
        ("[::1]", "http://[::1]:11434"),
        ('"host:1234"', "http://host:1234"),
    ],
)
def test_an_address_is_read_as_ollama_reads_it(monkeypatch: pytest.MonkeyPatch, written: str, base: str) -> None:
    monkeypatch.setenv("OLLAMA_HOST", written)
    assert base_url() == base
    assert OllamaProvider().endpoint == f"{base}/api/chat"
    assert base_url(written) == base


def test_the_nearest_setting_of_the_address_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    assert base_url() == "http://127.0.0.1:11434"
    monkeypatch.setenv("OLLAMA_HOST", "one:1")
    monkeypatch.setenv("OLLAMA_API_BASE", "http://two:2")
    assert base_url() == "http://two:2"
    assert base_url("http://three:3") == "http://three:3"


@pytest.mark.parametrize("written", ["http://host:11434/v1", "http://host:11434/api/", "ftp://host", "http://", "a b"])
def test_a_wrong_address_is_told_with_its_origin(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("OLLAMA_API_BASE", written)
    with pytest.raises(ConfigError, match="OLLAMA_API_BASE"):
        OllamaProvider()
    with pytest.raises(ConfigError, match="api_base"):
        OllamaProvider(api_base=written)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [({"num_ctx": 0}, "num_ctx"), ({"think": 3}, "think"), ({"think": ""}, "think"), ({"temperature": 3}, "it is 3")],
)
def test_a_wrong_argument_is_told(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        OllamaProvider(**arguments)


def test_a_key_is_sent_only_where_it_was_meant_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", "the-key")
    assert OllamaProvider().api_key is None
    assert OllamaProvider(api_base="https://ollama.com").api_key == "the-key"
    assert OllamaProvider(api_key="given").api_key == "given"
    assert "the-key" not in repr(OllamaProvider(api_base="https://ollama.com"))


def test_describe_holds_all_that_changes_the_answer() -> None:
    assert OllamaProvider("m", temperature=0.5, num_ctx=10, think=True).describe() == {
        "provider": "ollama",
        "model": "m",
        "endpoint": "http://127.0.0.1:11434/api/chat",
        "parameters": {"think": True, "options": {"temperature": 0.5, "num_ctx": 10}},
    }


async def test_an_answer_comes_back_whole(transport: Transport) -> None:
    async with served(always(ANSWER)) as server:
        made = OllamaProvider("gemma3:4b", api_base=server.url)
        completion = await made.complete(made.encode(REQUEST), transport)
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/api/chat")
    assert asked.json == orjson.loads(made.encode(REQUEST))
    assert asked.headers["content-type"] == "application/json"
    assert "authorization" not in asked.headers
    assert completion == Completion(
        text='{"text":"hi","stars":2}', finish=Finish.STOP, usage=Usage(26, 9), model="gemma3:4b"
    )


def test_a_cut_off_answer_says_so_and_missing_counts_are_0() -> None:
    cut = read({"message": {"content": "half"}, "done_reason": "length"})
    assert (cut.finish, cut.text, cut.usage) == (Finish.LENGTH, "half", Usage())
    assert read({"message": {"content": None}, "prompt_eval_count": None}).text == ""


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": "an error was encountered while running the model"}, ServiceError),
        ({"response": "from /api/generate"}, MalformedReplyError),
        (b"Ollama is running", MalformedReplyError),
        ([], MalformedReplyError),
        ({"message": "text"}, MalformedReplyError),
    ],
)
def test_a_200_that_is_no_answer_is_the_error_it_stands_for(body: object, kind: type[ProviderError]) -> None:
    with pytest.raises(kind):
        read(body)


JSON = st.recursive(
    st.none() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["message", "content", "error", "done_reason", "eval_count"]), inner)
    ),
    max_leaves=8,
)


@given(JSON)
def test_any_reply_is_an_answer_or_an_error_of_the_tree(body: object) -> None:
    try:
        completion = read(body)
    except ProviderError:
        return
    assert isinstance(completion.text, str)


async def failure(transport: Transport, body: object, status: int) -> ProviderError:
    async with served(always(body, status)) as server:
        made = OllamaProvider("gemma3:4b", api_base=server.url)
        with pytest.raises(ProviderError) as caught:
            await made.complete(made.encode(REQUEST), transport)
    return caught.value


async def test_a_model_that_was_not_pulled_is_told_with_the_command(transport: Transport) -> None:
    error = await failure(transport, {"error": "model 'gemma3:4b' not found"}, 404)
    assert isinstance(error, ModelNotFoundError)
    assert "ollama pull gemma3:4b" in str(error)


async def test_what_the_model_cannot_do_and_what_the_server_cannot_are_told_apart(transport: Transport) -> None:
    error = await failure(transport, {"error": '"gemma3:4b" does not support thinking'}, 400)
    assert (type(error), error.message) == (BadRequestError, '"gemma3:4b" does not support thinking')
    error = await failure(transport, {"error": "model requires more system memory (8 GiB) than is available"}, 500)
    assert isinstance(error, ServiceError)


async def test_a_server_that_does_not_run_is_told_with_the_command(transport: Transport) -> None:
    made = OllamaProvider(api_base=f"http://127.0.0.1:{unused_port()}")
    with pytest.raises(ConnectionFailedError, match="ollama serve"):
        await made.complete(made.encode(REQUEST), transport)


# What is offered to a user who named no model


async def test_without_a_key_and_a_server_nothing_is_offered(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{unused_port()}")
    assert await offers(transport) == []


async def test_a_key_is_offered_by_its_variable_and_never_shown(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{unused_port()}")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-test")
    assert await offers(transport) == ["openai/gpt-5-mini  (OPENAI_API_KEY is set)"]


async def test_the_models_of_a_running_ollama_are_offered(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"m{number}:4b" for number in range(7)]
    async with served(always({"models": [{"name": name} for name in names]})) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        lines = await offers(transport)
    assert (server.asked[0].method, server.asked[0].path) == ("GET", "/api/tags")
    assert lines[0] == f"ollama/m0:4b  (Ollama runs at {server.url})"
    assert len(lines) == 6
    assert "2 more" in lines[-1]


async def test_an_ollama_without_models_says_what_to_do(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(always({"models": []})) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        (line,) = await offers(transport)
    assert "ollama pull" in line


@pytest.mark.parametrize("body", ["<html>", {"models": None}, {"models": [3]}, []])
async def test_another_server_on_that_port_offers_nothing(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, body: object
) -> None:
    async with served(always(body)) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        assert await offers(transport) == []


async def test_a_server_elsewhere_is_not_asked(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "http://ollama.invalid")
    assert await offers(transport) == []


async def test_a_senseless_address_is_told(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "ftp://x")
    (line,) = await offers(transport)
    assert "OLLAMA_HOST" in line
