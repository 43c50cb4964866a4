"""What comes of every kind of reply in Anthropic's format, and what it costs."""

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
from rowsmith.llm.learned import Headers
from rowsmith.llm.prices import Prices
from rowsmith.llm.providers import anthropic_reply
from rowsmith.llm.providers.anthropic import AnthropicProvider
from rowsmith.llm.transport import Reply, Transport
from rowsmith.llm.values import Completion, Finish, Message, Request, Usage

from .loopback import Asked, always, served

SECRET = "sk-ant-the-secret-of-the-test"
REQUEST = Request((Message.user("Write."),))


def provider(**arguments: Any) -> AnthropicProvider:
    return AnthropicProvider(**{"model_id": "claude-haiku-4-5", "api_key": SECRET} | arguments)


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with Transport() as opened:
        yield opened


def text(words: object) -> dict[str, Any]:
    return {"type": "text", "text": words}


def tool(given: object) -> dict[str, Any]:
    return {"type": "tool_use", "id": "toolu_1", "name": "Entry", "input": given}


THINKING = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}


def reply(*content: object, usage: object = None, **more: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5-20251001",
        "content": list(content),
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": usage,
    } | more


def read(body: object, **headers: str) -> Completion:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return anthropic_reply.completion(Reply(200, CIMultiDict(headers), content), Caller("anthropic", "m", (SECRET,)))


async def test_an_answer_comes_back_whole(transport: Transport) -> None:
    usage = {
        "input_tokens": 10,
        "cache_creation_input_tokens": 20,
        "cache_read_input_tokens": 64,
        "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 30},
        "service_tier": "standard",
    }
    body = reply(THINKING, text('{"text":'), text('"hi"}'), usage=usage)
    async with served(always(body, request_id="req_7")) as server:
        made = provider(api_base=server.url)
        completion = await made.complete(made.encode(REQUEST), transport)
    assert completion == Completion(
        text='{"text":"hi"}',
        finish=Finish.STOP,
        usage=Usage(input_tokens=94, output_tokens=50, cached_tokens=64, reasoning_tokens=30),
        model="claude-haiku-4-5-20251001",
        request_id="req_7",
    )


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", Finish.STOP),
        ("stop_sequence", Finish.STOP),
        ("tool_use", Finish.STOP),
        ("max_tokens", Finish.LENGTH),
        ("model_context_window_exceeded", Finish.LENGTH),
        ("pause_turn", Finish.LENGTH),
        ("refusal", Finish.REFUSED),
        ("of-another-year", Finish.STOP),
        (None, Finish.STOP),
        ([], Finish.STOP),
    ],
)
def test_why_it_stopped(reason: object, finish: Finish) -> None:
    assert read(reply(text("x"), stop_reason=reason)).finish is finish


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], ""),
        ([THINKING], ""),
        ([THINKING, {"type": "redacted_thinking", "data": "x"}, text("a"), text("b")], "ab"),
        ([text("Here it is."), tool({"text": "hi", "n": 1})], '{"text":"hi","n":1}'),
        ([tool({})], "{}"),
        ([tool("no object"), text("a")], "a"),
        ([text(None), text("a"), "odd"], "a"),
    ],
)
def test_the_text_of_every_kind_of_content(content: list[object], words: str) -> None:
    assert read(reply(*content)).text == words


@pytest.mark.parametrize(
    ("content", "details", "words"),
    [
        ([text("I can't.")], None, "I can't."),
        ([], {"type": "refusal", "category": "bio", "explanation": "It is dangerous."}, "It is dangerous."),
        ([], {"type": "refusal", "category": "cyber", "explanation": None}, "cyber"),
        ([], None, ""),
        ([], "odd", ""),
    ],
)
def test_a_refusal_is_told_in_its_own_words_or_the_services(content: list[object], details: object, words: str) -> None:
    completion = read(reply(*content, stop_reason="refusal", stop_details=details))
    assert (completion.finish, completion.text) == (Finish.REFUSED, words)


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (None, Usage()),
        ("many", Usage()),
        ({"input_tokens": 3, "output_tokens": 2}, Usage(3, 2)),
        ({"input_tokens": 3, "output_tokens": None, "cache_read_input_tokens": None}, Usage(3)),
        ({"input_tokens": 0, "cache_creation_input_tokens": 9, "output_tokens": 1}, Usage(9, 1)),
        ({"input_tokens": 3, "output_tokens": 9, "output_tokens_details": [1]}, Usage(3, 9)),
    ],
)
def test_tokens_are_counted_as_far_as_they_are_told(usage: object, counted: Usage) -> None:
    assert read(reply(text("x"), usage=usage)).usage == counted


