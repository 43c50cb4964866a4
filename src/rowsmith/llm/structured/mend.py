"""Broken JSON made whole, and the proof that mending changed its form alone.

Three steps, each tried only when the one before did not give JSON. `tidy` undoes the commonest deviations exactly,
token by token. `requoted` escapes the quotes inside texts that cannot be the end of one. `mend` asks `json-repair`,
which guesses, and accepts the guess only if `_Proof` finds every key, every value and every bracket of it in the text,
in order, with nothing in the text left over but punctuation. So a repair can never shorten a text, invent a value, or
close what was never closed.
"""

from __future__ import annotations

import json
import re
from typing import Any

from rowsmith.llm.structured.scan import STRING

LONGEST = 32_768
"""Characters of the longest text that `mend` looks at: `json-repair` takes some microseconds for each."""
_DEEPEST = 64

# Without quotes in it: what looks like a comment may as well be a text whose quotes are broken.
_COMMENT = r"""(?://|\#)(?:[^\n"']|(?<=\w)'(?=\w))*+(?=\n|\Z)|/\*(?:[^"']|(?<=\w)'(?=\w)){0,500}?\*/"""
_LEXEME = re.compile(
    rf"({STRING})|(,)(?=\s*[}}\]])|({_COMMENT})|\b(True|False|None)\b|(\".*+)",
    re.DOTALL,
)
_QUOTE = re.compile(r'\\.|"', re.DOTALL)
_BEFORE = ("", "{", "[", ",", ":")
_AFTER = ("", ",", ":", "]", "}")
_CONTROLS = {code: f"\\u{code:04x}" for code in range(0x20)} | {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r"}
_PYTHON = {"True": "true", "False": "false", "None": "null"}
_ESCAPED_APOSTROPHE = re.compile(r"(\\\\)|\\'")


def tidy(text: str) -> str:
    """The text without trailing commas and comments, its control characters escaped, Python's words made JSON's.

    Nothing inside a string changes but how its characters are written.
    """
    return _LEXEME.sub(_tidied, text)


def _tidied(match: re.Match[str]) -> str:
    string, comma, comment, word, unclosed = match.groups()
    if unclosed is not None:
        return unclosed
    if string is not None:
        escaped = string.translate(_CONTROLS)
        return _ESCAPED_APOSTROPHE.sub(lambda m: m[1] or "'", escaped) if "\\'" in escaped else escaped
    return "" if comma or comment else _PYTHON[word]


def requoted(text: str) -> str:
    """The text with a backslash before each quote that neither begins nor ends a string.

    One that does has, blanks aside, one of `{[,:` before it or one of `,:]}` after it.
    """

    def escaped(match: re.Match[str]) -> str:
        if match[0] != '"' or _before(text, match.start()) in _BEFORE or _after(text, match.end()) in _AFTER:
            return match[0]
        return '\\"'

    return tidy(_QUOTE.sub(escaped, text))


def _before(text: str, at: int) -> str:
    at -= 1
    while at >= 0 and text[at].isspace():
        at -= 1
    return text[at] if at >= 0 else ""


def _after(text: str, at: int) -> str:
    while at < len(text) and text[at].isspace():
        at += 1
    return text[at : at + 1]


def mend(text: str) -> str | None:
    """The JSON that a broken text evidently means, or None where that is not evident."""
    if len(text) > LONGEST or _depth(text) > _DEEPEST:
        return None
    from json_repair import repair_json

    proof = _Proof(text)
    for form in dict.fromkeys((tidy(text), text)):
        try:
            guess: Any = repair_json(form, return_objects=True, skip_json_loads=True)
            if isinstance(guess, dict | list) and proof.holds_for(guess):
                return json.dumps(guess, allow_nan=False)
        except (ValueError, RecursionError):
            continue
    return None


def _depth(text: str) -> int:
    """How deep the brackets go, taking those in strings for brackets too."""
    deepest = depth = 0
    for mark in re.finditer(r"[{}\[\]()]", text):
        depth = depth + 1 if mark[0] in "{[(" else max(0, depth - 1)
        deepest = max(deepest, depth)
    return deepest


_GAP = re.compile(rf"(?:[\s,:]++|{_COMMENT})*+", re.DOTALL)
_BARE = re.compile(r"[^\W\d][\w$-]*+|[-+]?[\d.][\w.+-]*+")
_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "`": "`"}
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "\\": "\\", "/": "/", "'": "'"}
_SWALLOWED = re.compile(r"""["'”]\s*[,:\]}][\s,\[{\]}]*["'“]""")
"""The end of one string and the start of another: a text with this inside has more than one text in it."""
_WORDS = {"true": True, "false": False, "null": None, "none": None}


