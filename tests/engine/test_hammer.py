"""The hammer of the benchmarks, for a few kills."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HAMMER = Path(__file__).parents[2] / "benchmarks" / "hammer.py"


def test_killed_at_random_instants_with_faults_on_nothing_is_lost_and_nothing_bought_for_nothing() -> None:
    """The slack is for a machine that does other things too; the benchmark itself allows none."""
    command = [sys.executable, str(HAMMER), "--kills", "6", "--slack", "0.25"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rows made" in done.stdout
