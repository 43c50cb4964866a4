"""How long a run with many done cells takes from its start to its first new call, and what memory it takes.

    python benchmarks/resume.py [--cells N] [--left N] [--profile]

First a classification dataset of N + LEFT rows is made by the offline provider, one row a cell, and killed with SIGKILL
when N cells are done. Then it is started again in a new process: the ledger is opened and checked against the rows
file, the plan is matched, the rows that exist are learnt for finding duplicates, the done cells are passed over.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rowsmith import ClassificationDataset, ClassificationDatasetConfig
from rowsmith.engine.events import CallMade, CellFinished, Event, RunStarted

ALLOWED = 3.0
"""Seconds until the first new call of a run with a million done cells."""


def dataset(folder: Path, rows: int) -> ClassificationDataset:
    """One row a cell, with the default prompt."""
    settings = {
        "classes": [
            {"name": "positive", "description": "Text expressing positive emotions"},
            {"name": "negative", "description": "Text expressing negative emotions"},
        ],
        "languages": {"en": "English", "fr": "French"},
        "num_samples_per_prompt": 1,
        "target_rows": rows,
        "output_file": str(folder / "rows.jsonl"),
    }
    return ClassificationDataset(ClassificationDatasetConfig.model_validate(settings))


def build(folder: Path, cells: int, rows: int) -> None:
    """Make the dataset, and end without a word when so many cells are done."""
    done = 0

    def die_in_time(event: Event) -> None:
        nonlocal done
        done += isinstance(event, CellFinished)
        if done == cells:
            os.kill(os.getpid(), signal.SIGKILL)

    dataset(folder, rows).generate("offline", listeners=[die_in_time])


def resume(folder: Path, rows: int) -> None:
    """Go on with it; print when things happened, in seconds from the call of `generate`, as JSON."""
    times: dict[str, float] = {}

    def note(event: Event) -> None:
        if isinstance(event, RunStarted):
            times["opened"] = time.perf_counter() - began
            times["settled"] = event.settled
        elif isinstance(event, CallMade) and not event.replayed and "first call" not in times:
            times["first call"] = time.perf_counter() - began
            times["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    began = time.perf_counter()
    made = dataset(folder, rows).generate("offline", listeners=[note])
    times["whole"] = time.perf_counter() - began
    assert made.report is not None
    assert made.report.complete
    times["again"] = _again(folder, rows)
    print(json.dumps(times))


def _again(folder: Path, rows: int) -> float:
    """Seconds for a start on the finished run."""
    began = time.perf_counter()
    made = dataset(folder, rows).generate("offline")
    assert made.report is not None
    assert made.report.calls == 0
    return time.perf_counter() - began


def measure(cells: int, left: int) -> bool:
    """Print the figures; says whether they are as they should be."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        _child("--build", folder, cells, left)
        written = [path for path in Path(folder).rglob("*") if path.is_file()]
        files = [f"{path.name} {path.stat().st_size / 2**20:,.0f} MB" for path in written]
        took = time.perf_counter() - began
        print(f"{cells:,} cells made in {took:.0f} s, then SIGKILL: {', '.join(files)}")
        times = json.loads(_child("--resume", folder, cells, left))
    allowed = ALLOWED * max(1.0, cells / 1_000_000)
    print(
        f"started again, {times['settled']:,} cells done:\n"
        f"  ledger and rows file checked   {times['opened']:6.2f} s\n"
        f"  first new call                 {times['first call']:6.2f} s   (allowed: {allowed:.0f})\n"
        f"  memory at that moment          {times['memory']:6.0f} MB\n"
        f"  the {left:,} cells left and the files in order, in all {times['whole']:.2f} s\n"
        f"  a start on the finished run    {times['again']:6.2f} s"
    )
    return bool(times["first call"] <= allowed)


def _child(role: str, folder: str, cells: int, left: int) -> str:
    command = [sys.executable, __file__, role, folder, "--cells", str(cells), "--left", str(left)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == (-signal.SIGKILL if role == "--build" else 0), done
    return done.stdout


def main() -> None:
    """Measure, and fail if the first new call comes too late."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=1_000_000, help="done cells (default 1,000,000)")
    parser.add_argument("--left", type=int, default=1_000, help="cells left to do (default 1,000)")
    parser.add_argument("--profile", action="store_true", help="with --resume: also print where the time goes")
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--resume", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    rows = chosen.cells + chosen.left
    if chosen.build:
        build(chosen.build, chosen.cells, rows)
    elif chosen.resume and chosen.profile:
        with cProfile.Profile() as profile:
            resume(chosen.resume, rows)
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
    elif chosen.resume:
        resume(chosen.resume, rows)
    else:
        sys.exit(not measure(chosen.cells, chosen.left))


if __name__ == "__main__":
    main()