@pytest.mark.parametrize(
    ("model", "usage", "dollars"),
    [
        ("claude-haiku-4-5", Usage(1_000_000, 1_000_000), 1 + 5),
        ("claude-haiku-4-5-20251001", Usage(1_000_000, 0, cached_tokens=1_000_000), 0.1),
        ("claude-haiku-5-5", Usage(100_000, 100_000), 0.01 + 0.05),
        ("claude-opus-5-5", Usage(1_000_000, 1_000_000, reasoning_tokens=500_000), 4 + 20),
    ],
)
def test_the_list_of_prices_knows_what_a_call_costs(model: str, usage: Usage, dollars: float) -> None:
    assert Prices()(provider(model_id=model), usage) == pytest.approx(dollars)
    standard = provider(model_id=model, extra_body={"service_tier": "standard_only"})
    assert Prices()(standard, usage) == pytest.approx(dollars)


def test_without_a_header_the_id_of_the_answer_serves() -> None:
    assert read(reply(text("x"))).request_id == "msg_1"


def test_half_a_surrogate_pair_in_a_paid_answer_does_not_lose_it() -> None:
    body = orjson.dumps(reply(text("PLACE"))).replace(b"PLACE", rb"a\ud83db")
    assert read(body).text == "a\ufffdb"
    assert read(orjson.dumps(reply(tool({"a": "PLACE"}))).replace(b"PLACE", rb"a\ud83db")).text == '{"a":"a\ufffdb"}'


