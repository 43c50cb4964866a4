"""Refusals (429) are waited for, by all together, and used to find out what the service allows."""

from __future__ import annotations

import asyncio

import pytest

from rowsmith.errors import (
    QuotaError,
    RateLimitError,
    ServiceError,
)
from rowsmith.llm.caller import Notice, WaitingNotice
from rowsmith.llm.retry import RetryPolicy
from rowsmith.llm.values import Completion
from support.clock import SimulatedClock
from support.virtual import ANSWER, NETWORK, VirtualService, ask_all, failing, simulated, sliding


@simulated
async def test_refusals_use_up_no_retries(clock: SimulatedClock) -> None:
    service = VirtualService(failing(*[RateLimitError("slow down")] * 40), clock)
    caller = service.caller(policy=RetryPolicy(max_retries=0))
    assert (await caller.complete(b"x"))[0] is ANSWER
    assert service.asked == 41
    caller.stop()


@simulated
async def test_retry_after_is_obeyed_by_all(clock: SimulatedClock) -> None:
    told: list[Notice] = []
    refused_at: list[float] = []

    async def serve(service: VirtualService, body: bytes) -> Completion:
        number = service.asked
        await clock.sleep(NETWORK)
        if number == 30:
            refused_at.append(clock.now())
            raise RateLimitError("slow down", retry_after=7.0)
        await clock.sleep(0.1)
        return ANSWER

    service = VirtualService(serve, clock)
    await ask_all(service.caller(notify=told.append), 200)
    (refused,) = refused_at
    assert not [at for at in service.sent_at if refused < at < refused + 6.999]
    assert [at for at in service.sent_at if at >= refused + 7]
    waits = [notice for notice in told if isinstance(notice, WaitingNotice)]
    assert any(notice.reason == "the service asked to wait" and 6 < notice.seconds <= 7 for notice in waits)


@simulated
async def test_retry_after_with_another_failure_is_obeyed_by_all_as_well(clock: SimulatedClock) -> None:
    async def serve(service: VirtualService, body: bytes) -> Completion:
        await clock.sleep(0.1)
        if service.asked == 1:
            raise ServiceError("overloaded", retry_after=5.0)
        return ANSWER

    service = VirtualService(serve, clock)
    await ask_all(service.caller(), 20)
    assert min(service.sent_at[1:]) >= 5.1


@simulated
async def test_a_wave_of_refusals_backs_off_once_and_not_once_for_each(clock: SimulatedClock) -> None:
    async def serve(service: VirtualService, body: bytes) -> Completion:
        await clock.sleep(NETWORK)
        if 1 < clock.now() < 1.2:
            raise RateLimitError("slow down")
        await clock.sleep(0.1)
        return ANSWER

    service = VirtualService(serve, clock)
    seconds = await ask_all(service.caller(), 4_000)
    # 4,000 requests, 256 at a time, and one short break in which 256 are refused.
    assert service.refused <= 300
    assert seconds < 5


@simulated
async def test_while_all_is_refused_single_requests_try_and_not_all_at_once(clock: SimulatedClock) -> None:
    async def serve(service: VirtualService, body: bytes) -> Completion:
        await clock.sleep(NETWORK)
        if 5 < clock.now() < 65:
            raise RateLimitError("slow down")
        await clock.sleep(0.1)
        return ANSWER

    service = VirtualService(serve, clock)
    caller = service.caller()
    everything = asyncio.ensure_future(ask_all(caller, 40_000))
    await clock.sleep(66)
    during = [at for at in service.sent_at if 8 < at < 65]
    assert 5 < len(during) < 30
    # The break is noticed soon after its end, for all that it was long.
    await clock.sleep(20)
    assert [at for at in service.sent_at if 65 < at < 83]
    everything.cancel()


@pytest.mark.parametrize("retry_after", [True, False])
@pytest.mark.parametrize("latency", [0.01, 1.0])
def test_three_requests_a_second_and_no_row_fails(retry_after: bool, latency: float) -> None:
    """Nobody told the limit: it is found, and 200 rows take little longer than the 67 s that they must."""
    clock = SimulatedClock()
    service = VirtualService(sliding(3, 1, latency, retry_after=retry_after), clock)
    seconds = clock.run(ask_all(service.caller(policy=RetryPolicy(max_retries=0)), 200))
    assert service.asked - service.refused == 200
    assert service.refused < 100
    assert seconds < 1.25 * 200 / 3


def test_300_a_minute_that_nobody_told_are_found_after_the_first_minute() -> None:
    clock = SimulatedClock()
    service = VirtualService(sliding(300, 60, 0.3), clock)
    seconds = clock.run(ask_all(service.caller(), 1_500))
    assert seconds < 1.25 * 300
    # Most refusals are of the first burst; later ones are single.
    assert sum(1 for at in service.sent_at if at > 120) - 900 < 60


@simulated
async def test_a_service_that_refuses_for_too_long_ends_the_run_in_good_order(clock: SimulatedClock) -> None:
    service = VirtualService(failing(*[RateLimitError("slow down")] * 10_000), clock)
    caller = service.caller(policy=RetryPolicy(patience=600))
    with pytest.raises(QuotaError, match=r"has refused every request for 1\d minutes: slow down") as info:
        await caller.complete(b"x")
    assert info.value.fatal
    assert 600 < clock.now() < 800
    assert service.asked < 60


@simulated
async def test_a_service_that_asks_to_wait_for_hours_ends_the_run_and_says_so(clock: SimulatedClock) -> None:
    service = VirtualService(failing(RateLimitError("come back tomorrow", retry_after=40_000)), clock)
    with pytest.raises(QuotaError, match="asks to wait until 2026-01-01 23:06 UTC: come back tomorrow") as info:
        await service.caller().complete(b"x")
    assert info.value.retry_after == 40_000
    assert clock.now() < 1


@simulated
async def test_a_few_refusals_of_a_service_that_is_seldom_asked_slow_nothing_down(clock: SimulatedClock) -> None:
    """Few calls in an hour are no sign that the service allows no more."""
    service = VirtualService(failing(*[None] * 10, *[RateLimitError("busy")] * 8), clock)
    caller = service.caller()
    for _ in range(10):
        await caller.complete(b"x")
        await clock.sleep(300)
    began = clock.now()
    for _ in range(20):
        await caller.complete(b"x")
    assert service.refused == 8
    assert clock.now() - began < 30
    caller.stop()
