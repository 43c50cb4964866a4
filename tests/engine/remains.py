"""A small run that has ended, to be damaged, edited and gone on with."""

from __future__ import annotations

from pathlib import Path

from rowsmith.engine.report import Report

from .harness import QUICK, Model, dataset, files

LEDGER = "rows.run/ledger.sqlite"
ROWS = 12


def again(folder: Path, model: Model | None = None, *, fresh: bool = False) -> Report:
    """Make it, or go on with it."""
    report = dataset(folder, num_samples_per_prompt=3).generate(model or Model(), options=QUICK, fresh=fresh).report
    assert report is not None
    return report


def kept(folder: Path) -> dict[str, bytes]:
    """All its files but those that hold nothing: the lock, and SQLite's memory of its journal."""
    return {name: data for name, data in files(folder).items() if not name.endswith(("/lock", "-wal"))}
