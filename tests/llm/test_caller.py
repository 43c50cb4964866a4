"""One model's door: the scout, retries, refusals, and the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from support.clock import HurriedClock, SimulatedClock
from support.virtual import ANSWER, NETWORK, Serve, VirtualService, after, ask_all, sliding

from rowsmith.errors import (
    AuthenticationError,
    BadRequestError,
    ConnectionFailedError,
    ProviderError,
    QuotaError,
    RateLimitError,
    ServiceError,
)
from rowsmith.llm.caller import Caller, Notice, RetryNotice, WaitingNotice
from rowsmith.llm.clock import Clock, SystemClock
from rowsmith.llm.limits import Limiter, Stopped
from rowsmith.llm.providers.openai import OpenAIProvider
from rowsmith.llm.retry import RetryPolicy
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Completion, Message, Request
from rowsmith.testing import Call, Fault, Rate, RateLimited, ScriptedServer, ServerError, WrongKey


def failing(*errors: ProviderError | None, latency: float = 0.1) -> Serve:
    """Fails as told, request by request; None and all after them are answered."""

    async def serve(service: VirtualService, body: bytes) -> Completion:
        number = service.asked - 1
        await service.clock.sleep(latency)
        error = errors[number] if number < len(errors) else None
        if error is not None:
            raise error
        return ANSWER

    return serve


def simulated(test: Callable[[SimulatedClock], Awaitable[None]]) -> Callable[[], None]:
    """A test that is a coroutine over simulated time."""

    def run() -> None:
        clock = SimulatedClock()

        async def main() -> None:
            await test(clock)

        clock.run(main())

    run.__name__ = test.__name__
    return run


# -- the scout ---------------------------------------------------------------------------------------------------------


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


# -- retries -----------------------------------------------------------------------------------------------------------


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


# -- refusals ----------------------------------------------------------------------------------------------------------


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
        await clock.sleep(NETWORK)
        if service.asked == 30:
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
    with pytest.raises(QuotaError, match="refused every request for more than 10 minutes: slow down") as info:
        await caller.complete(b"x")
    assert info.value.fatal
    assert 600 < clock.now() < 800
    assert service.asked < 60


@simulated
async def test_a_service_that_asks_to_wait_for_hours_ends_the_run_and_says_so(clock: SimulatedClock) -> None:
    service = VirtualService(failing(RateLimitError("come back tomorrow", retry_after=40_000)), clock)
    with pytest.raises(QuotaError, match="asks to wait for 11 h 7 min: come back tomorrow") as info:
        await service.caller().complete(b"x")
    assert info.value.retry_after == 40_000
    assert clock.now() < 1


# -- the end -----------------------------------------------------------------------------------------------------------


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


# -- over real HTTP ------------------------------------------------------------------------------------------------------


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
        seconds = await ask_server(server, 480, SystemClock())
    assert server.answered == 480
    assert server.answered_again == 0
    # 1.5 s is ideal; the machine may be busy.
    assert seconds < 3
    assert server.count - server.answered < 60


async def test_a_real_server_that_takes_30_a_second() -> None:
    with ScriptedServer(plain, rate=Rate(requests=30, seconds=1, retry_after=False, headers=False)) as server:
        await ask_server(server, 90, SystemClock(), RetryPolicy(max_retries=0))
    assert server.answered == 90
    assert server.count - server.answered < 90


@pytest.mark.parametrize("retry_after", [2.0, "date"])
async def test_a_real_retry_after_in_seconds_and_as_a_date(retry_after: float) -> None:
    faults: list[Fault | None] = [None, RateLimited(retry_after, seconds=2.0)]
    clock = HurriedClock(20)
    with ScriptedServer(plain, faults=faults) as server:
        seconds = await ask_server(server, 3, clock, RetryPolicy(max_retries=0))
    assert server.answered == 3
    # A date has whole seconds, and is rounded up.
    assert 2 <= seconds < 6


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
