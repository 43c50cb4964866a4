"""Code of the user's own that is named as text."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from rowsmith.references import load, source_of


def test_an_edit_within_one_second_that_keeps_the_length_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python tells a stale `.pyc` by the whole seconds of a file's time and by its length; here both stay."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = tmp_path / "shifting.py"

    def written(step: int) -> int:
        path.write_text(f"def shifted(number):\n    return number + {step}\n")
        os.utime(path, ns=(10**18, 10**18 + step))
        found: int = load(f"{path}:shifted")(10)
        return found

    assert [written(step) for step in (1, 2, 3)] == [11, 12, 13]


def test_a_file_runs_once_as_long_as_it_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "kept.py"
    path.write_text("from dataclasses import dataclass\n\n\n@dataclass\nclass Ticket:\n    title: str\n")
    assert load(f"{path}:Ticket") is load(f"{path}:Ticket")
    assert source_of(load(f"{path}:Ticket")) == "@dataclass\nclass Ticket:\n    title: str\n"
    assert load(f"{path}:Ticket").__module__ != "builtins"
