"""How a run is shown while it goes on: drawn anew on a terminal, line by line elsewhere, or not at all."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from rowsmith.cli.tally import Tally
from rowsmith.cli.terminal import is_terminal, line, say
from rowsmith.engine.wording import count, duration, money, rate, short

if TYPE_CHECKING:
    from rich.console import RenderableType

REDRAWS = 5
"""How often a second the terminal is drawn anew."""
FIRST = 1.0
"""Seconds to the first line where there is no terminal: what takes less needs none."""
EVERY = 5.0
"""Seconds between two lines."""


def shown(tally: Tally, *, quiet: bool) -> AbstractContextManager[None]:
    """Show a run's progress on stderr for as long as the context is open.

    The drawing is done in a thread of its own, which reads the tally's figures; the run only counts.

    Args:
        tally: what listens to the run.
        quiet: show nothing.
    """
    if quiet:
        return nullcontext()
    return _drawn(tally) if is_terminal(sys.stderr) else _printed(tally)


def figures(tally: Tally) -> list[str]:
    """What is going on, in a few words each."""
    _, calls = tally.rates
    words = [count(tally.calls, "call")]
    if calls:
        words.append(rate(calls))
    if tally.replayed:
        words.append(f"{tally.replayed:,} from the ledger")
    if tally.input_tokens or tally.output_tokens:
        words.append(f"{short(tally.input_tokens)} tokens in, {short(tally.output_tokens)} out")
    if tally.rejected:
        words.append(f"{tally.rejected:,} rejected")
    if tally.retries:
        words.append(count(tally.retries, "retry", "retries"))
    if tally.priced:
        unpriced = "" if tally.priced == tally.calls else " and calls without a known price"
        words.append(money(tally.cost) + unpriced)
    return words


def time_left(tally: Tally) -> str:
    """`0:42 left`, or nothing."""
    seconds = tally.seconds_left
    return "" if seconds is None else f"{duration(seconds)} left"


def headline(tally: Tally) -> str:
    """What is being written, and by whom."""
    if tally.started is None:
        return ""
    models = ", ".join(tally.started.models)
    return line(f"{Path(tally.started.output).name}: {count(tally.started.rows, 'row')} by {models}", 160)


# -- on a terminal ----------------------------------------------------------------------------------------------------


@contextmanager
def _drawn(tally: Tally) -> Iterator[None]:
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True, highlight=False)
    live = Live(
        console=console,
        get_renderable=lambda: picture(tally),
        refresh_per_second=REDRAWS,
        transient=True,
        redirect_stdout=False,
    )
    with live:
        yield


def picture(tally: Tally) -> RenderableType:
    """The run as a few lines for rich."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    started = tally.started
    if started is None:
        return Text("")
    tally.sample()
    bar = Table.grid(padding=(0, 1), expand=True)
    bar.add_column(ratio=1)
    bar.add_column(justify="right", no_wrap=True)
    bar.add_row(
        ProgressBar(total=max(1, started.rows), completed=tally.rows),
        Text(f"{tally.rows:,} of {count(started.rows, 'row')}  {time_left(tally)}".rstrip()),
    )
    lines: list[RenderableType] = [
        Text(headline(tally), style="bold", no_wrap=True, overflow="ellipsis"),
        bar,
        Text(" · ".join(figures(tally)), no_wrap=True, overflow="ellipsis"),
    ]
    if note := tally.note:
        lines.append(Text(note, style="yellow", no_wrap=True, overflow="ellipsis"))
    return Group(*lines)


# -- line by line -----------------------------------------------------------------------------------------------------


@contextmanager
def _printed(tally: Tally) -> Iterator[None]:
    ended = threading.Event()

    def work() -> None:
        told = ""
        while not ended.wait(EVERY if told else FIRST):
            if tally.started is None:
                continue
            tally.sample()
            try:
                say(sentence(tally) if told == tally.started.output else headline(tally))
            except OSError:
                return  # nobody reads stderr any more; the run goes on
            told = tally.started.output

    thread = threading.Thread(target=work, name="rowsmith-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def sentence(tally: Tally) -> str:
    """The run in one line."""
    started = tally.started
    rows = f"{tally.rows:,} of {count(started.rows, 'row')}" if started else ""
    return "; ".join(word for word in (rows, ", ".join(figures(tally)), time_left(tally), tally.note) if word)
