"""Exact and near duplicates: rows per second, memory, and what is found, beside datasketch.

    python benchmarks/duplicates.py [--rows 1000000] [--threshold 0.8] [--datasketch-rows 1000000]

Texts of 36 words (some 220 characters) go through the claims of the engine as they do in a run: with the exact gate
alone, with the near one too, and, as a resumed run does it, out of the ledger's form back into memory. datasketch
(MinHash of 128 permutations and MinHashLSH, a query and an insertion for each row) gets the same words and pairs of
words; it is not installed with Rowsmith, and without it only the other figures are printed.

One row in twenty is an earlier one again, one in ten an earlier one with one to twelve words exchanged. Printed is the
share that was refused of those that are clearly above the threshold (by 0.05) and of those clearly below it. Each part
runs in a process of its own; its memory is the peak over that of a process that makes the same texts and no more.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from rowsmith.engine.claims import Claims, Holding, packed
from rowsmith.quality.minhash import shingles
from rowsmith.quality.near import NearIndex
from rowsmith.quality.seen import Seen

WORDS = 36
BATCH = 2000
VOCABULARY = 30_000
CLEAR = 0.05


class Planted(NamedTuple):
    """A row, and how like it an earlier row is: 0 for a new one, 1 for the same again."""

    text: str
    similarity: float


class Figures(NamedTuple):
    """What one part came to."""

    rows: int
    seconds: float
    peak: float
    above: float
    below: float

    def shown(self, name: str) -> str:
        each = f"{self.seconds / self.rows * 1e6:6.1f} us a row"
        memory = f"{self.peak / 1e6:6.0f} MB ({self.peak / self.rows:,.0f} bytes a row)"
        found = f"   refused: {self.above:6.2%} above, {self.below:.2%} below" if self.above >= 0 else ""
        return f"{name:<22}{self.rows:>10,} rows {self.rows / self.seconds:>10,.0f}/s {each} {memory}{found}"


def texts(rows: int) -> Iterator[list[Planted]]:
    """Batches of rows with planted duplicates of rows up to 10,000 before; the same at each call."""
    drawn = random.Random(1)
    recent: list[list[str]] = []
    batch: list[Planted] = []
    for number in range(rows):
        kind = drawn.random() if recent else 1.0
        words = list(drawn.choice(recent)) if kind < 0.15 else []
        if kind < 0.05:
            batch.append(Planted(" ".join(words).title() + ".", 1.0))
        elif kind < 0.15:
            before = set(shingles([" ".join(words)]))
            for place in drawn.sample(range(WORDS), drawn.randint(1, 12)):
                words[place] = f"new{drawn.getrandbits(40):x}"
            after = set(shingles([" ".join(words)]))
            batch.append(Planted(" ".join(words), len(before & after) / len(before | after)))
        else:
            # Few words often and many seldom, as in texts.
            words = [f"w{int(VOCABULARY ** drawn.random()):x}" + "ing" * drawn.randrange(2) for _ in range(WORDS)]
            if len(recent) < 10_000:
                recent.append(words)
            else:
                recent[number % 10_000] = words
            batch.append(Planted(" ".join(words), 0.0))
        if len(batch) == BATCH:
            yield batch
            batch = []
    yield batch


def measured(rows: int, threshold: float, check: Callable[[int, Sequence[str]], list[bool]]) -> Figures:
    """Figures of a check that says of each text, given the first one's number, whether it is refused."""
    seconds, number = 0.0, 0
    refused: dict[bool, list[bool]] = {True: [], False: []}
    for batch in texts(rows):
        wanted = [row.text for row in batch]
        started = time.perf_counter()
        verdicts = check(number, wanted)
        seconds += time.perf_counter() - started
        number += len(batch)
        for row, verdict in zip(batch, verdicts, strict=True):
            if abs(row.similarity - threshold) >= CLEAR:
                refused[row.similarity > threshold].append(verdict)
    above, below = (sum(found) / max(1, len(found)) for found in (refused[True], refused[False]))
    return Figures(rows, seconds, peak(), above, below)


