"""The room for requests in flight grows while more of them bring more answers, and shrinks where they do not."""

from __future__ import annotations

import asyncio
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowsmith.errors import RateLimitError
from rowsmith.llm.adaptive import START, Concurrency
from rowsmith.llm.limits import Limiter
from rowsmith.llm.values import Completion
from support.clock import SimulatedClock
from support.virtual import ANSWER, NETWORK, Serve, VirtualService, after, ask_all, slots


class Job:
    """Requests sent to a virtual service: how long it took, and how the room went meanwhile."""

    def __init__(self, serve: Serve, bodies: int, ceiling: int = 256, seconds: float = 600) -> None:
        clock = SimulatedClock()
        self.service = VirtualService(serve, clock)
        self.limiter = Limiter.shared(self.service, clock, ceiling=ceiling)
        self.rooms: list[tuple[float, int]] = []

        async def watch() -> None:
            while True:
                self.rooms.append((clock.now(), self.limiter.room))
                await clock.sleep(0.02)

        async def main() -> float:
            watching = asyncio.ensure_future(watch())
            try:
                async with asyncio.timeout(seconds):
                    return await ask_all(self.service.caller(limiter=self.limiter), bodies)
            finally:
                watching.cancel()

        self.seconds = clock.run(main())

    def reached(self, room: int) -> float:
        """When the room was first so large."""
        return next((at for at, size in self.rooms if size >= room), math.inf)

    def at(self, seconds: float) -> int:
        """The room at a time."""
        return next(size for at, size in self.rooms if at >= seconds)


# -- growing ---------------------------------------------------------------------------------------------------------


def test_a_service_with_a_fixed_latency_has_256_in_flight_within_half_a_second() -> None:
    job = Job(after(0.1), 10_000)
    assert job.reached(256) <= 0.5
    assert job.service.most == 256
    assert job.seconds < 10_000 / 2_560 + 0.6


def test_the_start_is_moderate() -> None:
    job = Job(after(0.1), 200)
    assert job.at(0.0) == START
    # The scout first, then no more than the start until something is known.
    assert sum(at < 0.19 for at in job.service.sent_at) == 1 + START


def test_the_ceiling_is_never_passed() -> None:
    assert Job(after(0.1), 2_000, ceiling=40).service.most == 40
    assert Job(after(0.1), 100, ceiling=3).service.most == 3


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spread", [0.3, 1.0])
def test_answers_of_very_different_length_are_no_reason_to_shrink(spread: float, seed: int) -> None:
    """As models answer: with a spread of 1.0 one in six takes three times as long as the median, or longer."""
    draw = random.Random(seed)

    async def serve(service: VirtualService, body: bytes) -> Completion:
        await service.clock.sleep(2 * draw.lognormvariate(0, spread))
        return ANSWER

    job = Job(serve, 4_000)
    assert job.reached(256) < 25
    assert min(size for at, size in job.rooms if at > 25) >= 128


def test_a_first_answer_that_is_short_by_chance_is_no_measure_for_the_others() -> None:
    async def serve(service: VirtualService, body: bytes) -> Completion:
        await service.clock.sleep(0.2 if service.asked == 1 else 3.0)
        return ANSWER

    assert Job(serve, 3_000).reached(256) < 15


def test_longer_answers_in_a_later_part_of_a_run_cost_the_room_only_for_a_while() -> None:
    draw = random.Random(1)

    async def serve(service: VirtualService, body: bytes) -> Completion:
        await service.clock.sleep((1 if service.asked < 3_000 else 4) * draw.lognormvariate(0, 0.3))
        return ANSWER

    job = Job(serve, 9_000)
    ideal = (3_000 + 6_000 * 4) * math.exp(0.045) / 256
    assert job.seconds < 1.25 * ideal


def test_a_few_slow_calls_hold_up_nobody_else() -> None:
    async def serve(service: VirtualService, body: bytes) -> Completion:
        number = int(body.split(b":")[1].strip(b" }"))
        await service.clock.sleep(5.0 if number % 50 == 49 else 0.05)
        return ANSWER

    assert Job(serve, 500).seconds < 6


def test_a_service_that_answers_more_for_more_gets_more() -> None:
    """Servers that batch: latency grows with what is in flight, but much slower."""
    job = Job(after(lambda in_flight: 1 + in_flight / 100), 4_000)
    assert job.reached(256) < 20


# -- shrinking on latency alone --------------------------------------------------------------------------------------


@pytest.mark.parametrize("each", [0.05, 0.2])
def test_where_latency_grows_with_the_room_the_room_shrinks_and_nothing_is_lost(each: float) -> None:
    job = Job(after(lambda in_flight: each * in_flight), 400)
    assert job.at(0.8 * job.seconds) <= 8
    assert job.seconds < 1.05 * 400 * each


def test_a_service_that_queues_gets_little_more_than_it_works_on() -> None:
    job = Job(after(lambda in_flight: max(0.5, in_flight / 40)), 2_000)
    # It works on 20 at once: 40 a second, half a second each.
    assert 16 <= job.at(40) <= 64
    assert job.seconds < 1.1 * 2_000 / 40


