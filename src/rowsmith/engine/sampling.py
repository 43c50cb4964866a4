"""Cells tried out: their rows with the prompts behind them, paid for and kept, but not written to the rows file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from rowsmith.engine.asking import Answered, Answering, CallFile, Prompt
from rowsmith.engine.before import Shape
from rowsmith.engine.cellwork import CellWork
from rowsmith.engine.claims import Claims
from rowsmith.engine.embedding import comparing
from rowsmith.engine.events import CallMade, Event, RowRejected
from rowsmith.engine.keys import shown
from rowsmith.engine.ledger import CellStatus, Kind, Ledger
from rowsmith.engine.models import Models, full_name
from rowsmith.engine.plan import Cell
from rowsmith.engine.recipe import Recipe
from rowsmith.engine.report import Spend
from rowsmith.errors import ConfigError
from rowsmith.llm.limits import Stopped
from rowsmith.llm.values import Completion, Message
from rowsmith.quality.gates import Row
from rowsmith.quality.seen import Seen

if TYPE_CHECKING:
    from rowsmith.engine.run import Run


class Exchange(NamedTuple):
    """A prompt and what was answered.

    Attributes:
        role: what the model was used as.
        model: `provider/model_id`.
        messages: the conversation as the recipe wrote it; where a service does not enforce the schema of the answer, a
            description of it is added on the way out.
        answer: the answer as it came.
    """

    role: str
    model: str
    messages: tuple[Message, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one cell.

    Attributes:
        cell: the cell.
        rows: its rows: those in the file if it was finished before.
        exchanges: what was asked for it, by the call's key as rows show it, in the order of the answers.
        calls: its calls, with tokens and cost.
        rejected: how much was refused, by gate.
    """

    cell: Cell
    rows: list[Row] = field(default_factory=list)
    exchanges: dict[str, Exchange] = field(default_factory=dict)
    calls: list[CallMade] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Sample:
    """Some rows of a dataset, spread over its plan, with the prompts behind them.

    Attributes:
        rows: the rows.
        prompts: for each of the rows, the prompts and answers that it was made of, first to last.
        expected: how many rows were asked for.
        rejected: how much was refused on the way, by gate.
        calls: calls that were made and paid for; those answered from an earlier start are not among them.
        cost: of these calls, in US dollars; None where a price is not known.
        why: why it was stopped before its end, or empty.
    """

    rows: list[Row]
    prompts: list[tuple[Exchange, ...]]
    expected: int
    rejected: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    cost: float | None = 0.0
    why: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __bool__(self) -> bool:
        """A sample is a thing, also while it has no rows."""
        return True


class Trials:
    """Tries cells out, in the place of the work that finishes them.

    Duplicates are looked for within a cell alone: what is one in the whole run, only the whole run can tell.

    Args:
        recipe: makes the rows.
        ledger: remembers.
        emit: where events go.

    Attributes:
        asker: asks the models; it must tell its events to `tell`.
        shut: the same, but finds answers in the ledger and asks nobody: for cells that are finished.
    """

    asker: Answering
    shut: Answering

    def __init__(self, recipe: Recipe, ledger: Ledger, emit: Callable[[Event], None]) -> None:
        self._recipe = recipe
        self._ledger = ledger
        self._emit = emit
        self._trials: dict[int, Trial] = {}

    async def carry_out(self, cell: Cell, *, known: bool) -> None:
        """Try a cell out.

        Raises:
            ProviderError: one that would befall every cell.
            Stopped: the run is stopping.
        """
        record = self._ledger.cell(cell.number) if known else None
        finished = record is not None and record.status in (CellStatus.DONE, CellStatus.SHORT)
        trial = self._trials[cell.number] = Trial(cell)
        witness = Witness(self.shut if finished else self.asker, trial.exchanges)
        recipe = self._recipe
        near, kit = comparing(recipe, cell.want, self._ledger, witness)
        work = CellWork(
            recipe, witness, self._ledger, self.tell, max_rounds=recipe.max_rounds, reopen=_nothing, kit=kit
        )
        if recipe.unique:
            work.claims = Claims(Seen(cell.want), _nothing, near)
        lines: Sequence[bytes] = ()
        try:
            lines = (await work.try_out(cell, known=known)).lines
        except Stopped:
            if not finished:
                raise
        if finished:
            lines = self._ledger.block_of(cell.number, Kind.ROWS)[0].splitlines()
        trial.rows.extend(orjson.loads(line) for line in lines)

    def tell(self, event: Event) -> None:
        """Note what happens to the cells, and pass it on."""
        if isinstance(event, CallMade):
            self._trials[event.cell.number].calls.append(event)
        elif isinstance(event, RowRejected):
            self._trials[event.cell.number].rejected[event.gate] += 1
        self._emit(event)

    def made(self) -> list[Trial]:
        """What came of the cells, in the order of the plan."""
        return [trial for _, trial in sorted(self._trials.items())]


