"""Requests for vectors, as OpenAI, Ollama and Gemini take them.

The texts are an `Asked`'s messages; a reply's text are the vectors, as a JSON list of lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from rowsmith.llm.values import Message
from rowsmith.testing.calls import Asked, Call, Reply
from rowsmith.testing.formats.gemini import GeminiContents
from rowsmith.testing.formats.ollama import OllamaChat
from rowsmith.testing.formats.openai import OpenAIChat


class OpenAIEmbeddings(OpenAIChat):
    """`POST /v1/embeddings`, with numbers as numbers: https://developers.openai.com/api/reference/resources/embeddings."""

    name = "openai_embeddings"
    paths = ("/v1/embeddings", "/embeddings")
    listing = ""

    def read(self, body: Mapping[str, Any]) -> Asked:
        texts = body.get("input")
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(body.get("model"), str) or not isinstance(texts, list) or not texts:
            raise ValueError("you must provide a model parameter and input")
        if len(texts) > 2048 or not all(isinstance(text, str) and text for text in texts):
            raise ValueError("'$.input' is invalid: it must be 1 to 2048 texts, none of them empty")
        if body.get("encoding_format", "float") != "float":
            raise ValueError("the scripted server writes vectors as numbers")
        return _asked(body["model"], texts)

    def write(self, call: Call, reply: Reply) -> Mapping[str, Any]:
        tokens = reply.tokens(call.asked).input_tokens
        listed = [
            {"object": "embedding", "index": place, "embedding": vector} for place, vector in enumerate(_vectors(reply))
        ]
        # In which order they stand is not promised: whoever goes by it and not by `index` is found out.
        return {
            "object": "list",
            "data": listed[::-1],
            "model": call.asked.model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }


class OllamaEmbed(OllamaChat):
    """`POST /api/embed`: https://docs.ollama.com/api/embed."""

    name = "ollama_embed"
    paths = ("/api/embed",)
    listing = ""

    def read(self, body: Mapping[str, Any]) -> Asked:
        texts = body.get("input")
        if not isinstance(body.get("model"), str) or not body["model"]:
            raise ValueError("model is required")
        if not isinstance(texts, str | list):
            raise ValueError("invalid input type")
        return _asked(body["model"], [texts] if isinstance(texts, str) else texts)

    def write(self, call: Call, reply: Reply) -> Mapping[str, Any]:
        return {
            "model": call.asked.model,
            "embeddings": _vectors(reply),
            "total_duration": 1_000_000,
            "load_duration": 1_000,
            "prompt_eval_count": reply.tokens(call.asked).input_tokens,
        }


class GeminiEmbedContents(GeminiContents):
    """`POST /v1beta/models/{model}:batchEmbedContents`: https://ai.google.dev/api/embeddings."""

    name = "gemini_embeddings"
    paths = ("/v1beta/models/{model:.+}:batchEmbedContents",)
    listing = ""

    def read(self, body: Mapping[str, Any]) -> Asked:
        requests = body.get("requests")
        if not isinstance(requests, list) or not 0 < len(requests) <= 100:
            raise ValueError("* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch")
        model = str(body["model"]).removeprefix("models/")
        for request in requests:
            if str(request.get("model", "")).removeprefix("models/") != model:
                raise ValueError("* BatchEmbedContentsRequest.requests[0].model: must match the model of the address")
        return _asked(model, ["".join(part["text"] for part in one["content"]["parts"]) for one in requests])

    def write(self, call: Call, reply: Reply) -> Mapping[str, Any]:
        tokens = reply.tokens(call.asked).input_tokens
        listed = [{"values": vector} for vector in _vectors(reply)]
        return {"embeddings": listed, "usageMetadata": {"promptTokenCount": tokens}}


def _asked(model: str, texts: list[str]) -> Asked:
    return Asked(model=model, messages=tuple(map(Message.user, texts)), embedding=True)


def _vectors(reply: Reply) -> list[Any]:
    """The vectors of a reply; none where a fault has put something else in their place."""
    try:
        found = orjson.loads(reply.text)
    except orjson.JSONDecodeError:
        return []
    return found if isinstance(found, list) else []