class _Proof:
    """Whether a guess says what a text says: the two are walked side by side."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def holds_for(self, guess: Any) -> bool:
        self._at = 0
        return self._value(guess) and self._skip() == len(self._text)

    def _skip(self) -> int:
        gap = _GAP.match(self._text, self._at)
        self._at = gap.end() if gap else self._at
        return self._at

    def _bracket(self, mark: str) -> bool:
        found = self._text.startswith(mark, self._skip())
        self._at += found
        return found

    def _value(self, value: Any) -> bool:
        if isinstance(value, dict):
            return (
                self._bracket("{")
                and all(self._key(key) and self._value(item) for key, item in value.items())
                and self._bracket("}")
            )
        if isinstance(value, list):
            return self._bracket("[") and all(self._value(item) for item in value) and self._bracket("]")
        return self._atom(value)

    def _key(self, key: Any) -> bool:
        plain = isinstance(key, str) and not any(mark in key for mark in "\"'“”")
        return plain and self._atom(key) and self._text.startswith(":", self._blanks())

    def _blanks(self) -> int:
        at = self._at
        while at < len(self._text) and self._text[at].isspace():
            at += 1
        return at

    def _atom(self, value: Any) -> bool:
        start = self._skip()
        closing = _QUOTES.get(self._text[start : start + 1])
        if closing is not None:
            end = self._same(value, start + 1) if isinstance(value, str) else -1
            if end < 0 or not self._text.startswith(closing, end) or _SWALLOWED.search(self._text, start + 1, end):
                return False
            self._at = end + len(closing)
            return True
        bare = _BARE.match(self._text, start)
        if bare is None or not _reads_as(bare[0], value):
            return False
        self._at = bare.end()
        return True

    def _same(self, value: str, at: int) -> int:
        """Where the text stops saying `value` character by character, escapes undone; -1 where it says another."""
        text, length = self._text, len(self._text)
        reached, end = 0, len(value)
        while reached < end:
            if at >= length:
                return -1
            if text[at] != "\\":
                if text[at] != value[reached]:
                    return -1
                at, reached = at + 1, reached + 1
                continue
            meant, width = _unescaped(text, at)
            if meant is not None and value.startswith(meant, reached):
                at, reached = at + width, reached + len(meant)
            elif meant is None and value[reached] == "\\":
                at, reached = at + 1, reached + 1
            else:
                return -1
        return at


def _unescaped(text: str, at: int) -> tuple[str | None, int]:
    """What an escape means and how long it is; None if JSON knows no such escape."""
    escape = _ESCAPE.match(text, at)
    if escape is None:
        return None, 1
    if escape[1] is None:
        return _ESCAPES.get(escape[2]), 2
    code = int(escape[1], 16)
    low = _ESCAPE.match(text, at + 6) if 0xD800 <= code < 0xDC00 else None
    if low is not None and low[1] is not None and 0xDC00 <= int(low[1], 16) < 0xE000:
        return chr(0x10000 + ((code - 0xD800) << 10) + int(low[1], 16) - 0xDC00), 12
    return chr(code), 6


def _reads_as(bare: str, value: Any) -> bool:
    """Does a word without quotes mean this value and no other?"""
    if bare.lower() in _WORDS:
        return _WORDS[bare.lower()] is value
    if isinstance(value, str):
        return bare == value
    if value is None or isinstance(value, bool):
        return False
    if isinstance(value, int):
        return bare == str(value)
    try:
        return bool(float(bare) == value)
    except ValueError:
        return False
