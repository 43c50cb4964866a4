"""What comes of every kind of reply in Gemini's format."""

from __future__ import annotations

import logging
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
from rowsmith.llm.parameters import refused
from rowsmith.llm.providers import gemini_reply
from rowsmith.llm.providers.gemini import GeminiProvider
from rowsmith.llm.structured.rungs import looks_like_unsupported
from rowsmith.llm.transport import Reply, Transport
from rowsmith.llm.values import Completion, Finish, Message, OutputSchema, Request, Rung, Usage

from .loopback import Asked, always, served

SECRET = "AQ.the-secret-of-the-test"
REQUEST = Request((Message.user("Write."),))
SCHEMA = OutputSchema("S", {"type": "object", "properties": {"a": {"type": "string"}}})
RPC = "type.googleapis.com/google.rpc"


def provider(**arguments: Any) -> GeminiProvider:
    return GeminiProvider(**{"model_id": "gemini-3.8-flash", "api_key": SECRET} | arguments)


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with Transport() as opened:
        yield opened


def reply(*parts: object, finish: str | None = "STOP", usage: object = None, **candidate: Any) -> dict[str, Any]:
    content = {"role": "model", "parts": list(parts)} if parts else {"role": "model"}
    return {
        "candidates": [{"content": content, "finishReason": finish, "index": 0} | candidate],
        "usageMetadata": usage,
        "modelVersion": "gemini-3.8-flash-001",
        "responseId": "id-1",
    }


def read(body: object) -> Completion:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return gemini_reply.completion(Reply(200, CIMultiDict(), content), Caller("gemini", "m", (SECRET,)))


# Answers


async def test_an_answer_comes_back_whole(transport: Transport) -> None:
    usage = {
        "promptTokenCount": 100,
        "candidatesTokenCount": 30,
        "thoughtsTokenCount": 20,
        "cachedContentTokenCount": 64,
        "totalTokenCount": 150,
    }
    thought = {"text": "Let me think.", "thought": True}
    answer = reply(thought, {"text": '{"text":'}, {"text": '"hi"}', "thoughtSignature": "x"}, usage=usage)
    async with served(always(answer)) as server:
        made = provider(api_base=server.url)
        completion = await made.complete(made.encode(REQUEST), transport)
    assert completion == Completion(
        text='{"text":"hi"}',
        finish=Finish.STOP,
        usage=Usage(input_tokens=100, output_tokens=50, cached_tokens=64, reasoning_tokens=20),
        model="gemini-3.8-flash-001",
        request_id="id-1",
    )
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/v1beta/models/gemini-3.8-flash:generateContent")
    assert asked.json == orjson.loads(made.encode(REQUEST))
    assert asked.headers["x-goog-api-key"] == SECRET
    assert asked.headers["content-type"] == "application/json"
    assert "authorization" not in asked.headers


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", Finish.STOP),
        ("FINISH_REASON_UNSPECIFIED", Finish.STOP),
        (None, Finish.STOP),
        ("MAX_TOKENS", Finish.LENGTH),
        ("CONTINUATION", Finish.LENGTH),
        ("MALFORMED_FUNCTION_CALL", Finish.STOP),
        ("UNEXPECTED_TOOL_CALL", Finish.STOP),
        ("MALFORMED_RESPONSE", Finish.STOP),
    ],
)
def test_why_it_stopped(reason: str | None, finish: Finish) -> None:
    completion = read(reply({"text": "so far"}, finish=reason))
    assert (completion.finish, completion.text) == (finish, "so far")


