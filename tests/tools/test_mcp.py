"""Tools of MCP servers: listed, called, and what a server does that misbehaves. All servers are real processes."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp")

from rowsmith.errors import ConfigError, MissingDependencyError, ModelNotFoundError
from rowsmith.llm.transport import Transport
from rowsmith.tools.mcp_server import MCPServer
from rowsmith.tools.result import ToolResult
from rowsmith.tools.runner import ToolRunner
from rowsmith.tools.toolbox import Toolbox

from .asking import Asking, descendants, none_run, runs

HERE = Path(__file__).parent
LONG = 20.0


def sdk(**settings: Any) -> MCPServer:
    return MCPServer(command=sys.executable, args=[str(HERE / "shop_server.py"), "sdk"], **settings)


def plain(**settings: Any) -> MCPServer:
    """The same shop, which starts at once."""
    return MCPServer(command=sys.executable, args=[str(HERE / "shop_server.py"), "plain"], **settings)


def raw(how: str, *more: str, **settings: Any) -> MCPServer:
    return MCPServer(command=sys.executable, args=[str(HERE / "raw_server.py"), how, *more], **settings)


async def box(*given: Any) -> Toolbox:
    return await Toolbox.of(given).listed()


# --- servers as they should be ----------------------------------------------------------------------------------------


async def test_the_tools_of_a_server_are_known_once_it_was_asked() -> None:
    before = descendants()
    waiting = Toolbox.of([plain(only=["stock", "add"])])
    assert waiting.needs_listing
    with pytest.raises(ConfigError, match=r"not known yet: await `listed\(\)` first"):
        _ = waiting.tools
    listed = await waiting.listed()
    assert not listed.needs_listing
    assert [tool.name for tool in listed.tools] == ["stock", "add"]
    add = listed.tool("add")
    assert add.description == "Add two numbers."
    assert add.fault({"a": 1, "b": 2}) is None
    assert add.fault({"a": 1}) == "arguments: 'b' is required (received: a mapping with 'a')"
    assert listed.executable("add")
    assert descendants() == before


async def test_calls_of_one_run_go_to_one_process_until_one_takes_too_long_and_all_end_with_the_run() -> None:
    before = descendants()
    async with Transport() as transport:
        toolbox = await box(sdk())
        assert toolbox.tool("add").description == "Add two numbers."
        assert toolbox.tool("add").fault({"a": 1}) == "arguments: 'b' is required (received: a mapping with 'a')"
        asking = Asking(ToolRunner(toolbox, timeout=3.0), transport)
        assert await asking("add", a=1, b=2) == ToolResult(ok=True, result="3")
        assert json.loads((await asking("stock", item="pear")).result) == {"item": "pear", "count": 3}
        assert await asking("refuses", words="sold out") == ToolResult.failed(
            "raised", "Error executing tool refuses: sold out"
        )
        got = await asking("add", a="x", b=1)
        assert (got.ok, got.kind) == (False, "raised")
        assert (await asking("picture")).result == "[image: image/png]"
        assert (await asking("long", size=60_000)).kind == "too_large"
        process = (await asking("process")).result
        # One after the other they would take too long.
        hung, *others = await asyncio.gather(asking("hangs"), *(asking("process", seconds=1.0) for _ in range(4)))
        assert hung == ToolResult.failed("timeout", "it gave no result within 3 s")
        assert others == [ToolResult(ok=True, result=process)] * 4
        assert int((await asking("process")).result) != int(process)
    assert descendants() == before


async def test_a_server_sees_the_environment_that_it_was_given_and_no_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-to-be-seen")
    monkeypatch.setenv("PASSED", "on")
    server = plain(env={"SHOP_KEY": "open sesame", "PASSED": None}, cwd=str(tmp_path))
    async with Transport() as transport:
        *names, value_and, folder = (
            (await Asking(ToolRunner(await box(server)), transport)("environment")).result.replace("open sesame", "!")
        ).split()
    assert (value_and, folder) == ("!", str(tmp_path))
    assert {"SHOP_KEY", "PASSED", "PATH"} <= set(names)
    assert "OPENAI_API_KEY" not in names


async def test_keys_of_a_server_are_nowhere_to_be_read() -> None:
    toolbox = await box(plain(env={"SHOP_KEY": "open sesame"}))
    runner = ToolRunner(toolbox)
    for shown in (repr(toolbox), repr(runner), json.dumps(runner.describe()), str(toolbox.entries[0])):
        assert "open sesame" not in shown
    told = json.dumps(Toolbox.of([raw("x", "--key", "sk-abcdefgh1234")]).describe())
    assert "sk-abcdefgh1234" not in told


async def test_a_server_that_dies_costs_the_call_that_it_died_of_and_no_other() -> None:
    async with Transport() as transport:
        asking = Asking(ToolRunner(await box(plain()), timeout=LONG), transport)
        others = [asking("process", seconds=0.3) for _ in range(3)]
        died, *served = await asyncio.gather(asking("dies", words="no memory left"), *others)
        assert died.kind == "crashed"
        assert "ended meanwhile; it said: no memory left" in died.error
        assert all(got.ok for got in served)
        assert (await asking("add", a=1, b=2)).result == "3"


def test_no_server_outlives_a_process_that_is_killed_while_it_hangs(tmp_path: Path) -> None:
    note = tmp_path / "note"
    code = f"""
