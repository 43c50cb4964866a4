"""A tree of topics built while it is killed again and again: is it complete, and was nothing bought twice?

    python benchmarks/topic_trees.py [--degree N] [--depth N] [--kills N]

The tree is built by the offline provider in processes of their own, each of which ends by SIGKILL at a random instant
until there were enough kills; the last one comes to its end. The tree must be, byte for byte, the one that is built
without a kill. Answers that came and are asked for again must have come within the ledger's commit window.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rowsmith import Completion, OfflineProvider, Tree
from rowsmith.llm.transport import Transport

WINDOW = 0.05
"""Seconds for which an answer may be uncommitted: the promise. A busy machine may add to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Journaled(OfflineProvider):
    """Writes down what it answered and when, in a file that outlives a SIGKILL."""

    journal: int = -1

    async def complete(self, body: bytes, transport: Transport) -> Completion:
        completion = await OfflineProvider.complete(self, body, transport)
        key = hashlib.blake2b(body, digest_size=12).hexdigest()
        os.write(self.journal, f"{key} {time.monotonic()}\n".encode())
        return completion


def build(folder: Path, degree: int, depth: int) -> None:
    """Build the tree, or go on with it."""
    journal = os.open(folder / "journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(journal, f"start {time.monotonic()}\n".encode())
    llm = Journaled(latency=0.005, journal=journal)
    tree = Tree("Sailing", degree=degree, depth=depth, llm=llm, output_file=folder / "topics.jsonl")
    tree.build(max_concurrency=64)
    assert tree.complete, tree.failures[:3]


def measure(degree: int, depth: int, kills: int) -> bool:
    """Print the figures; says whether they are as they should be."""
    with tempfile.TemporaryDirectory() as name:
        whole, killed = Path(name, "whole"), Path(name, "killed")
        whole.mkdir()
        killed.mkdir()
        began = time.monotonic()
        _child(whole, degree, depth, None)
        took = time.monotonic() - began
        drawn = random.Random(1)
        done = 0
        began = time.monotonic()
        while done < kills:
            seconds = drawn.uniform(0.3, 0.6 + 2 * took / kills)
            if _child(killed, degree, depth, seconds):
                break
            done += 1
        _child(killed, degree, depth, None)
        again = time.monotonic() - began
        tree = Tree.load(killed / "topics.jsonl")
        expected = sum(degree**level for level in range(depth + 1))
        same = (whole / "topics.jsonl").read_bytes() == (killed / "topics.jsonl").read_bytes()
        distinct = len({topic.name for topic in tree.topics})
        bought, ages = _bought_again(killed / "journal")
        calls = len({line.split()[0] for line in (whole / "journal").read_text().splitlines()}) - 1
        print(
            f"{len(tree.topics):,} topics of {expected:,}, {distinct:,} of them distinct, {len(tree):,} paths\n"
            f"  without a kill   {took:6.1f} s, {calls:,} calls\n"
            f"  with {done} kills    {again:6.1f} s, {'the very same file' if same else 'ANOTHER FILE'}\n"
            f"  bought again     {bought:,} answers, each at most {max(ages, default=0) * 1000:.0f} ms before a kill"
        )
        return same and len(tree.topics) == expected == distinct and max(ages, default=0) < 5 * WINDOW


def _bought_again(journal: Path) -> tuple[int, list[float]]:
    """(how many answers were bought again, how long before the end of its start each had come)."""
    starts: list[dict[str, float]] = []
    ends: list[float] = []
    for line in journal.read_text().splitlines():
        key, at = line.split()
        if key == "start":
            starts.append({})
            ends.append(float(at))
        else:
            starts[-1].setdefault(key, float(at))
            ends[-1] = float(at)
    ages = []
    for number, start in enumerate(starts):
        later = set().union(*starts[number + 1 :])
        ages += [ends[number] - at for key, at in start.items() if key in later]
    return len(ages), ages


def _child(folder: Path, degree: int, depth: int, seconds: float | None) -> bool:
    """Build in a process; says whether it came to its end within the time."""
    command = [sys.executable, __file__, "--build", str(folder), "--degree", str(degree), "--depth", str(depth)]
    process = subprocess.Popen(command)
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return False
    assert code == 0
    return True


def main() -> None:
    """Measure, and fail if anything lacks or came twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--degree", type=int, default=10)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.build is not None:
        build(asked.build, asked.degree, asked.depth)
    else:
        sys.exit(0 if measure(asked.degree, asked.depth, asked.kills) else 1)


if __name__ == "__main__":
    main()
