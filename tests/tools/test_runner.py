"""Functions in processes of their own: whatever they do, a result comes back and the next call is served."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydantic
import pytest

from rowsmith.errors import ConfigError, ModelNotFoundError
from rowsmith.llm.provider import Provider
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Message, Request
from rowsmith.tools.result import ToolResult, tool_request
from rowsmith.tools.runner import ToolRunner
from rowsmith.tools.toolbox import Toolbox

from . import functions
from .asking import Asking, descendants, none_run

ALL = [
    one
    for name, one in vars(functions).items()
    if callable(one) and getattr(one, "__module__", "") == functions.__name__ and not isinstance(one, type)
]
NO_CALL = {"name": "schema_only", "description": "", "parameters": {"type": "object"}}
TOOLBOX = Toolbox.of([*ALL, NO_CALL])


def runner(**settings: Any) -> ToolRunner:
    return ToolRunner(TOOLBOX, **{"timeout": 20.0, "max_concurrency": 2, **settings})


@contextmanager
def a_fork() -> Iterator[None]:
    """A process that has all that this one has, and does nothing."""
    fork = os.fork()
    if fork == 0:
        time.sleep(60)
        os._exit(0)
    try:
        yield
    finally:
        os.kill(fork, signal.SIGKILL)
        os.waitpid(fork, 0)


RETURNED: dict[str, tuple[dict[str, Any], str]] = {
    "add": ({"a": 2, "b": 3}, "5"),
    "kind_of": (
        {"day": "2026-02-28", "colour": "blue", "place": {"name": "K2", "height": 8611}},
        '{"day": "date", "colour": "Colour", "place": "Place"}',
    ),
    "place": ({"name": "Zürich"}, '{"name": "Zürich", "height": null}'),
    "later": ({"seconds": 0.01}, "after 0.01"),
    "noisy": ({}, "read ''"),
    "nothing": ({}, "null"),
}
FAILED: dict[str, tuple[dict[str, Any], str, str]] = {
    "raises": ({"words": "no such city"}, "raised", "LookupError: no such city"),
    "raises_unprintable": ({}, "raised", "UnprintableError: (its message cannot be told: RuntimeError)"),
    "raises_half_a_character": ({}, "raised", "LookupError: ?"),
    "exits": ({}, "raised", "SystemExit: 3"),
    "eats": ({}, "memory", "it asked for more memory than there is for it"),
    "crashes": ({}, "crashed", "its process was ended by SIGSEGV"),
    "quits": ({"code": 7}, "crashed", "its process ended with code 7"),
    "writes_much": ({}, "raised", "OSError: [Errno 27] File too large"),
    "no_json": ({}, "raised", "TypeError: it returned a object, which JSON cannot hold"),
    "not_a_number": ({}, "raised", "TypeError: it returned a float, which JSON cannot hold"),
    "half_a_character": ({}, "raised", "UnicodeEncodeError"),
    "large": ({"size": 40_000}, "too_large", "its result has 80000 bytes, and 65536 are allowed"),
    "kind_of": ({"day": "someday"}, "invalid", "day: Input should be a valid date"),
    "add": ({"a": 1, "c": 2}, "invalid", "c: Unexpected keyword argument"),
    "schema_only": ({}, "refused", "schema_only: nothing carries it out: only its schema is known"),
    "unknown": ({}, "refused", "unknown: there is no such tool"),
}


async def test_what_a_function_returns_is_the_result() -> None:
    async with Transport() as transport:
        asking = Asking(runner(), transport)
        got = {name: await asking(name, **arguments) for name, (arguments, _) in RETURNED.items()}
    assert got == {name: ToolResult(ok=True, result=result) for name, (_, result) in RETURNED.items()}


async def test_whatever_a_function_does_is_a_result_and_the_next_call_is_served() -> None:
    async with Transport() as transport:
        asking = Asking(runner(max_concurrency=1), transport)
        for name, (arguments, kind, words) in FAILED.items():
            got = await asking(name, **arguments)
            assert (name, got.ok, got.kind) == (name, False, kind)
            assert got.error.startswith(words), name
            assert await asking("add", a=1) == ToolResult(ok=True, result="2")


async def test_a_call_past_its_time_is_ended_with_all_that_it_has_started_and_no_other_is(tmp_path: Path) -> None:
    note = tmp_path / "note"
    async with Transport() as transport:
        asking = Asking(runner(timeout=3.0, max_concurrency=4), transport)
        started = time.monotonic()
        *ended, other = await asyncio.gather(
            asking("hangs"), asking("spins"), asking("starts_another", note=str(note)), asking("later", seconds=1.0)
        )
        assert time.monotonic() - started < 30
        assert ended == [ToolResult.failed("timeout", "it gave no result within 3 s")] * 3
        assert other == ToolResult(ok=True, result="after 1")
        assert none_run(map(int, note.read_text().split()))
        assert (await asking("add", a=1)).result == "2"


async def test_a_worker_is_used_again_and_no_more_run_than_calls_are_allowed() -> None:
    async with Transport() as transport:
        asking = Asking(runner(max_concurrency=2), transport)
        (first,) = {(await asking("process")).result for _ in range(20)}
        processes = {got.result for got in await asyncio.gather(*(asking("process") for _ in range(30)))}
    assert first in processes
    assert len(processes) == 2


async def test_functions_do_not_see_the_keys_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-to-be-seen")
    monkeypatch.setenv("WEATHER_KEY", "for the tool")
    async with Transport() as transport:
        seen = json.loads((await Asking(runner(env=["WEATHER_KEY"]), transport)("environment")).result)
    assert "OPENAI_API_KEY" not in seen
    assert "sk-not-to-be-seen" not in seen.values()
    assert seen["WEATHER_KEY"] == "for the tool"
    allowed = {"HOME", "LANG", "LC_ALL", "LC_CTYPE", "PATH", "PYTHONPATH", "TZ"}
    assert set(seen) <= allowed | {"TMPDIR", "PYTHONHASHSEED", "MALLOC_ARENA_MAX", "WEATHER_KEY"}


async def test_functions_have_an_empty_folder_that_goes_with_their_worker() -> None:
    async with Transport() as transport:
        asking = Asking(runner(), transport)
        folder = Path((await asking("folder")).result)
        assert folder != Path.cwd()
        assert (folder / "left").exists()
    assert not folder.exists()  # noqa: ASYNC240  # nobody waits


async def test_sets_are_written_in_one_order_by_all_workers() -> None:
    async with Transport() as transport:
        asking = Asking(runner(), transport)
        first, second = await asyncio.gather(asking("several"), asking("several"))
    assert json.loads(first.result)["process"] != json.loads(second.result)["process"]
    assert json.loads(first.result)["words"] == json.loads(second.result)["words"]


async def test_no_process_is_left_when_the_transport_closes() -> None:
    before = descendants()
    async with Transport() as transport:
        asking = Asking(runner(), transport)
        await asyncio.gather(*(asking("add", a=number) for number in range(10)))
        assert descendants() - before
    assert descendants() == before


async def test_a_cancelled_call_ends_its_worker_and_the_rest_goes_on() -> None:
    before = descendants()
    async with Transport() as transport:
        asking = Asking(runner(max_concurrency=1), transport)
        assert (await asking("add", a=1)).ok
        task = asyncio.create_task(asking("hangs"))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await asking("add", a=1)).result == "2"
    assert descendants() == before


async def test_one_runner_serves_several_transports_each_with_its_own_workers() -> None:
    made = runner()
    async with Transport() as first, Transport() as second:
        here, there = await Asking(made, first)("process"), await Asking(made, second)("process")
        assert here.result != there.result
    async with Transport() as again:
        assert (await Asking(made, again)("add", a=1)).ok


async def test_a_thousand_calls_of_which_some_raise_and_some_hang_end_in_bounded_time() -> None:
    async with Transport() as transport:
        asking = Asking(runner(timeout=2.0, max_concurrency=4), transport)
        room = asyncio.Semaphore(8)

        async def call(number: int) -> ToolResult:
            async with room:
                return await asking("sometimes", number=number)

        started = time.monotonic()
        results = await asyncio.gather(*(call(number) for number in range(1000)))
        assert time.monotonic() - started < 90
    kinds = Counter(result.kind for result in results)
    assert kinds == {None: 897, "raised": 100, "timeout": 3}
    assert all(result.result == str(number * 2) for number, result in enumerate(results) if result.ok)


async def test_a_tool_that_writes_where_answers_come_from_has_crashed_and_the_next_is_served() -> None:
    async with Transport() as transport:
        asking = Asking(runner(max_concurrency=1), transport)
        for data in ("no json", '{"ok": 5}', "[]"):
            assert (await asking("meddles", data=data)).kind == "crashed"
            assert (await asking("add", a=1)).result == "2"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
async def test_a_fork_of_this_process_keeps_no_tool_alive() -> None:
    async with Transport() as transport:
        asking = Asking(runner(timeout=1.0), transport)
        assert (await asking("add", a=1)).ok
        call = asyncio.create_task(asking("hangs"))
        await asyncio.sleep(0.3)
        with a_fork():
            async with asyncio.timeout(40):
                assert (await call).kind == "timeout"
                assert (await asking("add", a=1)).ok


# --- how functions reach a worker -------------------------------------------------------------------------------------


async def test_a_closure_and_a_function_of_main_are_sent_as_they_are() -> None:
    pytest.importorskip("cloudpickle")
    factor = 7

    def times(number: int, place: functions.Place | None = None) -> int:
        return number * factor

    async with Transport() as transport:
        asking = Asking(ToolRunner(Toolbox.of([times])), transport)
        assert (await asking("times", number=6, place={"name": "here"})).result == "42"


@pytest.mark.skipif(tuple(map(int, pydantic.VERSION.split(".")[:3])) < (2, 11, 4), reason="it is refused there")
def test_a_script_s_own_functions_are_carried_out(tmp_path: Path) -> None:
    pytest.importorskip("cloudpickle")
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            from __future__ import annotations
            import asyncio
            from pydantic import BaseModel
            from rowsmith.llm.transport import Transport
            from rowsmith.llm.values import Request
            from rowsmith.tools.result import tool_request
            from rowsmith.tools.runner import ToolRunner
            from rowsmith.tools.toolbox import Toolbox

            class Point(BaseModel):
                x: int

            def doubled(point: Point) -> int:
                return helper(point.x)

            def helper(number: int) -> int:
                return 2 * number

            async def main():
                runner = ToolRunner(Toolbox.of([doubled]))
                async with Transport() as transport:
                    request = Request(tool_request("doubled", {"point": {"x": 4}}))
                    print((await runner.complete(runner.encode(request), transport)).text)

            if __name__ == "__main__":
                asyncio.run(main())
            """
        )
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ('{"ok": true, "result": "8"}\n', "")


