"""One model's door: the scout, retries, refusals, and the end."""

from __future__ import annotations

import asyncio

import pytest

from rowsmith.errors import (
    AuthenticationError,
    BadRequestError,
    ConnectionFailedError,
    ServiceError,
)
from rowsmith.llm.caller import Notice, RetryNotice
from rowsmith.llm.limits import Limiter, Stopped
from rowsmith.llm.retry import RetryPolicy
from rowsmith.llm.values import Completion
from support.clock import SimulatedClock
from support.virtual import ANSWER, VirtualService, after, ask_all, failing, simulated

# -- the scout -------------------------------------------------------------------------------------------------------


@simulated
async def test_a_wrong_key_is_found_with_one_request_and_told_to_all(clock: SimulatedClock) -> None:
    service = VirtualService(failing(*[AuthenticationError("wrong key")] * 99), clock)
    caller = service.caller()
    said = await asyncio.gather(*(caller.complete(b"x") for _ in range(50)), return_exceptions=True)
    assert service.asked == 1
    assert {type(one) for one in said} == {AuthenticationError}
    with pytest.raises(AuthenticationError):
        await caller.complete(b"later")
    assert service.asked == 1


@simulated
async def test_the_first_request_goes_alone_until_it_is_back(clock: SimulatedClock) -> None:
    service = VirtualService(after(0.1), clock)
    await ask_all(service.caller(), 20)
    assert service.sent_at[0] == 0
    assert service.sent_at[1:] == pytest.approx([0.1] * 19)


@simulated
async def test_a_slow_first_request_is_not_waited_for(clock: SimulatedClock) -> None:
    service = VirtualService(after(30.0), clock)
    await ask_all(service.caller(), 20)
    assert service.sent_at[1:] == pytest.approx([0.25] * 19)


@simulated
async def test_a_cancelled_scout_holds_nobody_up(clock: SimulatedClock) -> None:
    service = VirtualService(after(30.0), clock)
    caller = service.caller()
    scout = asyncio.create_task(caller.complete(b"first"))
    follower = asyncio.create_task(caller.complete(b"second"))
    await clock.sleep(0.1)
    scout.cancel()
    await clock.sleep(0)
    await clock.sleep(0)
    assert service.asked == 2
    await follower
    caller.stop()


@simulated
async def test_a_refused_request_is_no_reason_to_refuse_the_others(clock: SimulatedClock) -> None:
    """400 may be for one request alone, or be mended by asking in another way."""
    service = VirtualService(failing(BadRequestError("no schemas here")), clock)
    caller = service.caller()
    with pytest.raises(BadRequestError):
        await caller.complete(b"x")
    completion, seconds = await caller.complete(b"y")
    assert completion is ANSWER
    assert seconds == pytest.approx(0.1)
    caller.stop()


# -- retries ---------------------------------------------------------------------------------------------------------


@simulated
async def test_a_failure_is_tried_again_and_told(clock: SimulatedClock) -> None:
    told: list[Notice] = []
    service = VirtualService(failing(ServiceError("down"), ConnectionFailedError("broke")), clock)
    caller = service.caller(notify=told.append)
    assert (await caller.complete(b"x"))[0] is ANSWER
    assert [(type(notice.error), notice.attempt) for notice in told if isinstance(notice, RetryNotice)] == [
        (ServiceError, 1),
        (ConnectionFailedError, 2),
    ]
    caller.stop()


@simulated
async def test_the_last_failure_of_too_many_is_raised(clock: SimulatedClock) -> None:
    errors = [ServiceError(f"down {number}") for number in range(9)]
    service = VirtualService(failing(*errors), clock)
    caller = service.caller(policy=RetryPolicy(max_retries=2))
    with pytest.raises(ServiceError, match="down 2"):
        await caller.complete(b"x")
    assert service.asked == 3
    caller.stop()


@simulated
async def test_what_a_failure_was_caused_by_stays_with_it(clock: SimulatedClock) -> None:
    error = ServiceError("down")
    error.__cause__ = OSError("the cable")
    service = VirtualService(failing(error), clock)
    caller = service.caller(policy=RetryPolicy(max_retries=0))
    with pytest.raises(ServiceError) as info:
        await caller.complete(b"x")
    assert info.value is error
    assert isinstance(info.value.__cause__, OSError)
    caller.stop()


