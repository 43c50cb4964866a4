"""A run: one execution of a plan. It can be stopped at any instant and started again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from rowsmith.engine.ahead import Ahead, Made
from rowsmith.engine.asking import Asker, Door, HandIn, Price
from rowsmith.engine.batch.office import Office
from rowsmith.engine.batch.tray import Tray
from rowsmith.engine.batch.waves import Waves
from rowsmith.engine.batch.wire import at_batch_price, must_have_batches, must_have_no_batches
from rowsmith.engine.budget import Budget, Limits
from rowsmith.engine.cellwork import CellWork
from rowsmith.engine.claims import Claims
from rowsmith.engine.crew import Crew
from rowsmith.engine.doors import open_doors
from rowsmith.engine.embedding import comparing
from rowsmith.engine.ending import Ending
from rowsmith.engine.estimate import Estimate, estimate
from rowsmith.engine.events import CallMade, Event, Listener, RunFinished, RunStarted
from rowsmith.engine.journal import journal_of_run
from rowsmith.engine.ledger import CellStatus, Ledger, RunPaths
from rowsmith.engine.matching import earlier_values, match
from rowsmith.engine.models import Models, full_name
from rowsmith.engine.options import Options
from rowsmith.engine.pending import Pending
from rowsmith.engine.plan import Plan
from rowsmith.engine.recipe import Recipe
from rowsmith.engine.report import Report
from rowsmith.engine.sampling import Shut, Trial, Trials
from rowsmith.engine.shielded import to_the_end
from rowsmith.engine.shift import Shift
from rowsmith.engine.statistics import Statistics, spend_of, sum_up
from rowsmith.errors import ConfigError, ProviderError, QuotaError, RunError, StorageError
from rowsmith.llm.limits import Stopped
from rowsmith.llm.prices import Prices
from rowsmith.llm.structured.rungs import Rungs
from rowsmith.llm.transport import Transport
from rowsmith.quality.seen import Seen

_log = logging.getLogger(__name__)

_FULL = "the disk is full. All that was answered is kept; make room and run the same command again to go on"


def plan_of(recipe: Recipe, models: Models) -> Plan:
    """The plan of a recipe over some models."""
    return Plan(
        recipe.axes,
        recipe.rows,
        models=models.identities(),
        sample=recipe.sample,
        seed=recipe.seed,
        deals=models.deal,
    )


class Run:
    """One execution of a plan.

    Args:
        recipe: what to make.
        models: who is asked.
        output: the rows file (`.jsonl`); the run's folder lies beside it.
        options: how it is carried out.
        listeners: told of every event, in the event loop's thread; an exception of theirs stops the run.
        price: what a call cost, or None where no price is known; by default from the list that comes with Rowsmith.
        source: what another process can make this run of again; JSON, and no keys.

    Attributes:
        plan: what is to be done.

    Raises:
        ConfigError: the cost is to be limited, and a model's price is not known; or a model is to be asked in batches
            and cannot be.
    """

    def __init__(
        self,
        recipe: Recipe,
        models: Models,
        output: str | Path,
        options: Options | None = None,
        listeners: Sequence[Listener] = (),
        price: Price | None = None,
        source: Mapping[str, Any] | None = None,
    ) -> None:
        self._recipe = recipe
        self._models = models = models.comparing_by(recipe.embeddings)
        self._paths = RunPaths.of(output)
        self._options = options or Options()
        self._statistics = Statistics()
        self._listeners: tuple[Listener, ...] = (*journal_of_run(), *listeners)
        self._price = price or Prices(self._options.clock.date)
        limits = Limits.of(self._options)
        self._budget = Budget(limits, models, self._price, self.stop) if limits else None
        if self._options.batch:
            must_have_batches(models)
        self._source = source
        self.plan = plan_of(recipe, models)
        self._callers: dict[int, Door] = {}
        self._ending = Ending()
        self._ending.tell(self._close)

    @property
    def report(self) -> Report:
        """What has come of the run so far."""
        return self._statistics.report

    async def execute(self) -> Report:
        """Carry the run out, or go on with it.

        Raises:
            RunError: the output cannot be used.
            ProviderError: one that would befall every call: a wrong key, an unknown model. All that was made is kept.
            asyncio.CancelledError: the task was cancelled; what was in flight was waited for within the grace time.
        """
        started = self._options.clock.now()
        self.report.ended = "stopped"
        async with self._opened(by_batch=self._options.batch) as (ledger, transport):
            try:
                await self._work_through(ledger, transport)
            finally:
                await to_the_end(self._conclude(ledger, started))
        if self._ending.failure is not None:
            raise self._ending.failure
        return self.report

    async def cancel_batches(self) -> Report:
        """Ask the services to end all batches of the run early, wait for that, and keep what was answered.

        Raises:
            RunError, ProviderError, asyncio.CancelledError: as `execute`.
        """
        started = self._options.clock.now()
        async with self._opened(by_batch=True) as (ledger, transport):
            try:
                await self._until_stopped(self._waves(ledger, transport).cancel())
                self.stop("its batches were cancelled")
            finally:
                await to_the_end(self._conclude(ledger, started))
        if self._ending.failure is not None:
            raise self._ending.failure
        return self.report

    async def try_out(self, numbers: Iterable[int]) -> list[Trial]:
        """Make the rows of some cells without writing them; what comes of each, in the order of their numbers.

        What is asked for it is recorded as ever: the run makes these cells of the stored answers, without new calls.

        Args:
            numbers: of the cells.

        Raises:
            RunError, ProviderError, asyncio.CancelledError: as `execute`.
        """
        asked = sorted(numbers)
        async with self._opened() as (ledger, _):
            must_have_no_batches(ledger.batches)
            shut = {provider: Shut() for provider in self._callers}
            trials = Trials(self._recipe, ledger, self._emit)
            trials.asker = self._asker(ledger, self._callers, trials.tell)
            trials.shut = self._asker(ledger, shut, trials.tell)
            try:
                crew = self._crew(ledger)
                await crew.work(Pending(asked, ()), trials, ledger.store.is_known, self._at_once(len(asked)))
            finally:
                await to_the_end(self._leave(ledger))
        if self._ending.failure is not None:
            raise self._ending.failure
        return trials.made()

    async def ask_ahead(self, recipes: Sequence[Recipe]) -> list[Made]:
        """Have rows made that the plan itself is to be made of, and not written: the first cell of each recipe.

        What is asked is the run's: recorded in its ledger, counted in its cost, and not asked twice.

        Args:
            recipes: what to make. The run's own plan has a place for what is not known yet.

        Raises:
            RunError, ProviderError, asyncio.CancelledError: as `execute`.
        """
        async with self._opened() as (ledger, _):
            first = [(recipe, plan_of(recipe, self._models).cell(0)) for recipe in recipes]
            ahead = Ahead(first, ledger, self._emit, lambda tell: self._asker(ledger, self._callers, tell))
            crew = Crew(ahead, ledger, self._ending, self._options.grace)
            try:
                count = len(recipes)
                await crew.work(Pending(range(count), ()), ahead, lambda _: True, self._at_once(count))
            finally:
                await to_the_end(self._leave(ledger))
        if self._ending.failure is not None:
            raise self._ending.failure
        return ahead.made()

    async def _leave(self, ledger: Ledger) -> None:
        """Commit what some trials have asked, with the run as far as it was before."""
        await ledger.flushed()
        self.report.spend, self.report.why = spend_of(ledger), self._ending.why
        ledger.set_meta(state="finished" if ledger.was_finished else "stopped")
        await ledger.flushed()

    async def estimate(self, sample: int = 0) -> Estimate:
        """What the run will take, from its first call to its last.

        Args:
            sample: cells that are really asked for to sharpen it; 0 asks and writes nothing.

        Raises:
            ConfigError: `sample` is negative.
            RunError, ProviderError: as `try_out`.
        """
        if sample < 0:
            raise ConfigError(f"a sample has 0 or more cells, not {sample}")
        trials = await self.try_out(self.plan.spread(sample)) if sample else []
        options = self._options
        price = at_batch_price(self._price) if options.batch else self._price
        most = options.max_concurrency
        found = await estimate(self._recipe, self._models, self.plan, price=price, max_concurrency=most, trials=trials)
        # How long a batch takes is up to the service: limits of requests in time are those of single calls.
        return replace(found, seconds=None) if options.batch else found

    @asynccontextmanager
    async def _opened(self, *, by_batch: bool = False) -> AsyncIterator[tuple[Ledger, Transport]]:
        """The ledger, brought to the plan, with all that is needed to call models."""
        in_flight = self._options.max_concurrency * len(self._models.all())
        with Ledger(self._paths, fresh=self._options.fresh, in_flight=in_flight) as ledger:
            match(ledger, self._recipe, self._models, self.plan, **self._facts())
            limits = Limits.of(self._options)
            if limits and by_batch:
                self._budget = Budget(limits, self._models, at_batch_price(self._price), self.stop)
            if self._budget is not None:
                self._budget.begin(ledger)
            async with Transport() as transport:
                self._callers = open_doors(self._models, transport, ledger, self._options, self._budget, self._emit)
                try:
                    yield ledger, transport
                finally:
                    self._close()

    def _facts(self) -> dict[str, Any]:
        """What the ledger notes of the run itself."""
        facts: dict[str, Any] = {"expected": self.plan.total_rows, "cells": len(self.plan)}
        return facts | ({"source": orjson.dumps(self._source).decode()} if self._source else {})

    def stop(self, why: str) -> None:
        """Send no new calls; what is in flight goes on, and the run ends in good order.

        Args:
            why: for the report, in one line.
        """
        self._ending.stop(why)

    def _close(self) -> None:
        for caller in self._callers.values():
            caller.stop()

    # -- the work ---------------------------------------------------------------------------------------------------

    async def _work_through(self, ledger: Ledger, transport: Transport) -> None:
        plan, store = self.plan, ledger.store
        settled = store.count(CellStatus.DONE, CellStatus.SHORT)
        names = tuple(full_name(provider) for provider in self._models.all())
        report = self.report
        report.expected = plan.total_rows
        self._emit(RunStarted(str(self._paths.rows), len(plan), settled, plan.total_rows, store.rows(), names))
        if not self._options.batch:
            must_have_no_batches(ledger.batches)
        elif ledger.batches.live():
            ledger.was_finished = False
        if settled == len(plan) and ledger.was_finished:
            return
        crew = self._crew(ledger)
        tray = Tray(self._models, ledger.batches) if self._options.batch else None
        asker = (
            self._asker(ledger, self._callers, self._emit)
            if tray is None
            else self._asker(ledger, self._callers, self._tell_of_batches, tray.hand_in)
        )
        # Vectors are asked for at once, in a batch run too.
        at_once = asker if tray is None else self._asker(ledger, self._callers, self._tell_of_batches)
        near, kit = comparing(self._recipe, plan.total_rows, ledger, at_once)
        work = CellWork(
            self._recipe,
            asker,
            ledger,
            self._emit,
            max_rounds=self._recipe.max_rounds,
            reopen=crew.reopen,
            tray=tray,
            followed=bool(self._listeners),
            kit=kit,
        )
        if self._recipe.unique:
            work.claims = Claims(Seen(plan.total_rows), work.displaced, near)
            work.claims.load(ledger.marks())
        shift = Shift(crew, work, ledger, self._ending, self._at_once(len(plan)))
        try:
            if tray is None:
                await shift.once(len(plan), settled)
                return
            waves = self._waves(ledger, transport)
            await self._until_stopped(shift.in_waves(waves, len(plan), wait=not self._options.no_wait))
        finally:
            work.claims = None  # its table is given back before the files are put in order

    async def _until_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Do work with batches, of which every part may find that the run is to end."""
        try:
            await work
        except asyncio.CancelledError:
            self.stop("interrupted")
            raise
        except Stopped:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError from None
        except QuotaError as error:
            _log.error("%s", error)
            self.stop(str(error))
        except ProviderError as error:
            self._ending.fail(error)

    def _crew(self, ledger: Ledger) -> Crew:
        return Crew(self.plan, ledger, self._ending, self._options.grace)

    def _at_once(self, cells: int) -> int:
        return min(cells, self._options.max_concurrency * len(self._callers))

    def _waves(self, ledger: Ledger, transport: Transport) -> Waves:
        office = Office(ledger, self._models, transport, self._options, self._budget, self._emit, self._ending)
        return Waves(office, self.plan, at_batch_price(self._price))

    def _asker(
        self,
        ledger: Ledger,
        doors: Mapping[int, Door],
        emit: Callable[[Event], None],
        hand_in: HandIn | None = None,
    ) -> Asker:
        rungs = Rungs.from_json(ledger.meta["rungs"]) if "rungs" in ledger.meta else Rungs()
        return Asker(
            self._models,
            doors,
            rungs,
            ledger,
            self._options.clock,
            self._recipe.seed,
            self._price,
            emit,
            values=self._recipe.growing_values,
            earlier=earlier_values(ledger),
            hand_in=hand_in,
            followed=bool(self._listeners),
        )

    async def _conclude(self, ledger: Ledger, started: float) -> None:
        """Commit, put the files in order, and sum up."""
        try:
            await ledger.flushed()
            if ledger.full:
                raise StorageError(_FULL)
            await asyncio.to_thread(ledger.put_in_order)
        except RunError as error:
            self._ending.fail(error)
        report = self.report
        report.seconds = self._options.clock.now() - started
        sum_up(report, ledger, self._ending.why, self._group, lambda number: self.plan.cell(number).want)
        if not ledger.failed:
            state = "stopped" if report.why or report.batches else "finished"
            ledger.set_meta(state=state, lacks=orjson.dumps(report.lacks).decode())
            await ledger.flushed()
        self._emit(RunFinished(report))

    def _group(self, number: int) -> dict[str, str]:
        cell = self.plan.cell(number)
        owner = self._models.owner(cell, self._recipe.seed)
        return {**self._recipe.group(cell), "model": full_name(owner)}

    def _tell_of_batches(self, event: Event) -> None:
        """Tell of answers in the ledger as long as they can only be of earlier starts: each wave takes up all again."""
        if not (isinstance(event, CallMade) and event.replayed and self.report.calls):
            self._emit(event)

    def _emit(self, event: Event) -> None:
        count = self._statistics.by_type.get(type(event))
        if count is not None:
            count(event)
        for listener in self._listeners:
            listener(event)
