"""One call: the final request, its key, the ledger's answer or the model's, and the record of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn, Protocol

from rowsmith.engine.events import CallMade, Event
from rowsmith.engine.keys import call_key, call_seed
from rowsmith.engine.ledger import CallRecord, Ledger
from rowsmith.engine.ledger.records import CellRecord
from rowsmith.engine.models import Models, full_name
from rowsmith.engine.plan import Cell
from rowsmith.errors import BadRequestError
from rowsmith.llm.clock import Clock
from rowsmith.llm.provider import Provider
from rowsmith.llm.structured.rungs import Rungs, looks_like_unsupported
from rowsmith.llm.values import Completion, Message, OutputSchema, Request, Rung, Usage

_REFUSALS = 50
"""Requests that a model may refuse one after the other before it is taken to refuse them all."""

Price = Callable[[Provider, Usage], float | None]


class Shape(Protocol):
    """What the asker needs of an expected answer: its schema, and how to describe it where no service enforces it."""

    @property
    def schema(self) -> OutputSchema: ...

    def prompt_for(self, rung: Rung, messages: tuple[Message, ...]) -> tuple[Message, ...]: ...


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
    """A completion and the key under which the ledger has it."""

    completion: Completion
    key: bytes


def as_before(prompt: Prompt, now: Mapping[str, str], before: Mapping[str, str]) -> Prompt:
    """A prompt as it was when some of the values in it were others.

    Args:
        prompt: as it is now.
        now: the values in question, by the name of their placeholder.
        before: what they were.
    """
    changed = {name: value for name, value in before.items() if now.get(name, value) != value}
    messages = []
    for message in prompt.messages:
        text = message.content
        for name, value in changed.items():
            text = text.replace(now[name], value)
        messages.append(Message(message.role, text))
    return Prompt(tuple(messages), {name: changed.get(name, value) for name, value in prompt.hints.items()})


@dataclass(slots=True)
class CallFile:
    """What the ledger has of a cell's calls.

    Attributes:
        stored: answered calls of earlier starts and attempts, by ordinal.
        begun: what to record with the cell's first call; None if the ledger knows the cell.
    """

    stored: Mapping[str, list[CallRecord]]
    begun: CellRecord | None


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
    ) -> None:
        self.models = models
        self._callers = callers
        self._rungs = rungs
        self._ledger = ledger
        self._clock = clock
        self._seed = seed
        self._price = price
        self._emit = emit
        self._values = values
        self._earlier = earlier
        self._hand_in = hand_in
        self._refusals = {model: 0 for _, model, *_ in ledger.store.spend()}
        """Requests that each model refused since it answered last; only of those that ever have."""
        self._names = {id(provider): full_name(provider) for provider in models.all()}

    async def ask(self, cell: Cell, ordinal: str, role: str, prompt: Prompt, shape: Shape, file: CallFile) -> Answered:
        """Get the answer to a prompt: from the ledger if the very same request was answered before, else by a call.

        Args:
            cell: for whom.
            ordinal: which call of the cell this is, in the recipe's order.
            role: what the model is used as.
            prompt: what to ask.
            shape: what the answer must fit.
            file: what the ledger has of the cell's calls.

        Raises:
            ProviderError: the call failed for good.
            Stopped: the run is stopping.
        """
        provider = self.models.provider(role, cell.model)
        seed = call_seed(self._seed, cell.key, ordinal)
        while True:
            rung = self._rungs.current(provider)
            request = Request(shape.prompt_for(rung, prompt.messages), shape.schema, rung, prompt.hints, seed)
            body = provider.encode(request)
            key = call_key(provider.endpoint, body)
            if ordinal in file.stored:
                known = {record.key: record for record in file.stored[ordinal]}
                found = known.get(key) or self._asked_otherwise(known, provider, prompt, shape, seed)
                if found is not None:
                    self._tell(cell, found, replayed=True)
                    return Answered(found.completion, found.key)
            try:
                if self._hand_in is not None:
                    self._hand_in(HandedIn(cell, ordinal, key, role, provider, body))
                completion, seconds = await self._callers[id(provider)].complete(body)
            except BadRequestError as error:
                if looks_like_unsupported(error) and self._rungs.lower(provider, rung):
                    self._ledger.set_meta(rungs=self._rungs.to_json())
                    continue
                error.fatal = error.fatal and self._refuses_all(provider)
                raise
            self._refusals[self._names[id(provider)]] = 0
            record = self._record(cell, ordinal, key, role, provider, completion, seconds)
            self._ledger.add_call(record, file.begun)
            file.begun = None
            self._tell(cell, record, replayed=False)
            if self._ledger.crowded:
                await self._ledger.flushed()
            return Answered(completion, key)

    def _refuses_all(self, provider: Provider) -> bool:
        """Whether a model that has just refused a request would refuse every other as well.

        One that has answered before, in this start or an earlier one, refuses this request for what is in it: a
        document that is too long. Unless it goes on refusing.
        """
        name = self._names[id(provider)]
        if name in self._refusals:
            self._refusals[name] += 1
        return self._refusals.get(name, _REFUSALS) >= _REFUSALS

    def _asked_otherwise(
        self, known: Mapping[bytes, CallRecord], provider: Provider, prompt: Prompt, shape: Shape, seed: int
    ) -> CallRecord | None:
        """The answer to this request as it was put on another rung, or before the configuration had grown.

        Only guesses are made here; that an answer belongs to a guess is decided by the key, as always.
        """
        for before in (prompt, *(as_before(prompt, self._values, values) for values in self._earlier)):
            for rung in provider.rungs:
                request = Request(shape.prompt_for(rung, before.messages), shape.schema, rung, before.hints, seed)
                found = known.get(call_key(provider.endpoint, provider.encode(request)))
                if found is not None:
                    return found
        return None

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
            completion.finish,
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

    def _tell(self, cell: Cell, record: CallRecord, *, replayed: bool) -> None:
        usage = Usage(*record[8:12])
        self._emit(CallMade(cell, record.role, record.model, usage, record.cost, record.seconds, replayed))
