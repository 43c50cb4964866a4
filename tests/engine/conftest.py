"""What the engine's tests get: a run that has ended."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .remains import again


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a small run that has ended; to be copied, not changed."""
    folder = tmp_path_factory.mktemp("made")
    again(folder)
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy of such files."""
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy"
