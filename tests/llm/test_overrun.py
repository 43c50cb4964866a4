"""A service that refuses nothing, but lets requests wait until they time out, is not sent more than it can answer."""

from __future__ import annotations

import random

import pytest

from rowsmith.llm.limits import Limiter
from rowsmith.llm.values import Completion
from support.clock import SimulatedClock
from support.virtual import ANSWER, Serve, VirtualService, ask_all, waiting_line


class Job:
    """Requests that all must be answered: how long that took, how many were sent, and the room in the end."""

    def __init__(self, serve: Serve, bodies: int, timeout: float, ceiling: int = 256) -> None:
        clock = SimulatedClock()
        service = VirtualService(serve, clock, timeout=timeout)
        limiter = Limiter.shared(service, clock, ceiling=ceiling)
        self.seconds = clock.run(ask_all(service.caller(limiter=limiter), bodies))
        self.sent = service.asked
        self.room = limiter.room


@pytest.mark.parametrize("drops", [True, False])
@pytest.mark.parametrize(
    ("places", "seconds", "timeout"),
    [(4, 0.5, 2.5), (1, 0.5, 3.0), (2, 30.0, 120.0), (4, 20.0, 60.0), (1, 40.0, 100.0), (16, 1.0, 2.5)],
)
def test_every_request_is_answered_and_few_are_in_vain(
    places: int, seconds: float, timeout: float, drops: bool
) -> None:
    bodies = 100 * places
    job = Job(waiting_line(places, seconds, drops=drops), bodies, timeout)
    ideal = bodies * seconds / places
    # What goes out before anything is known about the service, and what it works on in vain after that.
    assert job.sent < 1.08 * bodies + 60
    assert job.seconds < 1.5 * ideal + (0 if drops else 32 * seconds / places)


def test_a_slow_answer_now_and_then_takes_no_room() -> None:
    draw = random.Random(1)

    async def serve(service: VirtualService, body: bytes) -> Completion:
        # One in two hundred comes too late.
        return await hung(service, body) if draw.random() < 0.005 else await quick(service, body)

    async def quick(service: VirtualService, _body: bytes) -> Completion:
        await service.clock.sleep(draw.uniform(1.0, 3.0))
        return ANSWER

    hung = waiting_line(10_000, 1e6, drops=True)
    job = Job(serve, 10_000, 10.0)
    assert job.room == 256
    assert job.seconds < 1.3 * 10_000 * 2 / 256 + 10


def test_a_service_that_becomes_slow_is_found_out_and_one_that_recovers_too() -> None:
    clock = SimulatedClock()
    line = waiting_line(64, lambda: 4.0 if 20 < clock.now() < 200 else 0.5, drops=False)
    service = VirtualService(line, clock, timeout=12.0)
    limiter = Limiter.shared(service, clock, ceiling=256)
    seconds = clock.run(ask_all(service.caller(limiter=limiter), 20_000))
    assert seconds < 1.5 * (20 + 180 + (20_000 - 20 * 128 - 180 * 16) / 128)
    assert service.asked < 20_000 + 600