import asyncio, sys
from rowsmith.llm.transport import Transport
from rowsmith.tools.mcp_server import MCPServer
from rowsmith.tools.runner import ToolRunner
from rowsmith.tools.toolbox import Toolbox
sys.path.insert(0, {str(HERE.parent)!r})
from tools.asking import Asking

async def main():
    args = [{str(HERE / "raw_server.py")!r}, "hangs when called", {str(note)!r}]
    server = MCPServer(command=sys.executable, args=args)
    async with Transport() as transport:
        await Asking(ToolRunner(await Toolbox.of([server]).listed()), transport)("act")

asyncio.run(main())
"""
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        deadline = time.monotonic() + 60
        while not note.exists() or len(note.read_text().split()) < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.5)
        pids = set(map(int, note.read_text().split()))
        assert any(runs(pid) for pid in pids)
    finally:
        process.kill()
        process.wait()
    assert none_run(pids)


# --- servers that misbehave -------------------------------------------------------------------------------------------


NOT_LISTED = {
    "dies at start": r"ended with code 3; it said: cannot open the database\.$",
    "says nothing": r"gave no answer within 2 s; it said: starting up\.$",
    "closes its output": r"closed its output\.$",
    "does not list": r"did not list its tools within 2 s",
    "endless pages": r"more than 1000 pages",
    "no tools": r"offers no tools",
    "odd name": r"'files/read'.* Name the tools that you want by only=",
    "bad schema": r"parameters of tool 'bad' are no valid JSON Schema: properties.x.type: ",
}


async def test_a_server_that_cannot_be_listed_is_an_error_that_says_why() -> None:
    async def refused(how: str, words: str) -> None:
        seconds = {"start_timeout": 2.0} if "within 2 s" in words else {}
        with pytest.raises(ConfigError, match=words):
            await box(raw(how, **seconds))

    await box(raw("well"))  # the SDK's client is imported now
    before = descendants()
    async with asyncio.timeout(50):
        await asyncio.gather(*(refused(how, words) for how, words in NOT_LISTED.items()))
    assert descendants() == before


async def test_a_command_that_is_not_there_is_an_error_that_says_so() -> None:
    with pytest.raises(ConfigError, match=r"MCP server 'no-such-server': there is no such program"):
        await box(MCPServer(command="no-such-server"))
    with pytest.raises(ConfigError, match=r"cannot be started.*no-such-folder"):
        await box(raw("well", cwd="/no-such-folder"))


async def test_without_the_sdk_no_server_is_left_and_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = descendants()
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(MissingDependencyError, match=r"rowsmith\[mcp\]"):
        await box(raw("well"))
    assert descendants() == before


async def test_a_variable_that_is_to_be_passed_on_must_be_set() -> None:
    with pytest.raises(ConfigError, match=r"env passes on 'NOT_SET_ANYWHERE', which is not set"):
        await box(raw("well", env={"NOT_SET_ANYWHERE": None}))


async def test_only_names_what_is_there() -> None:
    with pytest.raises(ConfigError, match=r"has no tool 'akt' \(only=…\)\. Did you mean 'act'\?"):
        await box(raw("well", only=["akt"]))
    assert [tool.name for tool in (await box(raw("odd name", only=["good"]))).tools] == ["good"]


async def test_all_pages_of_a_list_are_read() -> None:
    assert [tool.name for tool in (await box(raw("pages"))).tools] == [f"tool_{number}" for number in range(6)]


async def test_two_servers_with_one_name_of_a_tool_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"two tools are called 'act': one of MCP server .* and one of MCP server"):
        await box(raw("well"), raw("well"))


ANSWERED = {
    "well": ToolResult(ok=True, result="done"),
    "prints garbage": ToolResult(ok=True, result="done"),
    "does not end": ToolResult(ok=True, result="done"),
    "parts": ToolResult(ok=True, result="one\n[image: image/png]\ntwo\n[application/pdf: file:///b]\n[see: file:///c]"),
    "structured": ToolResult(ok=True, result='{"degrees": 21.5}'),
    "is error": ToolResult.failed("raised", "no such city"),
    "turns away": ToolResult.failed("refused", "unknown tool"),
}


async def test_what_a_server_answers_is_the_result(caplog: pytest.LogCaptureFixture) -> None:
    async def answer(how: str) -> ToolResult:
        return await Asking(ToolRunner(await box(raw(how))), transport)("act")

    before = descendants()
    with caplog.at_level(logging.WARNING):
        async with Transport() as transport:
            got = await asyncio.gather(*map(answer, ANSWERED))
    assert dict(zip(ANSWERED, got, strict=True)) == ANSWERED
    assert descendants() == before
    assert not caplog.records


async def test_an_answer_that_is_none_is_refused() -> None:
    async with Transport() as transport:
        got = await Asking(ToolRunner(await box(raw("no result"))), transport)("act")
    assert got.kind == "refused"
    assert got.error.startswith("its answer is none")


async def test_each_call_of_which_a_server_dies_is_a_result(tmp_path: Path) -> None:
    note = tmp_path / "note"
    async with Transport() as transport:
        asking = Asking(ToolRunner(await box(raw("dies when called", str(note)))), transport)
        for _ in range(4):
            got = await asking("act")
            assert got.kind == "crashed"
            assert got.error.endswith("ended meanwhile; it said: segmentation fault, nearly")
    assert none_run(map(int, note.read_text().split()))


async def test_a_server_that_dies_at_its_start_is_started_three_times_and_then_stops_the_run(tmp_path: Path) -> None:
    note = tmp_path / "note"
    toolbox = await box(raw("dies at the third start", str(note)))
    dying = raw("dies at start", str(note))
    object.__setattr__(toolbox.entries[0], "server", dying)
    note.unlink()
    async with Transport() as transport:
        with pytest.raises(ModelNotFoundError, match="ended with code 3; it said: cannot open the database") as caught:
            await Asking(ToolRunner(toolbox), transport)("act")
    assert caught.value.fatal
    assert caught.value.provider == "tools"
    assert len(note.read_text().split()) == 3


async def test_a_server_that_dies_at_two_starts_is_used_at_the_third(tmp_path: Path) -> None:
    note = tmp_path / "note"
    toolbox = await box(raw("well"))
    object.__setattr__(toolbox.entries[0], "server", raw("dies at the first two starts", str(note)))
    async with Transport() as transport:
        assert (await Asking(ToolRunner(toolbox), transport)("act")).ok


async def test_arguments_that_no_server_can_be_told_are_invalid() -> None:
    async with Transport() as transport:
        asking = Asking(ToolRunner(await box(raw("well"))), transport)
        assert (await asking("act", text="\ud800")).kind == "invalid"
        assert (await asking("act", text="é")).ok
