"""Conversations that call tools of an MCP server, from a file: a real server, once written with the official SDK."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rowsmith.cli.state import look
from rowsmith.datasets.origin import origin_of
from rowsmith.engine.ledger import RunPaths
from rowsmith.testing import ScriptedServer

from .conftest import Cli, ended, until

pytest.importorskip("mcp")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing is carried out on Windows")
Servers = Callable[..., ScriptedServer]

TOOLS = '''\
import asyncio
import os
import sys
from pathlib import Path


async def note(text: str, number: int) -> str:
    """Write down that it was called."""
    with open(os.environ.get("NOTES", os.devnull), "a") as notes:
        notes.write(f"{number} {text!r}\\n")
    await asyncio.sleep(0.02)
    return f"noted {number} in {Path.cwd().name}"


def total(prices: list[float]) -> float:
    """The sum of prices."""
    return sum(prices)


'''
SERVER = f"""\
{TOOLS}
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from support.plain_mcp import serve

serve(note, total)
"""
SDK_SERVER = f"""\
{TOOLS}
from mcp.server.mcpserver import MCPServer

server = MCPServer("shop")
for tool in (note, total):
    server.add_tool(tool)
server.run()
"""
YAML = f"""\
dataset: generator
output_file: rows.jsonl
llms: [offline]
topics: [Files, Folders, Archives]
instructions: Be brief.
conversation_type: tool_calling
tools:
  - mcp: {{command: {sys.executable}, args: [server.py], env: {{NOTES: null}}, only: [note]}}
  - own.py:add
