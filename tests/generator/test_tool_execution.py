"""Calls that are really carried out: in processes of their own, and by MCP servers; also those that fail."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from engine.child import Job, Journal, Kill, Nursery, armed
from rowsmith import ConfigError, DataSetGenerator, OfflineProvider
from rowsmith.engine.events import CallMade, Event
from rowsmith.testing import ScriptedServer
from rowsmith.testing.calls import Call
from rowsmith.tools.mcp_server import MCPServer

from . import tool_functions as functions
from .test_tool_calling import TOPICS, entries, entry, is_first
from .toolkit import WEATHER, calls_of, generator, require_in_turn, require_valid

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing is carried out on Windows")
Services = Callable[..., ScriptedServer]
SHOP = Path(__file__).with_name("mcp_shop.py")


def executing(*tools: Any, **settings: Any) -> DataSetGenerator:
    return generator([*tools], tool_results="executed", **settings)


# -- good calls -------------------------------------------------------------------------------------------------------


def test_the_results_are_what_the_functions_return() -> None:
    made = executing(functions.add, functions.mean, max_tool_steps=2)
    rows = made.create_data(40, 4, TOPICS).to_list()
    assert len(rows) == 40
    assert require_valid(rows, rows[0]["tools"]) >= 80
    assert {tool["function"]["name"] for tool in rows[0]["tools"]} == {"add", "mean"}
    assert rows[0]["tools"][1]["function"]["parameters"]["properties"]["numbers"]["description"] == "any."
    for row in rows:
        results = {m["tool_call_id"]: m["content"] for m in row["messages"] if m["role"] == "tool"}
        for message in row["messages"]:
            for call in message.get("tool_calls") or ():
                arguments = json.loads(call["function"]["arguments"])
                value = getattr(functions, call["function"]["name"])(**arguments)
                assert json.loads(results[call["id"]]) == pytest.approx(value)
        assert row["metadata"]["tool_errors"] == []
        assert row["metadata"]["tool_results"] == "executed"


def test_a_function_without_a_module_is_carried_out_too() -> None:
    pytest.importorskip("cloudpickle")
    offset = 7

    def shifted(number: int) -> int:
        """Shift a number."""
        return number + offset

    (row,) = executing(shifted, max_parallel_calls=1).create_data(1, 1, TOPICS)
    ((_, arguments),) = calls_of(row)
    assert row["messages"][2]["content"] == str(arguments["number"] + 7)


# -- calls that fail --------------------------------------------------------------------------------------------------

BAD = [("hang", {"seconds": 60}), ("fail", {"words": "no such city"}), ("end", {"code": 3})]
ALL = (functions.add, functions.hang, functions.fail, functions.end)


def one_bad_of_each(call: Call) -> str:
    """Five requests, of which three call tools that hang, raise and end; those that are asked for again do not."""
    if not is_first(call):
        return orjson.dumps({"answer": f"That is it, after {call.prompt.count('error')} errors."}).decode()
    count = int(call.prompt.split()[1])
    if count == 5:
        good = [entry(f"Good {number}?", ("add", {"a": number, "b": 1})) for number in range(2)]
        bad = [entry(f"Bad {name}?", ("add", {"a": 0, "b": 0}), (name, arguments)) for name, arguments in BAD]
        return entries(*good, *bad)
    return entries(*(entry(f"Later {number}?", ("add", {"a": 5, "b": number})) for number in range(count)))


async def test_a_tool_that_hangs_raises_or_ends_costs_one_row_each(services: Services) -> None:
    services(one_bad_of_each)
    began = time.monotonic()
    made = executing(*ALL, model_name="openai/gpt-4", tool_timeout=2.0)
    rows = (await made.create_data_async(5, 5, ["Numbers"])).to_list()
    assert time.monotonic() - began < 40
    assert sorted(row["question"] for row in rows) == ["Good 0?", "Good 1?", "Later 0?", "Later 1?", "Later 2?"]
    assert [row["gate"] for row in made.rejected] == ["tool_error"] * 3
    reasons = sorted(row["reason"] for row in made.rejected)
    assert reasons[0].startswith("end failed (crashed): ")
    assert reasons[1] == "fail failed (raised): LookupError: no such city"
    assert reasons[2].startswith("hang failed (timeout): ")
    assert made.get_generation_stats().error_categories == {"tool_crashed": 1, "tool_raised": 1, "tool_timeout": 1}


async def test_kept_failures_are_results_to_which_the_assistant_answers(services: Services) -> None:
    server = services(one_bad_of_each)
    made = executing(*ALL, model_name="openai/gpt-4", tool_timeout=2.0, tool_errors="keep")
    rows = {row["question"]: row for row in await made.create_data_async(5, 5, ["Numbers"])}
    assert len(rows) == 5
    assert len(made.rejected) == 0
    kinds = {"hang": "timeout", "fail": "raised", "end": "crashed"}
    for name, kind in kinds.items():
        row = rows[f"Bad {name}?"]
        require_in_turn(row["messages"])
        good, bad = row["messages"][1]["tool_calls"]
        assert row["metadata"]["tool_errors"] == [{"tool_call_id": bad["id"], "name": name, "kind": kind}]
        results = {m["tool_call_id"]: m["content"] for m in row["messages"] if m["role"] == "tool"}
        assert results[good["id"]] == "0"
        assert set(json.loads(results[bad["id"]])) == {"error"}
        assert any(results[bad["id"]] in call.prompt for call in server.calls)
    assert rows["Good 1?"]["metadata"]["tool_errors"] == []
    assert made.get_generation_stats().error_categories == {"tool_crashed": 1, "tool_raised": 1, "tool_timeout": 1}


def test_a_tool_that_always_fails_gives_no_row_and_the_reason() -> None:
    from rowsmith import ValidationError

    made = executing(functions.fail, max_rounds=1)
    with pytest.raises(ValidationError) as caught:
        made.create_data(2, 2, ["Numbers"])
    assert set(caught.value.reasons) == {"tool_error"}
    assert sum(caught.value.reasons.values()) == 4


# -- nothing is carried out that is not to be -------------------------------------------------------------------------


async def test_an_estimate_carries_nothing_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = tmp_path / "notes"
    monkeypatch.setenv("NOTES", str(notes))
    made = executing(functions.note, tool_env=["NOTES"], max_requests=1000)
    assert await made._issues(None, calls=True, num_steps=50, batch_size=5, topics=TOPICS, topic_model=None) == []
    assert not notes.exists()
    few = executing(functions.note, tool_env=["NOTES"], max_requests=20)
    issues = await few._issues(None, calls=True, num_steps=50, batch_size=5, topics=TOPICS, topic_model=None)
    assert "max_requests" in str(issues)
    await made.create_data_async(2, 2, TOPICS)
    assert notes.read_text()


def test_a_changed_function_is_refused_on_the_same_output(tmp_path: Path) -> None:
    pytest.importorskip("cloudpickle")
    output = tmp_path / "rows.jsonl"

    def made(body: str) -> Any:
        (tmp_path / "shifting.py").write_text(f"def shifted(number: int) -> int:\n    return {body}\n")
        return executing(f"{tmp_path / 'shifting.py'}:shifted")

    made("number + 1").create_data(2, 2, TOPICS, output_file=output)
    with pytest.raises(Exception, match="  tools: was"):
        made("number + 2").create_data(2, 2, TOPICS, output_file=output)


def test_what_cannot_be_carried_out_is_refused_by_its_name() -> None:
    with pytest.raises(ConfigError, match="'get_weather' cannot be executed"):
        executing(functions.add, WEATHER)


def test_batches_of_a_service_and_calls_that_are_carried_out_do_not_go_together(services: Services) -> None:
    from rowsmith.engine.options import Options

    server = services()
    made = executing(functions.add, model_name="openai/gpt-4")
    with pytest.raises(ConfigError, match="calls that are executed cannot be handed in for a batch"):
        made.create_data(2, 2, TOPICS, options=Options(batch=True))
    assert server.count == 0


# -- kills ------------------------------------------------------------------------------------------------------------

ROWS = 60
WINDOW = 2.0
"""Seconds before a kill in which a result may have come and not been committed: 0.05, and more on a busy machine."""


def carry_out(job: Job) -> None:
    """Make the rows, or the rest of them; write down each call that was carried out."""
    journal = Journal(job.folder)
    journal.add("start")
    os.environ["NOTES"] = str(job.folder / "notes")
    killing = armed(job.kill, journal)

    def listener(event: Event) -> None:
        if isinstance(event, CallMade) and event.role == "tool" and not event.replayed:
            journal.add("answered", f"{event.cell.number}:{event.ordinal}")
        killing(event)

    made = executing(
        functions.note,
        functions.add,
        model_name=OfflineProvider(latency=0.002),
        max_tool_steps=3,
        tool_env=["NOTES"],
        **job.settings,
    )
    rows = made.create_data(ROWS, 3, TOPICS, output_file=job.folder / "rows.jsonl", listeners=[listener])
    assert len(rows) == ROWS


@pytest.fixture(scope="module")
def unkilled(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("unkilled")
    assert nursery.finish(Job(folder, settings={"max_concurrency": 1}, work=carry_out)) == 0
    notes = Counter((folder / "notes").read_text().splitlines())
    assert max(notes.values()) == 1
    return (folder / "rows.jsonl").read_bytes()


@pytest.mark.parametrize("concurrency", [1, 64])
def test_kills_change_no_row_and_nothing_that_was_done_is_done_again(
    tmp_path: Path, unkilled: bytes, nursery: Nursery, concurrency: int
) -> None:
    settings = {"max_concurrency": concurrency}
    drawn = random.Random(concurrency)
    kills = 0
    for _ in range(6):
        kill = Kill(*drawn.choice([("CallMade", drawn.randrange(1, 60)), ("CellFinished", drawn.randrange(1, 4))]))
        kills += nursery.finish(Job(tmp_path, kill, settings=settings, work=carry_out)) == -9
    assert nursery.finish(Job(tmp_path, settings=settings, work=carry_out)) == 0
    assert kills >= 3
    assert (tmp_path / "rows.jsonl").read_bytes() == unkilled
    assert max(Journal(tmp_path).bought_again(), default=0.0) < WINDOW
    notes = Counter((tmp_path / "notes").read_text().splitlines())
    again = sum(count - 1 for count in notes.values())
    # What a kill found in flight, or not yet committed, is done once more: four calls are carried out at once.
    assert again <= 12 * kills
    assert again < len(notes)


# -- an MCP server ----------------------------------------------------------------------------------------------------


def shop(*args: str, **settings: Any) -> MCPServer:
    pytest.importorskip("mcp")
    return MCPServer(command=sys.executable, args=[str(SHOP), *args], **settings)


def test_an_mcp_server_is_asked_for_its_tools_and_carries_out_their_calls(tmp_path: Path) -> None:
    made = executing(shop("sdk"), functions.add, tool_errors="keep", max_tool_steps=2)
    rows = made.create_data(12, 4, TOPICS, output_file=tmp_path / "rows.jsonl").to_list()
    assert len(rows) == 12
    assert [tool["function"]["name"] for tool in rows[0]["tools"]] == ["stock", "total", "add"]
    assert require_valid(rows, rows[0]["tools"]) >= 24
    for row in rows:
        errors = {error["tool_call_id"] for error in row["metadata"]["tool_errors"]}
        results = {m["tool_call_id"]: m for m in row["messages"] if m["role"] == "tool"}
        for call in (call for message in row["messages"] for call in message.get("tool_calls") or ()):
            arguments = json.loads(call["function"]["arguments"])
            result = results[call["id"]]["content"]
            if call["function"]["name"] == "total":
                assert float(result) == pytest.approx(sum(arguments["prices"]))
            # Nobody sells what the offline provider asks for.
            assert (call["id"] in errors) == (call["function"]["name"] == "stock")
    before = (tmp_path / "rows.jsonl").read_bytes()
    again = executing(shop("sdk"), functions.add, tool_errors="keep", max_tool_steps=2)
    again.create_data(12, 4, TOPICS, output_file=tmp_path / "rows.jsonl")
    assert (tmp_path / "rows.jsonl").read_bytes() == before
    assert again.get_generation_stats().calls == 0


def test_a_server_is_not_started_before_data_is_made_and_its_faults_come_before_any_call(services: Services) -> None:
    pytest.importorskip("mcp")
    server = services()
    made = executing(MCPServer(command="no-such-program"), model_name="openai/gpt-4")
    assert made.validate_configuration(calls=False, num_steps=2, topics=TOPICS) == []
    with pytest.raises(ConfigError, match="no-such-program"):
        made.create_data(2, 2, TOPICS)
    assert "no-such-program" in str(made.validate_configuration(num_steps=2, topics=TOPICS))
    assert [call for call in server.calls if is_first(call)] == []


async def test_the_tools_of_a_server_can_be_simulated_too(services: Services) -> None:
    services()
    rows = (
        await generator([shop(only=["total"])], model_name="openai/gpt-4").create_data_async(3, 3, TOPICS)
    ).to_list()
    assert {name for row in rows for name, _ in calls_of(row)} == {"total"}
    assert require_valid(rows, rows[0]["tools"])
