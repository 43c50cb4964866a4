"""What the ledger stores: calls, blocks of rows, cells. Tuples, because a run makes millions of them."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from rowsmith.llm.values import Completion, Finish, Usage


class Kind(IntEnum):
    """Which file a block is in."""

    ROWS = 0
    REJECTED = 1


class CellStatus(IntEnum):
    """How far a cell has come."""

    OPEN = 0
    """To be worked on, again or with a higher count."""
    DONE = 1
    """Has all its rows."""
    SHORT = 2
    """Lacks rows, and its rounds are used up; asking the same again would change nothing."""
    FAILED = 3
    """Its calls failed; tried again by the next start."""


class Stage(IntEnum):
    """How far a batch has come, as far as the ledger knows."""

    SUBMITTING = 0
    """It is being handed in: whether the service has it is not known yet."""
    RUNNING = 1
    """The service has it."""
    FETCHED = 2
    """What came of it is in the ledger."""
    REFUSED = 3
    """The service refused it as a whole; its requests are free again."""
    GIVEN_UP = 4
    """The service does not know it any more; its requests are free again."""


class CallRecord(NamedTuple):
    """One answered call.

    Attributes:
        cell: the cell's number on the plan's line.
        cell_key: the cell's key, which survives a longer plan.
        ordinal: which call of the cell, in the recipe's order.
        key: the hash of the final request (see `call_key`).
        role: what the model was used as.
        model: `provider/model_id`.
        finish, text, usage fields, served, request_id: the completion.
        cost: in the currency of the prices; None where no price is known.
        seconds: from sending to the complete answer.
        at: seconds since 1970 (UTC).
    """

    cell: int
    cell_key: int
    ordinal: str
    key: bytes
    role: str
    model: str
    finish: str
    text: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    served: str
    request_id: str | None
    cost: float | None
    seconds: float
    at: float

    @property
    def completion(self) -> Completion:
        """The answer as the provider returned it."""
        usage = Usage(self.input_tokens, self.output_tokens, self.cached_tokens, self.reasoning_tokens)
        return Completion(self.text, Finish(self.finish), usage, self.served, self.request_id)


class BlockRecord(NamedTuple):
    """The lines of one cell in a file, written at once.

    Attributes:
        kind: which file.
        cell: the cell's number.
        data: the lines, each ending in a line feed.
        rows: how many lines.
        marks: eight bytes per row, by which the same texts are known; then, where near duplicates are looked for,
            the signature of each row.
    """

    kind: int
    cell: int
    data: bytes
    rows: int
    marks: bytes


class CellRecord(NamedTuple):
    """A cell's end, or its reopening.

    Attributes:
        cell: the cell's number.
        key: the cell's key.
        status: a `CellStatus`.
        wants: the counts of rows asked for so far, the latest last, joined by commas.
        rows: rows it has.
        reasons: JSON of what was refused and why, for a cell that is short or failed; else None.
    """

    cell: int
    key: int
    status: int
    wants: str
    rows: int
    reasons: str | None


class ItemRecord(NamedTuple):
    """A call that is handed in for a batch.

    Attributes:
        id: under which its result comes back.
        cell, cell_key, ordinal, key, role: as those of a call.
        who: the identity of the model that is asked, with its settings.
        body: the request.
    """

    id: str
    cell: int
    cell_key: int
    ordinal: str
    key: bytes
    role: str
    who: bytes
    body: bytes


class ItemState(NamedTuple):
    """A call that was handed in, and how it stands.

    Attributes:
        id, cell, cell_key, ordinal, key, role: as those of an `ItemRecord`.
        size: bytes of its body.
        batch: the number of the batch that has it; None if it waits to be submitted, or came to nothing.
        tries: how often it came to nothing so far.
        error: JSON of the error that it came to for good, or None.
    """

    id: str
    cell: int
    cell_key: int
    ordinal: str
    key: bytes
    role: str
    size: int
    batch: int | None
    tries: int
    error: str | None


class BatchRecord(NamedTuple):
    """A batch.

    Attributes:
        number: from 1, in the order in which they were made.
        name: ours for it, which no other batch bears.
        who: the identity of the model that is asked, with its settings.
        model: `provider/model_id`.
        id: the service's; None as long as it is not known.
        stage: a `Stage`.
        items: its requests.
        answered: those with an answer, as far as is known.
        failed: those that came to nothing, as far as is known.
        since: when it was handed in, in seconds since 1970.
        until: when its results were fetched, or it was refused; None before.
        message: the service's words on a failure.
    """

    number: int
    name: str
    who: bytes
    model: str
    id: str | None
    stage: int
    items: int
    answered: int = 0
    failed: int = 0
    since: float = 0.0
    until: float | None = None
    message: str = ""
