"""Memory and speed of a run in batches by its number of cells: memory must not grow.

    python benchmarks/batches.py [--cells 100000]

Makes a classification dataset, one row a cell, with a model whose batch endpoint keeps its batches on disk and ends
them at once, in a process of its own for each size. Prints the peak memory of each, the ratio to that of twenty
thousand cells, the cells per second and the size of the ledger. The process exits with 1 if the largest run takes more
than 1.2 times the memory of twenty thousand cells (both have full batches), or more than 200 MB.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from rowsmith import ClassificationDataset, ClassificationDatasetConfig
from rowsmith.llm.batch import BatchLimits, BatchResult, BatchState, BatchStatus
from rowsmith.llm.provider import KnownLimits
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Completion, Request, Rung, Usage

CLASSES: Any = [
    {"name": "positive", "description": "Text expressing positive emotions"},
    {"name": "negative", "description": "Text expressing negative emotions"},
]
PADDING = "Context: " + "it was a day like any other, and nobody expected what was to come. " * 20
"""A prompt of about the length that prompts have."""

BASE = 20_000


@dataclass(frozen=True)
class OnDisk:
    """A batch endpoint that keeps each batch in a file, and answers when its results are asked for."""

    folder: Path

    limits = BatchLimits(requests=50_000, bytes=200_000_000)
    price_factor = 0.5

    def item(self, id: str, body: bytes) -> bytes:  # noqa: A002  # as services call it
        return b'{"id":"%b","body":%b}' % (id.encode(), body)

    async def submit(self, name: str, items: Sequence[bytes], transport: Transport) -> str:
        del transport
        (self.folder / name).write_bytes(b"\n".join(items))
        return name

    async def find(self, name: str, ids: Sequence[str], since: float, transport: Transport) -> str | None:
        del ids, since, transport
        return name if (self.folder / name).exists() else None

    async def status(self, batch: str, transport: Transport) -> BatchStatus:
        del batch, transport
        return BatchStatus(BatchState.ENDED)

    async def results(self, batch: str, transport: Transport) -> AsyncIterator[BatchResult]:
        del transport
        with (self.folder / batch).open("rb") as lines:
            for line in lines:
                item = orjson.loads(line)
                text = hashlib.blake2b(line, digest_size=16).hexdigest()
                answer = orjson.dumps({"entries": [{"text": f"a text like no other: {text}"}]}).decode()
                yield BatchResult(item["id"], Completion(answer, usage=Usage(400, 20)))

    async def cancel(self, batch: str, transport: Transport) -> None:
        del batch, transport


@dataclass(frozen=True)
class Batched:
    """A model that can be asked in batches only."""

    batches: OnDisk

    name = "memory"
    model_id = "batched"
    endpoint = "here"
    rungs = (Rung.SCHEMA,)
    limits = KnownLimits()
    timeout = 60.0

    def describe(self) -> Mapping[str, Any]:
        return {}

    def encode(self, request: Request) -> bytes:
        return orjson.dumps({"seed": request.seed, "messages": [message.content for message in request.messages]})

    async def complete(self, body: bytes, transport: Transport) -> Completion:
        del body, transport
        raise AssertionError("asked singly")


def work(cells: int) -> None:
    """Make so many cells and print the peak memory in bytes, the seconds, and the ledger's bytes."""
    with tempfile.TemporaryDirectory() as folder:
        config = ClassificationDatasetConfig(
            classes=CLASSES,
            languages={"en": "English", "fr": "French"},
            prompts=[f"{PADDING} Write {{num_samples}} in {{language_name}}: {{label_name}}, {{label_description}}."],
            num_samples_per_prompt=1,
            target_rows=cells,
            output_file=f"{folder}/rows.jsonl",
        )
        batches = Path(folder, "batches")
        batches.mkdir()
        started = time.perf_counter()
        report = ClassificationDataset(config).generate(Batched(OnDisk(batches)), batch=True).report
        seconds = time.perf_counter() - started
        size = Path(folder, "rows.run", "ledger.sqlite").stat().st_size
    assert report is not None
    assert report.complete, report
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, seconds, size)


def main() -> int:
    """Compare the sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--work", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.work:
        work(chosen.work)
        return 0
    peaks: dict[int, float] = {}
    for cells in sorted({BASE, chosen.cells}):
        command = [sys.executable, __file__, "--work", str(cells)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        peak, seconds, size = map(float, done.stdout.split())
        peaks[cells] = peak
        print(
            f"{cells:9,} cells: peak {peak / 1e6:5.0f} MB, {peak / peaks[BASE]:.2f} of that of {BASE:,}; "
            f"{cells / seconds:,.0f} cells/s; ledger {size / 1e6:,.0f} MB"
        )
    largest = max(peaks.values())
    return int(largest > 1.2 * peaks[BASE] or largest > 200e6)


if __name__ == "__main__":
    sys.exit(main())
