"""What Anthropic answers, read: messages and errors, as they come singly and as they stand in a batch's results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from rowsmith.errors import ProviderError
from rowsmith.llm import failures
from rowsmith.llm.failures import Caller
from rowsmith.llm.providers import remote
from rowsmith.llm.values import Completion, Finish, Usage

if TYPE_CHECKING:
    from rowsmith.llm.transport import Reply

_FINISHES = {
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    # A turn that was paused half-way is as incomplete as one that was cut off.
    "pause_turn": Finish.LENGTH,
    "refusal": Finish.REFUSED,
}
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The status that each type of error comes with (https://platform.claude.com/docs/en/api/errors)."""


def completion(reply: Reply, caller: Caller) -> Completion:
    """The answer in a reply of status 200.

    Raises:
        ProviderError: it has none, or an error in its place.
    """
    data = remote.from_bytes(reply, caller)
    if isinstance(data, dict) and data.get("error"):
        raise error(data, reply.headers, caller)
    found = message(data, caller, reply.headers)
    if found is None:
        raise failures.malformed("the reply has no answer in it", reply.headers, reply.body, caller)
    return found


def message(data: Any, caller: Caller, headers: Mapping[str, str] | None = None) -> Completion | None:
    """A message of the service as a completion, or None where it is none.

    Its text is that of the text blocks, or the input of the tool that takes the answer. Thinking is not of the text.

    Args:
        data: the message, decoded.
        caller: who asked.
        headers: of the reply that it came in, if it came alone.
    """
    if not isinstance(data, dict) or not isinstance(data.get("content"), list):
        return None
    blocks = [block for block in data["content"] if isinstance(block, dict)]
    called = next((block.get("input") for block in blocks if block.get("type") == "tool_use"), None)
    if isinstance(called, dict):
        text = orjson.dumps(called).decode()
    else:
        texts = (block.get("text") for block in blocks if block.get("type") == "text")
        text = "".join(part for part in texts if isinstance(part, str))
    reason = data.get("stop_reason")
    finish = _FINISHES.get(reason, Finish.STOP) if isinstance(reason, str) else Finish.STOP
    if finish is Finish.REFUSED and not text:
        text = _why(data.get("stop_details"))
    return Completion(
        text=text,
        finish=finish,
        usage=_usage(data.get("usage")),
        model=failures.cleaned(data.get("model"), caller),
        request_id=failures.cleaned((headers or {}).get("request-id") or _text(data.get("id")), caller) or None,
        headers=headers,
    )


def error(data: Mapping[str, Any], headers: Mapping[str, str], caller: Caller) -> ProviderError:
    """The error that an error object stands for where it did not come with a status of its own.

    Args:
        data: the object that holds `error`.
        headers: of the reply that it came in.
        caller: who called.
    """
    told = data.get("error")
    kind = told.get("type") if isinstance(told, dict) else None
    status = _STATUSES.get(kind, 500) if isinstance(kind, str) else 500
    return failures.from_reply(status, headers, orjson.dumps(data), caller)


def _why(details: object) -> str:
    """What is said of a refusal without a word: its explanation, else its category."""
    if not isinstance(details, dict):
        return ""
    return _text(details.get("explanation")) or _text(details.get("category")) or ""


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _usage(usage: object) -> Usage:
    """The tokens. Those read from the cache and those written to it are counted beside `input_tokens` there."""
    if not isinstance(usage, dict):
        return Usage()
    cached = remote.tokens(usage, "cache_read_input_tokens")
    written = remote.tokens(usage, "cache_creation_input_tokens")
    return Usage(
        input_tokens=remote.tokens(usage, "input_tokens") + cached + written,
        output_tokens=remote.tokens(usage, "output_tokens"),
        cached_tokens=cached,
        reasoning_tokens=remote.tokens(usage.get("output_tokens_details"), "thinking_tokens"),
    )
