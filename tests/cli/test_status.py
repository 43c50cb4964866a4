"""`rowsmith status` and `rowsmith resume`, of runs in every state."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from rowsmith.testing import ScriptedServer

from .conftest import CLASSIFICATION, Cli, never_the_same, until, with_server

Servers = Callable[..., ScriptedServer]

SCRIPT = """
from rowsmith import ClassificationDataset, ClassificationDatasetConfig
classes = [{"name": "a", "description": "one"}, {"name": "b", "description": "other"}]
config = ClassificationDatasetConfig(classes=classes, output_file="rows.jsonl")
ClassificationDataset(config).generate("offline")
"""


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_a_run_that_is_going_on_is_looked_at_without_disturbing_it(cli: Cli, scripted_server: Servers) -> None:
    server = scripted_server(never_the_same, latency=lambda call: 0.0 if call.number < 4 else 0.3)
    cli.write(with_server(server, more=["target_rows: 100", "max_concurrency: 2"]))
    cli.env["OPENAI_API_KEY"] = "any"
    process = cli.start("run", "job.yaml")
    until(lambda: server.count >= 6, "six calls")
    state = cli("status", "rows.run")
    second = cli("run", "job.yaml")
    out, err = process.communicate(timeout=60)
    assert f"rows.jsonl: running (process {process.pid} " in state.stdout, state.stderr
    assert " of 100\n" in state.stdout
    assert " done, " in state.stdout
    assert " open\n" in state.stdout
    assert second.returncode == 1
    assert f"is being written by process {process.pid}" in second.stderr
    assert process.returncode == 0, err
    assert "rows.jsonl: 100 rows, complete" in out
    assert server.count == 20


def test_status_tells_what_lacks_and_for_whom(cli: Cli, scripted_server: Servers) -> None:
    server = scripted_server(lambda call: "no" if 'class "positive"' in call.prompt else never_the_same(call))
    cli.write(with_server(server, more=["max_rounds: 0"]))
    assert cli("run", "job.yaml", OPENAI_API_KEY="any").returncode == 3
    state = cli("status", "rows.jsonl")
    assert state.returncode == 0
    assert "rows.jsonl: ended, with rows lacking" in state.stdout
    assert "rows     10 of 20" in state.stdout
    assert "cells    2 done, 2 short" in state.stdout
    assert "10 rows lack:" in state.stdout
    assert "5 of label positive, language fr, model openai/scripted: invalid (1)" in state.stdout
    assert "What was refused stands in rows.run/rejected.jsonl." in state.stdout
    assert "no price is known for openai/scripted" in state.stdout


def test_status_writes_nothing(cli: Cli) -> None:
    cli.write(CLASSIFICATION)
    cli("run", "job.yaml", "--llm", "offline")
    before = digests(cli.folder / "rows.run")
    assert cli("status", "rows.jsonl").returncode == 0
    after = digests(cli.folder / "rows.run")
    assert {name: after[name] for name in before} == before


def test_a_run_that_python_began_is_looked_at_but_not_gone_on_with(cli: Cli) -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], cwd=cli.folder, env=cli.env, check=True, timeout=60)
    state = cli("status", "rows.jsonl")
    assert (state.returncode, state.stdout.splitlines()[0]) == (0, "rows.jsonl: complete")
    assert "rows     10 of 10" in state.stdout
    resumed = cli("resume", "rows.jsonl")
    assert resumed.returncode == 2
    assert "rows.run was begun from Python" in resumed.stderr
    assert "Run the same script again" in resumed.stderr


def test_a_run_that_has_been_moved_is_gone_on_with_where_it_is(cli: Cli) -> None:
    cli.write(CLASSIFICATION)
    cli("run", "job.yaml", "--llm", "offline")
    folder = cli.folder / "elsewhere"
    folder.mkdir()
    for name in ("rows.jsonl", "rows.run"):
        (cli.folder / name).rename(folder / name)
    resumed = cli("resume", "elsewhere/rows.jsonl")
    assert resumed.returncode == 0, resumed.stderr
    assert "elsewhere/rows.jsonl: 20 rows, complete" in resumed.stdout
    assert "nothing left to do" in resumed.stdout


def test_what_is_no_run_is_met_with_one_that_is(cli: Cli) -> None:
    cli.write(CLASSIFICATION)
    cli("run", "job.yaml", "--llm", "offline")
    for command in ("status", "resume"):
        mistyped = cli(command, "row.jsonl")
        assert mistyped.returncode == 2
        assert "'row.jsonl' does not exist" in mistyped.stderr
        assert "Did you mean 'rows.jsonl'?" in mistyped.stderr
        other = cli(command, "job.yaml")
        assert other.returncode == 2
        assert "'job.yaml' has no ledger beside it" in other.stderr


def test_a_ledger_that_is_none_is_an_error_and_left_alone(cli: Cli) -> None:
    folder = cli.folder / "rows.run"
    folder.mkdir()
    (folder / "ledger.sqlite").write_bytes(b"this is no database, and long enough to be taken for one" * 100)
    before = digests(folder)
    done = cli("status", "rows.run")
    assert done.returncode == 1
    assert "damaged or not SQLite" in done.stderr
    assert "Traceback" not in done.stderr
    assert digests(folder) == before
