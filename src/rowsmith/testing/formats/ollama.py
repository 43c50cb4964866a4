"""Ollama's own format: https://docs.ollama.com/api."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rowsmith.llm.values import Finish, Rung
from rowsmith.testing.calls import Asked, Call, Reply
from rowsmith.testing.formats.openai import read_message


class OllamaChat:
    """`POST /api/chat`. Asked to stream, it answers with a stream of one line."""

    name = "ollama"
    paths = ("/api/chat",)
    listing = "/api/tags"

    def read(self, body: Mapping[str, Any]) -> Asked:
        if not isinstance(body.get("model"), str) or not body["model"]:
            raise ValueError("model is required")
        wanted = body.get("format") or ""
        if not isinstance(wanted, dict) and wanted not in ("", "json"):
            raise ValueError(f"invalid format: {wanted!r}; expected 'json' or a JSON schema")
        return Asked(
            model=body["model"],
            messages=tuple(read_message(message) for message in body.get("messages") or ()),
            schema=wanted if isinstance(wanted, dict) else None,
            rung=Rung.SCHEMA if isinstance(wanted, dict) else Rung.JSON if wanted else Rung.PROMPT,
            seed=(body.get("options") or {}).get("seed"),
        )

    def key(self, headers: Mapping[str, str]) -> str | None:
        return headers.get("authorization", "").removeprefix("Bearer ") or None

    def write(self, call: Call, reply: Reply) -> Mapping[str, Any]:
        usage = reply.tokens(call.asked)
        # There is no word for a refusal here: it is an answer like any other.
        return {
            "model": call.asked.model,
            "created_at": "2025-01-01T00:00:00.000000Z",
            "message": {"role": "assistant", "content": reply.text},
            "done": True,
            "done_reason": "length" if reply.finish is Finish.LENGTH else "stop",
            "total_duration": 1_000_000,
            "load_duration": 1_000,
            "prompt_eval_count": usage.input_tokens,
            "prompt_eval_duration": 1_000,
            "eval_count": usage.output_tokens,
            "eval_duration": 1_000,
        }

    def error(self, reply: Reply) -> Mapping[str, Any]:
        if reply.code == "model_not_found":
            return {"error": reply.error.replace("The model", "model").replace("does not exist.", "not found")}
        return {"error": reply.error}

    def models(self, names: Sequence[str]) -> Mapping[str, Any]:
        details = {"format": "gguf", "family": "scripted", "parameter_size": "0B", "quantization_level": "F16"}
        return {
            "models": [
                {
                    "name": name,
                    "model": name,
                    "modified_at": "2025-01-01T00:00:00Z",
                    "size": 1,
                    "digest": "0" * 64,
                    "details": details,
                }
                for name in names
            ]
        }
