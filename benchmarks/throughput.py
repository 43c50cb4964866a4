"""Calls per second through the whole engine, beside bare aiohttp against the same server in the same run.

    python benchmarks/throughput.py [--format NAME]... [--calls N] [--pairs N] [--latency SECONDS]... [--profile]

The server is `rowsmith.testing.fast` in a process of its own; it answers in the format it is asked in, at once or after
a fixed latency. "Bare" posts the very body that Rowsmith would send with aiohttp and parses the reply with orjson,
nothing else. "Rowsmith" makes a classification dataset: plan, prompt, request, call, structured answer, gates,
duplicates, ledger and rows file with fsync. Both run in turn, several times; the ratio is taken pair by pair, since a
shared machine drifts. `litellm` is the bridge to other services, asked for OpenAI's format: it makes a twentieth of the
calls, after some that are not counted, and is no part of what runs without `--format`.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import json
import pstats
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import orjson

from rowsmith import (
    AnthropicProvider,
    ClassificationDataset,
    ClassificationDatasetConfig,
    GeminiProvider,
    LiteLLMProvider,
    OllamaProvider,
    OpenAIProvider,
)
from rowsmith.llm.provider import Provider

CLASSES: Any = [
    {"name": "positive", "description": "Text expressing positive emotions"},
    {"name": "negative", "description": "Text expressing negative emotions"},
]

FORMATS: dict[str, Callable[[str], Provider]] = {
    "openai": lambda url: OpenAIProvider("gpt-5-mini", api_key="none", api_base=f"{url}/v1"),
    "anthropic": lambda url: AnthropicProvider("claude-haiku-5-5", api_key="none", api_base=url),
    "gemini": lambda url: GeminiProvider("gemini-3.8-flash", api_key="none", api_base=url),
    "ollama": lambda url: OllamaProvider("gemma3:4b", api_key="none", api_base=url),
    "litellm": lambda url: LiteLLMProvider("openai/gpt-4.1-mini", api_key="none", api_base=f"{url}/v1"),
}
"""How the server at an address is asked in each format."""
NATIVE = [name for name in FORMATS if name != "litellm"]
LATENCIES = {0.0: 64, 0.1: 256}
"""Requests in flight by the latency of the server."""


class Measured(NamedTuple):
    """One side of one pair.

    Attributes:
        rate: calls per second.
        cpu: processor time per call of this process, all threads, in microseconds.
    """

    rate: float
    cpu: float


def measure(calls: int, work: Callable[[], None]) -> Measured:
    """Time a piece of work that makes so many calls."""
    gc.collect()
    cpu, wall = _cpu(), time.perf_counter()
    work()
    return Measured(calls / (time.perf_counter() - wall), (_cpu() - cpu) / calls * 1e6)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


@contextmanager
def server(latency: float) -> Iterator[str]:
    """The address of a fast server that answers after so many seconds."""
    command = [sys.executable, "-m", "rowsmith.testing.fast", "--port", "0", "--latency", str(latency)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.kill()
        process.wait()


def config(calls: int, folder: str) -> ClassificationDatasetConfig:
    """A classification of one row a call, with the default prompt."""
    return ClassificationDatasetConfig(
        classes=CLASSES,
        languages={"en": "English", "fr": "French"},
        num_samples_per_prompt=1,
        target_rows=calls,
        output_file=f"{folder}/rows.jsonl",
    )


def rowsmith(provider: Provider, calls: int, in_flight: int) -> None:
    """Make as many rows as calls, through everything."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = ClassificationDataset(config(calls, folder))
        dataset.generate(provider, max_concurrency=in_flight)
        assert len(dataset) == calls
        assert dataset.report is not None
        assert dataset.report.calls == calls


def bare(provider: Provider, calls: int, in_flight: int) -> None:
    """Post as often and parse the replies."""
    body = _a_body(provider)
    url = provider.endpoint if provider.name != "litellm" else f"{provider.endpoint}/chat/completions"
    headers = {"Content-Type": "application/json", "Authorization": "Bearer none"}

    async def main() -> None:
        left = iter(range(calls))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def worker() -> None:
                for _ in left:
                    async with session.post(url, data=body, headers=headers) as reply:
                        orjson.loads(await reply.read())

            await asyncio.gather(*(worker() for _ in range(in_flight)))

    asyncio.run(main())


