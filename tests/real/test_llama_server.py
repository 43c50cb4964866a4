"""Proof that the llama.cpp server of the tests is real, answers in both formats and is usable for making rows."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support.llama_server import LlamaServer

TEXT = {"type": "string", "minLength": 1, "maxLength": 120}


def post(url: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    """The status and the decoded body, whether the server is content or not."""
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json", **(headers or {})}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def schema_of_entries(text: dict[str, Any], **limits: int) -> dict[str, Any]:
    entry = {"type": "object", "properties": {"text": text}, "required": ["text"], "additionalProperties": False}
    return {
        "type": "object",
        "properties": {"entries": {"type": "array", "items": entry, **limits}},
        "required": ["entries"],
        "additionalProperties": False,
    }


def ask(server: LlamaServer, prompt: str, schema: dict[str, Any], temperature: float = 0.8) -> dict[str, Any]:
    status, reply = post(
        f"{server.base_url}/chat/completions",
        {
            "model": server.model,
            "messages": [{"role": "system", "content": "You write data."}, {"role": "user", "content": prompt}],
            "max_tokens": 2000,
            "temperature": temperature,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "entries", "strict": True, "schema": schema},
            },
        },
    )
    assert status == 200, reply
    return reply


def texts_in(reply: dict[str, Any]) -> list[str]:
    [choice] = reply["choices"]
    assert choice["finish_reason"] == "stop"
    return [entry["text"] for entry in json.loads(choice["message"]["content"])["entries"]]


@pytest.mark.parametrize("temperature", [0.0, 0.8, 1.5])
def test_schema_is_obeyed_to_the_number_of_entries(llama_server: LlamaServer, temperature: float) -> None:
    reply = ask(llama_server, "Write five.", schema_of_entries(TEXT, minItems=5, maxItems=5), temperature)

    texts = texts_in(reply)
    assert len(texts) == 5
    assert all(0 < len(text) <= 120 for text in texts)
    usage = reply["usage"]
    assert usage["prompt_tokens"] > 0
    assert usage["completion_tokens"] > 5
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


@pytest.mark.parametrize("temperature", [0.0, 0.8, 1.5])
def test_answers_end_without_limits_in_the_schema(llama_server: LlamaServer, temperature: float) -> None:
    texts = texts_in(ask(llama_server, "Write some.", schema_of_entries({"type": "string"}), temperature))

    assert 1 <= len(texts) <= 30
    assert all(texts)


def test_forty_distinct_texts_from_parallel_batches(llama_server: LlamaServer) -> None:
    schema = schema_of_entries(TEXT, minItems=5, maxItems=5)
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda batch: ask(llama_server, f"Batch {batch}", schema), range(10)))

    assert len({text for reply in replies for text in texts_in(reply)}) >= 40


def test_an_answer_that_is_cut_off_says_so(llama_server: LlamaServer) -> None:
    status, reply = post(
        f"{llama_server.base_url}/chat/completions",
        {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 3},
    )

    assert status == 200
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["usage"]["completion_tokens"] == 3


def test_anthropic_format(llama_server: LlamaServer) -> None:
    status, reply = post(
        f"{llama_server.root_url}/v1/messages",
        {"model": llama_server.model, "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]},
        {"anthropic-version": "2023-06-01", "x-api-key": "none"},
    )

    assert status == 200
    assert reply["type"] == "message"
    assert reply["content"][0]["type"] == "text"
    assert reply["content"][0]["text"]
    assert reply["usage"]["output_tokens"] > 0


def test_a_prompt_longer_than_the_context_is_refused(llama_server: LlamaServer) -> None:
    status, reply = post(
        f"{llama_server.base_url}/chat/completions", {"messages": [{"role": "user", "content": "x " * 20_000}]}
    )

    assert status == 400
    assert reply["error"]["type"] == "exceed_context_size_error"


def test_a_server_of_ones_own_wants_its_key_and_is_gone_after_closing(
    llama_server: LlamaServer, tmp_path: Path
) -> None:
    body = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 3}
    with LlamaServer(tmp_path, slots=1, context=512, api_key="sesame") as server:
        url = f"{server.base_url}/chat/completions"
        assert server.base_url != llama_server.base_url
        assert post(url, body)[0] == 401
        assert post(url, body, {"Authorization": "Bearer sesame"})[0] == 200

    assert not server.alive
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)
    assert llama_server.alive
