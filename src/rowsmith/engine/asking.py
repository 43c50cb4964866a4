"""One call: the final request, its key, the ledger's answer or the model's, and the record of it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn, Protocol

from rowsmith.engine.before import Guesses, Shape, first_of
from rowsmith.engine.events import CallFailed, CallMade, CallStarted, Event
from rowsmith.engine.keys import call_key, call_seed
from rowsmith.engine.ledger import CallRecord, Ledger
from rowsmith.engine.ledger.records import CellRecord
from rowsmith.engine.models import WRAPPERS, Models, full_name
from rowsmith.engine.omitting import Omitting
from rowsmith.engine.plan import Cell
from rowsmith.errors import BadRequestError, ProviderError
from rowsmith.llm.clock import Clock
from rowsmith.llm.provider import Provider
from rowsmith.llm.sharing import Turn, leaves
from rowsmith.llm.structured.rungs import Rungs, looks_like_unsupported
from rowsmith.llm.values import Completion, Finish, Message, Request, Rung, Usage

_log = logging.getLogger(__name__)

_ASKING: ContextVar[tuple[Cell, str] | None] = ContextVar("rowsmith call", default=None)
"""The call that the present task makes: what happens on its way is told of by code that knows no cells."""

_FAILURES = 5
"""Calls in a row that a model may fail at, with all their retries, before those that stand in for it take its place."""

_REFUSALS = 50
"""Requests that a model may refuse one after the other before it is taken to refuse them all."""

Price = Callable[[Provider, Usage], float | None]


def asking() -> tuple[Cell | None, str]:
    """(the cell, the ordinal) of the call that the present task makes; (None, "") if it makes none."""
    return _ASKING.get() or (None, "")


class Door(Protocol):
    """Where the requests to one model go out: a `Caller`, or one that is watched over."""

    async def complete(self, body: bytes) -> tuple[Completion, float]: ...

    def stop(self) -> None: ...


class HandedIn(NamedTuple):
    """A call that is not made at once but handed in for a batch."""

    cell: Cell
    ordinal: str
    key: bytes
    role: str
    provider: Provider
    body: bytes


HandIn = Callable[[HandedIn], NoReturn]
"""Takes note of a call and ends the attempt at its cell; raises the error with which an earlier batch answered it."""


class Prompt(NamedTuple):
    """What a recipe asks.

    Attributes:
        messages: the conversation.
        hints: the values that went into it, by placeholder; the offline provider writes from them.
    """

    messages: tuple[Message, ...]
    hints: Mapping[str, Any]


class Answered(NamedTuple):
    """A completion, the key under which the ledger has it, and who answered."""

    completion: Completion
    key: bytes
    provider: Provider


@dataclass(slots=True)
class CallFile:
    """What the ledger has of a cell's calls.

    Attributes:
        stored: answered calls of earlier starts and attempts, by ordinal.
        begun: what to record with the cell's first call; None if the ledger knows the cell.
    """

    stored: Mapping[str, list[CallRecord]]
    begun: CellRecord | None

    def answered(self, role: str) -> Collection[str]:
        """The names of the models that have answered in a role."""
        return {call.model for calls in self.stored.values() for call in calls if call.role == role}


class Answering(Protocol):
    """Who gets a prompt answered: the `Asker`, or one that stands before it or in its place."""

    @property
    def models(self) -> Models: ...

    async def ask(
        self, cell: Cell, ordinal: str, role: str, prompt: Prompt, shape: Shape, file: CallFile
    ) -> Answered: ...


class Asker:
    """Asks models for the cells of one run.

    Args:
        models: who answers in which role.
        callers: the door of each model, by the provider's identity in this process.
        rungs: which way of structured output each model takes.
        ledger: where answers are found and recorded.
        clock: of the run.
        seed: of the run.
        price: what a call cost, or None where no price is known.
        emit: where events go.
        values: the recipe's values that change when the configuration grows.
        earlier: what they were, each time before it grew.
        hand_in: takes every call that the ledger cannot answer; None to make it at once.
        followed: somebody listens to each call's beginning.
    """

    def __init__(
        self,
        models: Models,
        callers: Mapping[int, Door],
        rungs: Rungs,
        ledger: Ledger,
        clock: Clock,
        seed: int,
        price: Price,
        emit: Callable[[Event], None],
        *,
        values: Mapping[str, str],
        earlier: Sequence[Mapping[str, str]],
        hand_in: HandIn | None = None,
        followed: bool = True,
    ) -> None:
        self.models = models
        self._callers = callers
        self._rungs = rungs
        self._ledger = ledger
        self._clock = clock
        self._seed = seed
        self._price = price
        self._emit = emit
        self._hand_in = hand_in
        self._followed = followed
        self._omitting = Omitting(ledger)
        self._guesses = Guesses(rungs, self._omitting, values, earlier)
        self._names = {id(provider): full_name(provider) for provider in models.all()}
        self._refusals = {model: 0 for _, model, *_ in ledger.store.spend()}
        """Requests that each model refused since it answered last; only of those that ever have, or for which another
        stands in."""
        self._refusals |= {full_name(provider): 0 for provider in models.replaceable()}
        self._failures: Counter[int] = Counter()
        self._terms: dict[int, tuple[Rung, frozenset[str]]] = {}
        """How each model is asked now: the rung, and what is left out. Forgotten whenever one refuses something."""
        self._out: dict[int, ProviderError] = {}
        """Models that others stand in for, and that would fail at every other call as well: they are asked no more."""

    def ask(
        self, cell: Cell, ordinal: str, role: str, prompt: Prompt, shape: Shape, file: CallFile
    ) -> Coroutine[Any, Any, Answered]:
        """Get the answer to a prompt: from the ledger if the very same request was answered before, else by a call.

        Where one model stands in for another, an answer of either in the ledger counts before any of them is asked.

        Args:
            cell: for whom.
            ordinal: which call of the cell this is, in the recipe's order.
            role: what the model is used as.
            prompt: what to ask.
            shape: what the answer must fit.
            file: what the ledger has of the cell's calls.

        Raises:
            ProviderError: the call failed for good, by all who may answer it.
            Stopped: the run is stopping.
        """
        choice = self.models.choice(role, cell)
        if ordinal not in file.stored and not self._out and not isinstance(choice, WRAPPERS):
            return self._call(choice, cell, ordinal, role, prompt, shape, file)  # as nearly always
        return self._ask_in_turn(cell, ordinal, role, prompt, shape, file)

    async def _ask_in_turn(
        self, cell: Cell, ordinal: str, role: str, prompt: Prompt, shape: Shape, file: CallFile
    ) -> Answered:
        turns = self.models.turns(role, cell, self._seed, file.answered(role))
        refusal: Answered | None = None
        declined: set[int] = set()
        for answered in self._stored(cell, ordinal, role, prompt, shape, file, turns):
            if _counts(answered, turns):
                return answered
            refusal = refusal or answered
            declined.add(id(answered.provider))
        failure: ProviderError | None = None
        for place, (provider, _) in enumerate(turns):
            error = self._out.get(id(provider))
            if error is None and id(provider) not in declined:
                try:
                    answered = await self._call(provider, cell, ordinal, role, prompt, shape, file)
                except ProviderError as caught:
                    if len(turns) == 1:
                        raise
                    error = self._failed(provider, caught, [turn.provider for turn in turns[place + 1 :]])
                else:
                    if _counts(answered, turns):
                        return answered
                    refusal = refusal or answered
            # Of several failures that counts which does not end the run; of those that do, the last.
            if error is not None and (failure is None or failure.fatal):
                failure = error
        if refusal is None:
            assert failure is not None
            raise failure
        return refusal

    async def _call(
        self, provider: Provider, cell: Cell, ordinal: str, role: str, prompt: Prompt, shape: Shape, file: CallFile
    ) -> Answered:
        """Ask one model, on the next rung where it refuses one."""
        seed = call_seed(self._seed, cell.key, ordinal)
        who = id(provider)
        name = self._names[who]
        while True:
            rung, omit = self._terms.get(who) or self._found_terms(provider)
            request = Request(shape.prompt_for(rung, prompt.messages), shape.schema, rung, prompt.hints, seed, omit)
            body = provider.encode(request)
            key = call_key(provider.endpoint, body)
            try:
                if self._hand_in is not None:
                    self._hand_in(HandedIn(cell, ordinal, key, role, provider, body))
                _ASKING.set((cell, ordinal))
                if self._followed:
                    self._emit(CallStarted(cell, ordinal, role, name, provider, prompt.messages))
                completion, seconds = await self._callers[who].complete(body)
            except ProviderError as error:
                if self._hand_in is None:
                    self._emit(CallFailed(cell, ordinal, role, name, error))
                if not isinstance(error, BadRequestError):
                    raise
                self._terms.clear()
                if self._omitting.leaves_out(provider, error, omit):
                    continue
                if looks_like_unsupported(error) and self._rungs.lower(provider, rung):
                    self._ledger.set_meta(rungs=self._rungs.to_json())
                    continue
                error.fatal = error.fatal and self._refuses_all(provider)
                raise
            self._refusals[name] = 0
            if self._failures:
                self._failures[who] = 0
            record = self._record(cell, ordinal, key, role, provider, completion, seconds)
            self._ledger.add_call(record, file.begun)
            file.begun = None
            self._emit(_made(cell, record, completion, replayed=False))
            if self._ledger.crowded:
                await self._ledger.flushed()
            return Answered(completion, key, provider)

    def _found_terms(self, provider: Provider) -> tuple[Rung, frozenset[str]]:
        terms = self._terms[id(provider)] = (self._rungs.current(provider), self._omitting.current(provider))
        return terms

    def _failed(self, provider: Provider, error: ProviderError, after: Sequence[Provider]) -> ProviderError:
        """Take note of a failure for which another model may stand in."""
        who = id(provider)
        names = " or ".join(self._names[id(other)] for other in after if id(other) not in self._out)
        self._failures[who] += error.retryable
        if who not in self._out and (error.fatal or (names and self._failures[who] >= _FAILURES)):
            self._out[who] = error
            then = f"{names} stands in for it" if names else "nobody is left to stand in for it"
            _log.warning("%s is not asked again in this run, %s: %s", self._names[id(provider)], then, error)
        return error

    def _stored(
        self,
        cell: Cell,
        ordinal: str,
        role: str,
        prompt: Prompt,
        shape: Shape,
        file: CallFile,
        turns: Sequence[Turn],
    ) -> Iterator[Answered]:
        """What the ledger has of a call: the answers of those whose turn it is, then of others who may give it."""
        if ordinal not in file.stored:
            return
        seed = call_seed(self._seed, cell.key, ordinal)
        others = leaves(self.models.choice(role, cell)) if len(turns) > 1 or file.answered(role) else []
        for provider in {id(one): one for one in (*(turn.provider for turn in turns), *others)}.values():
            guesses = self._guesses.requests(provider, prompt.messages, prompt.hints, shape, seed)
            found = first_of(file.stored[ordinal], provider, guesses)
            if found is not None:
                completion = found.completion
                self._emit(_made(cell, found, completion, replayed=True))
                yield Answered(completion, found.key, provider)

    def _refuses_all(self, provider: Provider) -> bool:
        """Whether a model that has just refused a request would refuse every other as well.

        One that has answered before, in this start or an earlier one, refuses this request for what is in it: a
        document that is too long. Unless it goes on refusing.
        """
        name = self._names[id(provider)]
        if name in self._refusals:
            self._refusals[name] += 1
        return self._refusals.get(name, _REFUSALS) >= _REFUSALS

    def _record(
        self,
        cell: Cell,
        ordinal: str,
        key: bytes,
        role: str,
        provider: Provider,
        completion: Completion,
        seconds: float,
    ) -> CallRecord:
        usage = completion.usage
        return CallRecord(
            cell.number,
            cell.key,
            ordinal,
            key,
            role,
            self._names[id(provider)],
            str(completion.finish),
            completion.text,
            usage.input_tokens,
            usage.output_tokens,
            usage.cached_tokens,
            usage.reasoning_tokens,
            completion.model,
            completion.request_id,
            self._price(provider, usage),
            seconds,
            self._clock.date(),
        )


def _made(cell: Cell, record: CallRecord, completion: Completion, *, replayed: bool) -> CallMade:
    usage, cost, seconds = completion.usage, record.cost, record.seconds
    return CallMade(cell, record.role, record.model, usage, cost, seconds, replayed, record.ordinal, completion)


def _counts(answered: Answered, turns: Sequence[Turn]) -> bool:
    """Whether an answer is the last word: any is, but a refusal that is to be taken to the next."""
    if answered.completion.finish is not Finish.REFUSED:
        return True
    return all(turn.provider is not answered.provider or not turn.on_refusal for turn in turns[:-1])
