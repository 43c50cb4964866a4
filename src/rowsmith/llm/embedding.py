"""Embedding models: what a provider needs for texts to be turned into vectors, and how one is named.

An embedding is a call like any other, with the same limits, retries, budget, ledger and price. So an embedding model is
a provider, too: its request's messages are the texts, and its completion's text are the vectors, as `vectors` writes
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Protocol, Self, runtime_checkable

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from rowsmith.errors import ConfigError, MalformedReplyError, ProviderError
from rowsmith.llm.provider import Provider
from rowsmith.llm.registry import entry_point, loaded, resolve
from rowsmith.llm.secrecy import plainly

_ALONE = ("offline", "llama_server")
"""Providers that are named without a model."""
_EXAMPLE = "'openai/text-embedding-3-small', 'ollama/nomic-embed-text', or 'offline' for a try without a model"


@runtime_checkable
class Embedding(Protocol):
    """A provider whose service may have an endpoint for embeddings."""

    @property
    def embeddings(self) -> Provider | None:
        """The same model as one that makes vectors of texts; None where the service has no such endpoint."""


def other_size(provider: Provider, before: int, now: int) -> ProviderError:
    """The error for vectors that cannot be compared with those that came before: it ends the run."""
    error = MalformedReplyError(
        f"gave vectors of {now:,} numbers, and of {before:,} before: another model answers under this name now",
        provider=provider.name,
        model=provider.model_id,
        hint="Ask the model that answered before, or start anew with fresh=True (--fresh)",
    )
    error.fatal, error.retryable = True, False
    return error


# -- how one is named -------------------------------------------------------------------------------------------------


class NamedEmbedding:
    """An embedding model as a user named it.

    That there is such a provider, and that it can make embeddings, is seen at once; its key is looked for when it is
    first needed, as that of every model.

    Args:
        spec: `provider/model`; a mapping of `model` to such a text with the provider's arguments beside it; or a
            provider.

    Raises:
        ConfigError: nothing of that name is installed, or it has no endpoint for embeddings.
    """

    def __init__(self, spec: str | Mapping[str, Any] | Provider) -> None:
        self._spec = dict(spec) if isinstance(spec, Mapping) else spec
        if not isinstance(spec, str | Mapping):
            self.shown = f"{self.model.name}/{self.model.model_id}"
            return
        written = spec if isinstance(spec, str) else spec.get("model")
        if not isinstance(written, str):
            raise ConfigError(f"an embedding model given by a mapping needs `model`, such as {_EXAMPLE}")
        self.shown = written.strip()
        name, slash, model = self.shown.partition("/")
        if not hasattr(loaded(name, [entry_point(name)]), "embeddings"):
            raise _without(self.shown)
        if name not in _ALONE and not (slash and model):
            raise ConfigError(f"{self.shown!r} names no embedding model: write {name}/<model>, such as {_EXAMPLE}.")

    @classmethod
    def of(cls, given: Any) -> Self | None:
        """What was named; None for nothing.

        Raises:
            ConfigError: as above, or it is nothing that names a model.
        """
        if given is None or isinstance(given, cls):
            return given
        if isinstance(given, str | Mapping) or (isinstance(given, Provider) and not isinstance(given, type)):
            return cls(given)
        raise ConfigError(f"an embedding model is a text such as {_EXAMPLE}; it is {plainly(given)}")

    @cached_property
    def model(self) -> Provider:
        """The model.

        Raises:
            ConfigError: its arguments are wrong, it has no endpoint for embeddings at this address, or it needs a key.
        """
        named = resolve(self._spec)
        made = named.embeddings if isinstance(named, Embedding) else None
        if made is None:
            raise _without(f"{named.name}/{named.model_id}")
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NamedEmbedding) and self._spec == other._spec

    def __hash__(self) -> int:
        return hash(self.shown)

    def __repr__(self) -> str:
        return repr(self.shown)


EmbeddingSpec = Annotated[
    Any,
    BeforeValidator(NamedEmbedding.of),
    PlainSerializer(lambda named: None if named is None else named.shown),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {
                    "type": "object",
                    "properties": {"model": {"type": "string", "minLength": 1}},
                    "required": ["model"],
                },
                {"type": "null"},
            ]
        }
    ),
]
"""A setting that names an embedding model, or None."""


def checked_threshold(near_duplicates: float | None, embeddings: NamedEmbedding | None) -> None:
    """Whether a threshold fits what it is measured by.

    Raises:
        ValueError: it is out of range, or there is none.
    """
    if embeddings is not None and near_duplicates is None:
        raise ValueError(
            f"embeddings={embeddings!r} is what near duplicates are found by: set near_duplicates too, such as 0.9"
        )
    if near_duplicates is not None and embeddings is None and near_duplicates < 0.5:
        raise ValueError(
            f"near_duplicates={near_duplicates} must be at least 0.5; below it only embeddings tell texts apart"
        )


def _without(shown: str) -> ConfigError:
    return ConfigError(
        f"{shown} has no endpoint for embeddings that Rowsmith knows. Name a model that makes them, such as {_EXAMPLE}."
    )