@pytest.mark.parametrize("form", ["mine:shout", "mine.py:shout"])
async def test_a_function_that_is_named_as_text_is_carried_out(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text("def shout(text: str) -> str:\n    return text.upper()\n")
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    async with Transport() as transport:
        assert (await Asking(ToolRunner(Toolbox.of([form])), transport)("shout", text="ho")).result == "HO"
    sys.modules.pop("mine", None)


async def test_what_cannot_be_loaded_in_a_worker_stops_the_run_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_KEY", "x")
    (tmp_path / "needy.py").write_text(
        "import os\nos.environ['SERVICE_KEY']\ndef ask(text: str) -> str:\n    return text\n"
    )
    toolbox = Toolbox.of(["needy.py:ask"])
    async with Transport() as transport:
        with pytest.raises(ModelNotFoundError, match=r"'ask' cannot be loaded.*SERVICE_KEY.*env") as caught:
            await Asking(ToolRunner(toolbox), transport)("ask", text="x")
        assert caught.value.fatal
        assert caught.value.provider == "tools"
        assert (await Asking(ToolRunner(toolbox, env=("SERVICE_KEY",)), transport)("ask", text="x")).ok


async def test_a_module_that_ends_its_process_is_tried_a_few_times_and_then_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "fatal.py").write_text(
        "import os\nif 'TMPDIR' in os.environ:\n    os._exit(9)\ndef ask(text: str) -> str:\n    return text\n"
    )
    os.environ.pop("TMPDIR", None)
    async with Transport() as transport:
        asking = Asking(ToolRunner(Toolbox.of(["fatal.py:ask"])), transport)
        fatal = []
        for _ in range(3):
            with pytest.raises(Exception, match="ended with code 9") as caught:
                await asking("ask", text="x")
            fatal.append(getattr(caught.value, "fatal", None))
    assert fatal == [False, False, True]


