"""Each fault, limit and counter of the scripted server, seen by plain clients."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, NamedTuple

import aiohttp
import json_repair
import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from rowsmith import testing
from rowsmith.errors import ConfigError
from rowsmith.llm.values import Finish
from rowsmith.testing import (
    BadJSON,
    BadRequest,
    Call,
    CutOff,
    Duplicates,
    Empty,
    Fault,
    Garbage,
    Hang,
    HtmlPage,
    QuotaUsedUp,
    Rate,
    RateLimited,
    Refusal,
    Reply,
    Reset,
    ScriptedServer,
    ServerError,
    Slow,
    UnknownModel,
    UnsupportedParameter,
    UnsupportedSchema,
    WrongKey,
    WrongSchema,
)

Start = Callable[..., ScriptedServer]


class Entry(BaseModel):
    text: str
    stars: Annotated[int, Field(ge=1, le=5)]


class Entries(BaseModel):
    entries: list[Entry]


SCHEMA = Entries.model_json_schema()


class Got(NamedTuple):
    status: int
    headers: Message[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def choice(self) -> dict[str, Any]:
        choice: dict[str, Any] = self.json["choices"][0]
        return choice

    @property
    def text(self) -> str:
        text: str = self.choice["message"]["content"]
        return text


def question(prompt: str = "Write 4 reviews.", *, schema: bool = True, **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": prompt}], **more}
    if schema:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "a", "strict": True, "schema": SCHEMA},
        }
    return body


def post(server: ScriptedServer, body: Any = None, *, path: str = "/v1/chat/completions", **headers: str) -> Got:
    data = body if isinstance(body, bytes) else json.dumps(question() if body is None else body).encode()
    request = urllib.request.Request(server.url + path, data, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return Got(reply.status, reply.headers, reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return Got(error.code, error.headers, error.read())


# --- answers ----------------------------------------------------------------------------------------------------------


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
    body = question(response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": impossible}})
    body["response_format"]["json_schema"]["schema"] = impossible
    got = post(scripted_server(), {**question(schema=False), "response_format": body["response_format"]})
    assert (got.status, got.json["error"]["code"]) == (400, "invalid_json_schema")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"model": "m"}', b'{"messages": []}'], ids=repr)
def test_a_body_that_is_no_request_is_answered_with_400(body: bytes, scripted_server: Start) -> None:
    server = scripted_server()
    got = post(server, body)
    assert (got.status, got.json["error"]["code"]) == (400, "invalid_request")
    assert [call.status for call in server.calls] == [400]


# --- Ollama -----------------------------------------------------------------------------------------------------------


def ollama(**more: Any) -> dict[str, Any]:
    return {"model": "llama3.2", "messages": [{"role": "user", "content": "Write 2 reviews."}], **more}


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


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (RateLimited(), 429, "rate_limit_exceeded"),
        (QuotaUsedUp(), 429, "insufficient_quota"),
        (ServerError(), 500, "server_error"),
        (ServerError(529), 529, "server_error"),
        (WrongKey(), 401, "invalid_api_key"),
        (UnknownModel(), 404, "model_not_found"),
        (BadRequest("no"), 400, "invalid_request"),
        (BadRequest("too long", status=413, code="too_large"), 413, "too_large"),
        (UnsupportedSchema(), 400, "unsupported_value"),
    ],
    ids=repr,
)
def test_errors_have_their_status_and_code_and_a_message(
    fault: Fault, status: int, code: str, scripted_server: Start
) -> None:
    server = scripted_server(faults=fault)
    got = post(server)
    assert (got.status, got.json["error"]["code"]) == (status, code)
    assert got.json["error"]["message"]
    assert "Retry-After" not in got.headers
    assert [(call.status, call.fault) for call in server.calls] == [(status, type(fault).__name__)]


@pytest.mark.parametrize(("seconds", "header"), [(3, "3"), (0.25, "0.25")])
def test_retry_after_in_seconds(seconds: float, header: str, scripted_server: Start) -> None:
    assert post(scripted_server(faults=RateLimited(retry_after=seconds))).headers["Retry-After"] == header


def test_retry_after_as_a_date(scripted_server: Start) -> None:
    got = post(scripted_server(faults=RateLimited(retry_after="date", seconds=30)))
    assert 28 <= parsedate_to_datetime(got.headers["Retry-After"]).timestamp() - time.time() <= 31


def test_a_reset_before_the_reply_is_a_reset(scripted_server: Start) -> None:
    server = scripted_server(faults=[Reset()])
    with pytest.raises(ConnectionResetError):
        post(server)
    assert post(server).status == 200
    assert [(call.status, call.fault) for call in server.calls] == [(None, "Reset"), (200, None)]


def raw_call(server: ScriptedServer, *, timeout: float = 10) -> socket.socket:
    """A connection on which a call was sent."""
    client = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=timeout)
    body = json.dumps(question()).encode()
    client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    return client


def received(client: socket.socket) -> tuple[bytes, OSError | None]:
    """All that comes, and the error that ended it."""
    got = b""
    with client:
        try:
            while part := client.recv(1 << 16):
                got += part
        except OSError as error:
            return got, error
    return got, None


def test_a_reset_in_the_middle_leaves_half_a_body(scripted_server: Start) -> None:
    got, error = received(raw_call(scripted_server(faults=Reset("middle"))))
    assert isinstance(error, ConnectionResetError)
    length = re.search(rb"Content-Length: (\d+)", got)
    assert length is not None
    assert 0 < len(got.partition(b"\r\n\r\n")[2]) < int(length[1])


def test_a_hang_gives_no_answer_and_is_over_when_the_client_gives_up(scripted_server: Start) -> None:
    server = scripted_server(faults=[Hang()])
    got, error = received(raw_call(server, timeout=0.2))
    assert isinstance(error, TimeoutError)
    assert got == b""
    assert post(server).status == 200
    assert server.summary()["in_flight"] == 0
    assert server.summary()["statuses"] == {"none": 1, "200": 1}


def test_a_hang_ends_in_a_reset(scripted_server: Start) -> None:
    with pytest.raises(ConnectionResetError):
        post(scripted_server(faults=Hang(0.05)))


def test_a_server_with_a_hung_call_stops_at_once() -> None:
    with ScriptedServer(faults=Hang()) as server:
        client = raw_call(server)
        while not server.count:
            time.sleep(0.005)
        begun = time.monotonic()
    client.close()
    assert time.monotonic() - begun < 2


def test_slow_and_latency_add_up(scripted_server: Start) -> None:
    server = scripted_server(faults=[Slow(0.2), None], latency=0.1)
    begun = time.monotonic()
    assert post(server).status == 200
    assert 0.3 <= time.monotonic() - begun < 2


@pytest.mark.parametrize(("at", "left"), [(10, 10), (0.5, None)])
def test_cut_off_leaves_json_without_an_end(at: float, left: int | None, scripted_server: Start) -> None:
    whole = post(scripted_server()).text
    got = post(scripted_server(faults=CutOff(at)))
    assert got.choice["finish_reason"] == "length"
    assert got.text == whole[: left or len(whole) // 2]


def test_a_refusal_by_the_model_and_one_by_the_filter(scripted_server: Start) -> None:
    server = scripted_server(faults=[Refusal("No."), Refusal(filtered=True)])
    said, filtered = post(server).choice, post(server).choice
    assert (said["message"]["content"], said["message"]["refusal"], said["finish_reason"]) == (None, "No.", "stop")
    assert (filtered["message"]["refusal"], filtered["finish_reason"]) == (None, "content_filter")


def test_an_empty_answer(scripted_server: Start) -> None:
    assert post(scripted_server(faults=Empty())).text == ""


def test_bad_json_is_beyond_repair_and_sloppy_json_is_not(scripted_server: Start) -> None:
    server = scripted_server(faults=[BadJSON(), BadJSON(repairable=True)])
    bad, sloppy = post(server).text, post(server).text
    for text in (bad, sloppy):
        with pytest.raises(json.JSONDecodeError):
            json.loads(text)
    with pytest.raises(ValidationError):
        Entries.model_validate(json_repair.loads(bad))
    assert len(Entries.model_validate(json_repair.loads(sloppy)).entries) == 4


@pytest.mark.parametrize(("entries", "valid"), [(None, [False, True, False, True]), (1, [False, True, True, True])])
def test_wrong_schema_spoils_some_entries_and_keeps_the_others(
    entries: int | None, valid: list[bool], scripted_server: Start
) -> None:
    right = json.loads(post(scripted_server()).text)["entries"]
    got = json.loads(post(scripted_server(faults=WrongSchema(entries))).text)["entries"]

    def fits(entry: Any) -> bool:
        try:
            TypeAdapter(Entry).validate_python(entry)
        except ValidationError:
            return False
        return True

    assert [fits(entry) for entry in got] == valid
    assert [entry for entry in got if fits(entry)] == [e for e, good in zip(right, valid, strict=True) if good]


def test_duplicates_give_different_questions_the_same_texts(scripted_server: Start) -> None:
    server = scripted_server(faults=Duplicates())
    first, second = (Entries.model_validate_json(post(server, question(p)).text) for p in ("Write 2.", "Also 2."))
    assert first == second
    assert first != Entries.model_validate_json(post(scripted_server(), question("Write 2.")).text)


def test_an_unsupported_schema_is_accepted_in_json_mode_unless_that_is_unknown_too(scripted_server: Start) -> None:
    in_json_mode = question(schema=False, response_format={"type": "json_object"})
    assert post(scripted_server(faults=UnsupportedSchema()), in_json_mode).status == 200
    strict = scripted_server(faults=UnsupportedSchema(json_too=True))
    refused = post(strict, in_json_mode)
    assert (refused.status, refused.json["error"]["param"]) == (400, "response_format")
    assert post(strict, question(schema=False)).status == 200


def test_an_unsupported_parameter_is_refused_by_name(scripted_server: Start) -> None:
    server = scripted_server(faults=UnsupportedParameter("temperature"))
    refused = post(server, question(temperature=1))
    assert (refused.status, refused.json["error"]["param"]) == (400, "temperature")
    assert post(server, question()).status == 200
    assert post(server, ollama(options={"temperature": 1}), path="/api/chat").status == 400


def test_a_proxy_s_page_and_garbage_are_no_json(scripted_server: Start) -> None:
    server = scripted_server(faults=[HtmlPage(), HtmlPage(200), Garbage(), Garbage(b'{"not": "it"}')])
    page, page200, garbage, other = (post(server) for _ in range(4))
    assert (page.status, page200.status, garbage.status) == (502, 200, 200)
    assert page.headers["Content-Type"].startswith("text/html")
    for got in (page, page200, garbage):
        with pytest.raises(ValueError, match=r"."):
            json.loads(got.body)
    assert other.json == {"not": "it"}


# --- scripts ----------------------------------------------------------------------------------------------------------


def test_a_list_is_played_in_order_and_then_over(scripted_server: Start) -> None:
    server = scripted_server(faults=[ServerError(), None, RateLimited()])
    assert [post(server).status for _ in range(5)] == [500, 200, 429, 200, 200]


def test_a_function_decides_by_the_call(scripted_server: Start) -> None:
    server = scripted_server(faults=lambda call: ServerError() if call.attempt == 1 else None)
    assert [post(server, question(prompt)).status for prompt in ("a", "b", "a", "b")] == [500, 500, 200, 200]


def test_chances_are_met_by_the_same_bodies_in_any_order(scripted_server: Start) -> None:
    bodies = [question(f"Thing {at}.") for at in range(300)]
    chances = {ServerError(): 0.2, RateLimited(): 0.1}

    def statuses(order: list[int], seed: int = 0) -> dict[int, int]:
        server = scripted_server(chances=chances, seed=seed)
        with ThreadPoolExecutor(8) as pool:
            return dict(zip(order, pool.map(lambda at: post(server, bodies[at]).status, order), strict=True))

    forward, backward = statuses(list(range(300))), statuses(list(reversed(range(300))))
    assert forward == backward
    assert 35 <= sum(status == 500 for status in forward.values()) <= 85
    assert 12 <= sum(status == 429 for status in forward.values()) <= 50
    assert statuses(list(range(300)), seed=1) != forward


def test_a_call_that_is_tried_again_may_pass(scripted_server: Start) -> None:
    server = scripted_server(chances={ServerError(): 0.5})
    assert {post(server).status for _ in range(20)} == {200, 500}


@pytest.mark.parametrize(
    "chances", [{ServerError(): 1.5}, {ServerError(): 0.6, Reset(): 0.6}, {Empty(): -0.1}], ids=repr
)
def test_impossible_chances_are_refused(chances: dict[Fault, float]) -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        ScriptedServer(chances=chances)


# --- who is let in ----------------------------------------------------------------------------------------------------


def test_a_required_key_is_asked_for(scripted_server: Start) -> None:
    server = scripted_server(api_key="right", faults=[ServerError()])
    assert post(server).status == 401
    assert post(server, Authorization="Bearer wrong").status == 401
    assert post(server, ollama(), path="/api/chat", Authorization="Bearer wrong").status == 401
    # Those turned away are not part of the script.
    assert [post(server, Authorization="Bearer right").status for _ in range(2)] == [500, 200]


def test_other_models_than_those_named_do_not_exist(scripted_server: Start) -> None:
    server = scripted_server(models=["m"])
    assert post(server).status == 200
    missing = post(server, question() | {"model": "x"})
    assert (missing.status, missing.json["error"]["code"]) == (404, "model_not_found")


async def test_more_than_the_allowed_in_flight_are_turned_away(scripted_server: Start) -> None:
    server = scripted_server(max_in_flight=4, latency=0.3)
    async with aiohttp.ClientSession() as session:

        async def one(number: int) -> int:
            async with session.post(f"{server.base_url}/chat/completions", json=question(f"{number}")) as reply:
                await reply.read()
                return reply.status

        statuses = await asyncio.gather(*(one(number) for number in range(10)))
    assert sorted(statuses) == [200] * 4 + [429] * 6
    assert server.max_in_flight_seen >= 5


class Clock:
    """Time that goes on only when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_window_lets_in_so_many_and_says_when_there_is_room(scripted_server: Start) -> None:
    clock = Clock()
    server = scripted_server(rate=3, clock=clock)
    inside = [post(server) for _ in range(3)]
    assert [got.headers["x-ratelimit-remaining-requests"] for got in inside] == ["2", "1", "0"]
    clock.now += 49.5
    over = post(server)
    assert (over.status, over.headers["Retry-After"]) == (429, "11")
    assert over.headers["x-ratelimit-limit-requests"] == "3"
    assert over.headers["x-ratelimit-reset-requests"] == "10.500s"
    clock.now += 11
    assert [post(server).status for _ in range(4)] == [200, 200, 200, 429]


