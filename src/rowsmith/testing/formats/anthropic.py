"""Anthropic's Messages API: https://platform.claude.com/docs/en/api/messages/create, and .../api/errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from rowsmith.llm.values import Finish, Message, Rung
from rowsmith.testing.calls import Asked, Call, Reply
from rowsmith.testing.formats.openai import read_message

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_SCHEMA_REFUSED = "output_config.format: structured outputs are not supported for this model."
_TOOL_REFUSED = 'tool_choice: type "tool" and "any" are not supported for this model.'


class AnthropicMessages:
    """`POST /v1/messages`, without streaming. Its list of models stands where OpenAI's does, and is not served."""

    name = "anthropic"
    paths = ("/v1/messages",)
    listing = ""

    def read(self, body: Mapping[str, Any]) -> Asked:
        for name in ("model", "max_tokens", "messages"):
            if name not in body:
                raise ValueError(f"{name}: Field required")
        if not isinstance(body["max_tokens"], int) or body["max_tokens"] < 1:
            raise ValueError("max_tokens: Input should be greater than or equal to 1")
        if body.get("stream"):
            raise ValueError("the scripted server does not stream")
        messages = tuple(_turn(at, message) for at, message in enumerate(body["messages"]))
        if not messages:
            raise ValueError("messages: at least one message is required")
        if messages[-1].role != "user":
            raise ValueError(
                "This model does not support assistant message prefill. The conversation must end with a user message."
            )
        system = body.get("system")
        if system:
            messages = (read_message({"role": "system", "content": system}), *messages)
        format_ = (body.get("output_config") or {}).get("format") or {}
        tools = body.get("tools") or ()
        schema = format_.get("schema") or (tools[0].get("input_schema") if tools else None)
        rung = Rung.SCHEMA if format_ else Rung.JSON if tools else Rung.PROMPT
        return Asked(model=str(body["model"]), messages=messages, schema=schema, rung=rung)

    def key(self, headers: Mapping[str, str]) -> str | None:
        return headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ") or None

    def headers(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """A reply's headers by the names that Anthropic gives them."""
        return dict(_header(name, value) for name, value in headers.items())

    def write(self, call: Call, reply: Reply) -> Mapping[str, Any]:
        usage = reply.tokens(call.asked)
        content, reason = _content(call, reply)
        refused = reply.finish is Finish.REFUSED
        if usage.reasoning_tokens:
            content = [{"type": "thinking", "thinking": "", "signature": "c2lnbmF0dXJl"}, *content]
        return {
            "id": f"msg_{call.key[:16]}_{call.attempt}",
            "type": "message",
            "role": "assistant",
            "model": call.asked.model,
            "content": content,
            "stop_reason": reason,
            "stop_sequence": None,
            "stop_details": {"type": "refusal", "category": None, "explanation": None} if refused else None,
            "usage": {
                "input_tokens": usage.input_tokens - usage.cached_tokens,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": usage.cached_tokens,
                "output_tokens": usage.output_tokens,
                "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
                "service_tier": "standard",
            },
        }

    def error(self, reply: Reply) -> Mapping[str, Any]:
        error: dict[str, Any] = {"type": _TYPES.get(reply.status, "api_error"), "message": _words(reply)}
        if reply.code == "insufficient_quota":
            error["details"] = {"error_code": "enforced_spend_limit_reached"}
        return {"type": "error", "error": error, "request_id": None}

    def models(self, names: Sequence[str]) -> Mapping[str, Any]:
        listed = [
            {"type": "model", "id": name, "display_name": name, "created_at": "2025-01-01T00:00:00Z"} for name in names
        ]
        return {"data": listed, "has_more": False, "first_id": None, "last_id": None}


def _turn(at: int, message: Any) -> Message:
    turn = read_message(message)
    if turn.role == "system":
        raise ValueError(f"messages.{at}: use the top-level 'system' parameter for the initial system prompt")
    if not turn.content.strip():
        raise ValueError(f"messages.{at}: {turn.role} messages must have non-empty content")
    return turn


def _content(call: Call, reply: Reply) -> tuple[list[Mapping[str, Any]], str]:
    """The blocks of an answer, and why the model stopped."""
    if reply.finish is Finish.REFUSED:
        return _text(reply.text), "refusal"
    cut = reply.finish is Finish.LENGTH
    tools = call.body.get("tools")
    if tools:
        try:
            given = orjson.loads(reply.text)
        except orjson.JSONDecodeError:
            # Of an input that was cut off the service gives what was complete; prose is an answer without the tool.
            given = {} if cut else None
        if isinstance(given, dict):
            called = {"type": "tool_use", "id": f"toolu_{call.key[:16]}", "name": tools[0]["name"], "input": given}
            return [called], "max_tokens" if cut else "tool_use"
    return _text(reply.text), "max_tokens" if cut else "end_turn"


def _text(text: str) -> list[Mapping[str, Any]]:
    return [{"type": "text", "text": text}] if text else []


def _words(reply: Reply) -> str:
    """An error's message as Anthropic words it."""
    if reply.code == "model_not_found":
        return reply.error.replace("The model '", "model: ").replace("' does not exist.", "")
    if reply.code == "invalid_api_key":
        return "invalid x-api-key"
    if reply.code == "unsupported_parameter":
        return f"`{reply.param}` is deprecated for this model."
    if reply.param == "response_format":
        return _SCHEMA_REFUSED if "json_schema" in reply.error else _TOOL_REFUSED
    return "Overloaded" if reply.status == 529 else reply.error


def _header(name: str, value: str) -> tuple[str, str]:
    lower = name.lower()
    if lower == "x-request-id":
        return "request-id", value
    prefix, _, rest = lower.partition("x-ratelimit-")
    if prefix or not rest:
        return name, value
    field, _, unit = rest.partition("-")
    if field == "reset":
        moment = datetime.now(UTC) + timedelta(seconds=float(value.removesuffix("s")))
        value = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"anthropic-ratelimit-{unit}-{field}", value
