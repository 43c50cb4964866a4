"""The gates as a user configures them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any, Literal

from pydantic import Field, field_serializer, model_validator

from rowsmith.config import Config
from rowsmith.llm.embedding import EmbeddingSpec, NamedEmbedding, checked_threshold
from rowsmith.llm.provider import Provider
from rowsmith.llm.vectors import numpy
from rowsmith.quality.gates import Blocklist, Filter, Gate, Length, NotEmpty
from rowsmith.quality.minhash import scheme, signer


class GatesConfig(Config):
    """The checks that every row passes before it is written.

    Attributes:
        min_length: characters that each text of a row must have.
        max_length: characters that it may have; None for no bound.
        blocklist: words and phrases that must not stand in it, as whole words, in any case.
        duplicates: `reject` refuses a row whose text exists already, in any case and spacing; `allow` does not look.
        near_duplicates: the similarity, 0.5 to 1, from which on a row is refused because one nearly the same exists;
            None does not look. Compared are words and pairs of neighbouring words: 0.9 refuses a text of 40 words that
            differs from another in one of them, 0.8 one that differs in two. Off by default, because what is too
            similar depends on the task: short commands and sums with other numbers are alike and may be wanted. Needs
            the extra `dedup`, some 25 µs and 270 bytes of memory a row; with texts that are all of one mould, or below
            0.7, more time the more rows there are.
        embeddings: the model whose vectors tell what is nearly the same, such as `openai/text-embedding-3-small`: also
            texts that say the same in other words. `near_duplicates` is then the cosine of two vectors, 0.3 to 1, and
            what is a good one depends on the model. None compares words. Needs the extra `embeddings`, a request for
            each answer, and 4 bytes of memory for each number of each row's vector.
        filters: functions of your own, `(content, topic, metadata) -> (accepted, reason)` or `-> accepted`;
            `metadata` is the whole row.
    """

    min_length: int = Field(default=0, ge=0)
    max_length: int | None = Field(default=None, ge=1)
    blocklist: list[str] = Field(default_factory=list)
    duplicates: Literal["reject", "allow"] = "reject"
    near_duplicates: float | None = Field(default=None, ge=0.3, le=1)
    embeddings: EmbeddingSpec = None
    filters: list[Callable[..., Any]] = Field(default_factory=list)

    @model_validator(mode="after")
    def _fields_fit(self) -> GatesConfig:
        if self.max_length is not None and self.min_length > self.max_length:
            raise ValueError(f"min_length={self.min_length} is more than max_length={self.max_length}")
        if any(not phrase.strip() for phrase in self.blocklist):
            raise ValueError("the blocklist has an empty phrase, which would block every row")
        if self.near_duplicates is not None and self.duplicates == "allow":
            raise ValueError(
                f"near_duplicates={self.near_duplicates} refuses exact duplicates too, and duplicates='allow' wants "
                "them; leave one of the two out"
            )
        checked_threshold(self.near_duplicates, self.embeddings)
        return self

    @property
    def embedding_model(self) -> Provider | None:
        """The model of `embeddings`.

        Raises:
            ConfigError: its arguments are wrong, it makes no embeddings, or it needs a key.
        """
        named: NamedEmbedding | None = self.embeddings
        return None if named is None else named.model

    @field_serializer("filters")
    def _filters_by_code(self, filters: list[Callable[..., Any]]) -> list[str]:
        return [code_of(function) for function in filters]

    def describe(self) -> dict[str, Any]:
        """What the gates depend on, as JSON.

        Raises:
            MissingDependencyError: near duplicates are to be looked for, and the extra is not installed.
            ConfigError: as `embedding_model`.
        """
        described = self.model_dump(mode="json", exclude={"embeddings"})
        if self.near_duplicates is None:
            return described
        model = self.embedding_model
        if model is None:
            return {**described, "signatures": scheme(signer())}
        numpy()
        return {**described, "embeddings": dict(model.describe())}

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
    return f"{name}:{hashlib.sha256(_written(code).encode()).hexdigest()[:16]}"


def _written(part: object) -> str:
    """A part of a function's code as text, the same in every process: sets have no order, and code has an address."""
    if isinstance(part, CodeType):
        return f"({part.co_code!r} {_written(part.co_consts)} {part.co_names})"
    if isinstance(part, tuple):
        return f"({' '.join(map(_written, part))})"
    if isinstance(part, frozenset):
        return f"{{{' '.join(sorted(map(_written, part)))}}}"
    return repr(part)