def test_a_bucket_fills_up_steadily(scripted_server: Start) -> None:
    clock = Clock()
    server = scripted_server(rate=Rate(requests=2, seconds=10, bucket=True, retry_after=False), clock=clock)
    assert [post(server).status for _ in range(3)] == [200, 200, 429]
    clock.now += 5
    assert [post(server).status for _ in range(2)] == [200, 429]
    assert "Retry-After" not in post(server).headers


def test_headers_of_the_limit_can_be_left_out(scripted_server: Start) -> None:
    got = post(scripted_server(rate=Rate(requests=2, headers=False)))
    assert not [name for name in got.headers if name.startswith("x-ratelimit")]


# --- counting and running ---------------------------------------------------------------------------------------------


def test_calls_are_kept_with_what_was_asked_and_what_became_of_it(scripted_server: Start) -> None:
    server = scripted_server(faults=[None, ServerError()])
    before = time.time()
    post(server, question("First."), Authorization="Bearer k")
    post(server, question("First."), Authorization="Bearer k")
    first, second = server.calls
    assert (first.number, first.path, first.format) == (0, "/v1/chat/completions", "openai")
    assert first.body == question("First.")
    assert first.prompt == "First."
    assert first.headers["authorization"] == "Bearer k"
    assert before <= first.time <= time.time()
    assert (first.key, first.attempt, second.attempt) == (second.key, 1, 2)
    assert (first.status, second.status, second.fault) == (200, 500, "ServerError")
    assert server.summary()["faults"] == {"ServerError": 1}
    assert (server.repeated, server.answered, server.answered_again) == (1, 1, 0)


