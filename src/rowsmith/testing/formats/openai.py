"""OpenAI's chat completions: https://platform.openai.com/docs/api-reference/chat."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rowsmith.llm.values import Finish, Message, Rung, Speaker
from rowsmith.testing.calls import Asked, Call, Reply

_SPEAKERS: dict[str, Speaker] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_TYPES = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


class OpenAIChat:
    """`POST /v1/chat/completions`, without streaming."""

    name = "openai"
    paths = ("/v1/chat/completions", "/chat/completions")
    listing = "/v1/models"

    def read(self, body: Mapping[str, Any]) -> Asked:
        messages = body.get("messages")
        if not isinstance(body.get("model"), str) or not isinstance(messages, list) or not messages:
            raise ValueError("you must provide a model parameter and messages")
        if body.get("stream"):
            raise ValueError("the scripted server does not stream")
        wanted = body.get("response_format") or {}
        rung = {"json_schema": Rung.SCHEMA, "json_object": Rung.JSON}.get(str(wanted.get("type")), Rung.PROMPT)
        schema = wanted["json_schema"].get("schema") if rung is Rung.SCHEMA else None
        return Asked(
            model=body["model"],
            messages=tuple(read_message(message) for message in messages),
            schema=schema,
            rung=rung,
            seed=body.get("seed"),
        )

    def key(self, headers: Mapping[str, str]) -> str | None:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        return key if scheme.lower() == "bearer" else None

    def write(self, call: Call, reply: Reply) -> Mapping[str, Any]:
        usage = reply.tokens(call.asked)
        refused = reply.finish is Finish.REFUSED
        # A refusal by the model ends with `stop` and has its own field; one by the filter has a reason and no text.
        reason = "length" if reply.finish is Finish.LENGTH else "stop"
        return {
            "id": f"chatcmpl-{call.key[:16]}-{call.attempt}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": call.asked.model,
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": None if refused else reply.text,
                        "refusal": reply.text if refused and reply.text else None,
                    },
                    "logprobs": None,
                    "finish_reason": "content_filter" if refused and not reply.text else reason,
                }
            ],
            "usage": {
                "prompt_tokens": usage.input_tokens,
                "completion_tokens": usage.output_tokens,
                "total_tokens": usage.input_tokens + usage.output_tokens,
                "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
                "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
            },
        }

    def error(self, reply: Reply) -> Mapping[str, Any]:
        kind = _TYPES.get(reply.status, "invalid_request_error" if reply.status < 500 else "server_error")
        if reply.code == "insufficient_quota":
            kind = "insufficient_quota"
        return {"error": {"message": reply.error, "type": kind, "param": reply.param, "code": reply.code}}

    def models(self, names: Sequence[str]) -> Mapping[str, Any]:
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": "rowsmith"} for name in names]
        return {"object": "list", "data": listed}


def read_message(message: Any) -> Message:
    """A message whose content is text or a list of text parts; a developer's message is a system's.

    Raises:
        ValueError: it is not one.
    """
    if not isinstance(message, dict):
        raise ValueError("each message must be an object")
    speaker = _SPEAKERS.get(str(message.get("role")))
    if speaker is None:
        raise ValueError(f"Invalid value: {message.get('role')!r}. Supported values are: {', '.join(_SPEAKERS)}")
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content)
    if not isinstance(content, str):
        raise ValueError(f"Invalid type for 'content': {type(content).__name__}")
    return Message(speaker, content)
