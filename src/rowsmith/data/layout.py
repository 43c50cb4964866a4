"""Text laid out for a screen of fixed width: what is safe to print, how wide it is, where it is broken."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

Span = tuple[str, str]
"""A text and its style: a name such as `title`, or an empty text. What a style looks like is the face's matter."""
Line = list[Span]

_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction of the text after them, and so can make it look like another."""
_HARMFUL = frozenset(("Cc", "Cs", "Zl", "Zp"))
_PIECES = re.compile(r"\s+|\S+")
_TAB = "    "


def harmless(text: str) -> str:
    """The text with what could drive a terminal made visible as an escape; line feeds stay, tabs become blanks."""
    if text.isprintable():
        return text
    return "".join(map(_shown, text.replace("\r\n", "\n").replace("\t", _TAB)))


def on_one_line(text: str) -> str:
    """The text `harmless` and without line feeds."""
    return harmless(text).replace("\n", "\\n")


def width_of(text: str) -> int:
    """The columns that a text takes: two for wide East Asian characters and emoji, none for marks that combine."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def broken(spans: Iterable[Span], width: int | None, indent: str = "") -> list[Line]:
    """Spans as lines no wider than `width` columns, each after the indent. Line feeds and leading blanks are kept.

    Args:
        spans: texts that are `harmless`, with their styles.
        width: columns; None breaks at line feeds alone.
        indent: put before each line.
    """
    room = None if width is None else max(10, width - width_of(indent))
    lines: list[Line] = []
    line: Line = []
    used = 0
    for piece, style in _pieces(spans):
        if piece == "\n":
            lines.append(line)
            line, used = [], 0
            continue
        for part in _fitting(piece, room):
            taken = width_of(part)
            if room is not None and used and used + taken > room:
                lines.append(line)
                line, used = [], 0
                if part.isspace():
                    continue
            if line and line[-1][1] == style:
                line[-1] = (line[-1][0] + part, style)
            else:
                line.append((part, style))
            used += taken
    lines.append(line)
    return [[(indent, ""), *one] if one and indent else one for one in lines]


def beside(left: list[Line], right: list[Line], width: int) -> list[Line]:
    """Two columns side by side, each `width` columns wide."""
    found = []
    for number in range(max(len(left), len(right))):
        one = left[number] if number < len(left) else []
        other = right[number] if number < len(right) else []
        blank = " " * (width - sum(width_of(text) for text, _ in one))
        found.append([*one, (f"{blank} │ ", "dim"), *other])
    return found


def plain(lines: Iterable[Line]) -> str:
    """Lines without their styles."""
    return "\n".join("".join(text for text, _ in line).rstrip() for line in lines)


def _pieces(spans: Iterable[Span]) -> Iterator[Span]:
    """Words, blanks and line feeds, each with its style."""
    for text, style in spans:
        for number, line in enumerate(text.split("\n")):
            if number:
                yield "\n", ""
            for piece in _PIECES.findall(line):
                yield piece, style


def _fitting(piece: str, room: int | None) -> Iterator[str]:
    """A piece in parts none of which is wider than a line."""
    if room is None or width_of(piece) <= room:
        yield piece
        return
    part, used = "", 0
    for sign in piece:
        if used + (taken := _columns(sign)) > room:
            yield part
            part, used = "", 0
        part, used = part + sign, used + taken
    yield part


def _shown(sign: str) -> str:
    if sign == "\n" or not (sign in _TURNING or unicodedata.category(sign) in _HARMFUL):
        return sign
    return ascii(sign)[1:-1]


def _columns(sign: str) -> int:
    if unicodedata.category(sign) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1
