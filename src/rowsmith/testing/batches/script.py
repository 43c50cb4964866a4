"""How the batches of a scripted server go: when they end, and what becomes of their items."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rowsmith.testing.faults import Fault


class ItemEnd(StrEnum):
    """What becomes of an item that gets no reply at all."""

    EXPIRED = "expired"
    """The batch's time was up before its turn."""
    CANCELLED = "cancelled"
    """The batch was cancelled before its turn."""
    MISSING = "missing"
    """The results do not have it."""


@dataclass(frozen=True, slots=True)
class Item:
    """One request of a batch, as it came.

    Attributes:
        number: how many items came before it, in all batches.
        batch: the batch's number, from 0.
        place: its place in the batch, from 0.
        id: as the client named it.
        body: the request's decoded body, as it would have come in a call of its own.
        key: a hash of path and body: equal requests, equal keys, also with single calls.
        attempt: 1 for the first item with this body, 2 for the second, and so on.
    """

    number: int
    batch: int
    place: int
    id: str
    body: Mapping[str, Any]
    key: str
    attempt: int


@dataclass(frozen=True, slots=True)
class BatchFailure:
    """A batch that is refused as a whole when the service looks at it.

    Attributes:
        message: the service's words.
        code: its code, such as `token_limit_exceeded`.
    """

    message: str = "The batch could not be read."
    code: str = "invalid_request"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchScript:
    """How batches go.

    Attributes:
        after_polls: how often a batch is asked for and still runs; None: it runs until the test calls `end`.
        items: what becomes of an item: None for an answer like that to a single call, a fault that changes it, or an
            `ItemEnd`.
        fails: by the batch's number, from 0: why it is refused as a whole, or None.
        requests: a fault that the client's own request meets, by the operation (`upload`, `submit`, `list`, `status`,
            `results`, `cancel`) and how many of that operation came before. A `Reset` comes after the request was
            carried out, any other fault in place of it.
        shuffled: results come in another order than the items.
        answered_at_cancel: the share of a batch's items that have been answered when it is cancelled.
        unlisted: how often the list of batches is asked for until a new batch stands in it.
    """

    after_polls: int | None = 0
    items: Callable[[Item], Fault | ItemEnd | None] | None = None
    fails: Callable[[int], BatchFailure | None] | None = None
    requests: Callable[[str, int], Fault | None] | None = None
    shuffled: bool = True
    answered_at_cancel: float = 0.5
    unlisted: int = 0
