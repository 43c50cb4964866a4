"""Prompt expansion: the variations that templates and the values of their optional placeholders make."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import Field, StrictBool, StrictInt, field_validator, model_validator

from rowsmith.config import Config
from rowsmith.errors import ConfigError
from rowsmith.prompts.template import NAME

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