def _a_body(provider: Provider) -> bytes:
    """The body that Rowsmith would send, so that both sides send as many bytes."""
    from rowsmith.engine.plan import Plan
    from rowsmith.llm.values import Request
    from rowsmith.recipes.classification import Classification

    recipe = Classification(config(1, "."))
    cell = Plan(recipe.axes, recipe.rows).cell(0)
    return provider.encode(Request(recipe.prompt(cell)(1).messages, recipe.entries.schema))


def compare(name: str, latency: float, calls: int, pairs: int) -> None:
    """Print one line: rates, processor times, and the ratio of the rates pair by pair."""
    in_flight = LATENCIES[latency]
    with server(latency) as url:
        provider = FORMATS[name](url)
        bare(provider, min(calls, 1000), in_flight)
        rowsmith(provider, min(calls, 1000), in_flight)
        sides = [
            (
                measure(calls, lambda: bare(provider, calls, in_flight)),
                measure(calls, lambda: rowsmith(provider, calls, in_flight)),
            )
            for _ in range(pairs)
        ]
    ratios = sorted(ours.rate / theirs.rate for theirs, ours in sides)
    print(
        f"{name:9s} {latency * 1000:3.0f} ms, {in_flight:3d} in flight:  "
        f"bare aiohttp {statistics.median(theirs.rate for theirs, _ in sides):6,.0f}/s "
        f"({statistics.median(theirs.cpu for theirs, _ in sides):3.0f} µs of processor a call)   "
        f"rowsmith {statistics.median(ours.rate for _, ours in sides):6,.0f}/s "
        f"({statistics.median(ours.cpu for _, ours in sides):3.0f} µs)   "
        f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    )


def where_it_goes(name: str, calls: int, in_flight: int) -> None:
    """Print the share of each part in the processor time of the event loop's thread."""
    profile = cProfile.Profile()
    with server(0) as url:
        provider = FORMATS[name](url)
        profile.enable()
        rowsmith(provider, calls, in_flight)
        profile.disable()
    shares: dict[str, float] = {}
    total = 0.0
    for (file, _, name), (_, _, own, _, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]  # typeshed lacks it
        if name == "<method 'poll' of 'select.epoll' objects>":
            continue
        shares[_part(file)] = shares.get(_part(file), 0.0) + own
        total += own
    print(f"Where it goes for {name} (the profiler slows Python code about twofold; the shares are what counts):")
    for part, own in sorted(shares.items(), key=lambda item: -item[1]):
        print(f"  {own / total:6.1%}  {part}")


def _part(file: str) -> str:
    path = Path(file)
    for part in ("aiohttp", "asyncio", "yarl", "multidict", "sqlite3"):
        if part in path.parts:
            return part
    if "rowsmith" in path.parts:
        below = path.parts[len(path.parts) - path.parts[::-1].index("rowsmith") :]
        return "rowsmith." + (".".join(below[:2]).removesuffix(".py") if below[0] == "engine" else below[0])
    return "built-in functions and other modules"


def main() -> None:
    """Run the comparisons that the README quotes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--format", action="append", choices=FORMATS, help="wire format (default: all native ones)")
    parser.add_argument("--latency", action="append", type=float, choices=LATENCIES, help="seconds (default: both)")
    parser.add_argument("--calls", type=int, default=10_000, help="calls of each run (default 10,000)")
    parser.add_argument("--pairs", type=int, default=5, help="runs of each side (default 5)")
    parser.add_argument("--profile", action="store_true", help="also print where the time goes")
    chosen = parser.parse_args()
    for name in chosen.format or NATIVE:
        calls = chosen.calls if name in NATIVE else max(1, chosen.calls // 20)
        for latency in chosen.latency or LATENCIES:
            compare(name, latency, calls, chosen.pairs if not latency else min(chosen.pairs, 3))
        if chosen.profile:
            where_it_goes(name, calls, LATENCIES[0.0])


if __name__ == "__main__":
    main()
