"""How long a run of many done cells takes to its first new call.

    python benchmarks/resume.py [--cells 1000000]

Makes so many cells with the offline provider, then starts again with more rows wanted, in a process of its own, and
prints the seconds from `generate` to the first call; the second start also renumbers the ledger, because the plan has
grown. For a start on the unchanged plan the last hundred cells are taken out of the ledger first. The process exits
with 1 if that takes more than three seconds.
"""

from __future__ import annotations

import argparse
import sqlite3
import subprocess
import sys
import tempfile
import time
from typing import Any

from rowsmith import ClassificationDataset, ClassificationDatasetConfig
from rowsmith.engine.events import CallMade, Event

CLASSES: Any = [
    {"name": "positive", "description": "Text expressing positive emotions"},
    {"name": "negative", "description": "Text expressing negative emotions"},
]
MARK = 3.0
LEFT = 100


def start(rows: int, output: str) -> None:
    """Run, and print the seconds to the first call and to the end."""
    config = ClassificationDatasetConfig(
        classes=CLASSES, num_samples_per_prompt=1, target_rows=rows, output_file=output
    )
    began = time.perf_counter()
    first: list[float] = []

    def listen(event: Event) -> None:
        if isinstance(event, CallMade) and not event.replayed and not first:
            first.append(time.perf_counter() - began)

    dataset = ClassificationDataset(config).generate("offline", listeners=[listen])
    assert dataset.report is not None
    assert dataset.report.complete
    print(first[0], time.perf_counter() - began)


def measured(rows: int, output: str) -> float:
    """The seconds to the first call of a start in a process of its own."""
    command = [sys.executable, __file__, "--rows", str(rows), "--output", output]
    first, _ = map(float, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    return first


def main() -> int:
    """Make the cells, and start again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--output", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.rows:
        start(chosen.rows, chosen.output)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        output = f"{folder}/rows.jsonl"
        measured(chosen.cells, output)
        with sqlite3.connect(f"{folder}/rows.run/ledger.sqlite") as ledger:
            ledger.execute("UPDATE cells SET status = 0 WHERE cell >= ?", (chosen.cells - LEFT,))
            ledger.execute("DELETE FROM calls WHERE cell >= ?", (chosen.cells - LEFT,))
        same = measured(chosen.cells, output)
        longer = measured(chosen.cells + LEFT, output)
    print(f"{chosen.cells - LEFT:,} done cells: first new call after {same:.2f} s (mark {MARK:.0f} s)")
    print(f"{chosen.cells:,} done cells and a plan that has grown: after {longer:.2f} s")
    return int(same > MARK)


if __name__ == "__main__":
    sys.exit(main())
