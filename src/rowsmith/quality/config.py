"""The gates as a user configures them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Literal

from pydantic import Field, field_serializer, model_validator

from rowsmith.config import Config
from rowsmith.quality.gates import Blocklist, Filter, Gate, Length, NotEmpty


class GatesConfig(Config):
    """The checks that every row passes before it is written.

    Attributes:
        min_length: characters that each text of a row must have.
        max_length: characters that it may have; None for no bound.
        blocklist: words and phrases that must not stand in it, as whole words, in any case.
        duplicates: `reject` refuses a row whose text exists already, in any case and spacing; `allow` does not look.
        filters: functions of your own, `(content, topic, metadata) -> (accepted, reason)` or `-> accepted`;
            `metadata` is the whole row.
    """

    min_length: int = Field(default=0, ge=0)
    max_length: int | None = Field(default=None, ge=1)
    blocklist: list[str] = Field(default_factory=list)
    duplicates: Literal["reject", "allow"] = "reject"
    filters: list[Callable[..., Any]] = Field(default_factory=list)

    @model_validator(mode="after")
    def _lengths_fit(self) -> GatesConfig:
        if self.max_length is not None and self.min_length > self.max_length:
            raise ValueError(f"min_length={self.min_length} is more than max_length={self.max_length}")
        if any(not phrase.strip() for phrase in self.blocklist):
            raise ValueError("the blocklist has an empty phrase, which would block every row")
        return self

    @field_serializer("filters")
    def _filters_by_code(self, filters: list[Callable[..., Any]]) -> list[str]:
        return [code_of(function) for function in filters]

    def describe(self) -> dict[str, Any]:
        """What the gates depend on, as JSON."""
        return self.model_dump(mode="json")

    def build(self, fields: Sequence[str]) -> list[Gate]:
        """The gates, cheap first.

        Args:
            fields: the texts of a row; the first is its main one.
        """
        gates: list[Gate] = [NotEmpty(fields)]
        if self.min_length or self.max_length is not None:
            gates.append(Length(fields, self.min_length, self.max_length))
        if self.blocklist:
            gates.append(Blocklist(fields, self.blocklist))
        gates.extend(Filter(function, fields[0]) for function in self.filters)
        return gates


def code_of(function: Callable[..., Any]) -> str:
    """A function's name with a hash of its code, so that an edited function is known for another one."""
    name = getattr(function, "__qualname__", type(function).__qualname__)
    code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
    if code is None:
        return name
    content = repr((code.co_code, [c for c in code.co_consts if not hasattr(c, "co_code")], code.co_names))
    return f"{name}:{hashlib.sha256(content.encode()).hexdigest()[:16]}"