tool_results: executed
max_tool_steps: 2
num_steps: 24
batch_size: 4
"""
EXECUTOR = ("tools/functions", "tool")


@pytest.fixture
def job(cli: Cli) -> Cli:
    """A folder with the file, its server and its function."""
    cli.write(SERVER, "server.py")
    cli.write('def add(a: int, b: int) -> int:\n    """Add two numbers."""\n    return a + b\n', "own.py")
    cli.write(YAML)
    cli.env["NOTES"] = str(cli.folder / "notes")
    return cli


@pytest.fixture
def asked(job: Cli, scripted_server: Servers) -> ScriptedServer:
    """A model over HTTP that the file names: it counts what it is asked."""
    server = scripted_server()
    job.env["OPENAI_API_KEY"] = "any"
    change(job, "llms: [offline]", f'llms: [{{model: openai/writer, api_base: "{server.base_url}"}}]')
    return server


def change(cli: Cli, old: str, new: str, name: str = "job.yaml") -> None:
    text = (cli.folder / name).read_text()
    assert old in text
    cli.write(text.replace(old, new), name)


def rows(cli: Cli) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (cli.folder / "rows.jsonl").read_bytes().splitlines()]


def executions(folder: Path, name: str = "rows.jsonl") -> int:
    """How many the ledger has."""
    return look(RunPaths.of(folder / name)).spend[EXECUTOR].calls


def lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


# -- to the end --------------------------------------------------------------------------------------------------------


def test_a_file_with_a_server_is_run_from_anywhere(job: Cli, tmp_path: Path) -> None:
    job.write(SDK_SERVER, "server.py")
    (tmp_path / "elsewhere").mkdir()
    done = job("run", "../job.yaml", cwd=tmp_path / "elsewhere")
    assert done.returncode == 0, done.stderr
    made = rows(job)
    assert len(made) == 24
    assert [tool["function"]["name"] for tool in made[0]["tools"]] == ["note", "add"]
    results = [m["content"] for row in made for m in row["messages"] if m["role"] == "tool" and m["name"] == "note"]
    assert results
    assert all(text.endswith(f" in {tmp_path.name}") for text in results)
    again = job("run", "job.yaml")
    assert again.returncode == 0, again.stderr
    assert "nothing left to do" in again.stdout


def test_killed_in_the_middle_it_goes_on_and_no_recorded_execution_is_made_again(job: Cli, tmp_path: Path) -> None:
    change(job, "  - own.py:add\n", "")  # all executions are written down
    assert job("run", "job.yaml", "-o", "whole.jsonl", NOTES=str(tmp_path / "all")).returncode == 0
    of_all = executions(tmp_path, "whole.jsonl")
    assert lines(tmp_path / "all") == of_all
    process = job.start("run", "job.yaml")
    until(lambda: lines(tmp_path / "notes") >= of_all // 2, "half of the executions")
    process.send_signal(signal.SIGKILL)
    ended(process)
    recorded = executions(tmp_path)
    assert 0 < recorded < of_all
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "job.yaml").unlink()  # the run's folder knows all that is needed
    done = job("resume", "../rows.jsonl", cwd=tmp_path / "elsewhere", NOTES=str(tmp_path / "rest"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "rows.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert lines(tmp_path / "rest") == of_all - recorded


def test_topics_are_built_before_rows_whose_tools_a_server_lists_and_a_sample_asks_it_too(job: Cli) -> None:
    change(job, "topics: [Files, Folders, Archives]", "topics: {topic_prompt: Disks, degree: 2, depth: 2}")
    told = job("estimate", "job.yaml")
    assert "first    6 topics are built" in told.stdout, told.stderr
    done = job("sample", "job.yaml", "-n", "2")
    assert done.returncode == 0, done.stderr
    assert executions(job.folder) > 0
    done = job("run", "job.yaml")
    assert done.returncode == 0, done.stderr
    assert len({row["topic"] for row in rows(job)}) == 4
    assert job("run", "job.yaml", "--set", "num_steps=28").returncode == 0
    assert len(rows(job)) == 28


# -- before a run ------------------------------------------------------------------------------------------------------


def test_a_check_without_calls_starts_no_server_and_one_with_calls_does(job: Cli, asked: ScriptedServer) -> None:
    change(job, "args: [server.py]", "args: [gone.py]")
    quiet = job("check", "job.yaml", "--no-calls")
    assert quiet.returncode == 0, quiet.stdout
    assert "24 rows from 3 cells" in quiet.stdout
    assert f"MCP server '{sys.executable}' must be asked for tools first" in " ".join(quiet.stdout.split())
    loud = job("check", "job.yaml")
    assert loud.returncode == 1
    assert "gone.py" in loud.stdout
    change(job, "args: [gone.py]", "args: [server.py]")
    good = job("check", "job.yaml")
    assert good.returncode == 0, good.stdout
    assert "2 tools: note, add" in good.stdout
    assert "tools/functions  tool" in good.stdout
    assert not (job.folder / "notes").exists()
    assert asked.count == 2  # two checks, one tiny question each


def test_a_variable_that_is_to_be_passed_on_and_is_not_set_is_said(job: Cli) -> None:
    change(job, "env: {NOTES: null}", "env: {NOT_SET_ANYWHERE: null}")
    checked = job("check", "job.yaml")
    assert checked.returncode == 1
    assert "env passes on 'NOT_SET_ANYWHERE', which is not set" in " ".join(checked.stdout.split())
    done = job("run", "job.yaml")
    assert done.returncode == 2
    assert "env passes on 'NOT_SET_ANYWHERE', which is not set" in done.stderr


LISTED, BUILT = "topics: [Files, Folders, Archives]", "topics: {topic_prompt: Disks, degree: 2}"


@pytest.mark.parametrize(
    ("command", "topics"), [("run", LISTED), ("run", BUILT), ("estimate", BUILT), ("sample", BUILT)]
)
def test_a_server_that_ends_is_told_of_with_its_words_before_any_model_is_asked(
    job: Cli, asked: ScriptedServer, command: str, topics: str
) -> None:
    change(job, "topics: [Files, Folders, Archives]", topics)
    job.write("import sys\nsys.exit('this shop has no licence')\n", "server.py")
    done = job(command, "job.yaml")
    assert done.returncode == 2
    assert "it said: this shop has no licence" in done.stderr
    assert asked.count == 0
    assert not list(job.folder.glob("*.run"))


def test_a_command_that_is_not_there_is_told_of(job: Cli, asked: ScriptedServer) -> None:
    change(job, f"command: {sys.executable}", "command: no-such-program")
    done = job("run", "job.yaml")
    assert done.returncode == 2
    assert "MCP server 'no-such-program': there is no such program" in done.stderr
    assert asked.count == 0
    assert not list(job.folder.glob("*.run"))


def test_a_server_with_other_tools_is_refused_on_the_same_output(job: Cli) -> None:
    assert job("run", "job.yaml", "--max-requests", "30").returncode == 3
    before = (job.folder / "rows.jsonl").read_bytes()
    notes = lines(job.folder / "notes")
    change(job, "Write down that it was called.", "Forget it.", "server.py")
    for words in (("run", "job.yaml"), ("resume", "rows.jsonl")):
        done = job(*words)
        assert done.returncode == 1
        assert "rows.jsonl was made by another configuration. Changed:" in done.stderr
        assert "  tools: was " in done.stderr
    assert "rows.jsonl was made by another configuration" in " ".join(job("check", "job.yaml").stdout.split())
    assert (job.folder / "rows.jsonl").read_bytes() == before
    assert lines(job.folder / "notes") == notes
    assert job("run", "job.yaml", "--fresh").returncode == 0


# -- paths and keys ----------------------------------------------------------------------------------------------------


def test_a_servers_folder_starts_at_the_files_folder_and_its_program_there(job: Cli, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "elsewhere").mkdir()
    start = tmp_path / "shop" / "start"
    start.write_text(f'#!/bin/sh\nexec {sys.executable} ../server.py "$@"\n')
    start.chmod(0o755)
    change(job, f"command: {sys.executable}, args: [server.py]", "command: ./start, args: [8080], cwd: shop")
    done = job("run", "../job.yaml", "--max-requests", "30", cwd=tmp_path / "elsewhere")
    assert done.returncode == 3, done.stderr
    done = job("resume", "rows.jsonl", "--max-requests", "1000")
    assert done.returncode == 0, done.stderr
    results = [m["content"] for row in rows(job) for m in row["messages"] if m.get("name") == "note"]
    assert results
    assert all(text.endswith(" in shop") for text in results)


def test_the_environment_of_a_server_is_kept_nowhere(job: Cli) -> None:
    planted = "env: {NOTES: null, SHOP_PIN: 4711471147, LOW: open sesame}"
    change(job, "env: {NOTES: null}", planted)
    change(job, "args: [server.py]", "args: [server.py, --token=sk-planted-among-the-arguments]")
    done = job("run", "job.yaml", "--max-requests", "30")
    assert done.returncode == 3, done.stderr
    assert "the same command (keys in job.yaml are not stored)" in done.stderr
    resumed = job("resume", "rows.jsonl")
    assert resumed.returncode == 2
    for name in ("env.SHOP_PIN", "env.LOW", "args.1"):
        assert f"tools.0.mcp.{name}" in resumed.stderr
    assert "stood in" in resumed.stderr
    done = job("run", "job.yaml")
    assert done.returncode == 0, done.stderr
    secrets = (b"4711471147", b"open sesame", b"sk-planted")
    files = [path for path in job.folder.rglob("*") if path.is_file() and path.name != "job.yaml"]
    assert RunPaths.of(job.folder / "rows.jsonl").ledger in files
    assert [path.name for path in files if any(one in path.read_bytes() for one in secrets)] == []
    card = origin_of(job.folder / "rows.jsonl")
    assert card is not None
    assert card.configuration is not None
    assert "SHOP_PIN: null" in card.configuration
    told = f"{card}".encode()
    assert not any(one in told for one in secrets)
    assert str(job.folder) not in card.configuration
    assert os.path.dirname(sys.executable) not in card.configuration  # noqa: PTH120
