"""What a person sees while a run goes on."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO

import pytest
from rich.console import Console

from rowsmith.cli.progress import figures, picture, sentence
from rowsmith.cli.tally import Tally
from rowsmith.cli.terminal import columns, line, printable
from rowsmith.engine.events import (
    CallMade,
    CellFinished,
    CellStarted,
    Retry,
    RowAccepted,
    RowRejected,
    RowsWithdrawn,
    RunFinished,
    RunStarted,
    Waiting,
)
from rowsmith.engine.plan import Cell
from rowsmith.engine.report import Report
from rowsmith.engine.wording import count, duration, money, rate, short
from rowsmith.llm.values import Usage
from rowsmith.testing import ScriptedServer

from .conftest import COMMAND, Cli, never_the_same, with_server

CELL = Cell(7, 1, {}, 5, 0)
STARTED = RunStarted("out/rows.jsonl", 8, 2, 40, 10, ("openai/gpt-5-mini",))


class Watch:
    """A clock that stands still until it is told to go."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def call(*, cost: float | None = None, replayed: bool = False) -> CallMade:
    return CallMade(CELL, "writer", "openai/gpt-5-mini", Usage(1000, 200), cost, 1.0, replayed)


def some_way(watch: Watch) -> Tally:
    """Ten seconds into a run: ten rows were there before, ten are new, twenty lack."""
    tally = Tally(watch)
    for event in (STARTED, CellStarted(CELL), call(cost=0.01), call(cost=0.02), call(replayed=True)):
        tally(event)
    for _ in range(12):
        tally(RowAccepted(CELL, {}))
    tally(RowsWithdrawn(CELL, 2))
    tally(RowRejected(CELL, "duplicate", "again"))
    watch.now += 10
    return tally


def drawn(tally: Tally, width: int = 100) -> str:
    console = Console(file=StringIO(), width=width, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(picture(tally))
    return captured.get()


def test_the_figures_are_those_of_the_events() -> None:
    tally = some_way(Watch())
    assert (tally.rows, tally.calls, tally.replayed, tally.rejected) == (20, 2, 1, 1)
    assert tally.under_way == {7}
    assert tally.rates == (1.0, 0.2)
    assert tally.seconds_left == 20.0
    assert figures(tally) == [
        "2 calls",
        "0.2/s",
        "1 from the ledger",
        "2.0k tokens in, 400 out",
        "1 rejected",
        "$0.030",
    ]
    tally(CellFinished(CELL, "done", 5))
    tally(RunFinished(Report(rows=20)))
    assert tally.under_way == set()
    assert tally.report is not None


def test_the_cost_is_told_only_where_a_price_is_known() -> None:
    tally = Tally(Watch())
    tally(call())
    assert "$" not in " ".join(figures(tally))
    tally(call(cost=0.5))
    assert figures(tally)[-1] == "$0.50 and calls without a known price"


def test_a_reason_to_wait_is_shown_for_as_long_as_it_holds() -> None:
    watch = Watch()
    tally = some_way(watch)
    tally(Waiting("openai/gpt-5-mini", "60 requests a minute", 8.0))
    watch.now += 3
    assert "waiting for openai/gpt-5-mini, 5 s: 60 requests a minute" in drawn(tally)
    watch.now += 6
    assert "waiting" not in drawn(tally)
    tally(Retry("openai/gpt-5-mini", "openai/gpt-5-mini: overloaded\n\x1b[2J (HTTP 503)", 1, 4.0))
    assert "trying again in 4 s: openai/gpt-5-mini: overloaded \\x1b[2J (HTTP 503)" in drawn(tally)


def test_the_picture_fits_a_narrow_terminal() -> None:
    tally = some_way(Watch())
    tally(Waiting("openai/gpt-5-mini", "requests a minute " * 20, 8.0))
    for width in (40, 80, 200):
        lines = drawn(tally, width).splitlines()
        assert len(lines) == 4
        assert all(len(text) <= width for text in lines)
    assert "20 of 40 rows  20 s left" in drawn(tally)


def test_a_run_that_has_not_begun_has_an_empty_picture() -> None:
    assert drawn(Tally(Watch())).strip() == ""


def test_rates_forget_what_is_long_ago() -> None:
    watch = Watch()
    tally = Tally(watch)
    tally(STARTED)
    for _ in range(100):
        watch.now += 1
        tally(RowAccepted(CELL, {}))
        tally.sample()
    for _ in range(60):
        watch.now += 1
        tally.sample()
    assert tally.rates[0] == 0.0
    assert tally.seconds_left is None


def test_one_line_tells_it_all() -> None:
    watch = Watch()
    tally = some_way(watch)
    tally(Waiting("m", "quota", 5))
    assert sentence(tally) == (
        "20 of 40 rows; 2 calls, 0.2/s, 1 from the ledger, 2.0k tokens in, 400 out, 1 rejected, $0.030; 20 s left; "
        "waiting for m, 5 s: quota"
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (count(1, "row"), "1 row"),
        (count(1204, "row"), "1,204 rows"),
        (count(2, "retry", "retries"), "2 retries"),
        (short(999), "999"),
        (short(1_000), "1.0k"),
        (short(99_949), "99.9k"),
        (short(123_456), "123k"),
        (short(999_600), "1.0M"),
        (short(2_500_000_000), "2.5G"),
        (duration(0.04), "0.0 s"),
        (duration(9.96), "10 s"),
        (duration(59.6), "1:00"),
        (duration(3_725), "1:02:05"),
        (rate(1234.5), "1,234/s"),
        (rate(0.5), "0.5/s"),
        (rate(0.05), "3.0/min"),
        (money(0.0), "$0.00"),
        (money(0.0123), "$0.012"),
        (money(0.0000123), "$0.000012"),
        (money(1234.5), "$1,234.50"),
        (line("a\n  b\tc"), "a b c"),
        (line("x" * 400, 10), "xxxxxxxxx…"),
        (printable("naïve 日本\x07\x1b[31m"), "naïve 日本\\x07\\x1b[31m"),
    ],
)
def test_figures_are_written_as_people_read_them(words: str, expected: str) -> None:
    assert words == expected


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert columns([["model", "n"], ["a", "100"]], (False, True)) == ["model    n", "a      100"]


