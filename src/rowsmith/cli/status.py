"""`rowsmith status`: how far a run has come."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rowsmith.cli.options import Debug

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rowsmith.cli.state import RunState
    from rowsmith.engine.ledger.records import BatchRecord

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="The rows file, or the .run folder beside it.")]


def status(run: RunArgument, debug: Debug = False) -> int:
    """Say how far a run has come, what it cost and what it lacks; also while it is going on."""
    del debug  # read by `guarded`

    from rowsmith.cli.state import find, look
    from rowsmith.cli.terminal import show

    for line in lines(look(find(run))):
        show(line)
    return 0


def lines(run: RunState) -> list[str]:
    """A run's state in words, behind those of the runs that it is made of."""
    from rowsmith.cli.summary import resume_command

    found = [line for part in (*run.ahead, run) for line in (*_lines(part), "")][:-1]
    if run.state in ("stopped", "cut off"):
        how = resume_command(run.paths.rows) if run.source else "the Python script that began it, run again"
        found += ["", f"Go on with: {how}"]
    return found


def _lines(run: RunState) -> list[str]:
    import sys

    from rowsmith.cli.summary import by_model, lacking, money_and_tokens, near
    from rowsmith.cli.terminal import painted, printable

    words = {"cut off": "cut off: its process ended before the run did", "short": "ended, with rows lacking"}
    state = words.get(run.state, run.state) + (f" ({run.holder})" if run.holder else "")
    calls = sum(part.calls for part in run.spend.values())
    of = "" if run.expected is None else f" of {run.expected:,}"
    facts = [
        ("rows", f"{run.rows:,}{of}"),
        ("cells", _cells(run)),
        ("calls", f"{calls:,}"),
        *money_and_tokens(run.spend),
    ]
    found = [f"{painted(near(run.paths.rows), 'bold', sys.stdout)}: {printable(state)}"]
    found += [f"  {name:<9}{fact}" for name, fact in facts]
    found += by_model(run.spend)
    found += _batches(run.under_way)
    found += lacking(run.lacks)
    if run.paths.rejected.exists() and run.paths.rejected.stat().st_size:
        found += ["", f"What was refused stands in {near(run.paths.rejected)}."]
    return found


def _batches(batches: Sequence[BatchRecord]) -> list[str]:
    """A table of the batches that are under way."""
    import time

    from rowsmith.cli.terminal import columns, line
    from rowsmith.engine.wording import count

    if not batches:
        return []
    rows = [["batch", "model", "requests", "answered", "failed", "since"]]
    for batch in batches:
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(batch.since))
        numbers = [f"{number:,}" for number in (batch.items, batch.answered, batch.failed)]
        rows.append([batch.id or "being handed in", line(batch.model), *numbers, since])
    right = (False, False, True, True, True, False)
    title = f"{count(len(batches), 'batch', 'batches')} under way, as the service said last:"
    return ["", title, *(f"  {text}" for text in columns(rows, right))]


def _cells(run: RunState) -> str:
    from rowsmith.engine.ledger import CellStatus

    words = [f"{number:,} {status.name.lower()}" for status, number in run.by_status.items() if status and number]
    if run.open_cells:
        words.append(f"{run.open_cells:,} open")
    elif run.cells is None and run.by_status[CellStatus.OPEN]:
        words.append(f"{run.by_status[CellStatus.OPEN]:,} begun")
    return ", ".join(words) or "none begun"
