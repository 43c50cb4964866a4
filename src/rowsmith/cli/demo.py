"""`rowsmith demo`: a small dataset without a key, a network or a model."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rowsmith.cli.options import Debug, Quiet

if TYPE_CHECKING:
    from rowsmith.datasets.base import GeneratedDataset

FILE = "demo.yaml"
LONGEST = 150
"""Signs of a text that the table shows."""


def demo(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Where to put it; a temporary folder if not."),
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Make a small dataset in three languages without a model, and show it.

    It is made from a YAML file that is left beside it, to be changed and run with a real model.
    """
    del debug  # read by `guarded`

    from rowsmith.cli.carry_out import carry_out
    from rowsmith.cli.terminal import say
    from rowsmith.datasets.loading import Overrides, load_job

    file = _file_in(output)
    job = load_job(file, Overrides(llms=["offline"]))
    code = carry_out(job, quiet=quiet)
    if code == 0:
        _show_rows(job.dataset)
        if not quiet:
            for text in _what_next(file):
                say(text)
    return code


def _file_in(folder: Path | None) -> Path:
    """The demo's YAML file, in a folder; one that is there already is left as it is."""
    from importlib.resources import files
    from tempfile import mkdtemp

    from rowsmith.errors import StorageError

    try:
        place = Path(mkdtemp(prefix="rowsmith-demo-")) if folder is None else folder
        place.mkdir(parents=True, exist_ok=True)
        file = place / FILE
        if not file.exists():
            file.write_bytes(files("rowsmith.cli").joinpath(FILE).read_bytes())
    except OSError as exc:
        raise StorageError(f"cannot write in {str(folder or exc.filename)!r}: {exc.strerror or exc}") from exc
    return file


def _show_rows(dataset: GeneratedDataset[Any]) -> None:
    """One row for each label and language, as a table on stdout."""
    import sys

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from rowsmith.cli.terminal import line, show

    table = Table(show_lines=True)
    for name in ("language", "label", "text"):
        table.add_column(name)
    shown = set()
    for row in dataset:
        kind = (row["language"], row["label"])
        if kind not in shown:
            shown.add(kind)
            table.add_row(*(Text(line(value, LONGEST)) for value in (*kind, row["text"])))
    console = Console(file=sys.stdout, highlight=False)
    with console.capture() as drawn:
        console.print(table)
    show(f"\n{drawn.get()}")


def _what_next(file: Path) -> list[str]:
    from rowsmith.cli.models import EXAMPLE, at_hand
    from rowsmith.cli.summary import near

    found = at_hand()
    model = found[0].split()[0] if len(found) > 1 and "<" not in found[0] else EXAMPLE
    command = ["rowsmith", "run", near(file), "--llm", model, "--output", "reviews.jsonl"]
    return [
        "These texts were written by the offline provider. It is no language model: it puts sentences together so that",
        "everything can be tried without a key. Rows for real use need a real model.",
        "",
        f"What was asked for stands in {near(file)}: change it, and make it with a model:",
        f"  {shlex.join(command)}",
        "At hand on this machine:",
        *(f"  {text}" for text in found),
    ]
