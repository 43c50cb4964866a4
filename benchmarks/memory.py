"""Memory of a run by its number of cells: it must not grow, but for the table that finds duplicates.

    python benchmarks/memory.py [--cells 1000000]

Makes a classification dataset with the offline provider, one row a cell, in a process of its own for each size, and
prints the peak memory of each, the ratio to that of ten thousand cells, and the cells per second. The table of marks
by which duplicates are found takes 12 bytes a row. The process exits with 1 if the largest run takes more than 20 bytes
for each cell beyond ten thousand, or more than 200 MB.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from typing import Any

from rowsmith import ClassificationDataset, ClassificationDatasetConfig

CLASSES: Any = [
    {"name": "positive", "description": "Text expressing positive emotions"},
    {"name": "negative", "description": "Text expressing negative emotions"},
]

BASE = 10_000
MOST_GROWTH = 20


def work(cells: int) -> None:
    """Make so many cells and print the peak memory in bytes and the seconds."""
    with tempfile.TemporaryDirectory() as folder:
        config = ClassificationDatasetConfig(
            classes=CLASSES,
            languages={"en": "English", "fr": "French"},
            num_samples_per_prompt=1,
            target_rows=cells,
            output_file=f"{folder}/rows.jsonl",
        )
        started = time.perf_counter()
        report = ClassificationDataset(config).generate("offline").report
        seconds = time.perf_counter() - started
    assert report is not None
    assert report.complete, report
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, seconds)


def main() -> int:
    """Compare the sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--work", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.work:
        work(chosen.work)
        return 0
    peaks: dict[int, float] = {}
    for cells in sorted({BASE, chosen.cells}):
        command = [sys.executable, __file__, "--work", str(cells)]
        peak, seconds = map(float, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
        peaks[cells] = peak
        print(
            f"{cells:9,} cells: peak {peak / 1e6:5.0f} MB, {peak / peaks[BASE]:.2f} of that of {BASE:,}; "
            f"{cells / seconds:,.0f} cells/s"
        )
    growth = (peaks[chosen.cells] - peaks[BASE]) / max(1, chosen.cells - BASE)
    print(f"growth: {growth:.1f} bytes a cell, of which 12 are the table of marks; at most {MOST_GROWTH}")
    return int(growth > MOST_GROWTH or max(peaks.values()) > 200e6)


if __name__ == "__main__":
    sys.exit(main())
