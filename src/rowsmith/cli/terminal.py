"""What is printed, and where: results to stdout, all else to stderr, in colour only for a person who wants it."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TextIO

COLOURS = {"red": "31", "green": "32", "yellow": "33", "bold": "1", "dim": "2"}


def show(text: str = "") -> None:
    """Print a result."""
    _print(text, sys.stdout)


def say(text: str = "") -> None:
    """Print a message."""
    _print(text, sys.stderr)


def painted(text: str, colour: str, stream: TextIO) -> str:
    """The text in a colour of `COLOURS`, where the stream takes colours."""
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if takes_colour(stream) else text


def is_terminal(stream: TextIO) -> bool:
    """Whether a person looks on, at a terminal on which lines can be drawn anew."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def takes_colour(stream: TextIO) -> bool:
    """Whether it is a terminal and `NO_COLOR` (https://no-color.org) is not set."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def printable(text: str) -> str:
    """The text with control characters made visible: what a model or a service wrote must not drive a terminal."""
    if text.isprintable():
        return text
    return "".join(sign if sign in "\n\t" or not _is_control(sign) else repr(sign)[1:-1] for sign in text)


def line(text: str, most: int = 300) -> str:
    """The text on one line, printable, cut where it is longer than `most` characters."""
    flat = printable(" ".join(text.split()))
    return flat if len(flat) <= most else f"{flat[: most - 1]}…"


def columns(rows: Iterable[Sequence[str]], right: Sequence[bool]) -> list[str]:
    """Lines of a table, each column as wide as its widest cell.

    Args:
        rows: the cells.
        right: for each column, whether it is a number and stands to the right.
    """
    table = [list(row) for row in rows]
    widths = [max(len(row[place]) for row in table) for place in range(len(right))]
    lines = []
    for row in table:
        cells = [
            cell.rjust(width) if numeric else cell.ljust(width)
            for cell, width, numeric in zip(row, widths, right, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _is_control(sign: str) -> bool:
    return unicodedata.category(sign) in ("Cc", "Cs")


def _print(text: str, stream: TextIO) -> None:
    stream.write(f"{text}\n")
    stream.flush()