# --- the provider -----------------------------------------------------------------------------------------------------


def test_it_is_a_provider_that_costs_nothing() -> None:
    made = runner()
    assert isinstance(made, Provider)
    assert made.limits.max_concurrency == 2
    assert (made.token_prices.input, made.token_prices.output) == (0, 0)
    json.dumps(made.describe())
    hash(made)


def test_equal_requests_have_equal_bytes_and_an_edited_function_has_others() -> None:
    def version(body: str) -> Any:
        space: dict[str, Any] = {}
        exec(f"def tool(a: int) -> int:\n    return {body}\ndef other(a: int) -> int:\n    return a", space)
        return ToolRunner(Toolbox.of([functions.add, space["tool"]]))

    first, same, edited = version("a + 1"), version("a + 1"), version("a + 2")
    asked = Request(tool_request("tool", {"a": 1, "b": 2}))
    turned = Request(tool_request("tool", {"b": 2, "a": 1}))
    assert first.encode(asked) == first.encode(turned) == same.encode(asked) != edited.encode(asked)
    other = Request(tool_request("add", {"a": 1}))
    assert first.encode(other) == edited.encode(other)


async def test_a_copy_works_by_itself() -> None:
    made = ToolRunner(Toolbox.of([functions.add]))
    async with Transport() as transport:
        assert (await Asking(made, transport)("add", a=1)).ok
        for twin in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
            assert twin.describe() == made.describe()
            assert (await Asking(twin, transport)("add", a=1)).ok


