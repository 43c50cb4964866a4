"""`rowsmith sample`: a few rows from all over the plan, with the prompts behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rowsmith.cli.guard import COMPLETE, SHORT
from rowsmith.cli.options import (
    Debug,
    Fresh,
    JobFile,
    Llm,
    LogFile,
    LogLevel,
    MaxConcurrency,
    MaxCost,
    MaxRequests,
    MaxTokens,
    Output,
    Settings,
    Spread,
    set_up_log,
)

if TYPE_CHECKING:
    from rich.table import Table

    from rowsmith.data.rows import Row
    from rowsmith.datasets.loading import Job
    from rowsmith.engine.sampling import Exchange, Sample

LONGEST = 1_500
"""Characters of a text that are shown."""


def sample(
    file: JobFile,
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, metavar="N", help="How many rows.")] = 10,
    llm: Llm = None,
    output: Output = None,
    settings: Settings = None,
    spread: Spread = False,
    fresh: Fresh = False,
    max_concurrency: MaxConcurrency = None,
    max_cost: MaxCost = None,
    max_requests: MaxRequests = None,
    max_tokens: MaxTokens = None,
    log_file: LogFile = None,
    log_level: LogLevel = None,
    debug: Debug = False,
) -> int:
    """Make a few rows from all over the plan and show them with their prompts, without writing them to the output.

    The answers are kept in the run's folder, and `rowsmith run` makes its rows of them without asking again.
    """
    del debug  # read by `guarded`
    set_up_log(log_level, log_file)

    from rowsmith.cli.job import described

    job = described(
        file,
        llm,
        output,
        settings,
        spread=spread,
        fresh=fresh,
        max_concurrency=max_concurrency,
        max_cost=max_cost,
        max_requests=max_requests,
        max_tokens=max_tokens,
    )
    found = job.dataset.generate_sample(job.llms or None, rows, **job.how)
    draw(found)
    _conclude(found, job)
    return COMPLETE if len(found) >= found.expected else SHORT


def draw(found: Sample) -> None:
    """Show the rows on stdout, each as a table of its fields and its prompts."""
    import sys

    from rich.console import Console

    from rowsmith.cli.terminal import show

    console = Console(file=sys.stdout, highlight=False)
    with console.capture() as drawn:
        for number, (row, exchanges) in enumerate(zip(found.rows, found.prompts, strict=True), start=1):
            console.print(_table(f"{number} of {len(found)}", row, exchanges))
    show(drawn.get().rstrip("\n"))


def _table(title: str, row: Row, exchanges: tuple[Exchange, ...]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", show_header=False, expand=True)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(ratio=1)
    for name, value in row.items():
        if name not in ("id", "metadata"):
            table.add_row(name, Text(_cut(str(value))))
    for exchange in exchanges:
        table.add_section()
        for message in exchange.messages:
            table.add_row(f"{exchange.role}: {message.role}", Text(_cut(message.content), style="dim"))
    return table


def _cut(text: str) -> str:
    from rowsmith.cli.terminal import printable

    shown = printable(text)
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}… ({len(shown) - LONGEST:,} more characters)"


def _conclude(found: Sample, job: Job) -> None:
    """Say what it cost, and what lacks."""
    from rowsmith.cli.summary import near
    from rowsmith.cli.terminal import printable, say
    from rowsmith.engine.wording import count, money

    ahead = {} if job.dataset.report is None else job.dataset.report.ahead
    for path, part in ahead.items():
        if part.calls:
            say(f"Made first: {count(part.rows, 'row')} of {near(path)}, {count(part.calls, 'call')}.")
    cost = "at a price that is not known" if found.cost is None else money(found.cost)
    calls = f"{count(found.calls, 'new call')}, {cost}" if found.calls else "no new call"
    output = near(job.dataset.config.output_file)
    say(f"{count(len(found), 'row')}, {calls}. Nothing was written to {output}; the run will use these answers.")
    if len(found) < found.expected:
        refused = ", ".join(f"{gate} {number:,}" for gate, number in found.rejected.most_common())
        lacking = count(found.expected - len(found), "row lacks", "rows lack")
        say(f"{lacking}: {printable(found.why or refused)}")
