"""Prompt templates."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set

from rowsmith.errors import TemplateError

_NAME = re.compile(r"\{\{([A-Za-z_][A-Za-z0-9_]*)\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Template:
    """A prompt with mandatory `{names}` and optional `{{names}}`."""

    def __init__(self, text: str) -> None:
        self.text = text
        found = _NAME.findall(text)
        self.mandatory = frozenset(name for _, name in found if name)
        self.optional = tuple(dict.fromkeys(name for name, _ in found if name))

    def render(self, values: Mapping[str, object]) -> str:
        """The text with every name substituted once."""
        return _NAME.sub(lambda match: str(values[match[1] or match[2]]), self.text)


def check(
    templates: Sequence[Template], *, mandatory: Set[str], available: Set[str], values: Mapping[str, Sequence[str]]
) -> None:
    """Raise TemplateError where a template lacks a mandatory name or has an unknown one."""
    for template in templates:
        if missing := mandatory - template.mandatory:
            raise TemplateError(f"the template lacks {', '.join(sorted(missing))}: {template.text!r}")
        if unknown := template.mandatory - mandatory - available:
            raise TemplateError(f"the template has unknown names {', '.join(sorted(unknown))}: {template.text!r}")
        if without := set(template.optional) - set(values):
            raise TemplateError(f"no values for {', '.join(sorted(without))}: {template.text!r}")
