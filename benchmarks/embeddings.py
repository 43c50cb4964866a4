"""Near duplicates by vectors: checks per second and memory beside brute force, and runs with and without them.

    python benchmarks/embeddings.py [--numbers 384] [--rows 10000 100000]

The index is filled, and 200 more vectors are claimed as in a run: each is compared with all rows that there are. One in
twenty is near an earlier one. Brute force is what most would write: vectors scaled to length 1 in a float32 matrix, and
`matrix @ vector >= threshold`; and once the same without NumPy. Refused must be the same rows by both.

Then runs of 10,000 rows with a model that answers at once: without near duplicates, and with vectors of the offline
provider.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from rowsmith import ClassificationDataset, ClassificationDatasetConfig
from rowsmith.engine.claims import Claims, Holding
from rowsmith.llm.provider import KnownLimits
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Completion, Request, Rung, Usage
from rowsmith.llm.vectors import rounded
from rowsmith.quality.seen import Seen
from rowsmith.quality.vectors import VectorIndex

THRESHOLD = 0.9
PLANTED = 20
CHECKS = 200
NAIVE = 3
RUN = 10_000


def drawn(rows: int, numbers: int) -> Any:
    """Vectors, of which one in `PLANTED` is near an earlier one."""
    generator = np.random.default_rng(1)
    made = generator.standard_normal((rows, numbers), dtype=np.float32)
    for row in range(PLANTED, rows, PLANTED):
        other = generator.integers(0, row)
        made[row] = made[other] + generator.uniform(0.1, 0.9) * made[row]
    return made


def measured(rows: int, numbers: int) -> dict[str, float]:
    """Figures of one size, in a process of its own."""
    given = drawn(rows + CHECKS, numbers)
    whole = given / np.linalg.norm(given, axis=1, keepdims=True)
    started = time.perf_counter()
    kept = [rounded(one) for one in given]
    rounding = (time.perf_counter() - started) / len(kept)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    index = VectorIndex(THRESHOLD, rows + CHECKS)
    claims = Claims(Seen(rows), lambda _: None, index)
    for number, vector in enumerate(kept[:rows]):
        index.add(index.sign(vector), number, number)
    refused: list[bool] = []
    times: list[float] = []
    for number, vector in enumerate(kept[rows:], rows):
        signature = index.sign(vector)
        row = {"text": f"text {number}"}
        started = time.perf_counter()
        refused.append(claims.claim(Holding(number), row, ("text",), signature) is not None)
        times.append(time.perf_counter() - started)
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024

    matrix, used = np.concatenate([whole[:rows], np.zeros((CHECKS, numbers), np.float32)]), rows
    expected: list[bool] = []
    brute: list[float] = []
    for vector in whole[rows:]:
        started = time.perf_counter()
        near = bool((matrix[:used] @ vector >= THRESHOLD).any())
        if not near:
            matrix[used] = vector
            used += 1
        brute.append(time.perf_counter() - started)
        expected.append(near)
    lists = [vector.tolist() for vector in whole[: min(rows, 10_000)]]
    started = time.perf_counter()
    for vector in lists[:NAIVE]:
        any(sum(map(float.__mul__, vector, other)) >= THRESHOLD for other in lists[NAIVE:])
    naive = (time.perf_counter() - started) / NAIVE * rows / len(lists)
    return {
        "check": statistics.median(times),
        "brute": statistics.median(brute),
        "naive": naive,
        "memory": memory,
        "rounding": rounding,
        "refused": sum(refused),
        "differ": sum(a != b for a, b in zip(refused, expected, strict=True)),
    }


# -- runs that use none -----------------------------------------------------------------------------------------------


class Quick:
    """A model in this process that has five new texts for every question."""

    name, model_id, endpoint, timeout = "memory", "quick", "here", 60.0
    rungs = (Rung.SCHEMA,)
    limits = KnownLimits()

    def __init__(self) -> None:
        self._made = 0

    def describe(self) -> Mapping[str, Any]:
        return {}

    def encode(self, request: Request) -> bytes:
        return request.messages[-1].content.encode()

    async def complete(self, body: bytes, transport: Transport) -> Completion:
        del body, transport
        await asyncio.sleep(0)
        self._made += 1
        drawn = random.Random(self._made)
        entries = [{"text": " ".join(f"{drawn.getrandbits(50):x}" for _ in range(12))} for _ in range(5)]
        return Completion(orjson.dumps({"entries": entries}).decode(), usage=Usage(10, 10))


def run(rows: int, embeddings: bool) -> float:
    """Seconds that a run takes."""
    with tempfile.TemporaryDirectory() as folder:
        settings: dict[str, Any] = {
            "classes": [{"name": name, "description": name} for name in ("a", "b")],
            "expansion": {"placeholders": {"tone": [f"tone {number}" for number in range(rows // 10)]}},
            "prompts": ["Write {num_samples} {{tone}} texts in {language_name}: {label_name}, {label_description}."],
            "num_samples_per_prompt": 5,
            "gates": {"near_duplicates": THRESHOLD, "embeddings": "offline"} if embeddings else {},
            "output_file": str(Path(folder) / "rows.jsonl"),
        }
        started = time.perf_counter()
        ClassificationDataset(ClassificationDatasetConfig(**settings)).generate(Quick())
        return time.perf_counter() - started


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--numbers", type=int, default=384)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measured(given.one, given.numbers)))
        return
    for rows in given.rows:
        command = [sys.executable, __file__, "--one", str(rows), "--numbers", str(given.numbers)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        check, brute = found["check"], found["brute"]
        print(
            f"{rows:>8,} rows of {given.numbers} numbers: a check {check * 1e3:.2f} ms ({1 / check:,.0f} rows/s); "
            f"brute force {brute * 1e3:.2f} ms ({brute / check:.2f} times that), "
            f"without NumPy {found['naive'] * 1e3:,.0f} ms ({found['naive'] / check:,.0f} times)\n"
            f"         {found['memory'] / 1e6:,.0f} MB ({found['memory'] / rows:,.0f} bytes a row); "
            f"rounding {found['rounding'] * 1e6:.0f} us a vector; of {CHECKS} {found['refused']:.0f} refused, "
            f"{found['differ']:.0f} otherwise than by brute force"
        )
    for name, embeddings in (("without near duplicates", False), ("with vectors", True)):
        seconds = run(RUN, embeddings)
        print(f"{RUN:>8,} rows {name}: {seconds:.1f} s ({RUN / seconds:,.0f} rows/s)")


if __name__ == "__main__":
    main()
