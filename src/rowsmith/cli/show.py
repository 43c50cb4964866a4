"""`rowsmith show`: rows to read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rowsmith.cli.options import Debug

if TYPE_CHECKING:
    from rowsmith.data.layout import Line

RowsFile = Annotated[Path, typer.Argument(metavar="ROWS.jsonl", help="The rows.")]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where", metavar="FIELD=VALUE", help="Rows with this value, as in label=positive; repeatable: all must be so."
    ),
]
Contains = Annotated[
    str | None, typer.Option("--contains", metavar="TEXT", help="Rows with this text in them, in whatever case.")
]

STYLES = {
    "title": "bold",
    "name": "dim",
    "dim": "dim",
    "user": "bold",
    "assistant": "green",
    "right": "green",
    "wrong": "red",
    "entity": "yellow",
}
"""The colour of each style of a page."""


def show(
    file: RowsFile,
    where: Where = None,
    contains: Contains = None,
    ids: Annotated[
        list[str] | None, typer.Option("--id", metavar="ID", help="The row with this id; repeatable.")
    ] = None,
    random: Annotated[
        int | None, typer.Option("--random", min=1, metavar="N", help="N rows from anywhere, instead of the first.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="Another S picks others.")] = 0,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, metavar="N", help="How many rows at most.")] = 10,
    full: Annotated[bool, typer.Option("--full", help="Whole texts, and where each row comes from.")] = False,
    statistics: Annotated[
        bool, typer.Option("--statistics", help="Counts, lengths and duplicates, instead of rows.")
    ] = False,
    debug: Debug = False,
) -> int:
    """Show rows: conversations as such, entities in their text, preferences side by side.

    On a terminal in colour and as wide as it is; into a pipe plain, and no line is broken.
    """
    del debug  # read by `guarded`

    from rowsmith.cli.terminal import say
    from rowsmith.cli.terminal import show as print_line
    from rowsmith.data.choosing import Choice, condition
    from rowsmith.data.dataset import Dataset

    dataset = Dataset.load(file)
    conditions = dict(map(condition, where or ()))
    if statistics:
        from rowsmith.data.layout import harmless

        chosen = dataset.chosen(Choice(where=conditions, contains=contains, ids=ids or ()))
        print_line(harmless(str(chosen.statistics())))
        return 0
    page = dataset.inspect(
        random or limit,
        where=conditions,
        contains=contains,
        id=ids or (),
        random=random is not None,
        seed=seed,
        full=full,
    )
    for line in page.lines(_width()):
        print_line(_painted(line))
    say(page.summary)
    return 0


def _width() -> int | None:
    import shutil
    import sys

    from rowsmith.cli.terminal import is_terminal

    return shutil.get_terminal_size().columns if is_terminal(sys.stdout) else None


def _painted(line: Line) -> str:
    import sys

    from rowsmith.cli.terminal import painted

    return "".join(painted(text, STYLES[style], sys.stdout) if style else text for text, style in line).rstrip()
