"""The application: one command per module beside this one. What is heavy is imported when a command runs."""

from __future__ import annotations

from typing import Annotated

import typer

from rowsmith.cli.cancel import cancel
from rowsmith.cli.check import check
from rowsmith.cli.demo import demo
from rowsmith.cli.estimate import estimate
from rowsmith.cli.export import export
from rowsmith.cli.guard import guarded
from rowsmith.cli.providers import providers
from rowsmith.cli.push import push
from rowsmith.cli.resume import resume
from rowsmith.cli.run import run
from rowsmith.cli.sample import sample
from rowsmith.cli.schema import schema
from rowsmith.cli.show import show
from rowsmith.cli.status import status
from rowsmith.cli.topics import topics_application

COMMANDS = (run, demo, check, estimate, sample, status, resume, cancel, show, export, push, providers, schema)


def application() -> typer.Typer:
    """The command `rowsmith` with its commands."""
    # Plain help and plain errors: Typer's rich ones would load rich for every `--help`.
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(rowsmith)
    for command in COMMANDS:
        app.command()(guarded(command))
    app.add_typer(topics_application(), name="topics")
    return app


def rowsmith(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and end.", is_eager=True, callback=lambda on: _version(on)),
    ] = False,
) -> None:
    """Text datasets made with language models: exact counts, nothing lost, nothing paid for twice.

    Exit codes: 0 all rows are there; 1 an error; 2 something is wrong with what was asked; 3 rows lack; 4 batches are
    under way (come back with `rowsmith resume`); 130 and 143 interrupted (Ctrl-C, SIGTERM), with all that was made
    kept.
    """
    del version


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"rowsmith {version('rowsmith')}")
        raise typer.Exit
