"""Whether templates can be filled in: found out when the configuration is made, before anything is paid for."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rowsmith.errors import TemplateError
from rowsmith.prompts.template import NAME, NearMiss, Placeholder, Template

_WIDTH = 100
_CLOSE = 0.6
_VERY_CLOSE = 0.85
_FORMATTING = re.compile(r"[.:!?(\[<>^]")


def check(
    templates: Template | Sequence[Template],
    *,
    mandatory: Collection[str],
    available: Collection[str] = (),
    values: Mapping[str, Sequence[str]] | None = None,
    where: str = "prompts",
) -> None:
    """Refuse templates that cannot be filled in, or not as their author evidently meant.

    Args:
        templates: one template, or all of a list: a placeholder's values must be used by one of them.
        mandatory: the names that each template must have, in single braces.
        available: further names that the dataset fills in, in single braces.
        values: the values of the optional placeholders, by name.
        where: the setting the templates come from, for the message.

    Raises:
        TemplateError: each problem, with the template, the place in it, and what to write.
    """
    several = [templates] if isinstance(templates, Template) else list(templates)
    names = _Names(frozenset(mandatory), frozenset(available), dict(values or {}))
    reports = []
    for at, template in enumerate(several):
        problems = list(names.problems(template))
        if problems:
            place = where if isinstance(templates, Template) else f"{where}[{at}]"
            reports.append(f"{place} cannot be used:\n" + "\n".join(problems))
    reports += names.problems_with_values(several)
    if reports:
        raise TemplateError("\n".join(reports))


@dataclass(frozen=True, slots=True)
class _Names:
    """The names that a dataset knows."""

    mandatory: frozenset[str]
    available: frozenset[str]
    values: Mapping[str, Sequence[str]]

    @property
    def filled(self) -> frozenset[str]:
        return self.mandatory | self.available

    def problems(self, template: Template) -> Iterator[str]:
        mentioned: set[str] = set()
        places: list[tuple[Placeholder | NearMiss, str]] = []
        for one in template.placeholders:
            advice = self._optional(one.name) if one.optional else self._plain(one.name)
            if advice is not None:
                places.append((one, advice[0]))
                mentioned.add(advice[1])
        for near in template.near_misses:
            if (meant := self._meant(near.content)) is not None:
                text = template.text[near.start : near.end]
                places.append(
                    (near, f"is read as text. Write {self._written(meant)}, or \\{text} if text is what it is.")
                )
                mentioned.add(meant)
        for place, words in sorted(places, key=lambda one: one[0].start):
            yield _shown(template.text, place.start, place.end, words)
        lacking = sorted(self.mandatory - template.mandatory - mentioned)
        if lacking:
            yield self._lacking(template, lacking)

    def problems_with_values(self, templates: Sequence[Template]) -> Iterator[str]:
        used = {one.name for template in templates for one in template.placeholders}
        for name in self.values:
            if not re.fullmatch(NAME, name):
                yield f"The placeholder {name!r} has values, but is no name: letters, digits and _ make one."
            elif name in self.filled:
                yield f"The placeholder {name!r} has values, but the dataset fills it in. Take another name."
            elif name not in used:
                yield (
                    f"The placeholder {name!r} has values, but no template uses it. "
                    f"Write {{{{{name}}}}} in a template, or take its values out."
                )

    def _optional(self, name: str) -> tuple[str, str] | None:
        """What to do about a name in double braces, and the name that was meant; None if it is right."""
        if name in self.filled:
            return f"is filled in by the dataset: write it in single braces, {{{name}}}.", name
        if name in self.values:
            return None
        near = _nearest(name, (*self.values, *self.filled), _CLOSE)
        if near is not None:
            return f"has no values. Did you mean {self._written(near)}?", near
        return f'has no values. Give it some: placeholders={{"{name}": ["…", "…"]}}.', name

    def _plain(self, name: str) -> tuple[str, str] | None:
        """What to do about a name in single braces, and the name that was meant; None if it is right."""
        if name in self.filled:
            return None
        if name in self.values:
            return f"has several values: write it in double braces, {{{{{name}}}}}.", name
        near = _nearest(name, (*self.filled, *self.values), _CLOSE)
        if near is not None:
            return f"is not known. Did you mean {self._written(near)}? As text, write \\{{{name}}}.", near
        known = ", ".join(f"{{{one}}}" for one in sorted(self.filled))
        return f"is not known. Known: {known or 'none'}. As text, write \\{{{name}}}.", name

    def _meant(self, content: str) -> str | None:
        """The name that something between braces comes close to."""
        names = (*self.filled, *self.values)
        base = _FORMATTING.split(content)[0].strip()
        if base in names:
            return base
        return _nearest(re.sub(r"\W+", "_", content).strip("_").lower(), names, _VERY_CLOSE)

    def _written(self, name: str) -> str:
        return f"{{{name}}}" if name in self.filled else f"{{{{{name}}}}}"

    @staticmethod
    def _lacking(template: Template, lacking: Sequence[str]) -> str:
        listing = ", ".join(f"{{{name}}}" for name in lacking)
        words = f"lacks {listing}. Add {'it' if len(lacking) == 1 else 'them'} where the prompt speaks of "
        words += f"{'it' if len(lacking) == 1 else 'them'}."
        line = template.text.strip().split("\n")[-1]
        start = "…" if len(line) > _WIDTH // 2 or "\n" in template.text.strip() else ""
        tail = line[-(_WIDTH // 2) :]
        return (
            f"  {start}{tail}\n  ^ {words}\n    For example: {start}{tail} {' '.join(f'{{{one}}}' for one in lacking)}"
        )


def _nearest(name: str, known: Iterable[str], cutoff: float) -> str | None:
    """The known name closest to a given one, capitals aside."""
    by_form = {one.lower(): one for one in sorted(known)}
    close = difflib.get_close_matches(name.lower(), by_form, n=1, cutoff=cutoff)
    return by_form[close[0]] if close else None


def _shown(text: str, start: int, end: int, words: str) -> str:
    """The line of a template with a mark under one place, and what is to be said of it."""
    first = text.rfind("\n", 0, start) + 1
    last = text.find("\n", end)
    last = len(text) if last < 0 else last
    left = max(first, start - _WIDTH // 2)
    right = min(last, max(end, left + _WIDTH))
    before = "…" if left > first else ""
    line = before + text[left:right].replace("\t", " ") + ("…" if right < last else "")
    mark = " " * (len(before) + start - left) + "^" * min(end - start, right - start)
    return f"  {line}\n  {mark} {words}"
