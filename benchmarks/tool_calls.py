"""Calls of functions per second, beside the same calls through a pool of processes.

    python benchmarks/tool_calls.py [--calls 5000] [--workers 2] [--pairs 3]

A `ToolRunner` checks each call's arguments, bounds its time and memory, and writes its result as JSON; it is asked as
the engine asks it, without a run. `concurrent.futures.ProcessPoolExecutor` does none of that, and calls the same
functions in as many processes. Workers are started before the clock is. Pairs of runs, one side after the other; the
ratio is the median. Printed as well: how long the first call takes, a worker's start with it, and a call that hangs
until its time is over.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Request
from rowsmith.tools.result import ToolResult, tool_request
from rowsmith.tools.runner import ToolRunner
from rowsmith.tools.toolbox import Toolbox

TIMEOUT = 2.0
IN_FLIGHT = 4


def convert(amount: float, rate: float, digits: int = 2) -> str:
    """Convert an amount of money."""
    return f"{amount * rate:.{digits}f}"


def hang() -> str:
    """Give no result."""
    time.sleep(3600)
    return ""


async def spread(calls: int, in_flight: int, call: Callable[[int], Awaitable[str]]) -> float:
    """Make so many calls, so many at once: calls per second."""
    left = iter(range(calls))

    async def caller() -> None:
        for number in left:
            assert await call(number) == convert(number, 1.5)

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(in_flight)))
    return calls / (time.perf_counter() - started)


async def ours(runner: ToolRunner, calls: int, in_flight: int) -> float:
    async with Transport() as transport:

        async def call(number: int) -> str:
            return (await asked(runner, transport, "convert", {"amount": number, "rate": 1.5})).result

        await asyncio.gather(*(call(number) for number in range(8 * in_flight)))
        return await spread(calls, in_flight, call)


async def theirs(workers: int, calls: int, in_flight: int) -> float:
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(workers) as pool:

        async def call(number: int) -> str:
            return await loop.run_in_executor(pool, convert, number, 1.5)

        await asyncio.gather(*(call(number) for number in range(8 * in_flight)))
        return await spread(calls, in_flight, call)


async def asked(runner: ToolRunner, transport: Transport, name: str, arguments: dict[str, Any]) -> ToolResult:
    body = runner.encode(Request(tool_request(name, arguments)))
    return ToolResult.of((await runner.complete(body, transport)).text)


async def times(runner: ToolRunner) -> tuple[float, float]:
    """Seconds of a first call, and of a call that hangs with the one after it, beyond its timeout."""
    async with Transport() as transport:
        started = time.perf_counter()
        await asked(runner, transport, "convert", {"amount": 1, "rate": 1})
        first = time.perf_counter() - started
        started = time.perf_counter()
        assert (await asked(runner, transport, "hang", {})).kind == "timeout"
        await asked(runner, transport, "convert", {"amount": 1, "rate": 1})
        return first, time.perf_counter() - started - TIMEOUT


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=5000, help="calls of each run (default 5,000)")
    parser.add_argument("--workers", type=int, default=2, help="processes of each side (default 2)")
    parser.add_argument("--pairs", type=int, default=3, help="runs of each side (default 3)")
    chosen = parser.parse_args()
    runner = ToolRunner(Toolbox.of([convert, hang]), timeout=TIMEOUT, max_concurrency=chosen.workers)
    in_flight = IN_FLIGHT * chosen.workers
    own: list[float] = []
    pool: list[float] = []
    for _ in range(chosen.pairs):
        pool.append(asyncio.run(theirs(chosen.workers, chosen.calls, in_flight)))
        own.append(asyncio.run(ours(runner, chosen.calls, in_flight)))
    ratios = sorted(mine / its for its, mine in zip(pool, own, strict=True))
    first, again = asyncio.run(times(runner))
    print(f"ProcessPoolExecutor {statistics.median(pool):8,.0f} calls/s")
    print(f"ToolRunner          {statistics.median(own):8,.0f} calls/s")
    print(f"ratio               {statistics.median(ratios):8.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")
    print(f"first call          {first * 1e3:8,.0f} ms")
    print(f"after a hang        {again * 1e3:8,.0f} ms until the next result")


if __name__ == "__main__":
    main()
