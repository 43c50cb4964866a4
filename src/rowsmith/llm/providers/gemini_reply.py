"""What Gemini answers (https://ai.google.dev/api/generate-content#GenerateContentResponse)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from rowsmith.errors import BadRequestError, ProviderError
from rowsmith.llm import failures
from rowsmith.llm.providers import remote
from rowsmith.llm.values import Completion, Finish, Usage

if TYPE_CHECKING:
    from rowsmith.llm.failures import Caller
    from rowsmith.llm.transport import Reply

_CUT_OFF = frozenset({"MAX_TOKENS", "CONTINUATION"})
_BLOCKED = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "LANGUAGE",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "ESCALATION",
        "MODEL_ARMOR",
        "PUP_LIMITED_DISABLED",
        "OTHER",
    }
)
"""Reasons to stop that are the service's refusal. Those that are not named (tool calls that nobody asked for) leave an
empty answer behind, which is asked for again."""

# The specified schema produces a constraint that has too many states for serving. ...
# A schema in GenerationConfig in the request exceeds the maximum allowed nesting depth.
# ref loops are only supported if they include optional or nullable property values ...
_OF_A_SCHEMA = re.compile(
    r"^Request contains an invalid argument\.?$|\bschema\b|nesting depth|\bref loops?\b|\$ref|\$defs", re.IGNORECASE
)
_WITH_SCHEMA = b'"responseJsonSchema":'


def completion(reply: Reply, caller: Caller) -> Completion:
    """The answer in a reply of status 200.

    Raises:
        ProviderError: there is none in it, nor a refusal.
    """
    data = remote.from_bytes(reply, caller)
    return read(data, reply, caller)


def read(data: Any, reply: Reply, caller: Caller) -> Completion:
    """The answer in a decoded `GenerateContentResponse`.

    Args:
        data: the response, on its own or out of a batch.
        reply: what it came in, for errors.
        caller: who called.

    Raises:
        ProviderError: there is none in it, nor a refusal.
    """
    try:
        text, finish = _answer(data)
        return Completion(
            text=text,
            finish=finish,
            usage=_usage(data.get("usageMetadata")),
            model=failures.cleaned(data.get("modelVersion"), caller),
            request_id=failures.cleaned(data.get("responseId"), caller) or None,
            headers=reply.headers,
        )
    except (KeyError, IndexError, TypeError, AttributeError):
        raise _no_answer(data, reply, caller) from None


def explain(error: BadRequestError, body: bytes) -> None:
    """Name the response schema in an error that is likely about it: then the next way to ask for one is tried.

    A schema that is too much for the service is refused in words that do not say which, or with a bare word.
    """
    if error.status == 400 and _WITH_SCHEMA in body and _OF_A_SCHEMA.search(error.message):
        error.message = f"{error.message.rstrip('.')} (perhaps the response schema)"


def _answer(data: Mapping[str, Any]) -> tuple[str, Finish]:
    candidates = data.get("candidates")
    if not candidates:
        feedback = data["promptFeedback"]
        return _told("The prompt was blocked", feedback["blockReason"], feedback.get("blockReasonMessage")), (
            Finish.REFUSED
        )
    candidate = candidates[0]
    reason = candidate.get("finishReason")
    if reason in _BLOCKED:
        return _told("The answer was blocked", reason, candidate.get("finishMessage")), Finish.REFUSED
    content = candidate.get("content") or {}
    if reason is None and not content:
        raise KeyError
    texts = [
        part["text"]
        for part in content.get("parts") or ()
        if isinstance(part.get("text"), str) and not part.get("thought")
    ]
    return "".join(texts), Finish.LENGTH if reason in _CUT_OFF else Finish.STOP


def _told(what: str, reason: str, words: object) -> str:
    return f"{what}: {reason}" + (f". {words}" if isinstance(words, str) and words else "")


def _usage(usage: object) -> Usage:
    """Thoughts are not among the candidates' tokens, but billed as they are."""
    thoughts = remote.tokens(usage, "thoughtsTokenCount")
    return Usage(
        input_tokens=remote.tokens(usage, "promptTokenCount") + remote.tokens(usage, "toolUsePromptTokenCount"),
        output_tokens=remote.tokens(usage, "candidatesTokenCount") + thoughts,
        cached_tokens=remote.tokens(usage, "cachedContentTokenCount"),
        reasoning_tokens=thoughts,
    )


def _no_answer(data: object, reply: Reply, caller: Caller) -> ProviderError:
    error = data.get("error") if isinstance(data, dict) else None
    if isinstance(error, dict):
        code = error.get("code")
        status = code if isinstance(code, int) and 400 <= code < 600 else 500
        return failures.from_reply(status, reply.headers, orjson.dumps({"error": error}), caller)
    return failures.malformed("the reply has no answer in it", reply.headers, reply.body, caller)
