"""What happens in a run, as typed events: the one source for progress, logs and statistics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from rowsmith.engine.plan import Cell
from rowsmith.engine.report import Report
from rowsmith.llm.values import Usage


class RunStarted(NamedTuple):
    """The plan is made, the ledger is open, no call is made yet.

    Attributes:
        output: the rows file.
        cells: cells of the plan.
        settled: how many of them need no more work.
        rows: rows the plan makes.
        rows_before: rows that earlier starts have made.
        models: the models that will be asked, as `provider/model_id`.
    """

    output: str
    cells: int
    settled: int
    rows: int
    rows_before: int
    models: tuple[str, ...]


class CellStarted(NamedTuple):
    """A cell is being worked on."""

    cell: Cell


class CallMade(NamedTuple):
    """A call was answered.

    Attributes:
        cell: whose call.
        role: what the model was used as.
        model: `provider/model_id`.
        usage: its tokens.
        cost: in the currency of the prices, or None where no price is known.
        seconds: from sending to the complete answer.
        replayed: True if the answer came from the ledger: it was paid for by an earlier start.
    """

    cell: Cell
    role: str
    model: str
    usage: Usage
    cost: float | None
    seconds: float
    replayed: bool


class RowAccepted(NamedTuple):
    """A row has passed all gates."""

    cell: Cell
    row: Mapping[str, Any]


class RowRejected(NamedTuple):
    """An answer or a row was refused; it stands in `rejected.jsonl`.

    Attributes:
        cell: whose row.
        gate: what refused it: a gate's name, or `answer` for an answer that could not be read.
        reason: why, in one line.
    """

    cell: Cell
    gate: str
    reason: str


class RowsWithdrawn(NamedTuple):
    """Rows counted before are no longer counted: their cell is worked on again, from its stored answers.

    It happens to cells that were under way at a stop, that are to make more rows, or that lost a row to an earlier
    cell of the plan which came later with the same.

    Attributes:
        cell: whose rows.
        rows: how many.
    """

    cell: Cell
    rows: int


class Retry(NamedTuple):
    """A call failed and will be tried again.

    Attributes:
        model: `provider/model_id`.
        error: what failed, in one line.
        attempt: which retry this will be, from 1.
        seconds: how long until then.
    """

    model: str
    error: str
    attempt: int
    seconds: float


class Waiting(NamedTuple):
    """Calls to a model are held back.

    Attributes:
        model: `provider/model_id`.
        reason: which limit.
        seconds: how long.
    """

    model: str
    reason: str
    seconds: float


class CellFinished(NamedTuple):
    """A cell has come to an end.

    Attributes:
        cell: which.
        status: `done`, `short` or `failed`.
        rows: how many rows it has.
    """

    cell: Cell
    status: str
    rows: int


class RunFinished(NamedTuple):
    """The run has ended: complete, short, or stopped."""

    report: Report


Event = (
    RunStarted
    | CellStarted
    | CallMade
    | RowAccepted
    | RowRejected
    | RowsWithdrawn
    | Retry
    | Waiting
    | CellFinished
    | RunFinished
)
Listener = Callable[[Event], None]