# -- the real thing, on a terminal ------------------------------------------------------------------------------------


@contextmanager
def on_a_terminal(cli: Cli, *arguments: str, **env: str) -> Iterator[Callable[[], tuple[int, str]]]:
    """The command with stderr on a pseudo-terminal; what is given waits for its end: (exit code, all it drew)."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=cli.folder,
        env={**cli.env, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)

    def end() -> tuple[int, str]:
        seen = b""
        while process.poll() is None or select.select([ours], [], [], 0)[0]:
            if not select.select([ours], [], [], 0.05)[0]:
                continue
            try:
                seen += os.read(ours, 65536)
            except OSError:  # Linux says so where others say that it has ended
                break
        return process.wait(timeout=60), seen.decode()

    try:
        yield end
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.fixture
def slow_job(cli: Cli, scripted_server: Callable[..., ScriptedServer]) -> None:
    server = scripted_server(never_the_same, latency=0.25)
    cli.write(with_server(server, more=["target_rows: 40", "max_concurrency: 2"]))
    cli.env["OPENAI_API_KEY"] = "any"


@pytest.mark.usefixtures("slow_job")
def test_a_terminal_sees_the_run_drawn_anew_and_wiped_off_in_the_end(cli: Cli) -> None:
    with on_a_terminal(cli, "run", "job.yaml") as end:
        code, seen = end()
    assert code == 0, seen
    assert "rows.jsonl: 40 rows by openai/scripted" in seen
    assert re.search(r"[1-3]\d of 40 rows", seen)
    assert "tokens in" in seen
    assert re.search(r"\x1b\[[0-9;]*3[0-9]", seen)  # colours
    assert seen.count("\x1b[?25l") == seen.count("\x1b[?25h") > 0  # the cursor is hidden, and given back
    assert seen.count("rows.jsonl: 40 rows by") <= 5 * 2 + 10  # five redraws a second, for about two seconds


@pytest.mark.usefixtures("slow_job")
def test_no_color_is_obeyed_on_a_terminal(cli: Cli) -> None:
    with on_a_terminal(cli, "run", "job.yaml", NO_COLOR="1") as end:
        code, seen = end()
    assert code == 0
    assert re.search(r"[1-3]\d of 40 rows", seen)
    assert not re.search(r"\x1b\[[0-9;]*[34][0-9]", seen)


@pytest.mark.usefixtures("slow_job")
def test_quiet_shows_nothing_on_a_terminal(cli: Cli) -> None:
    with on_a_terminal(cli, "run", "job.yaml", "--quiet") as end:
        assert end() == (0, "")


@pytest.mark.usefixtures("slow_job")
def test_without_a_terminal_there_are_lines(cli: Cli) -> None:
    done = cli("run", "job.yaml")
    assert done.returncode == 0
    assert done.stderr.splitlines()[0] == "rows.jsonl: 40 rows by openai/scripted"
    assert "\x1b" not in done.stderr
