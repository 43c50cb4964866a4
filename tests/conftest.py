"""What every test gets: no network but loopback, nothing of this machine's keys and home, and a scripted server."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

import network_guard

if TYPE_CHECKING:
    from engine.child import Nursery
    from rowsmith.testing import ScriptedServer

PRIVATE = re.compile(
    r".*(_API_KEY|_TOKEN|_KEY|_SECRET|_PASSWORD|_CREDENTIALS|_BASE_URL|_API_BASE|_PROXY)$"
    r"|(OPENAI|ANTHROPIC|CLAUDE|GEMINI|GOOGLE|MISTRAL|AZURE|AWS|HF|HUGGING_?FACE|OLLAMA|OPENROUTER|LITELLM|ROWSMITH)_.*",
    re.IGNORECASE,
)
HOMES = {
    "HOME": "",
    "USERPROFILE": "",
    "XDG_CACHE_HOME": ".cache",
    "XDG_CONFIG_HOME": ".config",
    "XDG_DATA_HOME": ".local/share",
    "XDG_RUNTIME_DIR": ".run",
    "XDG_STATE_HOME": ".local/state",
}

MEMORY = "/dev/shm"
ROOM = 4 << 30
"""Bytes that must be free there: a run of the suite fills some hundred megabytes, and three are kept."""


def in_memory() -> str | None:
    """A folder for temporary files that costs no disk: a sync takes milliseconds on a disk, and the suite makes many.

    No test sees a difference. What a process has written outlives a SIGKILL on either, and what outlives a loss of
    power can be tested on neither. `PYTEST_DEBUG_TEMPROOT` or `--basetemp` name another place.
    """
    try:
        found = os.statvfs(MEMORY)
    except (AttributeError, OSError):
        return None
    usable = os.access(MEMORY, os.W_OK | os.X_OK) and not found.f_flag & os.ST_NOEXEC
    return MEMORY if usable and found.f_bavail * found.f_frsize >= ROOM else None


if _memory := in_memory():
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", _memory)
# Where no bytecode is written, each worker rewrites the asserts of two hundred files, and each child compiles Rowsmith.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Deadlines measure the machine, which others use too.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def guarded_start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that makes every Python process with it on its path import the guard first."""
    folder = tmp_path_factory.mktemp("guard")
    shutil.copy(network_guard.__file__, folder / "sitecustomize.py")
    return folder


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """Processes that start quickly and may be killed."""
    from engine.child import Nursery

    made = Nursery()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch, guarded_start: Path) -> Iterator[None]:
    """Fail a test that tries to reach another machine, even if it swallows the error; processes it starts cannot."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(guarded_start), os.environ.get("PYTHONPATH")))))
    network_guard.attempts.clear()
    yield
    tried, network_guard.attempts[:] = list(network_guard.attempts), []
    assert not tried, f"the test tried to reach beyond loopback: {', '.join(tried)}"


@pytest.fixture(autouse=True)
def a_machine_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment without keys, addresses and proxies, an empty home, and an empty current folder: `tmp_path`."""
    for name in list(os.environ):
        if PRIVATE.fullmatch(name):
            monkeypatch.delenv(name)
    home = tmp_path.with_name(f"{tmp_path.name}-home")
    home.mkdir()
    for name, folder in HOMES.items():
        monkeypatch.setenv(name, str(home / folder))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def scripted_server() -> Iterator[Callable[..., ScriptedServer]]:
    """Starts scripted servers: takes what `ScriptedServer` takes, and stops them when the test ends."""
    from rowsmith.testing import ScriptedServer

    with ExitStack() as running:
        yield lambda *args, **options: running.enter_context(ScriptedServer(*args, **options))
