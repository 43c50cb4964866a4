r"""Prompt templates: text with mandatory `{name}` and optional `{{name}}` placeholders.

The syntax, whole:

- A name is a letter or `_`, then letters, digits and `_` (ASCII). Blanks around it are allowed: `{{ tone }}`.
- Braces count from the inside out: `{name}` is mandatory, `{{name}}` is optional. Where the two sides have different
  numbers of braces the smaller counts, and where there are more than two, two count; the rest is text. So
  `{"text": {text}}` fills in `text` inside braces, and `{{{tone}}}` fills in `tone` inside braces.
- A backslash makes a placeholder text: `\{name}` gives `{name}`. Any other backslash is a backslash.
- All other braces are text: `{}`, `{0}`, `{"label": "x"}`, `{x.__class__}`, `{x!r}`, `{x:>10}`.

What is nearly a placeholder (`{num samples}`, `{label-name}`, `{topic.title}`) is text here too; `check`, which knows
the names, refuses it where it comes close to one of them. Values are data: they are put in once and never read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from rowsmith.errors import TemplateError

NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_BRACED = re.compile(r"(\\?)(?<!\{)(\{+)[ \t]*([^\W\d][\w \t.:!?()\[\]<>^-]{0,60}?)[ \t]*(\}+)")
_NAME = re.compile(NAME)


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


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A place that looks like a placeholder and is text.

    Attributes:
        content: what stands between the braces.
        start: where its braces begin in the template's text.
        end: the place behind them.
    """

    content: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt template: parsed once, rendered often. Equal and hashed by its text.

    Attributes:
        text: the template as it was written.
        placeholders: its places to fill in, in order.
        mandatory: the names in single braces.
        optional: the names in double braces, in the order of their first appearance.
        near_misses: the places that look like placeholders and are text.
    """

    text: str
    placeholders: tuple[Placeholder, ...] = field(init=False, repr=False, compare=False)
    mandatory: frozenset[str] = field(init=False, repr=False, compare=False)
    optional: tuple[str, ...] = field(init=False, repr=False, compare=False)
    near_misses: tuple[NearMiss, ...] = field(init=False, repr=False, compare=False)
    _pieces: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _slots: tuple[tuple[int, str], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise TemplateError(f"A template is a string, not a {type(self.text).__name__}.")
        pieces, placeholders, near_misses = _parsed(self.text)
        names = [one.name for one in placeholders if one.optional]
        object.__setattr__(self, "placeholders", tuple(placeholders))
        object.__setattr__(self, "mandatory", frozenset(one.name for one in placeholders if not one.optional))
        object.__setattr__(self, "optional", tuple(dict.fromkeys(names)))
        object.__setattr__(self, "near_misses", tuple(near_misses))
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


def _parsed(text: str) -> tuple[list[str], list[Placeholder], list[NearMiss]]:
    """The template as pieces of text with an empty one for each placeholder between them, and its places."""
    pieces = [""]
    placeholders: list[Placeholder] = []
    near_misses: list[NearMiss] = []
    done = 0
    for match in _BRACED.finditer(text):
        backslash, opening, content, closing = match.groups()
        if backslash:
            pieces[-1] += text[done : match.start()]
            done = match.start() + 1
        elif _NAME.fullmatch(content) is None:
            near_misses.append(NearMiss(content, match.start(), match.end()))
        else:
            braces = min(len(opening), len(closing), 2)
            start, end = match.end(2) - braces, match.start(4) + braces
            placeholders.append(Placeholder(content, braces == 2, start, end))
            pieces[-1] += text[done:start]
            pieces += ["", ""]
            done = end
    pieces[-1] += text[done:]
    return pieces, placeholders, near_misses
