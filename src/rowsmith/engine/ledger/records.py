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
