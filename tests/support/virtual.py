"""Virtual services: providers whose server is a few lines over a clock, for tests and benchmarks of limits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rowsmith.errors import ProviderError, ProviderTimeoutError, RateLimitError
from rowsmith.llm.caller import Caller, Notice
from rowsmith.llm.clock import Clock
from rowsmith.llm.limits import Limiter
from rowsmith.llm.provider import KnownLimits
from rowsmith.llm.retry import RetryPolicy
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Completion, Request, Rung, Usage

from .clock import SimulatedClock

Serve = Callable[["VirtualService", bytes], Awaitable[Completion]]
NETWORK = 0.002
"""Seconds to a service that refuses requests."""

ANSWER = Completion("ok", usage=Usage(10, 10))


@dataclass(eq=False)
class VirtualService:
    """A provider that answers from a function.

    Attributes:
        serve: answers a body, or raises.
        limits: what the user says of the model.
        asked: requests so far, refused ones among them.
        refused: requests answered with an error so far.
        sent_at: the time of each request.
        in_flight: requests under way.
        most: the most that were under way at once.
    """

    serve: Serve
    clock: Clock
    limits: KnownLimits = field(default_factory=KnownLimits)
    name: str = "virtual"
    model_id: str = "model"
    endpoint: str = "virtual://service"
    api_key: str | None = None
    timeout: float = 60.0
    rungs: tuple[Rung, ...] = (Rung.SCHEMA,)
    asked: int = 0
    refused: int = 0
    sent_at: list[float] = field(default_factory=list)
    in_flight: int = 0
    most: int = 0

    def describe(self) -> Mapping[str, Any]:
        return {}

    def encode(self, request: Request) -> bytes:
        return repr(request).encode()

    async def complete(self, body: bytes, transport: Transport) -> Completion:
        self.asked += 1
        self.sent_at.append(self.clock.now())
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            return await self.serve(self, body)
        except ProviderError:
            self.refused += 1
            raise
        finally:
            self.in_flight -= 1

    def caller(
        self,
        *,
        ceiling: int = 256,
        policy: RetryPolicy | None = None,
        notify: Callable[[Notice], None] = lambda notice: None,
        limiter: Limiter | None = None,
    ) -> Caller:
        """The door to it, as a run makes one."""
        limiter = limiter or Limiter.shared(self, self.clock, ceiling=ceiling)
        return Caller(self, Transport(), limiter, policy or RetryPolicy(), self.clock, notify)


def after(seconds: float | Callable[[int], float]) -> Serve:
    """Answers after a latency, or after one that depends on how many are in flight."""

    async def serve(service: VirtualService, body: bytes) -> Completion:
        await service.clock.sleep(seconds if isinstance(seconds, float) else seconds(service.in_flight))
        return ANSWER

    return serve


def slots(number: int, seconds: float, retry_after: float | None = None) -> Serve:
    """Takes so many at once; refuses more, as soon as the network lets it."""
    taken = 0

    async def serve(service: VirtualService, body: bytes) -> Completion:
        nonlocal taken
        await service.clock.sleep(NETWORK)
        if taken >= number:
            raise RateLimitError("too many at once", retry_after=retry_after)
        taken += 1
        await service.clock.sleep(seconds)
        taken -= 1
        return ANSWER

    return serve


def waiting_line(places: int, seconds: float | Callable[[], float], *, drops: bool) -> Serve:
    """Works on so many at once and lets all others wait; who waits longer than the service's timeout has gone.

    Args:
        places: how many it works on at once.
        seconds: that it works on each.
        drops: it leaves alone what nobody waits for any more.
    """
    free = asyncio.Semaphore(places)
    working: set[asyncio.Task[None]] = set()

    async def serve(service: VirtualService, body: bytes) -> Completion:
        async def work() -> None:
            async with free:
                await service.clock.sleep(seconds if isinstance(seconds, float) else seconds())

        async def give_up() -> None:
            await service.clock.sleep(service.timeout)

        work_on, patience = asyncio.ensure_future(work()), asyncio.ensure_future(give_up())
        working.add(work_on)
        work_on.add_done_callback(working.discard)
        await asyncio.wait({work_on, patience}, return_when=asyncio.FIRST_COMPLETED)
        if work_on.done():
            patience.cancel()
            return ANSWER
        if drops:
            work_on.cancel()
        raise ProviderTimeoutError("no answer in time")

    return serve


def sliding(number: int, window: float, seconds: float, *, retry_after: bool = False, told: bool = False) -> Serve:
    """Takes so many in any window of so many seconds; refuses more, as soon as the network lets it."""
    taken: deque[float] = deque()

    async def serve(service: VirtualService, body: bytes) -> Completion:
        await service.clock.sleep(NETWORK)
        now = service.clock.now()
        while taken and taken[0] <= now - window:
            taken.popleft()
        if len(taken) >= number:
            wait = taken[0] + window - now
            raise RateLimitError("too many in that time", retry_after=wait if retry_after else None)
        taken.append(now)
        await service.clock.sleep(seconds)
        if not told:
            return ANSWER
        headers = {
            "x-ratelimit-limit-requests": str(number),
            "x-ratelimit-remaining-requests": str(number - len(taken)),
            "x-ratelimit-reset-requests": f"{taken[-1] + window - service.clock.now() if taken else 0:.3f}s",
        }
        return Completion("ok", usage=Usage(10, 10), headers=headers)

    return serve


async def ask_all(caller: Caller, bodies: int, workers: int = 256) -> float:
    """Send so many requests by so many workers, as a run does: seconds until all are answered."""
    clock = caller._clock
    began = clock.now()
    left = iter(range(bodies))

    async def work() -> None:
        for number in left:
            await caller.complete(b'{"request": %d}' % number)

    try:
        await asyncio.gather(*(work() for _ in range(min(workers, bodies))))
    finally:
        caller.stop()
    return clock.now() - began


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
    """Make a test of a coroutine over simulated time."""

    def run() -> None:
        clock = SimulatedClock()

        async def main() -> None:
            await test(clock)

        clock.run(main())

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run
