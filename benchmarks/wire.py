"""What one call costs on the wire: our transport beside bare aiohttp, against the same server in the same run.

    python benchmarks/wire.py [--calls N] [--pairs N] [--in-flight N]

The server is `rowsmith.testing.fast` in a process of its own; it answers at once. Both sides post the same body with
the same headers and read the whole reply; nothing is parsed. They run in turn, several times, and the ratio is taken
pair by pair, since a shared machine drifts.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import aiohttp

from rowsmith.llm.transport import Caller, Transport

BODY = b"x" * 1200
HEADERS = {"Content-Type": "application/json", "Accept": "application/json", "Authorization": "Bearer none"}
CALLER = Caller("openai", "fast")

Send = Callable[[], Awaitable[bytes]]
Side = Callable[[str, int, int], Any]


class Measured(NamedTuple):
    """One side of one pair: calls per second, and processor time of this process per call in microseconds."""

    rate: float
    cpu: float


def measure(side: Side, url: str, calls: int, in_flight: int) -> Measured:
    """Time one side."""
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    asyncio.run(side(url, calls, in_flight))
    return Measured(calls / (time.perf_counter() - wall), (time.process_time() - cpu) / calls * 1e6)


@contextmanager
def server() -> Iterator[str]:
    """The address of a server that answers at once."""
    process = subprocess.Popen([sys.executable, "-m", "rowsmith.testing.fast"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["base_url"]
    finally:
        process.kill()
        process.wait()


async def spread(calls: int, in_flight: int, send: Send) -> None:
    """Send so many requests by so many workers."""
    left = iter(range(calls))

    async def worker() -> None:
        for _ in left:
            await send()

    await asyncio.gather(*(worker() for _ in range(in_flight)))


async def bare(url: str, calls: int, in_flight: int) -> None:
    """By aiohttp."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def send() -> bytes:
            async with session.post(url, data=BODY, headers=HEADERS) as reply:
                return await reply.read()

        await spread(calls, in_flight, send)


async def ours(url: str, calls: int, in_flight: int) -> None:
    """By the transport that the providers use."""
    async with Transport() as transport:

        async def send() -> bytes:
            return (await transport.post(url, BODY, HEADERS, timeout=300.0, caller=CALLER)).body

        await spread(calls, in_flight, send)


def shown(name: str, side: list[Measured]) -> str:
    rate, cpu = statistics.median(one.rate for one in side), statistics.median(one.cpu for one in side)
    return f"{name} {rate:7,.0f}/s {cpu:6.1f} µs of processor a call"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=20_000, help="calls of each run (default 20,000)")
    parser.add_argument("--pairs", type=int, default=5, help="runs of each side (default 5)")
    parser.add_argument("--in-flight", type=int, default=64, help="requests under way at once (default 64)")
    chosen = parser.parse_args()
    calls, in_flight = chosen.calls, chosen.in_flight
    theirs: list[Measured] = []
    own: list[Measured] = []
    with server() as base:
        url = f"{base}/chat/completions"
        for side in (bare, ours):
            measure(side, url, 1000, in_flight)
        for _ in range(chosen.pairs):
            theirs.append(measure(bare, url, calls, in_flight))
            own.append(measure(ours, url, calls, in_flight))
    rates = sorted(mine.rate / its.rate for its, mine in zip(theirs, own, strict=True))
    costs = sorted(mine.cpu / its.cpu for its, mine in zip(theirs, own, strict=True))
    print(shown("bare aiohttp    ", theirs))
    print(shown("Transport.post  ", own))
    print(f"calls per second: {statistics.median(rates):.2f} of aiohttp's ({rates[0]:.2f} to {rates[-1]:.2f})")
    print(f"processor time:   {statistics.median(costs):.2f} of aiohttp's ({costs[0]:.2f} to {costs[-1]:.2f})")


if __name__ == "__main__":
    main()
