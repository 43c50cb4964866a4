"""What a docstring says of a function and its parameters, in the styles of Google, NumPy and Sphinx."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_GOOGLE = re.compile(r"(args|arguments|parameters|params|keyword args|keyword arguments|other parameters):\s*", re.I)
_NUMPY = re.compile(r"(other )?parameters", re.I)
_HEADING = re.compile(r"[A-Z][\w ]*:\s*")
_GOOGLE_ENTRY = re.compile(r"\*{0,2}(?P<name>\w+)\s*(?:\((?:[^()]|\([^()]*\))*\))?\s*:(?:\s+(?P<text>.*)|$)")
_NUMPY_ENTRY = re.compile(r"(?P<names>\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?")
_SPHINX_ENTRY = re.compile(
    r":(?:param|parameter|arg|argument|key|keyword)\s+(?:[^:]*\s)?\*{0,2}(?P<name>\w+)\s*:(?P<text>.*)"
)
_SPHINX_FIELD = re.compile(r":\w[^:]*:")


class Documented(NamedTuple):
    """A docstring.

    Attributes:
        summary: its first paragraph on one line, or an empty text.
        parameters: what is said of each parameter, on one line.
    """

    summary: str
    parameters: dict[str, str]


def documented(docstring: str | None) -> Documented:
    """What a docstring says."""
    lines = inspect.cleandoc(docstring or "").splitlines()
    return Documented(_joined(_first_paragraph(lines)), _parameters(lines))


def _first_paragraph(lines: Sequence[str]) -> Iterator[str]:
    for place, line in enumerate(lines):
        underlined = place + 1 < len(lines) and re.fullmatch(r"-{3,}", lines[place + 1].strip()) is not None
        if not line.strip() or _GOOGLE.fullmatch(line) or _SPHINX_FIELD.match(line) or underlined:
            return
        yield line


def _parameters(lines: Sequence[str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for place, line in enumerate(lines):
        after = lines[place + 1 :]
        if _GOOGLE.fullmatch(line):
            found |= _google(after)
        elif _NUMPY.fullmatch(line.strip()) and after and re.fullmatch(r"-{3,}", after[0].strip()):
            found |= _numpy(after[1:])
        elif entry := _SPHINX_ENTRY.match(line.strip()):
            more = _while_indented(after)
            found[entry["name"]] = [entry["text"], *more]
    return {name: text for name, parts in found.items() if (text := _joined(parts))}


def _google(lines: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    block = list(_while_indented(lines, blank=True))
    depth = min((_depth(line) for line in block if line.strip()), default=0)
    texts: list[str] = []
    for line in block:
        entry = _GOOGLE_ENTRY.fullmatch(line.strip()) if _depth(line) == depth else None
        if entry is not None:
            texts = found[entry["name"]] = [entry["text"] or ""]
        else:
            texts.append(line)
    return found


def _numpy(lines: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    texts: list[str] = []
    for place, line in enumerate(lines):
        if place + 1 < len(lines) and line.strip() and re.fullmatch(r"-{3,}", lines[place + 1].strip()):
            break
        entry = _NUMPY_ENTRY.fullmatch(line) if line and _depth(line) == 0 else None
        if entry is not None:
            texts = []
            for name in re.findall(r"\w+", entry["names"]):
                found[name] = texts
        elif line.strip() and _depth(line) == 0:
            break
        else:
            texts.append(line)
    return found


def _while_indented(lines: Sequence[str], *, blank: bool = False) -> Iterator[str]:
    for line in lines:
        if (line.strip() and not _depth(line)) or (not line.strip() and not blank):
            return
        yield line


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def _joined(lines: Sequence[str] | Iterator[str]) -> str:
    return " ".join(" ".join(lines).split())
