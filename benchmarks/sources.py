"""How fast sources are gone through for the first time, and what memory that takes, beside plain reading.

`python benchmarks/sources.py [--rows 300000] [--large]`

Each format is written once, then read in a process of its own: by the standard library (or PyArrow) with every row
parsed and thrown away, and as a source, with the index made, lengths checked and repeated texts left out. Then a
thousand rows are read again at random. `--large` takes a JSONL file of 1.2 GB besides, for the memory.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

FORMATS = ("rows.txt", "rows.csv", "rows.jsonl", "rows.jsonl.gz", "rows.json", "rows.parquet")
WORDS = "some words that a document has "
RANDOM_READS = 1_000


def texts(rows: int, length: int) -> Iterator[str]:
    body = (WORDS * (length // len(WORDS) + 1))[:length]
    return (f"document {number} {body}" for number in range(rows))


def write(path: Path, rows: int, length: int) -> None:
    made = ({"id": f"{number:08d}", "text": text} for number, text in enumerate(texts(rows, length)))
    match path.name.removeprefix("rows"):
        case ".txt":
            with path.open("w") as file:
                file.writelines(f"{row['text']}\n" for row in made)
        case ".csv":
            with path.open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["id", "text"])
                writer.writerows(row.values() for row in made)
        case ".json":
            with path.open("w") as file:
                file.write("[")
                file.writelines(f"{',' if number else ''}\n{json.dumps(row)}" for number, row in enumerate(made))
                file.write("]")
        case ".parquet":
            import pyarrow
            import pyarrow.parquet

            columns = {"text": list(texts(rows, length))}
            pyarrow.parquet.write_table(pyarrow.table(columns), path)
        case ".jsonl.gz":
            with gzip.open(path, "wt", compresslevel=3) as file:
                file.writelines(json.dumps(row) + "\n" for row in made)
        case _:
            with path.open("w") as file:
                file.writelines(json.dumps(row) + "\n" for row in made)


def plainly(path: Path) -> int:
    """Read every row by the usual means; how many there were."""
    if path.suffix == ".parquet":
        import pyarrow.parquet

        batches = pyarrow.parquet.ParquetFile(path).iter_batches(1024, columns=["text"])
        return sum(len(batch.to_pylist()) for batch in batches)
    if path.suffix == ".json":
        return len(json.loads(path.read_bytes()))
    opened: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", newline="", encoding="utf-8") as file:
        if path.suffix == ".csv":
            return sum(1 for _ in csv.DictReader(file))
        if path.suffix == ".txt":
            return sum(1 for _ in file)
        return sum(1 for line in file if json.loads(line))


def as_source(path: Path) -> int:
    """Open it as a source and read some rows again; how many there are. Prints the seconds of the random reads."""
    from rowsmith.data.readers import open_source

    source = open_source(path, distinct=True)
    chance = Random(1)
    started = time.perf_counter()
    for _ in range(RANDOM_READS):
        source[chance.randrange(len(source))]
    print(time.perf_counter() - started)
    return len(source)


def work(how: str, path: Path) -> None:
    started = time.perf_counter()
    count = plainly(path) if how == "plainly" else as_source(path)
    seconds = time.perf_counter() - started
    print(count, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def measured(how: str, path: Path) -> list[float]:
    command = [sys.executable, __file__, "--work", how, "--path", str(path)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return [float(number) for number in printed]


def compare(path: Path, rows: int, length: int) -> None:
    # In a process of its own: what this one has held would count as memory of those that it starts.
    writing = [sys.executable, __file__, "--work", "write", "--path", str(path), "--rows", str(rows)]
    subprocess.run([*writing, "--length", str(length)], check=True)
    count, seconds, memory = measured("plainly", path)
    again, own_count, own_seconds, own_memory = measured("as_source", path)
    assert count == own_count == rows, (count, own_count)
    size = path.stat().st_size / 1e6
    print(
        f"{path.name:15} {size:8,.0f} MB   plain {rows / seconds:10,.0f} rows/s {memory:6,.0f} MB   "
        f"source {rows / (own_seconds - again):10,.0f} rows/s {own_memory:6,.0f} MB   "
        f"at random {RANDOM_READS / again:9,.0f} rows/s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--length", type=int, default=300, help="characters of a text")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.work:
        if chosen.work == "write":
            write(chosen.path, chosen.rows, chosen.length)
        else:
            work(chosen.work, chosen.path)
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in FORMATS:
            path = Path(folder) / name
            compare(path, chosen.rows, chosen.length)
            path.unlink()
        if chosen.large:
            path = Path(folder) / "rows.jsonl"
            compare(path, 600_000, 2_000)


if __name__ == "__main__":
    main()