def test_a_request_that_is_no_call_is_refused() -> None:
    with pytest.raises(ConfigError, match="tool_request"):
        runner().encode(Request((Message.user("Hello"),)))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"timeout": 0}, "timeout must be 0.001 seconds or more; it is 0"),
        ({"timeout": float("inf")}, "timeout must be"),
        ({"memory_mb": 64}, "memory_mb must be 128 MB or more; it is 64"),
        ({"max_concurrency": 0.5}, "max_concurrency must be 1 calls or more; it is 0.5"),
        ({"max_result_bytes": True}, "max_result_bytes must be"),
        ({"env": "HOME"}, "env must be a list"),
        ({"env": ["NOT_SET_ANYWHERE"]}, "env names 'NOT_SET_ANYWHERE', which is not set"),
    ],
)
def test_settings_out_of_their_range_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        runner(**settings)


@pytest.mark.parametrize("text", ["", "5", "{}", '{"ok": true}', '{"ok": false, "error": "x", "kind": "odd"}'])
def test_what_is_no_result_is_not_taken_for_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"no result of a tool|Expecting value"):
        ToolResult.of(text)


def test_a_result_comes_back_from_its_text() -> None:
    for result in (ToolResult(ok=True, result='é"\n'), ToolResult.failed("timeout", "too long")):
        assert ToolResult.of(result.text) == result
