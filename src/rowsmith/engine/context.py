"""What a recipe works with while it makes one cell: questions to models, and a place to put rows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from random import Random
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel

from rowsmith.engine.again import corrected, differ_note, with_note
from rowsmith.engine.asking import Answered, Answering, CallFile, Prompt
from rowsmith.engine.draft import Check, Draft, Refused
from rowsmith.engine.keys import random_of, row_id, shown
from rowsmith.engine.models import full_name
from rowsmith.engine.plan import Cell
from rowsmith.engine.sieve import Sieve
from rowsmith.errors import AnswerError
from rowsmith.llm.provider import Provider
from rowsmith.llm.structured.feedback import ask_again
from rowsmith.llm.structured.outcome import ListReading, Outcome, Reading
from rowsmith.llm.structured.output import Expected, ListOutput
from rowsmith.quality.gates import Rejection, Row

M = TypeVar("M", bound=BaseModel)
N = TypeVar("N")
Made = Row | Rejection
_MADE = (dict, Rejection)


class Context:
    """The engine's side of one cell.

    Args:
        cell: the cell.
        wants: the counts of rows asked for so far, the latest last: a cell whose count was raised makes its first
            rows by the very calls it made them by, and asks only for the rest.
        asker: asks models.
        sieve: takes rows.
        file: what the ledger has of the cell's calls.
        max_rounds: how often rows that lack are asked for again.
        seed: of the run.
    """

    _holds: ClassVar[bool] = False
    """Whether `_settle` has anything to do."""

    def __init__(
        self,
        cell: Cell,
        wants: Sequence[int],
        asker: Answering,
        sieve: Sieve,
        file: CallFile,
        *,
        max_rounds: int,
        seed: int,
    ) -> None:
        self.cell = cell
        self._name = cell.name
        self._wants = wants
        self._asker = asker
        self._sieve = sieve
        self._file = file
        self._max_rounds = max_rounds
        self._seed = seed
        self._asked = 0
        self._answered: dict[str, Provider] = {}
        """Who answered last, by role; calls that are made at once are not among them."""

    @property
    def random(self) -> Random:
        """A generator seeded by the run's seed and the cell; each access starts it anew."""
        return self.random_for("")

    def random_for(self, part: str) -> Random:
        """A generator of its own for a part of the cell."""
        return random_of(self.cell.key, self._seed, part)

    def model(self, role: str) -> str:
        """The id of the model that answered last in a role for this cell; before any has, of the one to be asked.

        Of what one entry was asked, `Draft.model` tells; of a row's first call, the row's own `model_id`.
        """
        return self._by(role).model_id

    def provider(self, role: str) -> str:
        """The name of the provider that answered last in a role for this cell, as `model`."""
        return self._by(role).name

    def _by(self, role: str) -> Provider:
        return self._answered.get(role) or self._asker.models.provider(role, self.cell, self._seed)

    def collect(
        self,
        role: str,
        prompt: Callable[[int], Prompt],
        output: ListOutput[M],
        make: Callable[[Draft[M]], Made | Awaitable[Made]],
        texts: Callable[[M], Row] | None = None,
    ) -> Coroutine[Any, Any, object]:
        """Ask for entries until the cell has its rows, or the rounds are used up.

        Every entry of an answer becomes a row by `make` and goes through the gates. What lacks after that is asked
        for again, with what exists and what was refused.

        Args:
            role: what the model is used as.
            prompt: makes the prompt that asks for so many entries.
            output: what an answer must fit.
            make: one row of one entry, without its id; or a rejection. If it is a coroutine function, because it
                asks further, the entries of an answer are worked on at once.
            texts: what an entry says of the fields by which the kind compares its rows, all of them, as the row will
                have them. Then an entry that repeats a row of this cell, or an entry before it in the same answer, is
                refused before more is paid for it.

        Raises:
            ProviderError: a call failed for good.
        """
        if len(self._wants) == 1:
            return self.collect_more(role, prompt, output, make, self._wants[0] - len(self._sieve.lines), texts)
        return self._collect_in_steps(role, prompt, output, make, texts)

    async def _collect_in_steps(self, role: str, prompt: Any, output: Any, make: Any, texts: Any) -> None:
        for want in self._wants:
            await self.collect_more(role, prompt, output, make, want - len(self._sieve.lines), texts)

    @property
    def wants(self) -> Sequence[int]:
        """How many rows the cell was to have, each time that it was begun with; the last counts.

        A recipe that collects rows of several sorts does so for each of them in turn: then a cell whose count was
        raised makes its first rows by the very calls it made them by.
        """
        return self._wants

    @property
    def lines(self) -> Sequence[bytes]:
        """The rows that the cell has so far, each as it will be written."""
        return self._sieve.lines

    async def collect_more(
        self,
        role: str,
        prompt: Callable[[int], Prompt],
        output: ListOutput[M],
        make: Callable[[Draft[M]], Made | Awaitable[Made]],
        count: int,
        texts: Callable[[M], Row] | None = None,
    ) -> int:
        """As `collect`, for so many rows more than there are; how many have come."""
        sieve = self._sieve
        before = len(sieve.lines)
        largest = count
        for _ in range(1 + self._max_rounds):
            wanted = min(count - len(sieve.lines) + before, largest)
            if wanted <= 0:
                break
            asked, ordinal = prompt(wanted), self._next()
            if sieve.texts or sieve.refused:
                asked = asked._replace(messages=with_note(asked.messages, differ_note(sieve.texts, sieve.refused)))
            answered = await self._asker.ask(self.cell, ordinal, role, asked, output, self._file)
            reading = output.read(answered.completion)
            drafts = self._drafts(role, ordinal, answered, reading, wanted)
            if texts is None:
                made = [make(draft) for draft in drafts]
            else:
                repeats = sieve.repeats([texts(draft.entry) for draft in drafts])
                made = [again or make(draft) for draft, again in zip(drafts, repeats, strict=True)]
            if texts is not None or (made and not isinstance(made[0], _MADE)):
                made = await self._finished(made)
            self._take(drafts, made, answered.completion.text)
            if self._holds:
                await self._settle()
            if reading.outcome is Outcome.CUT_OFF:
                largest = max(1, wanted // 2)
        return len(sieve.lines) - before

    def _drafts(
        self, role: str, ordinal: str, answered: Answered, reading: ListReading[M], most: int
    ) -> list[Draft[M]]:
        """What an answer has to become rows of, at most so many; what it has that cannot be used is refused."""
        key, provider = shown(answered.key), answered.provider
        for bad in reading.bad:
            self._sieve.refuse("answer", bad.error, bad.raw, {"call": key, "raw": bad.raw})
        if reading.outcome is not Outcome.OK:
            self._sieve.refuse(reading.outcome, reading.detail, "", {"call": key, "raw": answered.completion.text})
        self._answered[role] = provider
        entries = reading.entries[:most]
        return [
            Draft(entry, self, ordinal, place, [key], {role: provider}, provider) for place, entry in enumerate(entries)
        ]

    async def compose(self, make: Callable[[Draft[None]], Awaitable[Made]]) -> None:
        """Make rows that do not begin with a list of entries, until the cell has them or the rounds are used up.

        The rows that lack are worked on at once; `make` asks for each by itself.

        Args:
            make: one row, without its id; or a rejection.

        Raises:
            ProviderError: a call failed for good.
        """
        for want in self._wants:
            for _ in range(1 + self._max_rounds):
                missing = want - len(self._sieve.lines)
                if missing <= 0:
                    break
                ordinal = self._next()
                drafts = [Draft(None, self, ordinal, place, [], {}) for place in range(missing)]
                self._take(drafts, await self._all([make(draft) for draft in drafts]), "")
                if self._holds:
                    await self._settle()

    async def _settle(self) -> None:
        """Take or refuse what the sieve holds after a round, where it does not do so at once."""

    def _take(self, drafts: Sequence[Draft[Any]], made: Sequence[Made | Awaitable[Made]], raw: str) -> None:
        """Let what was made of drafts through the gates."""
        sieve = self._sieve
        for draft, one in zip(drafts, made, strict=True):
            if draft.refused:
                for outcome, detail, origin in draft.refused:
                    sieve.refuse(outcome, detail, "", origin, tell=False)
            if isinstance(one, dict):
                self._offer(one, draft)
            elif isinstance(one, Rejection):
                calls = {"call": draft.calls[0], "raw": raw} if draft.calls else {}
                # An entry is known by its first text.
                texts = (
                    []
                    if draft.entry is None
                    else [text for text in vars(draft.entry).values() if isinstance(text, str)]
                )
                sieve.refuse(one.gate, one.reason, texts[0] if texts else "", calls)

    async def _finished(self, made: Sequence[Made | Awaitable[Made]]) -> list[Made | Awaitable[Made]]:
        """The same, with every row made that is still to be made, at once."""
        done = iter(await self._all([one for one in made if isinstance(one, Awaitable)]))
        return [next(done) if isinstance(one, Awaitable) else one for one in made]

    async def _all(self, making: Sequence[Awaitable[Made]]) -> list[Made | Awaitable[Made]]:
        """Every draft's row. One that fails does not cancel the others: their calls are paid for."""
        results = await asyncio.gather(*making, return_exceptions=True)
        made: list[Made | Awaitable[Made]] = []
        for result in results:
            if isinstance(result, AnswerError):
                made.append(Rejection(result.outcome, str(result)))
            elif isinstance(result, BaseException):
                raise result
            else:
                made.append(result)
        return made

    def _offer(self, fields: Row, draft: Draft[Any]) -> None:
        metadata = {**fields.get("metadata", {}), "cell": self._name, "calls": draft.calls}
        row = {"id": row_id(self._name, draft.ordinal, draft.place), **fields, "metadata": metadata}
        # Only now it is known who made it: the model that was to be asked, or one that stood in for it.
        if draft.origin is not None and "provider" in metadata:
            metadata["provider"] = draft.origin.name
        self._sieve.offer(row, {"call": draft.calls[0]} if draft.calls else {})

    async def ask(self, role: str, prompt: Prompt, output: Expected[N], check: Check[N] | None = None) -> tuple[N, str]:
        """Ask for one answer: (the answer, its call's key as rows show it).

        An answer that cannot be read, or that `check` finds fault with, is asked for again, saying what was wrong.

        Args:
            role: what the model is used as.
            prompt: what to ask.
            output: what the answer must fit.
            check: says what is wrong with an answer that fits, or None if nothing is.

        Raises:
            AnswerError: no usable answer in all rounds.
            ProviderError: a call failed for good.
        """
        refused: list[Refused] = []
        try:
            answer, key, self._answered[role] = await self.ask_for(self._next, refused, role, prompt, output, check)
            return answer, key
        finally:
            for outcome, detail, origin in refused:
                self._sieve.refuse(outcome, detail, "", origin, tell=False)

    async def ask_for(
        self,
        ordinal: Callable[[], str],
        refused: list[Refused],
        role: str,
        prompt: Prompt,
        output: Expected[N],
        check: Check[N] | None,
    ) -> tuple[N, str, Provider]:
        """`ask` with the caller's own ordinals and its own list of what was refused; tells also who answered."""
        asked = prompt
        for _ in range(1 + self._max_rounds):
            answered = await self._asker.ask(self.cell, ordinal(), role, asked, output, self._file)
            reading = output.read(answered.completion)
            if reading.value is not None:
                fault = check(reading.value) if check else None
                if fault is None:
                    return reading.value, shown(answered.key), answered.provider
                reading = Reading(None, Outcome.INVALID, fault)
            raw = answered.completion.text
            refused.append((reading.outcome, reading.detail, {"call": shown(answered.key), "raw": raw}))
            asked = prompt._replace(messages=corrected(prompt.messages, raw, ask_again(reading, output.again)))
        raise AnswerError(
            f"no usable answer as {role} in {1 + self._max_rounds} rounds: {reading.detail}",
            outcome=reading.outcome,
            raw=raw,
        )

    def _next(self) -> str:
        ordinal = str(self._asked)
        self._asked += 1
        return ordinal

    def name(self, role: str) -> str:
        """`provider/model_id` of who answered last in a role for this cell, as `model`."""
        return full_name(self._by(role))
