"""What a call to a model takes: before it is sent, at most or about; afterwards, really."""

from __future__ import annotations

import math
from typing import NamedTuple

from rowsmith.engine.asking import Price
from rowsmith.llm.provider import Provider
from rowsmith.llm.values import Completion, Usage

BYTES_PER_TOKEN = 4
"""Bytes of text that make a token, about: English has 4 to 5, other Latin scripts 3 to 4, Chinese and Japanese 3."""
HIDDEN = 512
"""Tokens that a service may add to a request: a template, a description of the schema."""
LONGEST = 32_768
"""Tokens set aside for an answer of a model that has not answered yet and has no limit of its own."""
TYPICAL = 1_000
"""The same where nothing else is under way: a run with a small budget must be able to begin."""


def tokens_of(size: int) -> int:
    """About how many tokens so many bytes are."""
    return -(-size // BYTES_PER_TOKEN)


class Taken(NamedTuple):
    """What was set aside for one call."""

    tokens: float
    cost: float


class Gauge:
    """What calls to one model take at most, as far as is known.

    Args:
        provider: the model.
        price: what a call costs.
    """

    def __init__(self, provider: Provider, price: Price) -> None:
        self.provider = provider
        self._price = price
        self._cap: int | None = getattr(provider, "max_completion_tokens", None)
        self._calls = 0
        self._longest = 0
        self._densest = 0.0

    def most(self, size: int, *, alone: bool) -> Taken:
        """What a request of so many bytes may take, its answer included; `alone` if no other is under way."""
        bound = size + HIDDEN
        if self._cap:
            return self._taken(bound, self._cap)
        if not self._calls:
            return self._taken(bound, 0 if self._cap == 0 else TYPICAL if alone else LONGEST)
        # Of n calls the largest is passed by the next in one case of n + 1: the margin shrinks as they grow in number.
        margin = 1 + self._calls**-0.5
        return self._taken(min(bound, math.ceil(size * self._densest * margin)), math.ceil(self._longest * margin))

    def real(self, size: int, completion: Completion) -> tuple[Taken, Usage | None]:
        """What a call has taken, and its estimated tokens where the service did not tell any."""
        usage, estimated = completion.usage, None
        if not usage.input_tokens and not usage.output_tokens:
            answered = 0 if self._cap == 0 else tokens_of(len(completion.text.encode()))  # vectors are no text
            usage = estimated = Usage(tokens_of(size), answered)
        self._calls += 1
        self._longest = max(self._longest, usage.output_tokens)
        self._densest = max(self._densest, usage.input_tokens / max(1, size))
        return Taken(usage.input_tokens + usage.output_tokens, self.cost(usage)), estimated

    def cost(self, usage: Usage) -> float:
        """What so many tokens cost; 0 where no price is known, which a run with a limit of cost does not begin with."""
        return self._price(self.provider, usage) or 0.0

    def _taken(self, asked: int, answered: int) -> Taken:
        return Taken(asked + answered, self.cost(Usage(asked, answered)))
