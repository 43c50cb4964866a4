"""Forks of a loaded process behave as processes that were started anew."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.forks import Forks

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
WORK = """\
import os
import sys
import time


def main():
    print(os.getcwd(), sys.argv[1:], os.environ["WORD"], "HOME" in os.environ, flush=True)
    print("complaint", file=sys.stderr, flush=True)
    if sys.argv[1] == "hang":
        time.sleep(600)
    return int(sys.argv[2])
"""


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks(os.environ, ["json"]) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "some_work.py").write_text(WORK)
    return tmp_path


def test_a_fork_has_arguments_environment_folder_streams_and_an_end_of_its_own(forks: Forks, folder: Path) -> None:
    done = forks.start("some_work", ["name", "end", "7"], folder, {"WORD": "one"})
    assert done.communicate(timeout=30) == (f"{folder} ['end', '7'] one False\n", "complaint\n")
    assert done.returncode == 7
    together = forks.start("some_work", ["name", "end", "0"], folder, {"WORD": "two"}, together=True)
    assert together.communicate(timeout=30) == (f"{folder} ['end', '0'] two False\ncomplaint\n", "")


def test_one_that_does_not_end_is_killed_and_holds_nobody_up(forks: Forks, folder: Path) -> None:
    began = time.monotonic()
    hanging = forks.start("some_work", ["name", "hang", "0"], folder, {"WORD": "x"})
    with pytest.raises(subprocess.TimeoutExpired):
        hanging.communicate(timeout=0.5)
    assert hanging.wait(timeout=30) == -9
    assert time.monotonic() - began < 60
    assert hanging.communicate(timeout=30)[1] in ("complaint\n", "")


def test_other_variables_of_python_itself_need_a_start_of_their_own() -> None:
    with Forks(os.environ, []) as forks:
        assert forks.can({**os.environ, "WORD": "any"})
        assert not forks.can({**os.environ, "PYTHONPATH": f"{sys.prefix}/other"})
