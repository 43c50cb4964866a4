"""One entry of an answer on its way to becoming a row: what more is asked about it, and by which calls it is made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from pydantic import BaseModel

from rowsmith.engine.asking import Prompt
from rowsmith.errors import AnswerError
from rowsmith.llm.provider import Provider
from rowsmith.llm.structured.output import Expected

if TYPE_CHECKING:
    from rowsmith.engine.context import Context

D = TypeVar("D", bound=BaseModel | None)
N = TypeVar("N")
Check = Callable[[N], str | None]
Refused = tuple[str, str, dict[str, Any]]


class Question(NamedTuple):
    """Something to ask: as whom, what, and what the answer must fit."""

    role: str
    prompt: Prompt
    output: Expected[Any]


class Draft(Generic[D]):
    """One entry of an answer on its way to becoming a row.

    Attributes:
        entry: the entry.
        ordinal: of the call that it was in the answer to.
        place: its place there.
        calls: the keys of the calls it is made of so far, as rows show them.
        refused: answers about it that were refused, in order.
        origin: who answered first: wrote the entry, or began the row where there is none; None before anybody has.
    """

    __slots__ = ("_answered", "_context", "_next", "calls", "entry", "ordinal", "origin", "place", "refused")

    def __init__(
        self,
        entry: D,
        context: Context,
        ordinal: str,
        place: int,
        calls: list[str],
        answered: dict[str, Provider],
        origin: Provider | None = None,
    ) -> None:
        self.entry = entry
        self.ordinal = ordinal
        self.place = place
        self.calls = calls
        self.refused: list[Refused] = []
        self.origin = origin
        self._answered = answered
        self._context = context
        self._next = 0

    @property
    def random(self) -> Random:
        """A generator seeded by the run's seed, the cell and the entry's place in it; each access starts it anew."""
        return self._context.random_for(f"{self.ordinal}.{self.place}")

    async def ask(self, role: str, prompt: Prompt, output: Expected[N], check: Check[N] | None = None) -> N:
        """Ask for something more about this entry; as `Context.ask`, with the call added to the row's provenance."""
        answer, key, provider = await self._context.ask_for(self._ordinal, self.refused, role, prompt, output, check)
        self.calls.append(key)
        self._answered[role] = provider
        self.origin = self.origin or provider
        return answer

    async def ask_at_once(self, questions: Sequence[Question]) -> list[Any]:
        """Ask several things about this entry at the same time: the answers, in the order of the questions.

        Raises:
            AnswerError, ProviderError: as `ask`, of the first that failed; the others are asked to their end.
        """
        places = [self._ordinal().rpartition(".") for _ in questions]
        asking = [Draft(self.entry, self._context, call, int(place), [], {}) for call, _, place in places]
        found = await asyncio.gather(
            *(draft.ask(*question) for draft, question in zip(asking, questions, strict=True)), return_exceptions=True
        )
        for draft in asking:
            self.calls += draft.calls
            self.refused += draft.refused
            self._answered |= draft._answered
            self.origin = self.origin or draft.origin
        failed = [one for one in found if isinstance(one, BaseException)]
        if failed:
            raise next((one for one in failed if not isinstance(one, AnswerError)), failed[0])
        return found

    def model(self, role: str) -> str:
        """The id of the model that answered last about this entry in a role; before any has, of the one to be asked."""
        provider = self._answered.get(role)
        return self._context.model(role) if provider is None else provider.model_id

    def _ordinal(self) -> str:
        ordinal = f"{self.ordinal}.{self.place}.{self._next}"
        self._next += 1
        return ordinal
