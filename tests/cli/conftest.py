"""Runs the real command in processes of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from rowsmith.testing import Call, ScriptedServer
from rowsmith.testing.answers import default_answer
from support.forks import Forks, Process

COMMAND = (sys.executable, "-m", "rowsmith.cli")
SECONDS = 60
# All but what would start threads or take seconds.
LOADED = (
    "rowsmith.*",
    "rich.console",
    "rich.live",
    "rich.progress",
    "rich.table",
    "mcp.client.session",
    "anyio._backends._asyncio",
)

CLASSIFICATION = """\
dataset: classification
output_file: rows.jsonl
classes:
  - {name: positive, description: Text expressing positive emotions}
  - {name: negative, description: Text expressing negative emotions}
languages: {en: English, fr: French}
num_samples_per_prompt: 5
"""
"""Two classes in two languages: 4 cells, 20 rows, and no model."""


class Cli:
    """The command in a folder, with an environment without keys, models or colours."""

    def __init__(self, folder: Path, forks: Forks | None = None) -> None:
        self.folder = folder
        self._forks = forks
        self.env = {**os.environ, "OLLAMA_HOST": "127.0.0.1:9", "COLUMNS": "100", "TERM": "xterm-256color"}
        self.started: list[Process] = []

    def __call__(self, *arguments: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        """Run to the end."""
        process = self._begin(arguments, cwd or self.folder, {**self.env, **env})
        out, err = process.communicate(timeout=SECONDS)
        assert process.returncode is not None
        return subprocess.CompletedProcess([*COMMAND, *arguments], process.returncode, out, err)

    def start(self, *arguments: str) -> Process:
        """Run until it ends or the test does."""
        return self._begin(arguments, self.folder, self.env)

    def _begin(self, arguments: Sequence[str], folder: Path, env: dict[str, str]) -> Process:
        process: Process
        if self._forks is not None and self._forks.can(env):
            process = self._forks.start("rowsmith.cli", ["rowsmith", *arguments], folder, env)
        else:
            process = subprocess.Popen(
                [*COMMAND, *arguments],
                cwd=folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
            )
        self.started.append(process)
        return process

    def write(self, text: str, name: str = "job.yaml") -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path


@pytest.fixture(scope="session")
def forks(guarded_start: Path) -> Iterator[Forks | None]:
    """What starts commands quickly, where processes can be forked."""
    if not hasattr(os, "fork"):
        yield None
        return
    path = os.pathsep.join(filter(None, (str(guarded_start), os.environ.get("PYTHONPATH"))))
    with Forks({**os.environ, "PYTHONPATH": path}, LOADED) as made:
        yield made


@pytest.fixture
def cli(tmp_path: Path, forks: Forks | None) -> Iterator[Cli]:
    command = Cli(tmp_path, forks)
    yield command
    for process in command.started:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()


def ended(process: Process) -> tuple[int | None, str, str]:
    """(exit code, stdout, stderr) of a process, waited for."""
    out, err = process.communicate(timeout=SECONDS)
    return process.returncode, out, err


def until(condition: Callable[[], Any], what: str) -> None:
    """Wait until something is so."""
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError(f"not within 30 s: {what}")


def never_the_same(call: Call) -> str:
    """An answer that no other call gets, so that no row is a duplicate."""
    return default_answer(call, question=b"%d" % call.number)


def with_server(server: ScriptedServer, *models: str, more: Sequence[str] = ()) -> str:
    """The classification with models of a scripted server."""
    lines = [f'  - {{model: openai/{model}, api_base: "{server.base_url}"}}' for model in models or ("scripted",)]
    return "\n".join([CLASSIFICATION + "llms:", *lines, *more, ""])
