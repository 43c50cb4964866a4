"""Whom the scripted server lets in, what it counts, and how it starts and ends."""

from __future__ import annotations

import asyncio
import threading
import time

import aiohttp
import pytest

from rowsmith.testing import (
    Rate,
    ScriptedServer,
    ServerError,
)

from .plain_client import Start, ollama, post, question


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
