"""What happens in a run, as typed events: the one source for progress, logs and statistics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from rowsmith.engine.plan import Cell
from rowsmith.engine.report import Report
from rowsmith.errors import ProviderError
from rowsmith.llm.provider import Provider
from rowsmith.llm.values import Completion, Message, Usage


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


class CallStarted(NamedTuple):
    """A request is about to go out, as soon as limits let it; `CallMade` or `CallFailed` follows, but at a stop.

    Attributes:
        cell: whose call.
        ordinal: which call of the cell, in the recipe's order; a call that fails may be made again, by another model.
        role: what the model is used as.
        model: `provider/model_id`.
        provider: the model itself, with its settings.
        messages: the conversation as the recipe wrote it.
    """

    cell: Cell
    ordinal: str
    role: str
    model: str
    provider: Provider
    messages: tuple[Message, ...]


class CallFailed(NamedTuple):
    """A call failed for good: retries, if there were any, did not mend it.

    Attributes:
        cell, ordinal, role, model: as those of its `CallStarted`.
        error: what it failed with.
    """

    cell: Cell
    ordinal: str
    role: str
    model: str
    error: ProviderError


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
        ordinal: which call of the cell, in the recipe's order.
        completion: the answer as it came.
    """

    cell: Cell
    role: str
    model: str
    usage: Usage
    cost: float | None
    seconds: float
    replayed: bool
    ordinal: str = ""
    completion: Completion = Completion("")


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
        cell: whose call.
        ordinal: which call of the cell.
        kind: the class of the error.
    """

    model: str
    error: str
    attempt: int
    seconds: float
    cell: Cell | None = None
    ordinal: str = ""
    kind: str = ""


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


class CellParked(NamedTuple):
    """A cell waits for calls that were handed in for a batch; it is started again when their answers are there.

    Attributes:
        cell: which.
        calls: how many calls it waits for.
    """

    cell: Cell
    calls: int


class BatchSubmitted(NamedTuple):
    """A service has taken a batch.

    Attributes:
        model: `provider/model_id`.
        batch: the service's id of it.
        calls: requests in it.
    """

    model: str
    batch: str
    calls: int


class BatchProgress(NamedTuple):
    """What the services say of all batches that are under way.

    Attributes:
        batches: how many there are.
        calls: requests in them.
        answered: of them those with an answer so far, where the services tell.
        failed: of them those that came to nothing so far.
        seconds: until they are asked again.
    """

    batches: int
    calls: int
    answered: int
    failed: int
    seconds: float


class BatchEnded(NamedTuple):
    """What came of a batch is in the ledger.

    Attributes:
        model: `provider/model_id`.
        batch: the service's id of it.
        answered: requests with an answer.
        failed: requests that came to nothing; those that may succeed later are handed in again.
        message: the service's words, if it refused the batch as a whole.
    """

    model: str
    batch: str
    answered: int
    failed: int
    message: str = ""


class RunFinished(NamedTuple):
    """The run has ended: complete, short, or stopped."""

    report: Report


Event = (
    RunStarted
    | CellStarted
    | CallStarted
    | CallMade
    | CallFailed
    | RowAccepted
    | RowRejected
    | RowsWithdrawn
    | Retry
    | Waiting
    | CellFinished
    | CellParked
    | BatchSubmitted
    | BatchProgress
    | BatchEnded
    | RunFinished
)
RunEvent = Event
"""The name under which `rowsmith` offers it, for the listeners of users."""
Listener = Callable[[Event], None]
