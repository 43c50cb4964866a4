"""`rowsmith --help` and `--version`: what they say, and what they load."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys

import pytest

from .conftest import Cli

HEAVY = {"aiohttp", "json_repair", "multiprocessing", "orjson", "rich", "sqlite3", "yaml"}
LOADED = """
import json, sys
from rowsmith.cli import main
sys.argv = ["rowsmith", *{arguments}]
try:
    main()
except SystemExit as end:
    sys.stdout.write("\\n" + json.dumps([end.code, sorted(sys.modules)]))
"""


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["status", "--help"], ["rnu"]])
def test_it_loads_nothing_heavy(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(arguments=arguments)], capture_output=True, text=True, check=True
    )
    code, loaded = json.loads(done.stdout.rsplit("\n", 1)[-1])
    assert code == (2 if arguments == ["rnu"] else 0)
    assert "rowsmith.cli.run" in loaded
    assert HEAVY.isdisjoint(loaded)
    # Later releases of Typer convert the arguments of a command with pydantic themselves.
    assert "pydantic" not in loaded or arguments[0] in ("run", "status", "rnu")
    assert not [name for name in loaded if name.startswith(("rowsmith.engine", "rowsmith.datasets", "rowsmith.llm"))]


def test_help_names_every_command_and_the_exit_codes(cli: Cli) -> None:
    done = cli("--help")
    assert done.returncode == 0
    for word in ("run ", "demo ", "status ", "resume ", "--version", "Exit codes"):
        assert word in done.stdout
    assert "\x1b" not in done.stdout


def test_every_option_is_explained(cli: Cli) -> None:
    text = cli("run", "--help").stdout
    options = ("--llm", "--output", "--set", "--spread", "--fresh", "--max-concurrency", "--quiet", "--log-file")
    for option in options:
        assert option in text
    assert "provider/model" in text


def test_the_version_is_the_packages(cli: Cli) -> None:
    done = cli("--version")
    assert (done.returncode, done.stdout) == (0, f"rowsmith {importlib.metadata.version('rowsmith')}\n")