def test_a_service_that_becomes_slow_gets_less_and_one_that_recovers_more() -> None:
    async def serve(service: VirtualService, body: bytes) -> Completion:
        weak = 20 < service.clock.now() < 120
        await service.clock.sleep(max(0.5, service.in_flight / (20 if weak else 400)))
        return ANSWER

    job = Job(serve, 40_000)
    assert job.at(19) >= 128
    assert job.at(118) <= 64
    assert max(size for at, size in job.rooms if at > 130) >= 128


# -- our own event loop ----------------------------------------------------------------------------------------------


def test_a_service_that_answers_at_once_is_not_throttled() -> None:
    job = Job(after(0.001), 5_000)
    assert min(size for _, size in job.rooms) >= START


def test_latency_that_our_own_event_loop_makes_is_no_verdict_on_the_service() -> None:
    concurrency = Concurrency(256)
    concurrency.lag = 0.05
    ticket = 0
    for _ in range(50):
        # Each of `room` requests waits for its turn at our own processor.
        for _ in range(concurrency.room):
            concurrency.answered(ticket, 0.002 * concurrency.room, concurrency.room, ticket + concurrency.room, 0.0)
            ticket += 1
    # It brings no more answers, so that more in flight is no use either.
    assert concurrency.room == START


async def test_a_client_at_the_end_of_its_processor_keeps_its_room() -> None:
    """Real time: each answer costs the loop itself 0.2 ms, so that latency grows with all that is in flight."""
    loop = asyncio.get_running_loop()

    class RealClock:
        now = staticmethod(loop.time)
        date = staticmethod(loop.time)
        sleep = staticmethod(asyncio.sleep)

    async def serve(service: VirtualService, body: bytes) -> Completion:
        for _ in range(3):
            await asyncio.sleep(0)
            end = loop.time() + 0.00007
            while loop.time() < end:
                pass
        return ANSWER

    service = VirtualService(serve, RealClock())
    limiter = Limiter.shared(service, RealClock(), ceiling=256)
    await ask_all(service.caller(limiter=limiter), 4_000)
    assert limiter.room >= START


# -- shrinking on refusals -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("retry_after", [None, 1.0])
def test_a_service_that_takes_16_at_once_is_kept_at_16(retry_after: float | None) -> None:
    job = Job(slots(16, 0.1, retry_after), 1_000)
    assert job.seconds < 1.3 * 6.25
    assert job.service.refused < 30
    assert job.at(0.9 * job.seconds) in range(15, 18)


@pytest.mark.parametrize(("number", "latency"), [(2, 0.1), (5, 2.0), (100, 0.5), (200, 0.1)])
def test_a_service_s_places_are_found_whatever_their_number(number: int, latency: float) -> None:
    job = Job(slots(number, latency), 40 * number)
    assert job.seconds < 1.5 * 40 * latency
    assert job.service.refused < max(60, 0.1 * 40 * number)


@given(st.integers(2, 200), st.integers(1, 199))
def test_one_wave_of_refusals_shrinks_once(in_flight: int, refused: int) -> None:
    concurrency = Concurrency(256)
    concurrency.room = in_flight
    refused = min(refused, in_flight)
    for ticket in range(refused):
        concurrency.refused(ticket, in_flight - ticket, in_flight, 0.0, 0.0)
    # One place for each, but never more than half.
    assert concurrency.room == max(in_flight - refused, in_flight // 2, 1)


def test_refusals_of_what_was_sent_later_are_another_wave() -> None:
    concurrency = Concurrency(256)
    concurrency.room = 64
    for ticket in range(64):
        concurrency.refused(ticket, 64 - ticket, 64, 0.0, 0.0)
    assert concurrency.room == 32
    for ticket in range(64, 96):
        concurrency.refused(ticket, 96 - ticket, 96, 1.0, 0.0)
    assert concurrency.room == 16


def test_places_that_come_back_are_found_again() -> None:
    taken = 0

    async def serve(service: VirtualService, body: bytes) -> Completion:
        nonlocal taken
        await service.clock.sleep(NETWORK)
        if taken >= (40 if service.clock.now() < 10 else 200):
            raise RateLimitError("too many at once")
        taken += 1
        await service.clock.sleep(0.2)
        taken -= 1
        return ANSWER

    job = Job(serve, 20_000)
    assert 38 <= job.at(9.5) <= 41
    assert job.reached(190) < 30


def test_a_service_that_loses_most_of_its_places_is_kept_at_what_is_left() -> None:
    taken = 0

    async def serve(service: VirtualService, body: bytes) -> Completion:
        nonlocal taken
        await service.clock.sleep(NETWORK)
        if taken >= (64 if service.clock.now() < 5 else 8):
            raise RateLimitError("too many at once")
        taken += 1
        await service.clock.sleep(0.2)
        taken -= 1
        return ANSWER

    job = Job(serve, 2_500)
    assert job.at(4.9) >= 60
    assert job.at(25) <= 10
    # At 320 a second, and then at 40.
    assert job.seconds < 1.25 * (5 + (2_500 - 1_600) / 40)


def test_trying_for_more_becomes_rare_where_it_is_refused() -> None:
    job = Job(slots(10, 0.1), 12_000)
    first, last = job.service.sent_at[0], job.service.sent_at[-1]
    assert last - first > 119
    # 32 at the start, of which 22 are too many, and then some ten tries in two minutes.
    assert job.service.refused < 45