@simulated
async def test_a_request_that_waits_to_be_tried_again_holds_no_place(clock: SimulatedClock) -> None:
    service = VirtualService(failing(None, ServiceError("down", retry_after=None)), clock)
    caller = service.caller(ceiling=1, policy=RetryPolicy(first=10.0, longest=10.0))
    await caller.complete(b"scout")
    failed = asyncio.create_task(caller.complete(b"fails"))
    await clock.sleep(0)
    others = [asyncio.create_task(caller.complete(b"other")) for _ in range(20)]
    await asyncio.gather(*others)
    # All others are through long before the failed one is tried again.
    assert clock.now() < 3
    assert not failed.done()
    await failed
    caller.stop()


@simulated
async def test_retries_come_among_first_attempts_and_not_after_them(clock: SimulatedClock) -> None:
    order: list[bytes] = []

    async def serve(service: VirtualService, body: bytes) -> Completion:
        await clock.sleep(0.1)
        if body == b'{"request": 5}' and body not in order:
            order.append(body)
            raise ServiceError("down")
        order.append(body)
        return ANSWER

    service = VirtualService(serve, clock)
    await ask_all(service.caller(ceiling=4), 400)
    again = len(order) - 1 - order[::-1].index(b'{"request": 5}')
    assert again < 60


# -- the end ---------------------------------------------------------------------------------------------------------


@simulated
async def test_after_stop_nothing_is_sent_and_what_is_in_flight_goes_on(clock: SimulatedClock) -> None:
    service = VirtualService(failing(None, ServiceError("down"), latency=1.0), clock)
    caller = service.caller(ceiling=3, policy=RetryPolicy(first=100.0, longest=100.0))
    await caller.complete(b"scout")
    failed = asyncio.create_task(caller.complete(b"waits for its retry"))
    await clock.sleep(1.5)
    under_way = [asyncio.create_task(caller.complete(b"in flight")) for _ in range(3)]
    await clock.sleep(0.1)
    waiting = [asyncio.create_task(caller.complete(b"waits for its turn")) for _ in range(5)]
    await clock.sleep(0.1)
    before = service.asked
    caller.stop()
    with pytest.raises(Stopped):
        await caller.complete(b"too late")
    said = await asyncio.gather(failed, *under_way, *waiting, return_exceptions=True)
    assert isinstance(said[0], Stopped)
    assert [type(one) for one in said[1:4]] == [tuple] * 3
    assert all(isinstance(one, Stopped) for one in said[4:])
    assert service.asked == before
    assert clock.now() < 4


@simulated
async def test_a_stop_while_the_scout_is_away_reaches_those_who_follow_it(clock: SimulatedClock) -> None:
    service = VirtualService(after(0.2), clock)
    caller = service.caller()
    tasks = [asyncio.create_task(caller.complete(b"x")) for _ in range(5)]
    await clock.sleep(0.1)
    caller.stop()
    said = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in said] == [tuple] + [Stopped] * 4
    assert service.asked == 1


@simulated
async def test_a_fatal_error_wakes_those_who_wait_for_a_retry(clock: SimulatedClock) -> None:
    service = VirtualService(failing(None, ServiceError("down"), AuthenticationError("key withdrawn")), clock)
    caller = service.caller(policy=RetryPolicy(first=500.0, longest=500.0))
    await caller.complete(b"scout")
    retrying = asyncio.create_task(caller.complete(b"x"))
    await clock.sleep(1)
    with pytest.raises(AuthenticationError):
        await caller.complete(b"y")
    with pytest.raises(AuthenticationError):
        await retrying
    assert clock.now() < 2


@simulated
async def test_a_cancelled_call_leaves_its_place(clock: SimulatedClock) -> None:
    service = VirtualService(after(5.0), clock)
    limiter = Limiter.shared(service, clock, ceiling=2)
    caller = service.caller(limiter=limiter)
    tasks = [asyncio.create_task(caller.complete(b"x")) for _ in range(4)]
    await clock.sleep(1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert limiter.in_flight == 0
    caller.stop()


@simulated
async def test_an_error_that_is_no_provider_s_leaves_its_place_too(clock: SimulatedClock) -> None:
    async def serve(service: VirtualService, body: bytes) -> Completion:
        raise ZeroDivisionError

    service = VirtualService(serve, clock)
    limiter = Limiter.shared(service, clock, ceiling=2)
    caller = service.caller(limiter=limiter)
    with pytest.raises(ZeroDivisionError):
        await caller.complete(b"x")
    assert limiter.in_flight == 0
    caller.stop()
