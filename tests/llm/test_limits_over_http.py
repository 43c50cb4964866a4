"""Limits, refusals and failures of a real server on loopback."""

from __future__ import annotations

import asyncio

import pytest

from rowsmith.errors import (
    AuthenticationError,
)
from rowsmith.llm.caller import Caller
from rowsmith.llm.clock import Clock, SystemClock
from rowsmith.llm.limits import Limiter
from rowsmith.llm.providers.openai import OpenAIProvider
from rowsmith.llm.retry import RetryPolicy
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Message, Request
from rowsmith.testing import Call, Fault, Rate, RateLimited, ScriptedServer, ServerError, WrongKey
from support.clock import HurriedClock


async def ask_server(server: ScriptedServer, bodies: int, clock: Clock, policy: RetryPolicy | None = None) -> float:
    """Seconds of the clock for so many requests to a real server."""
    provider = OpenAIProvider(model_id="any", api_key="key-for-tests", api_base=server.base_url)
    async with Transport() as transport:
        limiter = Limiter.shared(provider, clock, ceiling=256)
        caller = Caller(provider, transport, limiter, policy or RetryPolicy(), clock, lambda notice: None)
        began = clock.now()
        left = iter(range(bodies))

        async def work() -> None:
            for number in left:
                await caller.complete(provider.encode(Request((Message.user(f"question {number}"),))))

        try:
            await asyncio.gather(*(work() for _ in range(min(256, bodies))))
        finally:
            caller.stop()
        return clock.now() - began


def plain(call: Call) -> str:
    return "an answer"


async def test_a_real_server_that_takes_16_at_once() -> None:
    with ScriptedServer(plain, latency=0.05, max_in_flight=16) as server:
        await ask_server(server, 480, SystemClock())
    assert server.answered == 480
    assert server.answered_again == 0
    assert server.count - server.answered < 60


async def test_a_real_server_that_takes_30_a_second() -> None:
    with ScriptedServer(plain, rate=Rate(requests=30, seconds=1, retry_after=False, headers=False)) as server:
        await ask_server(server, 60, SystemClock(), RetryPolicy(max_retries=0))
    assert server.answered == 60
    assert server.count - server.answered < 60


@pytest.mark.parametrize("retry_after", [2.0, "date"])
async def test_a_real_retry_after_in_seconds_and_as_a_date(retry_after: float) -> None:
    faults: list[Fault | None] = [None, RateLimited(retry_after, seconds=2.0)]
    clock = HurriedClock(20)
    with ScriptedServer(plain, faults=faults) as server:
        seconds = await ask_server(server, 3, clock, RetryPolicy(max_retries=0))
    assert server.answered == 3
    # How much more depends on the machine; that not less is what the service asked for.
    assert seconds >= 2


async def test_a_real_server_that_fails_now_and_then() -> None:
    with ScriptedServer(plain, chances={ServerError(): 0.1, RateLimited(): 0.1}) as server:
        await ask_server(server, 300, HurriedClock(20))
    assert server.answered == 300
    assert server.answered_again == 0


async def test_a_real_wrong_key_costs_one_request() -> None:
    with ScriptedServer(plain, faults=WrongKey()) as server:
        with pytest.raises(AuthenticationError):
            await ask_server(server, 100, SystemClock())
        assert server.count == 1


async def test_a_limit_that_only_the_headers_tell_is_kept_to() -> None:
    rate = Rate(requests=20, seconds=1, retry_after=False, headers=True)
    with ScriptedServer(plain, rate=rate) as server:
        await ask_server(server, 60, SystemClock(), RetryPolicy(max_retries=0))
    assert server.answered == 60
    assert server.count - server.answered < 30
