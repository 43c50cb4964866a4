"""How well limits are used that nobody may overstep, beside what would be ideal.

    python benchmarks/limits.py

What takes minutes by nature runs in simulated time: a virtual service over a clock that leaps from one wake-up to the
next. What depends on the machine runs over real HTTP against the scripted server. Exit code 1 if a mark is missed.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from rowsmith import OpenAIProvider
from rowsmith.llm.caller import Caller
from rowsmith.llm.clock import SystemClock
from rowsmith.llm.limits import Limiter
from rowsmith.llm.provider import KnownLimits
from rowsmith.llm.retry import RetryPolicy
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Completion, Message, Request
from rowsmith.testing import Call, ScriptedServer
from support.clock import SimulatedClock
from support.virtual import ANSWER, Serve, VirtualService, after, ask_all, sliding, slots, waiting_line

HOT_CALLS = 100_000
PAIRS = 7


class Job(NamedTuple):
    """What came of a job.

    Attributes:
        seconds: of its clock, until the last answer.
        asked: requests, those that were refused among them.
        refused: requests that were refused.
        full: seconds until 256 were allowed in flight, or None.
    """

    seconds: float
    asked: int
    refused: int
    full: float | None = None


def main() -> int:
    met = [hot_path(), *quotas(), *places(), *latencies()]
    print(f"\n{sum(met)} of {len(met)} marks met")
    return 0 if all(met) else 1


def show(what: str, value: float, mark: float, unit: str, note: str = "", *, least: bool = False) -> bool:
    """Print one figure beside the most, or the least, that it may be, and say whether it is met."""
    met = value >= mark if least else value <= mark
    bound = "at least" if least else "at most"
    print(f"{what:<58} {value:>8.2f} {unit:<9} {bound} {mark:<6g} {'ok  ' if met else 'MISS'} {note}", flush=True)
    return met


# -- what it costs -----------------------------------------------------------------------------------------------------


def hot_path() -> bool:
    """What a call costs on top of the provider where nothing holds it back."""

    async def at_once(_service: VirtualService, _body: bytes) -> Completion:
        return ANSWER

    async def cost() -> float:
        service = VirtualService(at_once, SystemClock())
        caller = service.caller()
        await caller.complete(b"x")
        service.sent_at = []
        transport = Transport()
        began = time.perf_counter()
        for _ in range(HOT_CALLS):
            await service.complete(b"x", transport)
        between = time.perf_counter()
        for _ in range(HOT_CALLS):
            await caller.complete(b"x")
        ended = time.perf_counter()
        caller.stop()
        return ((ended - between) - (between - began)) / HOT_CALLS * 1e6

    costs = [asyncio.run(cost()) for _ in range(5)]
    return show("enter, leave and complete, nothing to wait for", statistics.median(costs), 4, "us")


# -- simulated ---------------------------------------------------------------------------------------------------------


def simulate(serve: Serve, bodies: int, limits: KnownLimits | None = None, until: float | None = None) -> Job:
    """A job in simulated time: all of it, or what is done of it until then."""
    clock = SimulatedClock()
    service = VirtualService(serve, clock, limits or KnownLimits())
    limiter = Limiter.shared(service, clock, ceiling=256)

    async def run() -> Job:
        job = asyncio.ensure_future(ask_all(service.caller(limiter=limiter), bodies))
        if until is None:
            await job
        else:
            await clock.sleep(until)
            job.cancel()
        return Job(clock.now(), service.asked, service.refused)

    return clock.run(run())


def quotas() -> list[bool]:
    """Limits in time."""
    met = []
    for what, told, limits in (
        ("the user named it", False, KnownLimits(rpm=300)),
        ("the service's headers told it", True, None),
    ):
        job = simulate(sliding(300, 60, 0.3, told=told), 10_000, limits, until=120)
        used = (job.asked - job.refused) / 600 * 100
        met.append(show(f"300 a minute, 2 min simulated, {what}: used", used, 97, "%", least=True))
        met.append(show("    refused", job.refused / job.asked * 100, 1, "%"))
    for what, retry_after in (("with Retry-After", True), ("nobody says a word", False)):
        job = simulate(sliding(3, 1, 0.05, retry_after=retry_after), 200)
        note = f"{job.seconds:.0f} s simulated, {job.refused} refused, no row failed"
        met.append(show(f"3 a second, 200 rows, {what}: of ideal", job.seconds / (200 / 3), 1.3, "x", note))
    return met


def places() -> list[bool]:
    """A service that takes 16 in flight, ceiling 256, 0.1 s latency, 1,000 requests: simulated and real."""
    met = []
    for what, wait in (("", None), (", Retry-After 1 s", 1.0)):
        job = simulate(slots(16, 0.1, wait), 1_000)
        note = f"{job.seconds:.2f} s, {job.refused} refused"
        met.append(show(f"16 in flight, simulated{what}: of ideal", job.seconds / 6.25, 1.3, "x", note))
    with ScriptedServer(plain, latency=0.1, max_in_flight=16, record=False) as server:
        job = asyncio.run(real(server.base_url, 1_000))
        refused = server.count - server.answered
    note = f"{job.seconds:.2f} s, {refused} refused"
    met.append(show("16 in flight, real HTTP: of ideal", job.seconds / 6.25, 1.3, "x", note))
    return met


def latencies() -> list[bool]:
    """Services whose latency says something, or nothing, of how much they can take."""
    met = []
    job = simulate(after(lambda in_flight: 0.05 * in_flight), 500)
    met.append(show("latency of 0.05 s for each in flight: of ideal", job.seconds / 25, 1.1, "x"))
    for what, drops in (("and drops them then", True), ("and works on them all the same", False)):
        job = simulate(waiting_line(4, 20.0, drops=drops), 400)
        note = f"{job.asked} requests"
        what = f"4 places of 20 s, others wait to time out {what}: of ideal"
        met.append(show(what, job.seconds / 2_000, 1.5, "x", note))
    with server_process(0.1) as address:
        jobs = [asyncio.run(real(address, 3_000)) for _ in range(PAIRS)]
    full = statistics.median(job.full or float("inf") for job in jobs)
    met.append(show("fixed 0.1 s, real HTTP: 256 in flight after", full, 0.5, "s", f"median of {PAIRS}"))
    with ScriptedServer(plain, latency=sometimes_slow, record=False) as server:
        job = asyncio.run(real(server.base_url, 500))
    met.append(show("500 rows, one call of 5 s in every 50, real HTTP", job.seconds, 8, "s"))
    with server_process(0.0) as address:
        ratios = []
        for _ in range(PAIRS):
            narrow, wide = (asyncio.run(real(address, 8_000, ceiling)).seconds for ceiling in (32, 256))
            ratios.append(wide / narrow)
    ratio = statistics.median(ratios)
    met.append(show("answers at once, real HTTP: 256 beside a fixed 32", ratio, 1.3, "x", f"median of {PAIRS} pairs"))
    return met


# -- real --------------------------------------------------------------------------------------------------------------


def plain(_call: Call) -> str:
    return "an answer"


def sometimes_slow(call: Call) -> float:
    return 5.0 if call.number % 50 == 49 else 0.05


@contextmanager
def server_process(latency: float) -> Iterator[str]:
    """The address of a fast server in a process of its own, so that it takes no time of ours."""
    command = [sys.executable, "-m", "rowsmith.testing.fast", "--port", "0", "--latency", str(latency)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["base_url"]
    finally:
        process.kill()
        process.wait()


async def real(address: str, bodies: int, ceiling: int = 256) -> Job:
    """A job over HTTP; what was refused of it, only the server knows."""
    provider = OpenAIProvider(model_id="any", api_key="no-real-key", api_base=address)
    clock = SystemClock()
    full: list[float] = []
    async with Transport() as transport:
        limiter = Limiter.shared(provider, clock, ceiling=ceiling)
        caller = Caller(provider, transport, limiter, RetryPolicy(), clock, lambda _notice: None)
        requests = [provider.encode(Request((Message.user(f"question {number}"),))) for number in range(bodies)]
        began = clock.now()

        def look() -> None:
            if not full and limiter.room >= 256:
                full.append(clock.now() - began)

        await _work(caller, requests, look)
        seconds = clock.now() - began
    return Job(seconds, bodies, 0, full[0] if full else None)


async def _work(caller: Caller, requests: list[bytes], look: Callable[[], None]) -> None:
    left = iter(requests)

    async def work() -> None:
        for body in left:
            await caller.complete(body)
            look()

    try:
        await asyncio.gather(*(work() for _ in range(256)))
    finally:
        caller.stop()


if __name__ == "__main__":
    sys.exit(main())
