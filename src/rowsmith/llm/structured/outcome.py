"""What became of an answer: the names of the outcomes, and what was read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

M = TypeVar("M")


class Outcome(StrEnum):
    """What kind of answer came, as far as its form goes."""

    OK = "ok"
    """There is something to use. In a list, some entries may still be bad."""
    CUT_OFF = "cut_off"
    """The answer ends before it is complete; only what was complete is kept."""
    REFUSED = "refused"
    """The model, or a filter of the service, declined."""
    EMPTY = "empty"
    """An answer came, and there is nothing in it."""
    INVALID = "invalid"
    """Something came that cannot be used."""


@dataclass(frozen=True, slots=True)
class BadEntry:
    """One entry of a list that cannot be used.

    Attributes:
        position: its place in the answer's list, from 0.
        raw: its text as it came.
        error: one line: where in the entry, what is wrong, and the value received.
    """

    position: int
    raw: str
    error: str


@dataclass(frozen=True, slots=True)
class Reading(Generic[M]):
    """One answer, read.

    Attributes:
        value: what was asked for; None unless `outcome` is `ok`.
        outcome: what kind of answer came.
        detail: what is wrong with it, for the model and for the person; empty when nothing is.
    """

    value: M | None
    outcome: Outcome
    detail: str = ""


class ListReading(NamedTuple, Generic[M]):
    """One answer of the form `{"entries": [...]}`, read entry by entry.

    Attributes:
        entries: the good ones, in the order of the answer. A cut-off answer has its complete ones.
        bad: the others, each with its reason. The entry at which an answer breaks off is not among them.
        outcome: what kind of answer came; `ok` if there is at least one good entry and the answer is complete.
        detail: what is wrong with the whole of it; empty when nothing is.
    """

    entries: list[M]
    bad: Sequence[BadEntry] = ()
    outcome: Outcome = Outcome.OK
    detail: str = ""
