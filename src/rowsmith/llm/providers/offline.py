"""The embedded default: a provider without a key, a network or a model.

It answers from the request's bytes alone, fills any JSON Schema that Pydantic writes with valid values, and writes
readable text that carries the language, label and topic of the request's hints. It is for the first minute, for tests
and for demonstrations. It is no language model and says so: `model_id` is `offline`, in every row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, ClassVar

import orjson

from rowsmith.errors import BadRequestError, ConfigError
from rowsmith.llm.facts import Facts
from rowsmith.llm.filler.quotes import RULES, quoted
from rowsmith.llm.filler.schema import UnfillableError, filler_of
from rowsmith.llm.filler.seeds import MASK, seed_of
from rowsmith.llm.filler.text import Writer
from rowsmith.llm.prices import TokenPrices
from rowsmith.llm.provider import KnownLimits
from rowsmith.llm.providers.offline_embedding import OfflineEmbedding
from rowsmith.llm.values import Completion, Finish, Request, Rung, Usage

if TYPE_CHECKING:
    from rowsmith.llm.transport import Transport

_CANONICAL = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineProvider:
    """Answers without a model: deterministic, valid, readable, and made up.

    Args:
        model_id: `offline`, or `offline-` and a suffix where several are to be told apart; each answers differently.
        latency: seconds to wait before each answer, for trying out what takes time.
        timeout: kept for the contract; nothing here can time out.

    Raises:
        ConfigError: another `model_id`, or a negative time.
    """

    name: ClassVar[str] = "offline"
    endpoint: ClassVar[str] = "offline"
    rungs: ClassVar[tuple[Rung, ...]] = (Rung.SCHEMA,)
    limits: ClassVar[KnownLimits] = KnownLimits()
    token_prices: ClassVar[TokenPrices] = TokenPrices(0, 0)
    """0: nothing is sent to anybody."""

    model_id: str = field(default="offline", kw_only=False)
    latency: float = 0.0
    timeout: float = 60.0

    def __post_init__(self) -> None:
        if self.model_id != "offline" and not self.model_id.startswith("offline-"):
            raise ConfigError(
                f"model_id={self.model_id!r}: the offline provider is no model and is not named like one. "
                "Leave it out, or write 'offline-a', 'offline-b' to tell several apart."
            )
        if self.latency < 0 or self.timeout <= 0:
            raise ConfigError(
                f"latency={self.latency!r}, timeout={self.timeout!r}: seconds; latency >= 0 and timeout > 0 are right."
            )

    @classmethod
    def facts(cls) -> Facts:
        """What holds for all of them."""
        return Facts(title="no model: placeholder text", rungs=(Rung.SCHEMA,), prices="free")

    @property
    def embeddings(self) -> OfflineEmbedding:
        """Vectors from the spelling of texts alone."""
        return OfflineEmbedding(self.model_id, self.latency, self.timeout)

    def describe(self) -> Mapping[str, Any]:
        return {"provider": "offline", "model_id": self.model_id}

    def encode(self, request: Request) -> bytes:
        """Everything that decides the answer: model, messages, schema, hints and seed, with sorted keys.

        Raises:
            ConfigError: a hint or the schema holds what JSON cannot (an object of a class, a number beyond 64 bits).
        """
        schema = request.schema
        body = {
            "hints": request.hints,
            "messages": request.messages,
            "model": self.model_id,
            "schema": schema.json if schema is not None else None,
            "seed": request.seed & MASK,
        }
        try:
            return orjson.dumps(body, _plain, _CANONICAL)
        except orjson.JSONEncodeError as error:
            raise ConfigError(f"The offline provider cannot write this request as JSON: {error}") from None

    async def complete(self, body: bytes, transport: Transport) -> Completion:  # noqa: ARG002 - nothing is sent
        """Answer an encoded request.

        The usage counts words, that is spaces, and not tokens: of the messages as input, of the answer as output.

        Raises:
            BadRequestError: no value of the schema can be made (a contradiction, a pattern with look-around).
        """
        if self.latency:
            await asyncio.sleep(self.latency)
        asked = orjson.loads(body)
        text = answer(body, asked["schema"], asked["hints"], model=self.model_id)
        words = sum([message["content"].count(" ") + 1 for message in asked["messages"]])
        return Completion(text, Finish.STOP, Usage(words, text.count(" ") + 1), self.model_id)


def answer(question: bytes, schema: Mapping[str, Any] | None, hints: Mapping[str, Any], model: str = "offline") -> str:
    """What the offline provider says to a question: JSON that fits the schema, or free text without one.

    Args:
        question: any bytes; other bytes, another answer.
        schema: the JSON Schema to fill.
        hints: a cell's values by name, see `Writer`.
        model: who is named in an error.

    Raises:
        BadRequestError: no value of the schema can be made.
    """
    seed = seed_of(question)
    writer = Writer(hints)
    if schema is None:
        return writer.write("text", seed)
    try:
        value = filler_of(orjson.dumps(schema, option=orjson.OPT_SORT_KEYS))(writer, seed)
    except UnfillableError as error:
        raise BadRequestError(
            f"The schema cannot be filled: {error}",
            provider="offline",
            model=model,
            hint="Loosen the schema, or name a real model.",
        ) from None
    return orjson.dumps(quoted(value, hints, seed) if RULES in hints else value).decode()


def _plain(value: Any) -> Any:
    """A JSON value for what orjson does not know of itself, always the same for equal values."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Set):
        return sorted(value, key=str)
    if isinstance(value, PathLike):
        return fspath(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