@pytest.mark.parametrize(
    "reason",
    ["SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "OTHER", "ESCALATION"],
)
def test_a_blocked_answer_is_a_refusal_that_says_why(reason: str) -> None:
    usage = {"promptTokenCount": 9}
    completion = read({"candidates": [{"finishReason": reason}], "usageMetadata": usage})
    assert (completion.finish, completion.text) == (Finish.REFUSED, f"The answer was blocked: {reason}")
    assert completion.usage == Usage(9)
    told = read(reply({"text": "half"}, finish=reason, finishMessage="No."))
    assert (told.finish, told.text) == (Finish.REFUSED, f"The answer was blocked: {reason}. No.")


@pytest.mark.parametrize("candidates", [{}, {"candidates": []}])
def test_a_blocked_prompt_is_a_refusal_that_says_why(candidates: dict[str, Any]) -> None:
    feedback = {"blockReason": "PROHIBITED_CONTENT"}
    completion = read({"promptFeedback": feedback, "usageMetadata": {"promptTokenCount": 9}} | candidates)
    assert (completion.finish, completion.text) == (Finish.REFUSED, "The prompt was blocked: PROHIBITED_CONTENT")
    assert completion.usage == Usage(9)


@pytest.mark.parametrize(
    "answer",
    [
        reply(),
        reply({"functionCall": {"name": "f", "args": {}}}, finish="UNEXPECTED_TOOL_CALL"),
        reply({"text": "only thought", "thought": True}, finish="MAX_TOKENS"),
        {"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL", "index": 0}]},
    ],
)
def test_an_answer_without_text_is_empty_and_no_error(answer: object) -> None:
    completion = read(answer)
    assert completion.text == ""
    assert completion.finish is not Finish.REFUSED


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (None, Usage()),
        ("many", Usage()),
        ({"promptTokenCount": "many", "candidatesTokenCount": 2}, Usage(0, 2)),
        ({"promptTokenCount": 3, "toolUsePromptTokenCount": 4, "thoughtsTokenCount": 5}, Usage(7, 5, 0, 5)),
    ],
)
def test_tokens_are_counted_as_far_as_they_are_told(usage: object, counted: Usage) -> None:
    assert read(reply({"text": "x"}, usage=usage)).usage == counted


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED"}}, RateLimitError),
        ({"error": {"code": 503, "message": "m"}}, ServiceError),
        ({"error": {"message": "m"}}, ServiceError),
        ({"candidates": []}, MalformedReplyError),
        ({"candidates": [], "usageMetadata": {"promptTokenCount": 3}}, MalformedReplyError),
        ({"candidates": [{}]}, MalformedReplyError),
        ({"promptFeedback": {}}, MalformedReplyError),
        ({"choices": [{"message": {"content": "from OpenAI"}}]}, MalformedReplyError),
        ({}, MalformedReplyError),
        ([], MalformedReplyError),
        (b"<html><title>Log in</title></html>", MalformedReplyError),
        (b"", MalformedReplyError),
        (b'{"candidates":[{"content":{"pa', MalformedReplyError),
    ],
)
def test_a_200_that_is_no_answer_is_the_error_it_stands_for(body: object, kind: type[ProviderError]) -> None:
    with pytest.raises(ProviderError) as caught:
        read(body)
    assert type(caught.value) is kind
    assert caught.value.retryable


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["STOP", "SAFETY", "text"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["candidates", "content", "parts", "text", "thought", "finishReason", "promptFeedback", "blockReason"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(
    JSON | st.builds(lambda content, reason: {"candidates": [{"content": content, "finishReason": reason}]}, JSON, JSON)
)
def test_any_reply_is_an_answer_or_an_error_of_the_tree(body: object) -> None:
    try:
        completion = read(body)
    except ProviderError:
        return
    assert isinstance(completion.text, str)


# Errors


def failed(code: int, message: str, status: str, *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


def quota(*ids: str, delay: str = "34.074824224s") -> tuple[dict[str, Any], ...]:
    violations = [{"quotaMetric": "generate_content_free_tier_requests", "quotaId": name} for name in ids]
    return (
        {"@type": f"{RPC}.QuotaFailure", "violations": violations},
        {"@type": f"{RPC}.Help", "links": [{"description": "d", "url": "https://ai.google.dev"}]},
        {"@type": f"{RPC}.RetryInfo", "retryDelay": delay},
    )


MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
EXCEEDED = "You exceeded your current quota, please check your plan and billing details."
KEY_DETAIL = {"@type": f"{RPC}.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}


async def failure(transport: Transport, status: int, body: object, request: Request = REQUEST) -> ProviderError:
    async with served(always(body, status)) as server:
        made = provider(api_base=server.url, extra_headers={"X-Extra": "header-secret-9"})
        with pytest.raises(ProviderError) as caught:
            await made.complete(made.encode(request), transport)
    return caught.value


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (failed(400, "API key not valid.", "INVALID_ARGUMENT", KEY_DETAIL), AuthenticationError),
        (failed(400, "API key expired. Please renew it.", "INVALID_ARGUMENT", KEY_DETAIL), AuthenticationError),
        (failed(401, "Request had invalid authentication credentials.", "UNAUTHENTICATED"), AuthenticationError),
        (failed(403, "Your API key was reported as leaked.", "PERMISSION_DENIED"), AuthenticationError),
        (failed(404, "models/gemini-0 is not found for API version v1beta", "NOT_FOUND"), ModelNotFoundError),
        (failed(429, EXCEEDED, "RESOURCE_EXHAUSTED", *quota(MINUTE)), RateLimitError),
        (failed(429, EXCEEDED, "RESOURCE_EXHAUSTED", *quota(DAY)), QuotaError),
        (failed(429, EXCEEDED, "RESOURCE_EXHAUSTED", *quota("InputTokensPerMinute", "RequestsPerDay")), QuotaError),
        (failed(429, "Your prepayment credits are depleted. Go on.", "RESOURCE_EXHAUSTED"), QuotaError),
        (failed(429, "Resource has been exhausted (e.g. check quota).", "RESOURCE_EXHAUSTED"), RateLimitError),
        (failed(400, "User location is not supported for the API use.", "FAILED_PRECONDITION"), BadRequestError),
        (failed(400, "Penalty is not enabled for this model", "INVALID_ARGUMENT"), BadRequestError),
        (failed(500, "An internal error has occurred.", "INTERNAL"), ServiceError),
        (failed(503, "The model is overloaded. Please try again later.", "UNAVAILABLE"), ServiceError),
        (failed(504, "Deadline expired before operation could complete.", "DEADLINE_EXCEEDED"), ServiceError),
    ],
)  # fmt: skip
async def test_each_failure_of_the_service_is_its_own_error(
    transport: Transport, body: dict[str, Any], kind: type[ProviderError]
) -> None:
    error = await failure(transport, body["error"]["code"], body)
    assert type(error) is kind
    assert (error.provider, error.model, error.status) == ("gemini", "gemini-3.8-flash", body["error"]["code"])
    assert body["error"]["message"].rstrip(".") in error.message
    if kind is AuthenticationError:
        assert "GEMINI_API_KEY" in str(error)
    if kind in (RateLimitError, QuotaError) and body["error"]["details"]:
        assert error.retry_after == 34.074824224


async def test_a_prompt_that_is_too_long_is_the_fault_of_one_request(transport: Transport) -> None:
    told = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
    error = await failure(transport, 400, failed(400, told, "INVALID_ARGUMENT"))
    assert isinstance(error, BadRequestError)
    assert not error.fatal


async def test_a_schema_that_is_too_much_is_asked_for_otherwise(transport: Transport) -> None:
    bare = failed(400, "Request contains an invalid argument.", "INVALID_ARGUMENT")
    with_schema = await failure(transport, 400, bare, Request(REQUEST.messages, SCHEMA))
    assert looks_like_unsupported(with_schema)
    for rung in (Rung.JSON, Rung.PROMPT):
        assert not looks_like_unsupported(await failure(transport, 400, bare, Request(REQUEST.messages, SCHEMA, rung)))


@pytest.mark.parametrize(
    ("told", "about_it"),
    [
        ("The specified schema produces a constraint that has too many states for serving. Typical causes are", True),
        ("A schema in GenerationConfig in the request exceeds the maximum allowed nesting depth.", True),
        ("ref loops are only supported if they include optional or nullable property values", True),
        ("User location is not supported for the API use.", False),
        ("Requests ending with a model turn are not supported.", False),
    ],
)
async def test_words_about_a_schema_are_told_from_others(transport: Transport, told: str, about_it: bool) -> None:
    error = await failure(transport, 400, failed(400, told, "X"), Request(REQUEST.messages, SCHEMA))
    assert looks_like_unsupported(error) is about_it
    assert not looks_like_unsupported(await failure(transport, 400, failed(400, "Bad.", "X")))


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("Penalty is not enabled for models/gemini-2.5-flash", "frequencyPenalty"),
        ("Thinking level is not supported for this model.", "thinkingConfig"),
        ("`temperature` is deprecated for this model.", "temperature"),
    ],
)
async def test_a_refused_parameter_is_found_by_its_name(transport: Transport, message: str, name: str) -> None:
    made = provider(temperature=0.5, top_p=0.9, frequency_penalty=0.5, reasoning_effort="low")
    error = await failure(transport, 400, failed(400, message, "INVALID_ARGUMENT"))
    assert isinstance(error, BadRequestError)
    assert refused(error, made.parameters) == name


