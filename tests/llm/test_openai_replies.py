"""What comes of every kind of reply in OpenAI's format."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from rowsmith.errors import (
    AuthenticationError,
    BadRequestError,
    MalformedReplyError,
    ModelNotFoundError,
    ProviderError,
    QuotaError,
    RateLimitError,
    ServiceError,
)
from rowsmith.llm.failures import Caller
from rowsmith.llm.providers import openai
from rowsmith.llm.providers.openai import OpenAIProvider
from rowsmith.llm.transport import Reply, Transport
from rowsmith.llm.values import Completion, Finish, Message, Request, Usage

from .loopback import Asked, always, served

SECRET = "sk-the-secret-of-the-test"
REQUEST = Request((Message.user("Write."),))


def provider(**arguments: Any) -> OpenAIProvider:
    return OpenAIProvider(**{"model_id": "m", "api_key": SECRET} | arguments)


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with Transport() as opened:
        yield opened


def reply(content: object, *, usage: object = None, **choice: Any) -> dict[str, Any]:
    message = choice.pop("message", {}) | {"role": "assistant", "content": content}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "m-2026",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"} | choice],
        "usage": usage,
    }


def read(body: object, **headers: str) -> Completion:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return openai._completion(Reply(200, CIMultiDict(headers), content), Caller("openai", "m", (SECRET,)))


async def test_an_answer_comes_back_whole(transport: Transport) -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 20},
    }
    async with served(always(reply('{"text":"hi"}', usage=usage), x_request_id="req_7")) as server:
        made = provider(api_base=f"{server.url}/v1")
        completion = await made.complete(made.encode(REQUEST), transport)
    assert completion == Completion(
        text='{"text":"hi"}',
        finish=Finish.STOP,
        usage=Usage(input_tokens=100, output_tokens=50, cached_tokens=64, reasoning_tokens=20),
        model="m-2026",
        request_id="req_7",
    )


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", Finish.STOP),
        ("length", Finish.LENGTH),
        ("model_length", Finish.LENGTH),
        ("content_filter", Finish.REFUSED),
        ("refusal", Finish.REFUSED),
        ("tool_calls", Finish.STOP),
        ("eos", Finish.STOP),
        (None, Finish.STOP),
    ],
)
def test_why_it_stopped(reason: str | None, finish: Finish) -> None:
    assert read(reply("x", finish_reason=reason)).finish is finish


def test_a_refusal_is_told_in_its_own_words() -> None:
    completion = read(reply(None, message={"refusal": "I can't."}))
    assert (completion.finish, completion.text) == (Finish.REFUSED, "I can't.")
    assert read(reply("fine", message={"refusal": None})).finish is Finish.STOP


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, ""),
        ("", ""),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "a"}], "a"),
        ("<think>hm</think>a", "<think>hm</think>a"),
    ],
)
def test_the_text_of_every_kind_of_content(content: object, text: str) -> None:
    assert read(reply(content)).text == text


def test_reasoning_beside_the_content_is_not_of_the_text() -> None:
    assert read(reply("a", message={"reasoning_content": "hm", "reasoning": "hm"})).text == "a"


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (None, Usage()),
        ({}, Usage()),
        ("many", Usage()),
        ({"prompt_tokens": "many", "completion_tokens": 2, "completion_tokens_details": [1]}, Usage(0, 2)),
        ({"prompt_tokens": 3, "completion_tokens": None}, Usage(input_tokens=3)),
        ({"prompt_tokens": 3, "prompt_tokens_details": None, "prompt_cache_hit_tokens": 2}, Usage(3, 0, 2)),
    ],
)
def test_tokens_are_counted_as_far_as_they_are_told(usage: object, counted: Usage) -> None:
    assert read(reply("x", usage=usage)).usage == counted


def test_without_a_header_the_id_of_the_answer_serves() -> None:
    assert read(reply("x")).request_id == "chatcmpl-1"


def test_half_a_surrogate_pair_in_a_paid_answer_does_not_lose_it() -> None:
    body = orjson.dumps(reply("PLACE")).replace(b"PLACE", rb"a\ud83db")
    assert read(body).text == "a\ufffdb"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": {"message": "m", "code": 429}}, RateLimitError),
        ({"error": {"message": "m", "code": 402}}, QuotaError),
        ({"error": {"message": "m", "code": 502, "metadata": {"raw": "x"}}}, ServiceError),
        ({"error": {"message": "m", "code": "odd"}}, ServiceError),
        ({"error": "text"}, ServiceError),
        (reply(None, finish_reason="error", error={"code": 429, "message": "slow"}), RateLimitError),
        (reply("half", finish_reason="error", error={"message": "gone"}), ServiceError),
        (reply("half", finish_reason="insufficient_system_resource"), ServiceError),
        (b"<html><title>Log in</title></html>", MalformedReplyError),
        (b"", MalformedReplyError),
        (b'{"choices":[{"message":{"conte', MalformedReplyError),
        ({}, MalformedReplyError),
        ([], MalformedReplyError),
        ({"choices": []}, MalformedReplyError),
        ({"choices": [{"message": None}]}, MalformedReplyError),
    ],
)
def test_a_200_that_is_no_answer_is_the_error_it_stands_for(body: object, kind: type[ProviderError]) -> None:
    with pytest.raises(ProviderError) as caught:
        read(body)
    assert type(caught.value) is kind
    assert caught.value.retryable or kind is QuotaError


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "message", "content", "error", "usage", "finish_reason", "refusal", "type", "text"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(JSON | st.builds(lambda message, usage: {"choices": [{"message": message}], "usage": usage}, JSON, JSON))
def test_any_reply_is_an_answer_or_an_error_of_the_tree(body: object) -> None:
    try:
        completion = read(body)
    except ProviderError:
        return
    assert isinstance(completion.text, str)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {"error": {"message": f"Incorrect API key provided: {SECRET}."}}, AuthenticationError),
        (404, {"error": {"message": "The model `m` does not exist", "code": "model_not_found"}}, ModelNotFoundError),
        (429, {"error": {"message": "quota", "code": "insufficient_quota"}}, QuotaError),
        (400, {"error": {"message": "bad", "code": "unsupported_value", "param": "temperature"}}, BadRequestError),
    ],
)
async def test_errors_of_the_service_stop_with_a_hint_and_without_the_key(
    transport: Transport, status: int, body: object, kind: type[ProviderError]
) -> None:
    async with served(always(body, status)) as server:
        made = provider(api_base=f"{server.url}/v1")
        with pytest.raises(kind) as caught:
            await made.complete(made.encode(REQUEST), transport)
    error = caught.value
    assert error.fatal
    assert error.hint
    assert SECRET not in f"{error} {error!r} {vars(error)}"
    if kind is AuthenticationError:
        assert "OPENAI_API_KEY" in error.hint


async def test_two_instances_with_two_keys_do_not_meet(transport: Transport) -> None:
    async def answer(asked: Asked) -> Any:
        return await always(reply(asked.headers["authorization"]))(asked)

    async with served(answer) as server:
        one, two = (provider(api_key=key, api_base=f"{server.url}/v1") for key in ("sk-one", "sk-two"))
        body = one.encode(REQUEST)
        assert (await one.complete(body, transport)).text == "Bearer sk-one"
        assert (await two.complete(body, transport)).text == "Bearer sk-two"


async def test_the_headers_go_out_and_the_users_own_win(transport: Transport) -> None:
    async with served(always(reply("x"))) as server:
        made = provider(api_base=f"{server.url}/v1/", extra_headers={"authorization": "Token t", "X-A": "b"})
        await made.complete(made.encode(REQUEST), transport)
        plain = provider(api_base=f"{server.url}/v1")
        await plain.complete(plain.encode(REQUEST), transport)
        keyless = OpenAIProvider("m", api_base=f"{server.url}/v1")
        await keyless.complete(keyless.encode(REQUEST), transport)
    own, ours, none = server.asked
    assert (own.headers["authorization"], own.headers["x-a"]) == ("Token t", "b")
    assert (own.method, own.path) == ("POST", "/v1/chat/completions")
    assert ours.headers["authorization"] == f"Bearer {SECRET}"
    assert ours.headers["content-type"] == "application/json"
    assert ours.json == orjson.loads(plain.encode(REQUEST))
    assert "authorization" not in none.headers
