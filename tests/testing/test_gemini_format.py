"""The scripted server in Gemini's format."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

from rowsmith.llm.values import Usage
from rowsmith.testing import (
    BadRequest,
    CutOff,
    Empty,
    Fault,
    QuotaUsedUp,
    Rate,
    RateLimited,
    Refusal,
    Reply,
    ScriptedServer,
    ServerError,
    UnknownModel,
    UnsupportedParameter,
    UnsupportedSchema,
    WrongKey,
)

from .plain_client import SCHEMA, Entries, Got, Start, post

JSON = {"responseMimeType": "application/json"}


def asked(prompt: str = "Write 4 reviews.", *, config: Any = None, **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": prompt}]}], **more}
    return body | ({"generationConfig": config} if config else {})


def call(server: ScriptedServer, body: Any = None, model: str = "gemini-m", **headers: str) -> Got:
    body = asked(config={**JSON, "responseJsonSchema": SCHEMA}) if body is None else body
    return post(server, body, path=f"/v1beta/models/{model}:generateContent", **headers)


def text(got: Got) -> str:
    (candidate,) = got.json["candidates"]
    (part,) = candidate["content"]["parts"]
    return str(part["text"])


def test_an_answer_fits_the_schema_of_either_form(scripted_server: Start) -> None:
    server = scripted_server()
    older = {
        "type": "OBJECT",
        "properties": {"name": {"type": "STRING", "enum": ["Ann"]}, "age": {"type": "INTEGER", "nullable": True}},
        "required": ["name", "age"],
    }
    got = call(server)
    assert len(Entries.model_validate_json(text(got)).entries) == 4
    assert got.json["candidates"][0]["finishReason"] == "STOP"
    assert (got.json["modelVersion"], got.json["candidates"][0]["content"]["role"]) == ("gemini-m", "model")
    made = json.loads(text(call(server, asked(config={**JSON, "responseSchema": older}))))
    assert made["name"] == "Ann"
    assert made["age"] is None or isinstance(made["age"], int)
    assert text(call(server, asked("Say hello."))).strip()


def test_the_call_is_understood(scripted_server: Start) -> None:
    server = scripted_server()
    contents = [{"role": "model", "parts": [{"text": "a"}, {"text": "b"}]}, {"parts": [{"text": "c"}]}]
    body = {"systemInstruction": {"parts": [{"text": "s"}]}, "contents": contents, "generationConfig": {"seed": 5}}
    call(server, body, "tuned/m", **{"x-goog-api-key": "k"})
    (seen,) = server.calls
    assert (seen.format, seen.asked.model, seen.asked.seed, seen.body) == ("gemini", "tuned/m", 5, body)
    assert [(m.role, m.content) for m in seen.asked.messages] == [("system", "s"), ("assistant", "ab"), ("user", "c")]


def test_usage_counts_thoughts_apart(scripted_server: Start) -> None:
    reply = Reply(text="x", usage=Usage(input_tokens=10, output_tokens=9, cached_tokens=4, reasoning_tokens=6))
    assert call(scripted_server(lambda _: reply)).json["usageMetadata"] == {
        "promptTokenCount": 10,
        "candidatesTokenCount": 3,
        "cachedContentTokenCount": 4,
        "thoughtsTokenCount": 6,
        "totalTokenCount": 19,
    }


def test_an_answer_ends_in_each_way(scripted_server: Start) -> None:
    faults = [CutOff(), Refusal("No."), Refusal(filtered=True), Empty()]
    server = scripted_server(faults=faults)
    cut, refused, blocked, empty = (call(server).json for _ in faults)
    assert cut["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert refused["candidates"][0]["finishReason"] == "SAFETY"
    assert refused["candidates"][0]["finishMessage"] == "No."
    assert "content" not in refused["candidates"][0]
    assert "candidates" not in blocked
    assert blocked["promptFeedback"] == {"blockReason": "PROHIBITED_CONTENT"}
    assert empty["candidates"][0]["content"] == {"role": "model"}


@pytest.mark.parametrize(
    ("fault", "code", "status", "detail"),
    [
        (RateLimited(retry_after=1.5), 429, "RESOURCE_EXHAUSTED", '"retryDelay":"1.5s"'),
        (RateLimited(), 429, "RESOURCE_EXHAUSTED", "PerMinute"),
        (QuotaUsedUp(), 429, "RESOURCE_EXHAUSTED", "PerDay"),
        (ServerError(), 500, "INTERNAL", None),
        (ServerError(503), 503, "UNAVAILABLE", None),
        (WrongKey(), 401, "UNAUTHENTICATED", "API_KEY_INVALID"),
        (UnknownModel(), 404, "NOT_FOUND", None),
        (BadRequest("no"), 400, "INVALID_ARGUMENT", None),
        (UnsupportedSchema(), 400, "INVALID_ARGUMENT", None),
    ],
    ids=repr,
)
def test_errors_are_statuses_with_details(
    fault: Fault, code: int, status: str, detail: str | None, scripted_server: Start
) -> None:
    got = call(scripted_server(faults=fault))
    error = got.json["error"]
    assert (got.status, error["code"], error["status"]) == (code, code, status)
    assert error["message"]
    assert ("details" in error) is (detail is not None)
    assert detail is None or detail in got.body.decode()
    assert not {name.lower() for name in got.headers} & {"retry-after", "x-request-id"}


def test_limits_are_told_in_the_body_alone(scripted_server: Start) -> None:
    server = scripted_server(rate=Rate(requests=1, seconds=60))
    first, second = call(server), call(server)
    assert (first.status, second.status) == (200, 429)
    assert "RetryInfo" in second.body.decode()
    assert not [name for name in second.headers if "ratelimit" in name.lower() or "retry" in name.lower()]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "contents is not specified"),
        ({"contents": []}, "contents is not specified"),
        ({"contents": [{"role": "user", "parts": []}]}, "must not be empty"),
        ({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}, "valid role"),
        (asked(messages=[]), 'Unknown name "messages"'),
        (asked(config={"max_tokens": 5}), 'Unknown name "max_tokens"'),
        (asked(config={"responseJsonSchema": SCHEMA}), "response_mime_type"),
    ],
)
def test_what_the_service_refuses_is_refused(body: dict[str, Any], told: str, scripted_server: Start) -> None:
    got = call(scripted_server(), body)
    assert got.status == 400
    assert told in got.json["error"]["message"]


def test_a_parameter_within_the_configuration_is_refused(scripted_server: Start) -> None:
    server = scripted_server(faults=UnsupportedParameter("frequencyPenalty"))
    assert call(server, asked(config={"frequencyPenalty": 1})).status == 400
    assert call(server, asked()).status == 200


def test_the_key_is_in_its_own_header_and_no_other(scripted_server: Start) -> None:
    server = scripted_server(api_key="k")
    assert call(server, **{"x-goog-api-key": "k"}).status == 200
    assert call(server, Authorization="Bearer k").status == 401


def test_the_models_are_listed_by_their_resource_names(scripted_server: Start) -> None:
    server = scripted_server(models=["a", "b"])
    with urllib.request.urlopen(f"{server.url}/v1beta/models", timeout=10) as reply:
        assert [model["name"] for model in json.load(reply)["models"]] == ["models/a", "models/b"]
    assert call(server, model="c").status == 404
