"""Processes under a guard, by themselves."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rowsmith.tools.child import Child

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing is carried out on Windows")


async def test_the_end_of_a_process_is_asked_for_by_nobody_but_who_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(subprocess.Popen, "poll", lambda process: asked.append(process.pid))
    child = await Child.start(["sh", "-c", "echo y; sleep 60"], env=dict(os.environ), stdout=subprocess.PIPE)
    assert child.process.stdout is not None
    assert await child.process.stdout.readline() == b"y\n"
    assert await child.end() == "was ended by SIGKILL"
    assert asked == []
