"""What a command's end becomes: a message and an exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from functools import wraps

import typer

from rowsmith.cli.terminal import painted, printable, say
from rowsmith.errors import ConfigError, RowsmithError

COMPLETE = 0
FAILED = 1
MISUSED = 2
SHORT = 3
WAITING = 4
INTERRUPTED = 130
"""128 and the number of SIGINT, as shells count; for SIGTERM it is 143."""


def guarded(command: Callable[..., int]) -> Callable[..., None]:
    """A command that returns its exit code, as one that ends by it and tells of errors without a traceback.

    A `RowsmithError` is shown as its message, with `--debug` below its traceback. Any other exception is a mistake of
    the program, or of a function the user gave it, and is not caught.
    """

    @wraps(command)
    def guard(*arguments: object, **options: object) -> None:
        try:
            code = command(*arguments, **options)
        except KeyboardInterrupt:
            say("Interrupted.")
            code = INTERRUPTED
        except RowsmithError as error:
            if options.get("debug"):
                traceback.print_exc()
            tell(error)
            code = MISUSED if isinstance(error, ConfigError) else FAILED
        raise typer.Exit(code)

    return guard


def tell(error: RowsmithError) -> None:
    """Print an error's message and its notes."""
    say(f"{painted('error:', 'red', sys.stderr)} {printable(str(error))}")
    for note in getattr(error, "__notes__", ()):
        say(printable(note))
