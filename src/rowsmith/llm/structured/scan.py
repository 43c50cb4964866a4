"""Where the JSON is in a text: regions, elements and members as places, found without parsing or changing anything.

Every function passes over its part of the text once, with a stack of its own: a text of megabytes costs its length,
and depth costs no recursion. Strings count as in JSON, in double quotes. In a text whose quotes are broken the places
are a guess, so whoever uses them parses each place strictly, or has the repair proved.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

STRING = r'"(?:[^"\\]++|\\.)*+"'
_TOKEN = re.compile(STRING + r'|[{}\[\],]|"', re.DOTALL)
_MEMBER = re.compile(r"""\s*(?:["'“]([^"'”]*)["'”]|([^\W\d]\w*))\s*:\s*""")
_PLAUSIBLE = re.compile(r"""\{(?=\s*(?:["'“}]|[^\W\d]\w*\s*:|\Z))|\[(?=\s*(?:[{\["'“\]]|\Z))""")
_CLOSER = {"{": "}", "[": "]"}
_MOST_REGIONS = 10_000

_THINKING = re.compile(r"\s*(?:<(think|thinking|thought|reasoning)>|\[THINK\]|◁think▷)", re.IGNORECASE)
_THOUGHT = re.compile(
    r"</(?:think|thinking|thought|reasoning)>|\[/THINK\]|◁/think▷|<\|channel\|>final[^<]{0,40}<\|message\|>",
    re.IGNORECASE,
)
_INVISIBLE = "\ufeff\u200b\u2060\x00"


@dataclass(frozen=True, slots=True)
class Region:
    """One bracketed part of a text.

    Attributes:
        start: the place of its opening bracket.
        end: the place behind its last character.
        closed: False if the text ends before its closing bracket.
        in_string: the text ends inside what looks like a string of the region.
    """

    start: int
    end: int
    closed: bool
    in_string: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """One element of an array, or one member of an object.

    Attributes:
        start: where it begins.
        end: the place behind it.
        complete: something behind it shows that it is all there: a separator, or its own closing bracket.
    """

    start: int
    end: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Member:
    """One `key: value` of an object."""

    key: str
    value: Piece


def without_thinking(text: str) -> tuple[str, bool]:
    """The text without the reasoning that some models write before their answer.

    Some templates leave the opening tag out. Then a closing tag counts if it is outside all brackets, or has a line of
    its own, which nothing inside a string of JSON has: an answer may well speak of such tags.

    Returns:
        The answer's text, and whether the reasoning was still going on where the text ends.
    """
    text = text.strip().strip(_INVISIBLE).strip()
    if opening := _THINKING.match(text):
        closing = _THOUGHT.search(text, opening.end())
        return (text[closing.end() :].strip(), False) if closing else ("", True)
    closings = list(_THOUGHT.finditer(text)) if text[:1] not in ("{", "[", '"', "`") else []
    if closings:
        within = regions(text)
        for tag in reversed(closings):
            own_line = "\n" in (text[tag.start() - 1 : tag.start()], text[tag.end() : tag.end() + 1])
            if own_line or not any(part.start < tag.start() < part.end for part in within):
                return text[tag.end() :].strip(), False
    return text, False


def regions(text: str) -> list[Region]:
    """The outermost bracketed parts that could be JSON, in order. Only the last can be open."""
    found: list[Region] = []
    position = 0
    while len(found) < _MOST_REGIONS and (opening := _PLAUSIBLE.search(text, position)):
        region = _region(text, opening.start(), len(text))
        found.append(region)
        if not region.closed:
            break
        position = region.end
    return found


def region_at(text: str, piece: Piece) -> Region | None:
    """The bracketed part that a piece begins with, or None if it begins with none."""
    return _region(text, piece.start, piece.end) if text[piece.start : piece.start + 1] in _CLOSER else None


def _region(text: str, start: int, end: int) -> Region:
    open_brackets = _Brackets()
    for token in _TOKEN.finditer(text, start, end):
        if token[0] == '"':
            return Region(start, end, closed=False, in_string=True)
        open_brackets.step(token[0])
        if not open_brackets.depth:
            return Region(start, token.end(), closed=True)
    return Region(start, end, closed=False)


class _Brackets:
    """The brackets that are open. A closing one also closes what was left open inside; a stray one is ignored."""

    def __init__(self) -> None:
        self._awaited: list[str] = []
        self._counts = {"}": 0, "]": 0}

    @property
    def depth(self) -> int:
        return len(self._awaited)

    def step(self, mark: str) -> None:
        if mark in _CLOSER:
            self._awaited.append(_CLOSER[mark])
            self._counts[_CLOSER[mark]] += 1
        elif self._counts.get(mark):
            while True:
                closed = self._awaited.pop()
                self._counts[closed] -= 1
                if closed == mark:
                    return


def pieces(text: str, region: Region) -> list[Piece]:
    """What stands between the outer brackets, divided at its commas (and between elements that lack one)."""
    found: list[Piece] = []
    is_array = text[region.start] == "["
    open_brackets = _Brackets()
    begin = region.start + 1
    last_close = -1
    for token in _TOKEN.finditer(text, region.start, region.end):
        mark = token[0]
        if mark == '"':
            break
        if open_brackets.depth == 1:
            if mark == ",":
                _add(found, text, begin, token.start(), complete=True)
                begin, last_close = token.end(), -1
            elif is_array and mark in _CLOSER and last_close >= 0 and not text[last_close : token.start()].strip():
                _add(found, text, begin, last_close, complete=True)
                begin, last_close = token.start(), -1
        open_brackets.step(mark)
        if not open_brackets.depth:
            _add(found, text, begin, token.start(), complete=True)
            return found
        if open_brackets.depth == 1 and mark in ("}", "]"):
            last_close = token.end()
    _add(found, text, begin, region.end, complete=last_close >= 0 and not text[last_close : region.end].strip())
    return found


def _add(found: list[Piece], text: str, start: int, end: int, *, complete: bool) -> None:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        found.append(Piece(start, end, complete))


def members(text: str, region: Region) -> list[Member]:
    """The members of an object whose keys can be made out."""
    found: list[Member] = []
    for piece in pieces(text, region):
        key = _MEMBER.match(text, piece.start, piece.end)
        if key is not None:
            name = key[1] if key[1] is not None else key[2]
            found.append(Member(name, Piece(key.end(), piece.end, piece.complete)))
    return found


def is_cut(text: str, region: Region) -> bool:
    """Does an open region look like one that broke off, rather than one whose quotes are broken?

    The latter ends as an answer does: with the bracket that closes the region, and after it nothing or the end of a
    code fence.
    """
    last = max(text.rfind("}"), text.rfind("]"))
    if last <= region.start or text[last] != _CLOSER[text[region.start]]:
        return True
    rest = text[last + 1 :].strip()
    return bool(rest) and "```" not in rest
