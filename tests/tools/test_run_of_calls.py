"""Calls of tools in a run: recorded in its ledger, and so neither carried out again nor otherwise when it goes on."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from .asking import descendants, none_run
from .run_of_calls import execute

TESTS = Path(__file__).resolve().parents[1]


def rows(output: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in output.read_text().splitlines()]


def test_a_finished_run_carries_out_nothing_again(tmp_path: Path) -> None:
    note, output = tmp_path / "note", tmp_path / "rows.jsonl"
    before = descendants()
    first = execute(output, "counts", {"note": str(note)}, 20)
    assert (first.rows, first.calls) == (20, 20)
    made = output.read_bytes()
    again = execute(output, "counts", {"note": str(note)}, 20)
    assert (again.rows, again.calls) == (20, 0)
    assert output.read_bytes() == made
    assert len(note.read_text().split()) == 20
    assert descendants() == before


def test_each_call_that_fails_costs_one_row_at_most(tmp_path: Path) -> None:
    output = tmp_path / "rows.jsonl"
    report = execute(output, "sometimes", {}, 130, timeout=2.0)
    assert report.complete
    assert Counter(row["kind"] for row in rows(output)) == {None: 116, "raised": 13, "timeout": 1}


def test_a_run_that_was_killed_goes_on_without_carrying_out_again_what_is_recorded(tmp_path: Path) -> None:
    note, output = tmp_path / "note", tmp_path / "rows.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.run_of_calls", str(output), str(note), "1500"], cwd=TESTS, env={**os.environ}
    )
    try:
        deadline = time.monotonic() + 60
        while not (note.exists() and len(note.read_text().split()) > 300):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        workers = {one.pid for one in psutil.Process(process.pid).children(recursive=True)}
    finally:
        process.kill()
        process.wait()
    assert workers
    assert none_run(workers)
    called = note.read_text().split()
    assert 300 < len(called) < 1500
    with sqlite3.connect(tmp_path / "rows.run" / "ledger.sqlite") as ledger:
        (recorded,) = ledger.execute("SELECT count(*) FROM calls").fetchone()
    ledger.close()
    assert recorded > 0

    report = execute(output, "counts", {"note": str(note)}, 1500)
    assert report.complete
    assert len(rows(output)) == 1500
    times = Counter(note.read_text().split())
    assert set(times) == {str(number) for number in range(1500)}
    assert sum(times.values()) == len(called) + 1500 - recorded


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_a_process_that_is_killed_while_a_tool_hangs(tmp_path: Path, number: int) -> None:
    note = tmp_path / "note"
    code = (
        "import sys; from pathlib import Path; from tools.run_of_calls import execute\n"
        f"execute(Path({str(tmp_path / 'rows.jsonl')!r}), 'starts_another', {{'note': {str(note)!r}}}, 1)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=TESTS)
    try:
        deadline = time.monotonic() + 60
        while not note.exists() or len(note.read_text().split()) < 3:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        worker, guard, other = map(int, note.read_text().split())
        folder = Path(f"/proc/{worker}/cwd").readlink() if sys.platform == "linux" else None
    finally:
        process.send_signal(number)
        process.wait()
    assert none_run({worker, guard, other})
    assert folder is None or not folder.exists()
