"""Each fault of the scripted server, and each way to script it, seen by plain clients."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import Any

import json_repair
import pytest
from pydantic import TypeAdapter, ValidationError

from rowsmith.errors import ConfigError
from rowsmith.testing import (
    BadJSON,
    BadRequest,
    CutOff,
    Duplicates,
    Empty,
    Fault,
    Garbage,
    Hang,
    HtmlPage,
    QuotaUsedUp,
    RateLimited,
    Refusal,
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

from .plain_client import Entries, Entry, Start, ollama, post, question, raw_call, received


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
