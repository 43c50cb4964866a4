"""A run: one execution of a plan. It can be stopped at any instant and started again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from rowsmith.engine.asking import Asker, Door, Price
from rowsmith.engine.budget import Budget, Limits
from rowsmith.engine.cellwork import CellWork, Work
from rowsmith.engine.claims import Claims
from rowsmith.engine.estimate import Estimate, estimate
from rowsmith.engine.events import Event, Listener, Retry, RunFinished, RunStarted, Waiting
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
from rowsmith.engine.statistics import Statistics, lacks_of, spend_of
from rowsmith.errors import ConfigError, QuotaError, RunError, StorageError
from rowsmith.llm.caller import Caller, Notice, RetryNotice
from rowsmith.llm.limits import Limiter, Stopped
from rowsmith.llm.prices import Prices
from rowsmith.llm.structured.rungs import Rungs
from rowsmith.llm.transport import Transport
from rowsmith.quality.near import NearIndex
from rowsmith.quality.seen import Seen

_log = logging.getLogger(__name__)


def plan_of(recipe: Recipe, models: Models) -> Plan:
    """The plan of a recipe over some models."""
    return Plan(
        recipe.axes,
        recipe.rows,
        models=models.identities(),
        dealt=models.dealt,
        sample=recipe.sample,
        seed=recipe.seed,
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
        ConfigError: the cost is to be limited, and a model's price is not known.
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
        self._models = models
        self._paths = RunPaths.of(output)
        self._options = options or Options()
        self._statistics = Statistics()
        self._listeners: tuple[Listener, ...] = (self._statistics, *journal_of_run(), *listeners)
        self._price = price or Prices(self._options.clock.date)
        limits = Limits.of(self._options)
        self._budget = Budget(limits, models, self._price, self.stop) if limits else None
        self._source = source
        self.plan = plan_of(recipe, models)
        self._callers: dict[int, Door] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._active = 0
        self._change = asyncio.Event()
        self._why = ""
        self._failed = asyncio.Event()
        self._failure: Exception | None = None

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
        async with self._opened() as ledger:
            try:
                await self._work_through(ledger)
            finally:
                await to_the_end(self._conclude(ledger, started))
        if self._failure is not None:
            raise self._failure
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
        async with self._opened() as ledger:
            shut = {provider: Shut() for provider in self._callers}
            trials = Trials(self._recipe, ledger, self._emit)
            trials.asker = self._asker(ledger, self._callers, trials.tell)
            trials.shut = self._asker(ledger, shut, trials.tell)
            try:
                await self._put_to_work(Pending(asked, ()), trials, ledger, ledger.store.is_known, len(asked))
            finally:
                await to_the_end(self._leave(ledger))
        if self._failure is not None:
            raise self._failure
        return trials.made()

    async def _leave(self, ledger: Ledger) -> None:
        """Commit what some trials have asked, with the run as far as it was before."""
        await ledger.flushed()
        self.report.spend, self.report.why = spend_of(ledger), self._why
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
        most = self._options.max_concurrency
        return await estimate(
            self._recipe, self._models, self.plan, price=self._price, max_concurrency=most, trials=trials
        )

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Ledger]:
        """The ledger, brought to the plan, with all that is needed to call models."""
        in_flight = self._options.max_concurrency * len(self._models.all())
        with Ledger(self._paths, fresh=self._options.fresh, in_flight=in_flight) as ledger:
            facts: dict[str, Any] = {"expected": self.plan.total_rows, "cells": len(self.plan)}
            if self._source:
                facts["source"] = orjson.dumps(self._source).decode()
            match(ledger, self._recipe, self._models, self.plan, **facts)
            if self._budget is not None:
                self._budget.begin(ledger)
            async with Transport() as transport:
                self._open_callers(transport, ledger)
                try:
                    yield ledger
                finally:
                    for caller in self._callers.values():
                        caller.stop()

    def stop(self, why: str) -> None:
        """Send no new calls; what is in flight goes on, and the run ends in good order.

        Args:
            why: for the report, in one line.
        """
        self._why = self._why or why
        for caller in self._callers.values():
            caller.stop()
        self._change.set()

    # -- before the first call -------------------------------------------------------------------------------------

    def _open_callers(self, transport: Transport, ledger: Ledger) -> None:
        options = self._options
        today = time.strftime("%Y-%m-%d", time.gmtime(options.clock.date()))
        for provider in self._models.all():
            name = full_name(provider)
            limiter = Limiter.shared(
                provider,
                options.clock,
                ceiling=options.max_concurrency,
                source=str(self._paths.ledger.resolve()),
                made_today=ledger.store.calls_on(today, name),
            )
            budget = self._budget
            sender = budget.counted(provider) if budget else provider
            caller = Caller(sender, transport, limiter, options.policy, options.clock, self._teller(name))
            self._callers[id(provider)] = budget.guarded(provider, caller) if budget else caller

    def _teller(self, model: str) -> Callable[[Notice], None]:
        def tell(notice: Notice) -> None:
            if isinstance(notice, RetryNotice):
                self._emit(Retry(model, str(notice.error), notice.attempt, notice.seconds))
            else:
                self._emit(Waiting(model, notice.reason, notice.seconds))

        return tell

    # -- the work ---------------------------------------------------------------------------------------------------

    async def _work_through(self, ledger: Ledger) -> None:
        plan, store = self.plan, ledger.store
        settled = store.count(CellStatus.DONE, CellStatus.SHORT)
        names = tuple(full_name(provider) for provider in self._models.all())
        report = self.report
        report.expected = plan.total_rows
        self._emit(RunStarted(str(self._paths.rows), len(plan), settled, plan.total_rows, store.rows(), names))
        if settled == len(plan) and ledger.was_finished:
            return
        work = CellWork(
            self._recipe,
            self._asker(ledger, self._callers, self._emit),
            ledger,
            self._emit,
            max_rounds=self._recipe.max_rounds,
            reopen=lambda number: self._reopen(pending, number),
        )
        if self._recipe.unique:
            work.claims = Claims(Seen(plan.total_rows), work.displaced, self._near())
            work.claims.load(ledger.marks())
        pending = Pending(range(len(plan)), ledger.settled())
        known_before = settled < len(plan) and store.count(CellStatus.OPEN, CellStatus.FAILED) > 0
        known = store.is_known if known_before else lambda _: False
        await self._put_to_work(pending, work, ledger, known, len(plan) - settled)
        # Only now: before, a cell still to be worked on may be about to claim what another was refused.
        resumed = work.claims is not None and not ledger.was_finished and not self._why
        if work.claims is not None and resumed and (wronged := set(work.claims.stale(ledger.denied()))):
            for number in wronged:
                work.displaced(number)
            await self._put_to_work(pending, work, ledger, known, len(wronged))

    def _near(self) -> NearIndex | None:
        threshold = self._recipe.near_duplicates
        return None if threshold is None else NearIndex(threshold, self.plan.total_rows)

    async def _put_to_work(
        self, pending: Pending, work: Work, ledger: Ledger, known: Callable[[int], bool], cells: int
    ) -> None:
        """Have the pending cells worked on, many at once, and wait for the end."""
        for _ in range(min(cells, self._options.max_concurrency * len(self._callers))):
            task = asyncio.create_task(self._worker(pending, work, ledger, known))
            self._workers.add(task)
        await self._wait_for_workers()

    def _asker(self, ledger: Ledger, doors: Mapping[int, Door], emit: Callable[[Event], None]) -> Asker:
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
        )

    async def _worker(self, pending: Pending, work: Work, ledger: Ledger, known: Callable[[int], bool]) -> None:
        """Take cells one after the other until there is none left, here or still to be reopened."""
        plan = self.plan
        while not self._why:
            taken = pending.next()
            if taken is None:
                if self._active == 0:
                    self._change.set()
                    return
                self._change.clear()
                await self._change.wait()
                continue
            number, reopened = taken
            self._active += 1
            try:
                await work.carry_out(plan.cell(number), known=reopened or known(number))
            except Stopped:
                return
            except QuotaError as error:
                _log.error("%s", error)
                self.stop(str(error))
                return
            except Exception as error:
                self._fail(ledger.explained(error))
                return
            finally:
                self._active -= 1
                if self._active == 0:
                    self._change.set()
            if ledger.full:
                self.stop("the disk is full")

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error
        self.stop(f"{type(error).__name__}: {error}")
        self._failed.set()

    def _reopen(self, pending: Pending, number: int) -> None:
        pending.reopen(number)
        self._change.set()

    async def _wait_for_workers(self) -> None:
        """Wait for the end; after a failure, or if this task is cancelled, no longer than the grace time.

        Cancelled a second time it waits for no answer any more. No worker outlives it.
        """
        everyone: asyncio.Future[Any] = asyncio.gather(*self._workers, return_exceptions=True)
        failed: asyncio.Future[Any] = asyncio.ensure_future(self._failed.wait())
        grace = self._options.grace
        try:
            await asyncio.wait({everyone, failed}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({everyone}, timeout=grace if self._failed.is_set() else None)
        except asyncio.CancelledError:
            self.stop("interrupted")
            await asyncio.wait({everyone}, timeout=grace)
            raise
        finally:
            failed.cancel()
            for task in self._workers:
                task.cancel()
            await to_the_end(_ended(everyone))

    # -- after the last call ----------------------------------------------------------------------------------------

    async def _conclude(self, ledger: Ledger, started: float) -> None:
        """Commit, put the files in order, and sum up."""
        try:
            await ledger.flushed()
            if ledger.full:
                raise StorageError(
                    "the disk is full. All that was answered is kept; make room and run the same command again to go on"
                )
            await asyncio.to_thread(ledger.put_in_order)
        except RunError as error:
            self._fail(error)
        store, report = ledger.store, self.report
        report.rows = store.rows()
        report.seconds = self._options.clock.now() - started
        report.spend = spend_of(ledger)
        report.lacks = lacks_of(store.lacking(), self._group, lambda number: self.plan.cell(number).want)
        report.why = self._why
        report.ended = "stopped" if self._why else "short" if report.rows < report.expected else "complete"
        if not ledger.failed:
            lacks = orjson.dumps(report.lacks).decode()
            ledger.set_meta(state="stopped" if self._why else "finished", lacks=lacks)
            await ledger.flushed()
        self._emit(RunFinished(report))

    def _group(self, number: int) -> dict[str, str]:
        cell = self.plan.cell(number)
        return {**self._recipe.group(cell), "model": full_name(self._models.llms[cell.model])}

    def _emit(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)


async def _ended(tasks: asyncio.Future[Any]) -> None:
    await asyncio.wait({tasks})
