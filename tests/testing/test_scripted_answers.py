"""What the scripted server says when nothing goes wrong, in each wire format."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rowsmith.llm.values import Finish
from rowsmith.testing import (
    Call,
    CutOff,
    Reply,
    ScriptedServer,
    ServerError,
)

from .plain_client import SCHEMA, Entries, Start, ollama, post, question


def test_the_default_answer_fits_the_schema_and_has_as_many_entries_as_the_prompt_says(scripted_server: Start) -> None:
    got = post(scripted_server())
    assert len(Entries.model_validate_json(got.text).entries) == 4
    assert got.choice["finish_reason"] == "stop"
    assert got.json["usage"]["total_tokens"] > 20


def test_the_same_question_gets_the_same_answer_in_any_order_and_another_question_another(
    scripted_server: Start,
) -> None:
    bodies = [question(f"Write 2 reviews about thing {at % 20:03d}.") for at in range(80)]
    server = scripted_server(latency=lambda call: 0.002 * (call.number % 7))
    with ThreadPoolExecutor(16) as pool:
        crowded = [got.text for got in pool.map(lambda body: post(server, body), bodies)]
    quiet = scripted_server()
    assert crowded == [post(quiet, body).text for body in bodies]
    assert len(set(crowded)) == 20
    assert (server.count, server.answered, server.repeated, server.answered_again) == (80, 80, 60, 60)


def test_a_schema_between_fences_is_found_where_the_body_has_none(scripted_server: Start) -> None:
    prompt = f"Write 3 reviews. Answer with JSON like this:\n```json\n{json.dumps(SCHEMA)}\n```\nNothing else."
    for more in ({}, {"response_format": {"type": "json_object"}}):
        got = post(scripted_server(), question(prompt, schema=False, **more))
        assert len(Entries.model_validate_json(got.text).entries) == 3


def test_without_a_schema_json_is_a_simple_object_and_the_rest_is_text(scripted_server: Start) -> None:
    server = scripted_server()
    asked = post(server, question("Hi.", schema=False, response_format={"type": "json_object"}))
    assert list(json.loads(asked.text)) == ["text"]
    assert "{" not in post(server, question("Hi.", schema=False)).text


def test_hints_steer_what_is_written(scripted_server: Start) -> None:
    server = scripted_server(hints={"num_samples": 2, "topic": "the moon"})
    entries = Entries.model_validate_json(post(server).text).entries
    assert len(entries) == 2
    assert all("the moon" in entry.text for entry in entries)


def test_a_function_answers_with_text_or_a_whole_reply(scripted_server: Start) -> None:
    def answer(call: Call) -> str | Reply:
        if "long" in call.prompt:
            return Reply(text="never en", finish=Finish.LENGTH, headers={"x-note": "cut"})
        return call.prompt.upper()

    server = scripted_server(answer)
    assert post(server, question("echo", schema=False)).text == "ECHO"
    long = post(server, question("long", schema=False))
    assert (long.text, long.choice["finish_reason"], long.headers["x-note"]) == ("never en", "length", "cut")


def test_what_a_test_s_own_answer_raises_comes_out_of_the_with_block() -> None:
    def answer(call: Call) -> str:
        raise LookupError(f"no answer to {call.prompt}")

    with pytest.raises(LookupError, match=r"no answer to Write 4"), ScriptedServer(answer) as server:
        assert post(server).status == 500


def test_a_schema_that_cannot_be_filled_is_refused_as_a_service_would(scripted_server: Start) -> None:
    impossible = {"type": "string", "minLength": 2, "maxLength": 1}
    wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": impossible}}
    got = post(scripted_server(), question(schema=False, response_format=wanted))
    assert (got.status, got.json["error"]["code"]) == (400, "invalid_json_schema")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"model": "m"}', b'{"messages": []}'], ids=repr)
def test_a_body_that_is_no_request_is_answered_with_400(body: bytes, scripted_server: Start) -> None:
    server = scripted_server()
    got = post(server, body)
    assert (got.status, got.json["error"]["code"]) == (400, "invalid_request")
    assert [call.status for call in server.calls] == [400]


@pytest.mark.parametrize("streaming", [{"stream": False}, {}], ids=["whole", "a stream of one line"])
def test_ollama_s_chat_is_spoken(streaming: dict[str, Any], scripted_server: Start) -> None:
    got = post(scripted_server(), ollama(format=SCHEMA, **streaming), path="/api/chat")
    assert (got.json["done"], got.json["done_reason"], got.json["message"]["role"]) == (True, "stop", "assistant")
    assert len(Entries.model_validate_json(got.json["message"]["content"]).entries) == 2
    assert got.json["prompt_eval_count"] > 0
    assert got.json["eval_count"] > 0


def test_ollama_s_json_mode_cut_and_errors_are_its_own(scripted_server: Start) -> None:
    server = scripted_server(faults=[None, CutOff(), ServerError(503)], models=["llama3.2"])
    assert "text" in json.loads(post(server, ollama(format="json"), path="/api/chat").json["message"]["content"])
    assert post(server, ollama(), path="/api/chat").json["done_reason"] == "length"
    failed = post(server, ollama(), path="/api/chat")
    assert (failed.status, list(failed.json)) == (503, ["error"])
    missing = post(server, ollama() | {"model": "x"}, path="/api/chat")
    assert (missing.status, missing.json) == (404, {"error": "model 'x' not found"})


@pytest.mark.parametrize(("path", "names"), [("/v1/models", "data"), ("/api/tags", "models")])
def test_models_are_listed(path: str, names: str, scripted_server: Start) -> None:
    server = scripted_server(models=["one", "two"])
    with urllib.request.urlopen(server.url + path) as reply:
        listed = json.load(reply)[names]
    assert [model.get("id", model.get("name")) for model in listed] == ["one", "two"]
