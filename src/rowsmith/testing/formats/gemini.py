"""Gemini's own format: https://ai.google.dev/api/generate-content, its errors as `google.rpc.Status`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rowsmith.llm.values import Finish, Message, Rung, Speaker
from rowsmith.testing.calls import Asked, Call, Reply

_FIELDS = frozenset(
    {
        "model",
        "contents",
        "systemInstruction",
        "generationConfig",
        "safetySettings",
        "tools",
        "toolConfig",
        "cachedContent",
        "serviceTier",
        "service_tier",
        "store",
    }
)
_CONFIG_FIELDS = frozenset(
    {
        "stopSequences",
        "responseMimeType",
        "responseSchema",
        "responseJsonSchema",
        "responseModalities",
        "candidateCount",
        "maxOutputTokens",
        "temperature",
        "topP",
        "topK",
        "seed",
        "presencePenalty",
        "frequencyPenalty",
        "responseLogprobs",
        "logprobs",
        "thinkingConfig",
        "mediaResolution",
    }
)
_SPEAKERS: dict[str, Speaker] = {"user": "user", "model": "assistant"}
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_QUOTAS = {
    "rate_limit_exceeded": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier",
    "insufficient_quota": "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
}
_REASONS = {"invalid_api_key": "API_KEY_INVALID"}
_UNSENT = ("x-request-id", "x-ratelimit-", "retry-after")


class GeminiContents:
    """`POST /v1beta/models/{model}:generateContent`. Unknown fields are refused, as the service refuses them."""

    name = "gemini"
    paths = ("/v1beta/models/{model:.+}:generateContent",)
    listing = "/v1beta/models"

    def read(self, body: Mapping[str, Any]) -> Asked:
        config = body.get("generationConfig") or {}
        unknown = sorted(set(body) - _FIELDS) + sorted(set(config) - _CONFIG_FIELDS)
        if unknown:
            raise ValueError(f'Invalid JSON payload received. Unknown name "{unknown[0]}": Cannot find field.')
        contents = body.get("contents")
        if not isinstance(contents, list) or not contents:
            raise ValueError("* GenerateContentRequest.contents: contents is not specified")
        instruction = body.get("systemInstruction")
        system = (Message("system", _text(instruction)),) if instruction else ()
        schema = config.get("responseJsonSchema") or _as_json_schema(config.get("responseSchema"))
        mime = config.get("responseMimeType")
        if schema is not None and mime != "application/json":
            raise ValueError("* GenerateContentRequest.generation_config: response_mime_type must be application/json")
        return Asked(
            model=str(body["model"]).removeprefix("models/"),
            messages=system + tuple(_turn(content) for content in contents),
            schema=schema,
            rung=Rung.SCHEMA if schema is not None else Rung.JSON if mime == "application/json" else Rung.PROMPT,
            seed=config.get("seed"),
        )

    def key(self, headers: Mapping[str, str]) -> str | None:
        return headers.get("x-goog-api-key")

    def write(self, call: Call, reply: Reply) -> Mapping[str, Any]:
        usage = reply.tokens(call.asked)
        refused = reply.finish is Finish.REFUSED
        answered = usage.output_tokens - usage.reasoning_tokens
        counts = {
            "promptTokenCount": usage.input_tokens,
            "candidatesTokenCount": answered,
            "cachedContentTokenCount": usage.cached_tokens,
            "thoughtsTokenCount": usage.reasoning_tokens,
            "totalTokenCount": usage.input_tokens + usage.output_tokens,
        }
        about = {
            "usageMetadata": {name: count for name, count in counts.items() if count},
            "modelVersion": call.asked.model,
            "responseId": f"{call.key[:16]}-{call.attempt}",
        }
        if refused and not reply.text:
            return {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, **about}
        if refused:
            return {"candidates": [{"finishReason": "SAFETY", "finishMessage": reply.text, "index": 0}], **about}
        reason = "MAX_TOKENS" if reply.finish is Finish.LENGTH else "STOP"
        # An answer without text has no parts either.
        content = {"role": "model", **({"parts": [{"text": reply.text}]} if reply.text else {})}
        return {"candidates": [{"content": content, "finishReason": reason, "index": 0}], **about}

    def error(self, reply: Reply) -> Mapping[str, Any]:
        details: list[dict[str, Any]] = []
        if reply.code in _REASONS:
            reason = {"reason": _REASONS[reply.code], "domain": "googleapis.com"}
            details.append({"@type": "type.googleapis.com/google.rpc.ErrorInfo", **reason})
        if reply.code in _QUOTAS:
            violations = [{"quotaId": _QUOTAS[reply.code]}]
            details.append({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": violations})
        wait = reply.headers.get("Retry-After", "")
        if wait.replace(".", "", 1).isdigit():
            details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{wait}s"})
        status = _STATUSES.get(reply.status, "INVALID_ARGUMENT" if reply.status < 500 else "INTERNAL")
        told = {"code": reply.status, "message": reply.error, "status": status}
        return {"error": told | ({"details": details} if details else {})}

    def models(self, names: Sequence[str]) -> Mapping[str, Any]:
        methods = ["generateContent", "countTokens", "batchGenerateContent"]
        return {
            "models": [
                {
                    "name": f"models/{name}",
                    "version": "001",
                    "displayName": name,
                    "inputTokenLimit": 1_048_576,
                    "outputTokenLimit": 65_536,
                    "supportedGenerationMethods": methods,
                }
                for name in names
            ]
        }

    def headers(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Gemini tells its limits and when to come back in the bodies of errors alone."""
        return {name: value for name, value in headers.items() if not name.lower().startswith(_UNSENT)}


def _text(content: Any) -> str:
    if not isinstance(content, dict) or not isinstance(content.get("parts"), list) or not content["parts"]:
        raise ValueError("* GenerateContentRequest.contents.parts: contents.parts must not be empty.")
    return "".join(part.get("text", "") for part in content["parts"])


def _turn(content: Any) -> Message:
    speaker = _SPEAKERS.get(content.get("role", "user")) if isinstance(content, dict) else None
    if speaker is None:
        raise ValueError("Please use a valid role: user, model.")
    return Message(speaker, _text(content))


def _as_json_schema(schema: Any) -> Any:
    """A `responseSchema`, whose types are written large and which says `nullable`, as a JSON Schema."""
    if isinstance(schema, list):
        return [_as_json_schema(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {
        name: {key: _as_json_schema(inner) for key, inner in part.items()}
        if name == "properties"
        else part
        if name in ("enum", "required", "propertyOrdering")
        else part.lower()
        if name == "type"
        else _as_json_schema(part)
        for name, part in schema.items()
        if name != "nullable"
    }
    return {"anyOf": [made, {"type": "null"}]} if schema.get("nullable") else made
