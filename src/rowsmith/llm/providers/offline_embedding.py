"""Vectors without a model: counts of words and of three letters in a row, hashed into 256 places.

It is no language model: it knows how texts are spelt and nothing of what they mean. "Car engines" and "Engines of cars"
are near each other, "Car engines" and "Automobile motors" are not. It is for the first minute, for tests and for
demonstrations, as is the offline provider whose it is.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self
from zlib import crc32

import orjson

from rowsmith.llm import vectors
from rowsmith.llm.prices import TokenPrices
from rowsmith.llm.provider import KnownLimits
from rowsmith.llm.values import Completion, Request, Rung, Usage

if TYPE_CHECKING:
    from rowsmith.llm.transport import Transport

NUMBERS = 256
_WORD = re.compile(r"\w+")
_OF_A_WORD = 2
"""How much a whole word counts, where each of its triples of letters counts 1."""


@dataclass(frozen=True, slots=True)
class OfflineEmbedding:
    """Makes vectors of texts from their spelling alone: deterministic, free, and blind to meaning.

    Args:
        model_id: as the offline provider's.
        latency: seconds to wait before each answer.
        timeout: kept for the contract.
    """

    name: ClassVar[str] = "offline"
    endpoint: ClassVar[str] = "offline"
    rungs: ClassVar[tuple[Rung, ...]] = (Rung.PROMPT,)
    limits: ClassVar[KnownLimits] = KnownLimits()
    token_prices: ClassVar[TokenPrices] = TokenPrices(0, 0)
    """0: nothing is sent to anybody."""
    max_completion_tokens: ClassVar[int] = 0
    """0: vectors are no text."""

    model_id: str = "offline"
    latency: float = 0.0
    timeout: float = 60.0

    @property
    def embeddings(self) -> Self:
        """Itself."""
        return self

    def describe(self) -> Mapping[str, object]:
        return {"provider": "offline", "model_id": self.model_id, "vectors": "hashed words and letters"}

    def encode(self, request: Request) -> bytes:
        """The texts and the model."""
        texts = [message.content.encode("utf-8", "replace").decode() for message in request.messages]
        return orjson.dumps({"input": texts, "model": self.model_id})

    async def complete(self, body: bytes, transport: Transport) -> Completion:  # noqa: ARG002 - nothing is sent
        """The vectors of an encoded request. The usage counts words, that is spaces, and not tokens."""
        if self.latency:
            await asyncio.sleep(self.latency)
        texts: list[str] = orjson.loads(body)["input"]
        made = vectors.written([vectors.rounded(hashed(text)) for text in texts])
        return Completion(made, usage=Usage(sum(text.count(" ") + 1 for text in texts)), model=self.model_id)


def hashed(text: str) -> Sequence[float]:
    """A vector of a text, as whole numbers: each of its words and triples of letters counts in the place, and with the
    sign, that its hash says. A text without words is taken as one.
    """
    counts = [0] * NUMBERS
    for word in _WORD.findall(text.casefold()) or [text]:
        _count(counts, word, _OF_A_WORD)
        framed = f" {word} "
        for at in range(len(framed) - 2):
            _count(counts, framed[at : at + 3], 1)
    # Everything may cancel out, in theory: a vector of zeros has no direction.
    return counts if any(counts) else [1, *counts[1:]]


def _count(counts: list[int], part: str, weight: int) -> None:
    found = crc32(part.encode("utf-8", "surrogatepass"))
    counts[found % NUMBERS] += weight if found >> 31 else -weight
