"""Expansion of templates into variations."""

from __future__ import annotations

from collections.abc import Sequence, Set

from pydantic import Field

from rowsmith.config import Config
from rowsmith.prompts.template import Template, check


class PromptExpansionConfig(Config):
    """Values of optional placeholders, and how many of their combinations are used."""

    placeholders: dict[str, list[str]] = Field(default_factory=dict)
    combinatorial: bool = True
    num_random_samples: int = Field(default=1, ge=1)
    max_samples: int = Field(default=1000, ge=1)

    def check(self, templates: Sequence[Template], *, mandatory: Set[str], available: Set[str]) -> None:
        """Raise TemplateError where templates and values do not fit."""
        check(templates, mandatory=mandatory, available=available, values=self.placeholders)
