"""Finds the examples of a Markdown page or of a module's docstrings.

Every fence in a language that can be run is an example. A comment directly above a fence says what is special about it:

    <!-- not run: why -->       shown only; the reason must be given
    <!-- continues -->          runs after the Python fence before it, in the same names and folder
    <!-- file: name -->         a file that lies in the folder of every example of its page
    <!-- exit: 2 -->            a console example that ends with this exit code
    <!-- output -->             what the fence before it prints; `...` stands for anything

In Python, a comment behind a `print(...)` is what it prints.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

LANGUAGES = {
    "py": "python",
    "python": "python",
    "console": "console",
    "bash": "shell",
    "sh": "shell",
    "shell": "shell",
    "yaml": "yaml",
    "yml": "yaml",
    "json": "json",
    "jsonl": "json",
}
"""The languages that are run or read, and what is done with them."""

_OPEN = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,}|~{3,}) *(?P<language>[\w+-]*)[^`]*$")
_MARK = re.compile(r"^ *<!-- *(?P<name>not run|continues|file|exit|output)(?: *: *(?P<value>.*?))? *-->$")
_COMMENT = re.compile(r"^ *<!--.*-->$")
_NEEDS_VALUE = {"not run", "file", "exit"}


class PageError(Exception):
    """A page is not written as this module asks."""


@dataclass(frozen=True, slots=True)
class Fence:
    """One fenced block: `line` is that of its first line of text, counted from 1."""

    page: str
    line: int
    language: str
    text: str
    marks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Example:
    """One thing to run: the last of `fences` after those that it continues, beside the page's `files`."""

    kind: str
    fences: tuple[Fence, ...]
    files: tuple[Fence, ...] = ()
    output: str | None = None

    @property
    def fence(self) -> Fence:
        return self.fences[-1]

    def __str__(self) -> str:
        return f"{self.fence.page}:{self.fence.line}"


def fences(page: str, text: str, first_line: int = 1) -> Iterator[Fence]:
    """The fenced blocks of a text, in order.

    Raises:
        PageError: a block is not closed, or the comment above it is none that is known.
    """
    marks: dict[str, str] = {}
    opened: re.Match[str] | None = None
    start, body = 0, list[str]()
    for number, line in enumerate(text.splitlines(), first_line):
        if opened is not None:
            if re.fullmatch(rf" *{opened['ticks'][0]}{{{len(opened['ticks'])},}} *", line):
                yield Fence(page, start, opened["language"].lower(), "\n".join(body) + "\n", marks)
                opened, marks = None, {}
            else:
                body.append(line.removeprefix(opened["indent"]))
        elif opening := _OPEN.match(line):
            opened, start, body = opening, number + 1, []
        elif _COMMENT.match(line):
            marks = {**marks, **_mark(page, number, line)}
        elif line.strip():
            marks = {}
    if opened is not None:
        raise PageError(f"{page}:{start}: the fence is not closed")


def _mark(page: str, number: int, line: str) -> dict[str, str]:
    mark = _MARK.match(line)
    if mark is None:
        if re.match(r" *<!-- *(not|run|skip|continue|file|exit|output)", line):
            raise PageError(f"{page}:{number}: no such mark: {line.strip()}")
        return {}
    if mark["name"] in _NEEDS_VALUE and not mark["value"]:
        raise PageError(f"{page}:{number}: `{mark['name']}` must say more: <!-- {mark['name']}: ... -->")
    return {mark["name"]: mark["value"] or ""}


def examples(found: Iterable[Fence]) -> list[Example]:
    """What there is to run on one page."""
    page = list(found)
    files = tuple(fence for fence in page if "file" in fence.marks)
    result: list[Example] = []
    for fence, following in zip_longest(page, page[1:]):
        if "not run" in fence.marks or "output" in fence.marks or fence.language not in LANGUAGES:
            continue
        kind = LANGUAGES[fence.language]
        if kind == "yaml" and not re.search(r"^dataset:", fence.text, re.MULTILINE):
            continue
        before: tuple[Fence, ...] = ()
        if "continues" in fence.marks:
            if not result or result[-1].kind != kind:
                raise PageError(f"{fence.page}:{fence.line}: continues, but no {kind} example stands before it")
            before = result[-1].fences
        output = following.text if following is not None and "output" in following.marks else None
        result.append(Example(kind, (*before, fence), files, output))
    return result


def of_page(path: Path, name: str) -> list[Example]:
    """The examples of a Markdown file."""
    return examples(fences(name, path.read_text(encoding="utf-8")))


def of_docstrings(path: Path, name: str) -> list[Example]:
    """The fenced examples in the docstrings of a Python file."""
    source = path.read_text(encoding="utf-8")
    result: list[Example] = []
    if "```" not in source:
        return result
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node, clean=False)
            if text is not None and "```" in text:
                result += examples(fences(name, inspect.cleandoc(text), node.body[0].lineno))
    return result


def matches(expected: str, printed: str) -> bool:
    """Whether a printed text is the expected one: blanks at line ends do not count, `...` or `…` is any text."""
    parts = re.split(r"\.\.\.|…", _trimmed(expected))
    return re.fullmatch(".*".join(re.escape(part) for part in parts), _trimmed(printed), re.DOTALL) is not None


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())
