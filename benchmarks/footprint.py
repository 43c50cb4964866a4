"""What Rowsmith costs before it does anything: packages, disk, and the time to start.

Installs the core (no extras) into a virtual environment that is thrown away, and compares with the marks.
Exit code 1 if a mark is missed. The times are medians of whole processes.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
RUNS = 15


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="rowsmith-footprint-") as folder:
        home = Path(folder) / "venv"
        venv.create(home, with_pip=False)
        scripts = home / ("Scripts" if os.name == "nt" else "bin")
        python = scripts / Path(sys.executable).name
        install(python)
        packages = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
        met = [
            show("packages, itself too", len(list(packages.glob("*.dist-info"))), 25, "packages"),
            show("installed", megabytes(packages), 60, "MB"),
            show("import rowsmith", import_seconds(python), 0.2, "s"),
            show("rowsmith --help", median_seconds([scripts / "rowsmith", "--help"]), 0.4, "s"),
        ]
    return 0 if all(met) else 1


def show(what: str, value: float, mark: float, unit: str) -> bool:
    """Print one figure beside the most that it may be, and say whether it is met."""
    digits = {"packages": 0, "MB": 1, "s": 3}[unit]
    met = value <= mark
    print(f"{what:<22} {value:>8.{digits}f} {unit:<9} mark {mark:g}   {'ok' if met else 'OVER'}", flush=True)
    return met


def install(python: Path) -> None:
    """Install as a user would: a built wheel, compiled to bytecode by pip, no editable link."""
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", "--quiet", PROJECT], check=True)


def megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def import_seconds(python: Path) -> float:
    """The time that `import rowsmith` adds to an interpreter's own start."""
    return median_seconds([python, "-c", "import rowsmith"]) - median_seconds([python, "-c", "pass"])


def median_seconds(command: list[str | Path]) -> float:
    """Median wall time of a command, after one run that warms the disk's cache."""
    times = []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=tempfile.gettempdir())
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


if __name__ == "__main__":
    sys.exit(main())
