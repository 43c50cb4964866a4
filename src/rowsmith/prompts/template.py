"""Prompt templates: text with mandatory `{name}` and optional `{{name}}` placeholders.

The syntax, whole:

- A name is a letter or `_`, then letters, digits and `_` (ASCII). Blanks around it are allowed: `{{ tone }}`.
- Braces count from the inside out: `{name}` is mandatory, `{{name}}` is optional. Where the two sides have different
  numbers of braces the smaller counts, and where there are more than two, two count; the rest is text. So
  `{"text": {text}}` fills in `text` inside braces, and `{{{tone}}}` fills in `tone` inside braces.
- `\\{name}` and `\\{{name}}` are text: `{name}`, `{{name}}`. Any other backslash is a backslash.
- All other braces are text: `{}`, `{0}`, `{"label": "x"}`, `{x.__class__}`, `{x!r}`, `{x:>10}`.

What is nearly a placeholder (`{num samples}`, `{label-name}`, `{topic.title}`) is text to `Template`; `check`, which
knows the names, refuses it where it comes close to one of them. Values are data: they are put in once and never read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from rowsmith.errors import TemplateError

NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_PLACEHOLDER = re.compile(rf"(\\?)(\{{+)[ \t]*({NAME})[ \t]*(\}}+)")


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One place of a template that is filled in.

    Attributes:
        name: the name of what is filled in.
        optional: True for `{{name}}`.
        start: where its braces begin in the template's text.
        end: the place behind them.
    """

    name: str
    optional: bool
    start: int
    end: int

    def __str__(self) -> str:
        return f"{{{{{self.name}}}}}" if self.optional else f"{{{self.name}}}"


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt template: parsed once, rendered often. Equal and hashed by its text.

    Attributes:
        text: the template as it was written.
        placeholders: its places to fill in, in order.
        mandatory: the names in single braces.
        optional: the names in double braces, in the order of their first appearance.
    """

    text: str
    placeholders: tuple[Placeholder, ...] = field(init=False, repr=False, compare=False)
    mandatory: frozenset[str] = field(init=False, repr=False, compare=False)
    optional: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _pieces: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _slots: tuple[tuple[int, str], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise TemplateError(f"A template is a string, not a {type(self.text).__name__}.")
        pieces, placeholders = _parsed(self.text)
        names = [one.name for one in placeholders if one.optional]
        object.__setattr__(self, "placeholders", tuple(placeholders))
        object.__setattr__(self, "mandatory", frozenset(one.name for one in placeholders if not one.optional))
        object.__setattr__(self, "optional", tuple(dict.fromkeys(names)))
        object.__setattr__(self, "_pieces", tuple(pieces))
        object.__setattr__(self, "_slots", tuple((2 * at + 1, one.name) for at, one in enumerate(placeholders)))

    def render(self, values: Mapping[str, object]) -> str:
        """The text with each placeholder's value in its place, as `str` writes it.

        Args:
            values: at least the template's names; others are not looked at.

        Raises:
            TemplateError: a name has no value.
        """
        pieces = list(self._pieces)
        try:
            for place, name in self._slots:
                pieces[place] = str(values[name])
        except KeyError:
            missing = sorted({name for _, name in self._slots} - set(values))
            raise TemplateError(f"No value for {', '.join(missing)} in the template:\n  {self.text}") from None
        return "".join(pieces)

    def __str__(self) -> str:
        return self.text


def _parsed(text: str) -> tuple[list[str], list[Placeholder]]:
    """The template as pieces of text with an empty one for each placeholder between them, and the placeholders."""
    pieces = [""]
    placeholders: list[Placeholder] = []
    done = 0
    for match in _PLACEHOLDER.finditer(text):
        backslash, opening, name, closing = match.groups()
        if backslash:
            pieces[-1] += text[done : match.start()] + match[0][1:]
            done = match.end()
            continue
        braces = min(len(opening), len(closing), 2)
        start, end = match.start(3), match.end(3)
        start, end = match.end(2) - braces, match.start(4) + braces
        placeholders.append(Placeholder(name, braces == 2, start, end))
        pieces[-1] += text[done:start]
        pieces += ["", ""]
        done = end
    pieces[-1] += text[done:]
    return pieces, placeholders