def peak() -> float:
    """The most bytes that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def nothing(rows: int, threshold: float) -> Figures:
    """The texts alone."""
    return measured(rows, threshold, lambda _, wanted: [False] * len(wanted))


def exact(rows: int, threshold: float) -> Figures:
    """The exact gate alone."""
    del threshold
    return measured(rows, 1 - CLEAR, claiming(Claims(Seen(rows), nobody)))


def near(rows: int, threshold: float) -> Figures:
    """Both gates."""
    return measured(rows, threshold, claiming(Claims(Seen(rows), nobody, NearIndex(threshold, rows))))


def claiming(claims: Claims) -> Callable[[int, Sequence[str]], list[bool]]:
    def check(number: int, wanted: Sequence[str]) -> list[bool]:
        return [
            claims.claim(Holding(cell), {"text": text}, ("text",)) is not None
            for cell, text in enumerate(wanted, number)
        ]

    return check


def reload(rows: int, threshold: float) -> Figures:
    """Marks of as many rows, five a cell, as the ledger has them: until the tables are ready to be asked."""
    drawn = random.Random(2)
    blocks = [
        (cell, packed([drawn.getrandbits(63).to_bytes(8, "big") + drawn.randbytes(128) for _ in range(5)]))
        for cell in range(rows // 5)
    ]
    index = NearIndex(threshold, rows)
    before, started = peak(), time.perf_counter()
    Claims(Seen(rows), nobody, index).load(blocks)
    loaded = time.perf_counter() - started
    index.alike(bytes(128))
    ready = time.perf_counter() - started
    print(f"  after {loaded:.1f} s the run goes on; the chains are ready after {ready:.1f} s", file=sys.stderr)
    return Figures(rows, ready, peak() - before, -1, -1)


def datasketch(rows: int, threshold: float) -> Figures:
    """MinHash and MinHashLSH as they come, with the permutations made once a batch."""
    module: Any = importlib.import_module("datasketch")
    index = module.MinHashLSH(threshold=threshold, num_perm=128)

    def check(number: int, wanted: Sequence[str]) -> list[bool]:
        verdicts = []
        signatures = module.MinHash.generator((shingles([text]) for text in wanted), num_perm=128)
        for key, signature in enumerate(signatures, number):
            found = bool(index.query(signature))
            if not found:
                index.insert(key, signature)
            verdicts.append(found)
        return verdicts

    return measured(rows, threshold, check)


def nobody(cell: int) -> None:
    """Rows come in the order of the cells here: no cell loses one."""
    raise AssertionError(cell)


PARTS: dict[str, Callable[[int, float], Figures]] = {
    "nothing": nothing,
    "exact": exact,
    "exact and near": near,
    "reload": reload,
    "datasketch": datasketch,
}


def main() -> int:
    """Run each part in a process of its own, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--threshold", type=float, default=0.8)
    parser.add_argument("--datasketch-rows", type=int, help="as many as --rows, but 100,000 at most, if not given")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.part:
        print(json.dumps(PARTS[chosen.part](chosen.rows, chosen.threshold)))
        return 0
    found: dict[str, Figures] = {}
    for name in PARTS:
        rows = chosen.rows
        if name == "datasketch":
            if importlib.util.find_spec("datasketch") is None:
                print("datasketch is not installed; to compare with it: pip install datasketch")
                continue
            rows = chosen.datasketch_rows or min(rows, 100_000)
        command = [sys.executable, __file__, "--part", name, "--rows", str(rows), "--threshold", str(chosen.threshold)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        figures = Figures(*json.loads(done.stdout))
        if name in {"exact", "exact and near", "datasketch"}:
            figures = figures._replace(peak=figures.peak - found["nothing"].peak)
        found[name] = figures
        if name != "nothing":
            print(figures.shown(name), flush=True)
    if "datasketch" in found:
        ours, theirs = found["exact and near"], found["datasketch"]
        faster = (theirs.seconds / theirs.rows) / (ours.seconds / ours.rows)
        smaller = (theirs.peak / theirs.rows) / (ours.peak / ours.rows)
        print(
            f"exact and near beside datasketch: {faster:.1f} times the rows per second, 1/{smaller:.0f} of the memory"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
