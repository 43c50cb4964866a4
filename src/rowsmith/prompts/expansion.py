"""Prompt expansion: the variations that templates and the values of their optional placeholders make."""

from __future__ import annotations

import itertools
import math
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self, overload

from pydantic import Field, StrictBool, StrictInt, field_validator, model_validator

from rowsmith.config import Config
from rowsmith.errors import ConfigError
from rowsmith.prompts.template import NAME, Template

_Count = Annotated[StrictInt, Field(ge=1)]


class PromptExpansionConfig(Config):
    """How the optional placeholders of prompts vary.

    Attributes:
        placeholders: the values of each optional placeholder, by its name. Numbers count as their digits.
        combinatorial: True makes every variation, False draws `num_random_samples` of them.
        num_random_samples: how many distinct variations a run draws; without effect when `combinatorial`.
        max_samples: the most variations that are made. More are an error, never a silent cut.
    """

    placeholders: dict[str, list[str]] = Field(default_factory=dict)
    combinatorial: StrictBool = True
    num_random_samples: _Count = 1
    max_samples: _Count = 1000

    @field_validator("placeholders", mode="before")
    @classmethod
    def _checked(cls, given: Any) -> Any:
        return {name: _values(name, values) for name, values in given.items()} if isinstance(given, Mapping) else given

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.combinatorial and self.num_random_samples > self.max_samples:
            raise ConfigError(
                f"num_random_samples ({self.num_random_samples}) is more than max_samples ({self.max_samples}). "
                "Draw fewer, or raise max_samples"
            )
        return self


def _values(name: Any, values: Any) -> list[str]:
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        raise ConfigError(f"{name!r} cannot be written as a placeholder: a name has letters, digits and _ only")
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ConfigError(f"the values of {name!r} must be a list, such as [{values!r}]")
    if not values:
        raise ConfigError(f"{name!r} has no values: give it some, or take it out")
    texts = [_text(name, value) for value in values]
    twice = [text for text, count in _counts(texts).items() if count > 1]
    if twice:
        raise ConfigError(f"{name!r} has the value {twice[0]!r} more than once")
    return texts


def _text(name: str, value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise ConfigError(f"the values of {name!r} must be texts, and {value!r} is none: put it in quotes")
    if not value.strip():
        raise ConfigError(f"{name!r} has an empty value")
    return value


def _counts(texts: Sequence[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for text in texts:
        counts[text] = counts.get(text, 0) + 1
    return counts


@dataclass(frozen=True, slots=True)
class Variation:
    """One template with one value for each of its optional placeholders.

    Attributes:
        template: the template.
        values: the chosen values, by name, in the order of their appearance.
    """

    template: Template
    values: Mapping[str, str]


class Variations(Sequence[Variation]):
    """All variations of some templates, as a number line: each is found by its index, none is kept.

    The templates follow one another; within a template the value of its last placeholder changes fastest.

    Args:
        templates: the templates, checked.
        expansion: the values. Each template varies by the placeholders it uses, and by no others.

    Attributes:
        total: how many there are; `len` cannot say numbers of more than 63 bits.

    Raises:
        ConfigError: `expansion` is combinatorial, and there are more variations than its `max_samples`.
    """

    def __init__(self, templates: Sequence[Template], expansion: PromptExpansionConfig) -> None:
        self._templates = tuple(templates)
        self._axes = tuple(
            tuple((name, tuple(expansion.placeholders[name])) for name in template.optional)
            for template in self._templates
        )
        sizes = (math.prod(len(values) for _, values in axes) for axes in self._axes)
        self._ends = tuple(itertools.accumulate(sizes))
        self.total = self._ends[-1] if self._ends else 0
        if expansion.combinatorial and self.total > expansion.max_samples:
            raise ConfigError(
                f"The prompts and the values of their placeholders make {self.total} variations, more than "
                f"max_samples={expansion.max_samples}. Either raise max_samples to {self.total} or more, or draw some "
                f"of them: combinatorial=False, num_random_samples=N."
            )

    def __len__(self) -> int:
        return self.total

    @overload
    def __getitem__(self, index: int) -> Variation: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Variation]: ...
    def __getitem__(self, index: int | slice) -> Variation | Sequence[Variation]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        at = index + self.total if index < 0 else index
        if not 0 <= at < self.total:
            raise IndexError(f"There are {self.total} variations, and none has the index {index}.")
        place = bisect_right(self._ends, at)
        rest = at - (self._ends[place - 1] if place else 0)
        chosen = {}
        for name, values in reversed(self._axes[place]):
            rest, which = divmod(rest, len(values))
            chosen[name] = values[which]
        return Variation(self._templates[place], dict(reversed(chosen.items())))