class Witness:
    """Stands before an asker and sees what is asked and answered.

    Args:
        asker: who asks.
        exchanges: where it is noted.
    """

    def __init__(self, asker: Answering, exchanges: dict[str, Exchange]) -> None:
        self._asker = asker
        self._exchanges = exchanges

    @property
    def models(self) -> Models:
        return self._asker.models

    async def ask(self, cell: Cell, ordinal: str, role: str, prompt: Prompt, shape: Shape, file: CallFile) -> Answered:
        """As the asker's."""
        answered = await self._asker.ask(cell, ordinal, role, prompt, shape, file)
        name = full_name(answered.provider)
        self._exchanges[shown(answered.key)] = Exchange(role, name, prompt.messages, answered.completion.text)
        return answered


class Shut:
    """A door through which nothing goes."""

    async def complete(self, body: bytes) -> tuple[Completion, float]:  # noqa: ARG002  # nothing is sent
        """Refuse.

        Raises:
            Stopped: always.
        """
        raise Stopped

    def stop(self) -> None:
        """Nothing is left to stop."""


async def take_sample(run: Run, count: int) -> Sample:
    """Rows of a run's plan, spread over it.

    As many cells are asked as rows are wanted, if the plan has so many, and one row is taken of each: the rest of a
    cell's rows is paid for too, and is there when the run is carried out.

    Args:
        run: made for this; it is used up.
        count: how many rows.

    Raises:
        ConfigError: fewer than one.
        RunError, ProviderError: as `Run.try_out`.
    """
    if count < 1:
        raise ConfigError(f"num_samples must be at least 1, got {count}")
    order = run.plan.spread(count)
    trials = {trial.cell.number: trial for trial in await run.try_out(order)}
    tried = [trials[number] for number in order if number in trials]
    picked = list(_in_turn(tried, count))
    spend = spent_on(tried)
    return Sample(
        rows=[row for row, _ in picked],
        prompts=[exchanges for _, exchanges in picked],
        expected=min(count, run.plan.total_rows),
        rejected=sum((trial.rejected for trial in tried), Counter()),
        calls=spend.calls,
        cost=None if spend.unpriced else spend.cost,
        why=run.report.why,
    )


def spent_on(trials: Sequence[Trial]) -> Spend:
    """What the new calls of some trials came to."""
    total = Spend()
    for call in (call for trial in trials for call in trial.calls if not call.replayed):
        usage = call.usage
        tokens = usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens
        total.add(Spend(1, *tokens, call.cost or 0.0, int(call.cost is None)))
    return total


def _in_turn(trials: Sequence[Trial], count: int) -> Iterator[tuple[Row, tuple[Exchange, ...]]]:
    """The first row of each trial, then the second of each, and so on."""
    deepest = max((len(trial.rows) for trial in trials), default=0)
    for place in range(deepest):
        for trial in trials:
            if place < len(trial.rows):
                if count == 0:
                    return
                count -= 1
                row = trial.rows[place]
                keys: list[Any] = row.get("metadata", {}).get("calls", [])
                yield row, tuple(trial.exchanges[key] for key in keys if key in trial.exchanges)


def _nothing(*_: object) -> None:
    """What one cell alone claims, displaces nobody."""
