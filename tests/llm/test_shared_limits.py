"""All runs in a process that ask the same model with the same key share what it allows."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pytest

from rowsmith.llm.adaptive import START
from rowsmith.llm.clock import SystemClock
from rowsmith.llm.limits import Limiter
from rowsmith.llm.provider import KnownLimits
from rowsmith.llm.values import Completion
from support.clock import SimulatedClock
from support.virtual import ANSWER, VirtualService, after, ask_all


def test_two_runs_share_the_pace_of_a_key() -> None:
    clock = SimulatedClock()
    one = VirtualService(after(0.1), clock, KnownLimits(rpm=600), api_key="k")
    other = VirtualService(after(0.1), clock, KnownLimits(rpm=600), api_key="k")

    async def main() -> None:
        await asyncio.gather(ask_all(one.caller(), 200), ask_all(other.caller(), 200))

    clock.run(main())
    sent = sorted(one.sent_at + other.sent_at)
    assert len([at for at in sent if at < 30]) <= 305
    assert sent[-1] > 39
    # And neither is left behind: they take turns.
    assert len([at for at in one.sent_at if at < 20]) == pytest.approx(100, abs=15)


def test_two_runs_share_the_ceiling_and_the_strictest_holds_until_it_leaves() -> None:
    clock = SimulatedClock()
    one = VirtualService(after(0.1), clock)
    other = VirtualService(after(0.1), clock, KnownLimits(max_concurrency=4))

    async def main() -> tuple[int, int]:
        wide, narrow = Limiter.shared(one, clock, ceiling=64), Limiter.shared(other, clock, ceiling=64)
        together = [wide.try_enter() for _ in range(40)]
        narrow.close()
        for ticket in together:
            if ticket is not None:
                wide.failed(ticket)
        room = wide.room
        await ask_all(one.caller(limiter=wide), 2_000)
        return sum(ticket is not None for ticket in together), room

    admitted, room = clock.run(main())
    assert admitted == 4
    assert room == 4
    # It does not jump back, but grows again.
    assert one.most > 16


@pytest.mark.parametrize("change", [{"api_key": "other"}, {"model_id": "other"}, {"endpoint": "virtual://other"}])
def test_another_key_model_or_address_shares_nothing(change: dict[str, str]) -> None:
    clock = SimulatedClock()
    one = VirtualService(after(0.1), clock, KnownLimits(max_concurrency=1), api_key="k")
    other = VirtualService(after(0.1), clock, KnownLimits(max_concurrency=1), **{"api_key": "k", **change})  # type: ignore[arg-type]
    same = VirtualService(after(0.1), clock, KnownLimits(max_concurrency=1), api_key="k")
    first = Limiter.shared(one, clock, ceiling=8)
    assert first.try_enter() is not None
    assert Limiter.shared(other, clock, ceiling=8).try_enter() is not None
    assert Limiter.shared(same, clock, ceiling=8).try_enter() is None


def test_nothing_is_left_of_an_allowance_when_the_last_run_has_ended() -> None:
    service = VirtualService(after(0.1), SystemClock(), KnownLimits(max_concurrency=1), endpoint="virtual://gone")
    limiter = Limiter.shared(service, SystemClock(), ceiling=8)
    assert limiter.try_enter() is not None
    gone = weakref.ref(limiter._allowance)
    del limiter
    gc.collect()
    assert gone() is None
    assert Limiter.shared(service, SystemClock(), ceiling=8).try_enter() is not None


def test_a_run_learns_nothing_from_one_that_has_ended_whether_or_not_it_is_collected() -> None:
    clock = SimulatedClock()
    service = VirtualService(after(0.1), clock)
    first = Limiter.shared(service, clock, ceiling=256)
    clock.run(ask_all(service.caller(limiter=first), 5_000))
    assert first.room == 256
    second = Limiter.shared(service, clock, ceiling=256)
    assert second.room == START
    # While one is still going, its knowledge is shared.
    clock.run(_grow(second, service))
    assert Limiter.shared(service, clock, ceiling=256).room == second.room > START


async def _grow(limiter: Limiter, service: VirtualService) -> None:
    caller = service.caller(limiter=limiter)
    await asyncio.gather(*(caller.complete(b"x") for _ in range(1_000)))


def test_two_event_loops_in_two_threads_share_pace_and_ceiling() -> None:
    lock = threading.Lock()
    under_way = most = 0
    sent: list[float] = []

    async def serve(service: VirtualService, body: bytes) -> Completion:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
            sent.append(service.clock.now())
        await asyncio.sleep(0.02)
        with lock:
            under_way -= 1
        return ANSWER

    def run(endpoint: str, limits: KnownLimits, bodies: int) -> None:
        service = VirtualService(serve, SystemClock(), limits, endpoint=endpoint)
        asyncio.run(ask_all(service.caller(ceiling=6), bodies, workers=20))

    def together(endpoint: str, limits: KnownLimits, bodies: int) -> float:
        sent.clear()
        threads = [threading.Thread(target=run, args=(endpoint, limits, bodies)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
        assert len(sent) == 2 * bodies
        return max(sent) - min(sent)

    together("virtual://ceiling", KnownLimits(), 200)
    assert most <= 6
    # 80 requests at 3,000 a minute; alone each run would take 0.8 s.
    assert together("virtual://pace", KnownLimits(rpm=3_000), 40) > 1.4


def test_a_thread_that_dies_without_a_word_holds_nobody_up() -> None:
    clock = SystemClock()
    service = VirtualService(after(0.01), clock, KnownLimits(rpm=600), endpoint="virtual://dead")
    dead = Limiter.shared(service, clock, ceiling=8)

    def die() -> None:
        loop = asyncio.new_event_loop()

        async def wait() -> None:
            for _ in range(8):
                if dead.try_enter() is None:
                    break
            task = asyncio.ensure_future(dead.enter())
            await asyncio.sleep(0)
            # The loop is left behind with a request in the queue, which nobody will ever fetch.
            tasks.append(task)

        loop.run_until_complete(wait())
        for task in asyncio.all_tasks(loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is what the test is about
        loop.close()

    tasks: list[asyncio.Future[int]] = []
    thread = threading.Thread(target=die)
    thread.start()
    thread.join()
    alive = Limiter.shared(service, clock, ceiling=8)

    async def main() -> None:
        async with asyncio.timeout(5):
            await alive.enter()

    asyncio.run(main())