def failure(kind: str, message: str = "m", **more: Any) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message, **more}, "request_id": "req_1"}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (failure("overloaded_error"), ServiceError),
        (failure("rate_limit_error"), RateLimitError),
        (failure("api_error"), ServiceError),
        (failure("of-another-year"), ServiceError),
        ({"error": "text"}, ServiceError),
        (b"<html><title>Log in</title></html>", MalformedReplyError),
        (b"", MalformedReplyError),
        (b'{"content":[{"type":"te', MalformedReplyError),
        ({}, MalformedReplyError),
        ([], MalformedReplyError),
        ({"content": "text"}, MalformedReplyError),
        ({"choices": [{"message": {"content": "x"}}]}, MalformedReplyError),
    ],
)
def test_a_200_that_is_no_answer_is_the_error_it_stands_for(body: object, kind: type[ProviderError]) -> None:
    with pytest.raises(ProviderError) as caught:
        read(body)
    assert type(caught.value) is kind
    assert caught.value.retryable


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["content", "error", "usage", "stop_reason", "type", "text", "input", "stop_details"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(JSON | st.builds(lambda blocks, rest: {**rest, "content": blocks}, st.lists(JSON), st.just({"usage": 3})))
def test_any_reply_is_an_answer_or_an_error_of_the_tree(body: object) -> None:
    try:
        completion = read(body)
    except ProviderError:
        return
    assert isinstance(completion.text, str)


LOW_CREDIT = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."
LIMIT_SET = "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."
TOO_FAST = "This request would exceed your organization's rate limit of 50,000 input tokens per minute."


@pytest.mark.parametrize(
    ("status", "body", "kind", "fatal"),
    [
        (400, failure("invalid_request_error", "max_tokens: 200000 > 128000"), BadRequestError, True),
        (400, failure("invalid_request_error", "prompt is too long: 210 tokens > 200 maximum"), BadRequestError, False),
        (400, failure("invalid_request_error", LOW_CREDIT), QuotaError, True),
        (400, failure("invalid_request_error", LIMIT_SET), QuotaError, True),
        (401, failure("authentication_error", f"invalid x-api-key {SECRET}"), AuthenticationError, True),
        (402, failure("billing_error"), QuotaError, True),
        (403, failure("permission_error"), AuthenticationError, True),
        (404, failure("not_found_error", "model: claude-haku-4-5"), ModelNotFoundError, True),
        (413, failure("request_too_large", "Request exceeds the maximum size"), BadRequestError, False),
        (429, failure("rate_limit_error", TOO_FAST), RateLimitError, False),
        (
            429,
            failure("rate_limit_error", "m", details={"error_code": "enforced_spend_limit_reached"}),
            QuotaError,
            True,
        ),
        (500, failure("api_error", "Internal server error"), ServiceError, False),
        (504, failure("timeout_error"), ServiceError, False),
        (529, failure("overloaded_error", "Overloaded"), ServiceError, False),
    ],
)
async def test_errors_of_the_service_are_told_without_the_key(
    transport: Transport, status: int, body: object, kind: type[ProviderError], fatal: bool
) -> None:
    async with served(always(body, status, request_id="req_9", retry_after="7")) as server:
        made = provider(api_base=server.url)
        with pytest.raises(ProviderError) as caught:
            await made.complete(made.encode(REQUEST), transport)
    error = caught.value
    assert type(error) is kind
    assert error.fatal is fatal
    assert (error.request_id, error.retry_after) == ("req_9", 7.0)
    assert SECRET not in f"{error} {error!r} {vars(error)}"
    if status == 401:
        assert "ANTHROPIC_API_KEY" in (error.hint or "")


async def test_two_instances_with_two_keys_do_not_meet(transport: Transport) -> None:
    async def answer(asked: Asked) -> Any:
        return await always(reply(text(asked.headers["x-api-key"])))(asked)

    async with served(answer) as server:
        one, two = (provider(api_key=key, api_base=server.url) for key in ("sk-one", "sk-two"))
        body = one.encode(REQUEST)
        assert (await one.complete(body, transport)).text == "sk-one"
        assert (await two.complete(body, transport)).text == "sk-two"


async def test_the_headers_go_out_and_the_users_own_win(transport: Transport) -> None:
    async with served(always(reply(text("x")))) as server:
        own = {"Anthropic-Version": "2024-01-01", "X-Api-Key": "mine", "anthropic-beta": "a,b"}
        made = provider(api_base=f"{server.url}/", extra_headers=own)
        await made.complete(made.encode(REQUEST), transport)
        plain = provider(api_base=server.url)
        await plain.complete(plain.encode(REQUEST), transport)
        keyless = AnthropicProvider("m", api_base=server.url)
        await keyless.complete(keyless.encode(REQUEST), transport)
    users, ours, none = server.asked
    assert (users.headers["anthropic-version"], users.headers["x-api-key"]) == ("2024-01-01", "mine")
    assert users.headers["anthropic-beta"] == "a,b"
    assert (ours.method, ours.path) == ("POST", "/v1/messages")
    assert ours.headers["x-api-key"] == SECRET
    assert ours.headers["content-type"] == "application/json"
    assert ours.headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in ours.headers
    assert ours.json == orjson.loads(plain.encode(REQUEST))
    assert "x-api-key" not in none.headers


@pytest.mark.parametrize(
    ("arguments", "version"),
    [
        ({}, "2026-10-21"),
        ({"extra_body": {"stop_sequences": ["x"]}}, "2026-10-21"),
        ({"model_id": "claude-haiku-5-5", "temperature": 0.5}, "2026-10-21"),
        ({"temperature": 0.5}, "2023-06-01"),
        ({"top_p": 0.5}, "2023-06-01"),
        ({"extra_body": {"top_k": 5}}, "2023-06-01"),
        ({"api_base": "https://gateway.example"}, "2023-06-01"),
    ],
)
def test_the_version_of_the_api_is_the_newest_that_takes_the_parameters(
    arguments: dict[str, Any], version: str
) -> None:
    assert provider(**arguments)._headers["anthropic-version"] == version


def test_the_limits_that_it_tells_are_learnt() -> None:
    told = {"requests": ("50", "49", "00:00:02Z"), "tokens": ("40000", "39000", "00:00:03Z")}
    headers = CIMultiDict({"Date": "Fri, 20 Nov 2026 00:00:00 GMT"})
    for unit, (limit, remaining, reset) in told.items():
        headers[f"anthropic-ratelimit-{unit}-limit"] = limit
        headers[f"anthropic-ratelimit-{unit}-remaining"] = remaining
        headers[f"anthropic-ratelimit-{unit}-reset"] = f"2026-11-20T{reset}"
        headers[f"anthropic-ratelimit-input-{unit}-limit"] = "1"
    readings = {reading.unit: reading for reading in Headers().read(headers, 0.0, 0.0)}
    assert readings.keys() == {"requests", "tokens"}
    requests, tokens = readings["requests"], readings["tokens"]
    assert (requests.limit, requests.remaining, requests.reset, requests.window) == (50, 49, 2.0, 60.0)
    assert (tokens.limit, tokens.remaining, tokens.reset, tokens.window) == (40_000, 39_000, 3.0, 60.0)