def test_without_record_only_counters_are_kept(scripted_server: Start) -> None:
    server = scripted_server(record=False)
    for prompt in ("a", "b", "a"):
        post(server, question(prompt))
    assert server.calls == []
    assert (server.count, server.summary()["bodies"], server.repeated) == (3, 2, 1)


def test_every_reply_has_a_request_id(scripted_server: Start) -> None:
    server = scripted_server(faults=[None, ServerError()])
    assert [post(server).headers["x-request-id"] for _ in range(2)] == ["req_0", "req_1"]


def test_a_taken_port_is_an_error_at_the_start(scripted_server: Start) -> None:
    taken = int(scripted_server().url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        ScriptedServer(port=taken).start()


def test_no_thread_is_left_behind() -> None:
    with ScriptedServer() as server:
        assert post(server).status == 200
    assert not [thread for thread in threading.enumerate() if "scripted" in thread.name]


def started(*arguments: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    process = subprocess.Popen([sys.executable, "-m", *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def ended(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGTERM)
    with process:
        return process.wait(10)


def test_as_a_process_it_prints_its_address_and_counts_over_http(scripted_server: Start) -> None:
    process, address = started(
        "rowsmith.testing", "--fault", "RateLimited(retry_after=2)", "--fault", "None", "--chance", "Empty=1.0",
        "--hints", '{"num_samples": 1}', "--api-key", "k", "--rpm", "100",
    )  # fmt: skip
    try:
        assert address["pid"] == process.pid
        assert address["base_url"] == address["url"] + "/v1"
        remote = ScriptedServer(port=int(address["url"].rpartition(":")[2]))  # for its address alone
        limited, empty = (post(remote, Authorization="Bearer k") for _ in range(2))
        assert (limited.status, limited.headers["Retry-After"], empty.text) == (429, "2", "")
        with urllib.request.urlopen(address["url"] + "/__calls?calls=1") as reply:
            shown = json.load(reply)
        assert (shown["count"], shown["repeated"], shown["statuses"]) == (2, 1, {"429": 1, "200": 1})
        assert [call["fault"] for call in shown["calls"]] == ["RateLimited", "Empty"]
    finally:
        assert ended(process) == 0


@pytest.mark.parametrize(
    "written", ["os.remove('x')", "Nothing", "ServerError(", "RateLimited(sleep(1))", "ScriptedServer"]
)
def test_on_the_command_line_only_faults_are_understood(written: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rowsmith.testing", "--fault", written], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "is not a fault" in done.stderr


def test_the_fast_server_answers_with_texts_of_which_no_two_are_alike() -> None:
    process, address = started("rowsmith.testing.fast", "--entries", "3", "--latency", "0.01")
    try:
        connection = http.client.HTTPConnection("127.0.0.1", int(address["url"].rpartition(":")[2]))
        texts = []
        for at in range(30):
            connection.request("POST", "/v1/chat/completions", json.dumps(question("x" * at * 4000)))
            got = json.loads(connection.getresponse().read())
            texts += [entry["text"] for entry in json.loads(got["choices"][0]["message"]["content"])["entries"]]
        assert len(set(texts)) == 90
        assert 90 < sum(map(len, texts)) / 90 < 150
        connection.request("GET", "/__calls")
        assert json.loads(connection.getresponse().read()) == {"count": 30, "max_in_flight_seen": 1}
        connection.close()
    finally:
        assert ended(process) == 0


def test_the_fast_server_takes_several_requests_at_once_and_in_pieces() -> None:
    process, address = started("rowsmith.testing.fast")
    try:
        one = b"POST / HTTP/1.1\r\nHost: x\r\ncontent-length: 4\r\n\r\n{}  "
        with socket.create_connection(("127.0.0.1", int(address["url"].rpartition(":")[2]))) as client:
            for byte in one:
                client.sendall(bytes([byte]))
            client.sendall(one * 3 + one[:20])
            client.sendall(one[20:])
            got = b""
            while got.count(b"HTTP/1.1 200") < 5 or not got.endswith(b"}"):
                got += client.recv(1 << 16)
    finally:
        assert ended(process) == 0


def test_the_public_names_are_sorted_and_all_there() -> None:
    assert testing.__all__ == sorted(testing.__all__)
    assert dir(testing) == testing.__all__
    for name in testing.__all__:
        assert getattr(testing, name).__name__ == name
    with pytest.raises(AttributeError, match="Nothing"):
        getattr(testing, "Nothing")  # noqa: B009 - a type checker would refuse the plain form


def test_importing_the_package_loads_no_server() -> None:
    code = "import sys, rowsmith.testing; print('aiohttp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert done.stdout.strip() == "False"
