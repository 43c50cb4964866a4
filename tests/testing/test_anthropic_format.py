"""The scripted server in Anthropic's format."""

from __future__ import annotations

from typing import Any

import pytest

from rowsmith.llm.values import Finish, Usage
from rowsmith.testing import (
    BadJSON,
    BadRequest,
    CutOff,
    Fault,
    QuotaUsedUp,
    Rate,
    RateLimited,
    Refusal,
    Reply,
    ServerError,
    UnknownModel,
    UnsupportedParameter,
    UnsupportedSchema,
    WrongKey,
)

from .plain_client import SCHEMA, Entries, Got, Start, post


def asked(prompt: str = "Write 4 reviews.", **more: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": prompt}], **more}


FORMAT: dict[str, Any] = {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}
TOOL: dict[str, Any] = {
    "tools": [{"name": "Entries", "input_schema": SCHEMA}],
    "tool_choice": {"type": "tool", "name": "Entries"},
}


def call(server: Any, body: Any = None, **headers: str) -> Got:
    return post(server, asked(**FORMAT) if body is None else body, path="/v1/messages", **headers)


def test_an_answer_in_text_fits_the_format(scripted_server: Start) -> None:
    got = call(scripted_server())
    message = got.json
    (block,) = message["content"]
    assert len(Entries.model_validate_json(block["text"]).entries) == 4
    assert (message["type"], message["role"], message["stop_reason"]) == ("message", "assistant", "end_turn")
    assert message["usage"]["input_tokens"] > 0
    assert got.headers["request-id"] == "req_0"


def test_an_answer_by_a_tool_is_its_input(scripted_server: Start) -> None:
    message = call(scripted_server(), asked(**TOOL)).json
    (block,) = message["content"]
    assert (block["type"], block["name"], message["stop_reason"]) == ("tool_use", "Entries", "tool_use")
    assert len(Entries.model_validate(block["input"]).entries) == 4


def test_prose_is_an_answer_without_the_tool(scripted_server: Start) -> None:
    message = call(scripted_server(faults=BadJSON()), asked(**TOOL)).json
    assert [block["type"] for block in message["content"]] == ["text"]
    assert message["stop_reason"] == "end_turn"


def test_a_system_prompt_is_part_of_what_was_asked(scripted_server: Start) -> None:
    server = scripted_server()
    call(server, asked(system="Be brief."))
    (seen,) = server.calls
    assert [(message.role, message.content) for message in seen.asked.messages] == [
        ("system", "Be brief."),
        ("user", "Write 4 reviews."),
    ]
    assert (seen.format, seen.asked.schema) == ("anthropic", None)


def test_the_parts_of_the_usage_are_told_apart_and_thinking_is_a_block(scripted_server: Start) -> None:
    usage = Usage(input_tokens=10, output_tokens=9, cached_tokens=4, reasoning_tokens=5)
    message = call(scripted_server(lambda _: Reply(text="hi", usage=usage)), asked()).json
    assert [block["type"] for block in message["content"]] == ["thinking", "text"]
    told = message["usage"]
    assert (told["input_tokens"], told["cache_read_input_tokens"], told["output_tokens"]) == (6, 4, 9)
    assert told["output_tokens_details"] == {"thinking_tokens": 5}


@pytest.mark.parametrize(
    ("fault", "more", "reason", "kinds"),
    [
        (CutOff(), FORMAT, "max_tokens", ["text"]),
        (CutOff(), TOOL, "max_tokens", ["tool_use"]),
        (Refusal(), FORMAT, "refusal", ["text"]),
        (Refusal(filtered=True), TOOL, "refusal", []),
    ],
)
def test_why_it_stopped(
    scripted_server: Start, fault: Fault, more: dict[str, Any], reason: str, kinds: list[str]
) -> None:
    message = call(scripted_server(faults=fault), asked(**more)).json
    assert message["stop_reason"] == reason
    assert [block["type"] for block in message["content"]] == kinds


@pytest.mark.parametrize(
    ("fault", "status", "kind", "words"),
    [
        (WrongKey(), 401, "authentication_error", "invalid x-api-key"),
        (UnknownModel(), 404, "not_found_error", "model: m"),
        (RateLimited(retry_after=2), 429, "rate_limit_error", "Rate limit"),
        (QuotaUsedUp(), 429, "rate_limit_error", "quota"),
        (ServerError(529), 529, "overloaded_error", "Overloaded"),
        (ServerError(500), 500, "api_error", "error"),
        (BadRequest("too long", 413), 413, "request_too_large", "too long"),
        (UnsupportedSchema(), 400, "invalid_request_error", "output_config.format: "),
        (UnsupportedParameter("temperature"), 400, "invalid_request_error", "`temperature` is deprecated"),
    ],
)
def test_errors_are_worded_as_the_service_words_them(
    scripted_server: Start, fault: Fault, status: int, kind: str, words: str
) -> None:
    got = call(scripted_server(faults=fault), asked(temperature=0.5, **FORMAT))
    assert got.status == status
    assert got.json["type"] == "error"
    assert got.json["error"]["type"] == kind
    assert words in got.json["error"]["message"]


def test_a_refused_tool_is_worded_as_one(scripted_server: Start) -> None:
    got = call(scripted_server(faults=UnsupportedSchema(json_too=True)), asked(**TOOL))
    assert "tool_choice" in got.json["error"]["message"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"model": "m", "messages": []}, "max_tokens: Field required"),
        (asked(max_tokens=0), "max_tokens"),
        (asked() | {"messages": []}, "at least one message"),
        (asked(" "), "non-empty"),
        (asked() | {"messages": [{"role": "system", "content": "x"}]}, "'system'"),
        (asked() | {"messages": [*asked()["messages"], {"role": "assistant", "content": "{"}]}, "prefill"),
        (asked(stream=True), "stream"),
    ],
)
def test_a_body_that_the_service_would_refuse_is_refused(scripted_server: Start, body: Any, words: str) -> None:
    got = call(scripted_server(), body)
    assert (got.status, got.json["error"]["type"]) == (400, "invalid_request_error")
    assert words in got.json["error"]["message"]


def test_the_key_is_taken_from_either_header(scripted_server: Start) -> None:
    server = scripted_server(api_key="sesame")
    assert call(server).status == 401
    assert call(server, **{"x-api-key": "sesame"}).status == 200
    assert call(server, Authorization="Bearer sesame").status == 200


def test_limits_are_told_by_the_names_of_the_service(scripted_server: Start) -> None:
    got = call(scripted_server(rate=Rate(requests=5)))
    told = {name.lower(): value for name, value in got.headers.items() if "ratelimit" in name.lower()}
    assert told.keys() == {f"anthropic-ratelimit-requests-{part}" for part in ("limit", "remaining", "reset")}
    assert told["anthropic-ratelimit-requests-limit"] == "5"
    assert told["anthropic-ratelimit-requests-reset"].endswith("Z")


def test_finish_and_text_of_a_scripted_reply_are_kept(scripted_server: Start) -> None:
    message = call(scripted_server(lambda _: Reply(text="never en", finish=Finish.LENGTH)), asked()).json
    assert (message["content"][0]["text"], message["stop_reason"]) == ("never en", "max_tokens")
