r"""Strings that match a regular expression, for the simple ones that schemas have.

Known: literals, `.`, classes with ranges and negation, `\d \w \s` and their opposites, groups, alternation, greedy
and lazy repeats, anchors. Not known, and refused with `UnfillableError`: look-around, back-references, inline flags,
Unicode classes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from rowsmith.llm.filler.seeds import MASK, mix


class UnfillableError(ValueError):
    """No value can be made for this schema: it is contradictory, or uses what the filler does not know."""


_PRINTABLE: Final = "".join(map(chr, range(32, 127)))
_DIGITS: Final = "0123456789"
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_WORD: Final = _LETTERS + _LETTERS.upper() + _DIGITS + "_"
_SHORTHANDS: Final = {"d": _DIGITS, "w": _WORD, "s": " "}
_CONTROLS: Final = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_WIDEST_RANGE: Final = 512

Maker = Callable[["_Dice"], str]


class _Dice:
    """Random numbers from a seed; `reach` is how often an open repeat may go on beyond its minimum."""

    __slots__ = ("reach", "state")

    def __init__(self, seed: int, reach: int) -> None:
        self.state = seed & MASK
        self.reach = reach

    def below(self, bound: int) -> int:
        self.state = mix(self.state)
        return self.state % bound


class _Parser:
    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.open_end = True

    def parse(self) -> Maker:
        maker = self._choice()
        if self.at < len(self.pattern):
            raise self._unknown(f"unmatched {self.pattern[self.at]!r}")
        return maker

    def _unknown(self, what: str) -> UnfillableError:
        return UnfillableError(
            f"the pattern {self.pattern!r} has {what} at {self.at}, which the offline provider cannot fill"
        )

    def _peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def _take(self) -> str:
        char = self._peek()
        if not char:
            raise self._unknown("an unfinished part")
        self.at += 1
        return char

    def _choice(self) -> Maker:
        branches = [self._sequence()]
        while self._peek() == "|":
            self.at += 1
            branches.append(self._sequence())
        if len(branches) == 1:
            return branches[0]
        return lambda dice: branches[dice.below(len(branches))](dice)

    def _sequence(self) -> Maker:
        parts: list[Maker] = []
        while (char := self._peek()) and char not in "|)":
            part = self._atom()
            parts.append(self._repeated(part) if part is not None else _nothing)
        return lambda dice: "".join([part(dice) for part in parts])

    def _atom(self) -> Maker | None:
        char = self._take()
        if char == "^":
            return None
        if char == "$":
            self.open_end = False
            return None
        if char == "(":
            return self._group()
        if char == "[":
            return _one_of(self._class())
        if char == ".":
            return _one_of(_LETTERS)
        if char == "\\":
            return self._escape()
        if char in "*+?":
            raise self._unknown(f"a stray {char!r}")
        return lambda _: char

    def _group(self) -> Maker:
        if self._peek() == "?":
            head = re.compile(r"\?(?::|P?<[A-Za-z_]\w*>)").match(self.pattern, self.at)
            if head is None:
                raise self._unknown("a look-around or a flag")
            self.at = head.end()
        inner = self._choice()
        if self._take() != ")":
            raise self._unknown("an unclosed group")
        return inner

    def _escape(self) -> Maker | None:
        char = self._take()
        if char in "bAzZ":
            self.open_end = self.open_end and char not in "zZ"
            return None
        if char in "BpPk" or char.isdigit():
            raise self._unknown(f"\\{char}")
        return _one_of(self._escaped(char))

    def _escaped(self, char: str) -> str:
        if char.lower() in _SHORTHANDS:
            known = _SHORTHANDS[char.lower()]
            return known if char.islower() else "".join(c for c in _PRINTABLE if c not in known)
        if char in "xu":
            if self._peek() == "{":
                end = self.pattern.find("}", self.at)
                digits, self.at = self.pattern[self.at + 1 : end], end + 1
            else:
                width = 2 if char == "x" else 4
                digits, self.at = self.pattern[self.at : self.at + width], self.at + width
            try:
                return chr(int(digits, 16))
            except (ValueError, OverflowError):
                raise self._unknown(f"\\{char}") from None
        return _CONTROLS.get(char, char)

    def _class(self) -> str:
        negated = self._peek() == "^"
        self.at += negated
        chars: list[str] = []
        first = True
        while (char := self._take()) != "]" or first:
            first = False
            if char == "[" and self._peek() == ":":
                raise self._unknown("a named class")
            low = self._escaped(self._take()) if char == "\\" else char
            if len(low) == 1 and self._peek() == "-" and self.pattern[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                high = self._take()
                high = self._escaped(self._take()) if high == "\\" else high
                if ord(low) > ord(high):
                    raise self._unknown("a reversed range")
                chars.extend(map(chr, range(ord(low), min(ord(high), ord(low) + _WIDEST_RANGE) + 1)))
            else:
                chars.extend(low)
        allowed = [c for c in _PRINTABLE if c not in chars] if negated else chars
        letters = [c for c in allowed if c.isalnum()]
        if not allowed:
            raise self._unknown("an empty class")
        return "".join(letters or allowed)

    def _repeated(self, part: Maker) -> Maker:
        least, most = 1, 1
        while True:
            counted = re.compile(r"([*+?])|\{(\d+)(,?)(\d*)\}").match(self.pattern, self.at)
            if counted is None:
                break
            self.at = counted.end()
            if self._peek() in ("?", "+"):
                self.at += 1
            if counted[1]:
                least, most = {"*": (0, -1), "+": (1, -1), "?": (0, 1)}[counted[1]]
            else:
                least = int(counted[2])
                most = int(counted[4]) if counted[4] else (-1 if counted[3] else least)
            part = _many(part, least, most)
        return part


def _nothing(_: _Dice) -> str:
    return ""


def _one_of(chars: str) -> Maker:
    return lambda dice: chars[dice.below(len(chars))]


def _many(part: Maker, least: int, most: int) -> Maker:
    def make(dice: _Dice) -> str:
        top = least + dice.reach if most < 0 else min(most, least + dice.reach)
        return "".join([part(dice) for _ in range(least + dice.below(top - least + 1))])

    return make


class Pattern:
    """A pattern ready to be filled.

    Raises:
        UnfillableError: the pattern has something the parser does not know.
    """

    __slots__ = ("_check", "_make", "_max", "_min", "_open_end", "source")

    def __init__(self, source: str, min_length: int = 0, max_length: int | None = None) -> None:
        parser = _Parser(source)
        self._make = parser.parse()
        self._open_end = parser.open_end
        self._min = min_length
        self._max = max_length
        self.source = source
        try:
            self._check = re.compile(source)
        except re.error as error:
            raise UnfillableError(f"the pattern {source!r} cannot be read: {error}") from None
        self.fill(0)

    def fits(self, text: str) -> bool:
        """Whether the pattern is found in a text."""
        return self._check.search(text) is not None

    def fill(self, seed: int) -> str:
        """A string that the pattern is found in, of the asked length."""
        for attempt in range(60):
            reach = 6 if attempt < 20 else (0 if attempt < 24 else 6 + self._min)
            text = self._make(_Dice(seed + attempt, reach))
            if self._open_end and len(text) < self._min:
                text += "".join(_LETTERS[mix(seed + i) % 26] for i in range(self._min - len(text)))
            if (
                len(text) >= self._min
                and (self._max is None or len(text) <= self._max)
                and self._check.search(text) is not None
            ):
                return text
        raise UnfillableError(
            f"no text of {self._min} to {self._max or 'any number of'} characters was found for {self.source!r}"
        )