async def test_the_key_is_in_no_error_and_no_log_whatever_the_service_echoes(
    transport: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    echo = f"bad key {SECRET} in ?key={SECRET} with header-secret-9"
    for status in (400, 401, 403, 404, 429, 500):
        error = await failure(transport, status, failed(status, echo, "X", {"@type": echo, "reason": echo}))
        everything = f"{error} {error!r} {vars(error)} {error.__cause__!r} {error.__context__!r}"
        assert SECRET not in everything
        assert "header-secret-9" not in everything
    assert SECRET not in caplog.text


async def test_two_instances_with_two_keys_do_not_meet(transport: Transport) -> None:
    async def answer(asked: Asked) -> Any:
        return await always(reply({"text": asked.headers["x-goog-api-key"]}))(asked)

    async with served(answer) as server:
        one, two = (provider(api_key=key, api_base=server.url) for key in ("key-one", "key-two"))
        body = one.encode(REQUEST)
        assert (await one.complete(body, transport)).text == "key-one"
        assert (await two.complete(body, transport)).text == "key-two"


async def test_the_users_own_headers_win(transport: Transport) -> None:
    async with served(always(reply({"text": "x"}))) as server:
        made = provider(api_base=server.url, extra_headers={"X-GOOG-API-KEY": "own", "X-A": "b"})
        await made.complete(made.encode(REQUEST), transport)
        keyless = GeminiProvider("m", api_base=server.url)
        await keyless.complete(keyless.encode(REQUEST), transport)
    own, none = server.asked
    assert (own.headers["x-goog-api-key"], own.headers["x-a"]) == ("own", "b")
    assert "x-goog-api-key" not in none.headers
