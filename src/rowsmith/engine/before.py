"""Requests as they may have been put before: whose answers the ledger may have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Protocol

from rowsmith.engine.keys import call_key
from rowsmith.engine.ledger import CallRecord
from rowsmith.engine.omitting import Omitting
from rowsmith.llm.provider import Provider
from rowsmith.llm.structured.rungs import Rungs
from rowsmith.llm.values import Message, OutputSchema, Request, Rung


class Shape(Protocol):
    """What the asker needs of an expected answer: its schema, and how to describe it where no service enforces it."""

    @property
    def schema(self) -> OutputSchema | None: ...

    def prompt_for(self, rung: Rung, messages: tuple[Message, ...]) -> tuple[Message, ...]: ...


class Guesses:
    """Makes requests as they may have been put by an earlier start.

    That is on another rung, with a parameter that was refused since, or before the configuration had grown. Only
    guesses are made here; that an answer belongs to one is decided by its key, as always.

    Args:
        rungs: which way of structured output each model takes now.
        omitting: what is left out of the requests to each.
        values: the recipe's values that change when the configuration grows.
        earlier: what they were, each time before it grew.
    """

    def __init__(
        self, rungs: Rungs, omitting: Omitting, values: Mapping[str, str], earlier: Sequence[Mapping[str, str]]
    ) -> None:
        self._rungs = rungs
        self._omitting = omitting
        self._values = values
        self._earlier = earlier

    def requests(
        self, provider: Provider, messages: tuple[Message, ...], hints: Mapping[str, Any], shape: Shape, seed: int
    ) -> Iterator[Request]:
        """The requests, the likeliest first: as it would be put now."""
        current = self._rungs.current(provider)
        rungs = (current, *(rung for rung in provider.rungs if rung is not current))
        puts = [(messages, hints), *(as_before(messages, hints, self._values, values) for values in self._earlier)]
        for asked, told in puts:
            for rung, omit in product(rungs, self._omitting.stages(provider)):
                yield Request(shape.prompt_for(rung, asked), shape.schema, rung, told, seed, omit)


def first_of(calls: Iterable[CallRecord], provider: Provider, requests: Iterable[Request]) -> CallRecord | None:
    """The first of some requests to a model that is among answered calls."""
    known = {call.key: call for call in calls}
    found = (known.get(call_key(provider.endpoint, provider.encode(request))) for request in requests)
    return next((call for call in found if call is not None), None)


def as_before(
    messages: tuple[Message, ...], hints: Mapping[str, Any], now: Mapping[str, str], before: Mapping[str, str]
) -> tuple[tuple[Message, ...], Mapping[str, Any]]:
    """A conversation and its hints as they were when some of the values in it were others.

    Args:
        messages: the conversation as it is now.
        hints: as they are now.
        now: the values in question, by the name of their placeholder.
        before: what they were.
    """
    changed = {name: value for name, value in before.items() if now.get(name, value) != value}
    were = []
    for message in messages:
        text = message.content
        for name, value in changed.items():
            text = text.replace(now[name], value)
        were.append(Message(message.role, text))
    return tuple(were), {name: changed.get(name, value) for name, value in hints.items()}
