"""A run: one execution of a plan. It can be stopped at any instant and started again."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from rowsmith.engine.asking import Asker, Price
from rowsmith.engine.cellwork import CellWork
from rowsmith.engine.claims import Claims
from rowsmith.engine.events import Event, Listener, Retry, RunFinished, RunStarted
from rowsmith.engine.fingerprint import Fingerprint, changed, fingerprint, refuse
from rowsmith.engine.ledger import CellStatus, Ledger, RunPaths
from rowsmith.engine.ledger.extend import NotAnExtensionError
from rowsmith.engine.models import Models, full_name
from rowsmith.engine.options import Options
from rowsmith.engine.pending import Pending
from rowsmith.engine.plan import Plan
from rowsmith.engine.recipe import Recipe
from rowsmith.engine.report import Report
from rowsmith.engine.statistics import Statistics, lacks_of, spend_of
from rowsmith.llm.caller import Caller, RetryNotice
from rowsmith.llm.limits import Limiter, Stopped
from rowsmith.llm.structured.rungs import Rungs
from rowsmith.llm.transport import Transport
from rowsmith.quality.seen import Seen


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
        price: what a call cost, or None where no price is known.
    """

    def __init__(
        self,
        recipe: Recipe,
        models: Models,
        output: str | Path,
        options: Options | None = None,
        listeners: Sequence[Listener] = (),
        price: Price = lambda _provider, _usage: None,
    ) -> None:
        self._recipe = recipe
        self._models = models
        self._paths = RunPaths.of(output)
        self._options = options or Options()
        self._statistics = Statistics()
        self._listeners: tuple[Listener, ...] = (self._statistics, *listeners)
        self._price = price
        self._plan = plan_of(recipe, models)
        self._callers: dict[int, Caller] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._active = 0
        self._change = asyncio.Event()
        self._why = ""
        self._failure: BaseException | None = None

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
        clock = self._options.clock
        started = clock.now()
        if self._options.fresh:
            _delete(self._paths)
        with Ledger(self._paths) as ledger:
            self._match(ledger)
            async with Transport() as transport:
                self._open_callers(transport)
                try:
                    await self._work_through(ledger)
                finally:
                    await self._conclude(ledger, clock.now() - started)
        if self._failure is not None:
            raise self._failure
        return self.report

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

    def _match(self, ledger: Ledger) -> None:
        """Make sure that the output belongs to this configuration, and bring the ledger to its plan."""
        new = fingerprint(self._recipe, self._models, self._plan.fingerprint())
        if "fingerprint" in ledger.meta:
            old = Fingerprint.from_json(ledger.meta["fingerprint"])
            if fields := changed(old.fixed, new.fixed):
                raise refuse(str(self._paths.rows), fields, old.fixed, new.fixed)
            if old.plan != new.plan:
                try:
                    ledger.extend(self._plan)
                except NotAnExtensionError as exc:
                    fields = changed(old.grows, new.grows)
                    raise refuse(str(self._paths.rows), fields, old.grows, new.grows) from exc
            if old.checks != new.checks:
                ledger.reopen_all()
        ledger.set_meta(fingerprint=new.to_json(), state="running")

    def _open_callers(self, transport: Transport) -> None:
        options = self._options
        for provider in self._models.all():
            limiter = Limiter(provider.limits, options.clock, ceiling=options.max_concurrency)
            name = full_name(provider)
            self._callers[id(provider)] = Caller(
                provider, transport, limiter, options.policy, options.clock, self._retry_teller(name)
            )

    def _retry_teller(self, model: str) -> Callable[[RetryNotice], None]:
        def tell(notice: RetryNotice) -> None:
            self._emit(Retry(model, str(notice.error), notice.attempt, notice.seconds))

        return tell

    # -- the work ---------------------------------------------------------------------------------------------------

    async def _work_through(self, ledger: Ledger) -> None:
        plan, store = self._plan, ledger.store
        pending = Pending(range(len(plan)), ledger.settled())
        settled = store.count(CellStatus.DONE, CellStatus.SHORT)
        names = tuple(full_name(provider) for provider in self._models.all())
        report = self.report
        report.expected = plan.total_rows
        self._emit(RunStarted(str(self._paths.rows), len(plan), settled, plan.total_rows, store.rows(), names))
        await ledger.flushed()
        work = CellWork(
            self._recipe,
            self._asker(ledger),
            ledger,
            self._emit,
            max_rounds=self._recipe.max_rounds,
            reopen=lambda number: self._reopen(pending, number),
        )
        if self._recipe.unique:
            work.claims = Claims(Seen(plan.total_rows), work.displaced, ledger.deny)
            work.claims.load(ledger.marks())
        known_before = settled < len(plan) and store.count(CellStatus.OPEN, CellStatus.FAILED) > 0
        known = store.is_known if known_before else _never
        workers = min(len(plan) - settled, self._options.max_concurrency * len(self._callers))
        for _ in range(workers):
            task = asyncio.create_task(self._worker(pending, work, ledger, known))
            self._workers.add(task)
        await self._wait_for_workers()

    def _asker(self, ledger: Ledger) -> Asker:
        rungs = Rungs.from_json(ledger.meta["rungs"]) if "rungs" in ledger.meta else Rungs()
        return Asker(
            self._models,
            self._callers,
            rungs,
            ledger,
            self._options.clock,
            self._recipe.seed,
            self._price,
            self._emit,
        )

    async def _worker(self, pending: Pending, work: CellWork, ledger: Ledger, known: Callable[[int], bool]) -> None:
        """Take cells one after the other until there is none left, here or still to be reopened."""
        plan = self._plan
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
            except Exception as error:
                self._failure = self._failure or error
                self.stop(f"{type(error).__name__}: {error}")
                return
            finally:
                self._active -= 1
                if self._active == 0:
                    self._change.set()
            if ledger.full:
                self.stop("the disk is full")

    def _reopen(self, pending: Pending, number: int) -> None:
        pending.reopen(number)
        self._change.set()

    async def _wait_for_workers(self) -> None:
        """Wait for the end; if this task is cancelled, for what is in flight, within the grace time."""
        everyone = asyncio.gather(*self._workers)
        try:
            await asyncio.shield(everyone)
        except asyncio.CancelledError:
            self.stop("interrupted")
            await self._grace()
            raise

    async def _grace(self) -> None:
        done, late = await asyncio.wait(self._workers, timeout=self._options.grace) if self._workers else (set(), set())
        for task in late:
            task.cancel()
        await asyncio.gather(*done, *late, return_exceptions=True)

    # -- after the last call ----------------------------------------------------------------------------------------

    async def _conclude(self, ledger: Ledger, seconds: float) -> None:
        """Commit, put the files in order, and sum up."""
        if self._failure is None and ledger.full:
            self._why = "the disk is full"
        await ledger.flushed()
        await asyncio.to_thread(ledger.put_in_order)
        store, report = ledger.store, self.report
        report.rows = store.rows()
        report.seconds = seconds
        report.spend = spend_of(ledger)
        report.lacks = lacks_of(store.lacking(), self._group, lambda number: self._plan.cell(number).want)
        report.why = self._why
        report.ended = "stopped" if self._why else "short" if report.rows < report.expected else "complete"
        ledger.set_meta(state="stopped" if self._why else "finished")
        await ledger.flushed()
        self._emit(RunFinished(report))

    def _group(self, number: int) -> dict[str, str]:
        cell = self._plan.cell(number)
        return {**self._recipe.group(cell), "model": full_name(self._models.llms[cell.model])}

    def _emit(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)


def _never(number: int) -> bool:
    del number
    return False


def _delete(paths: RunPaths) -> None:
    """Remove what an earlier run made; only a folder that holds a ledger is taken for a run's."""
    if paths.ledger.exists():
        shutil.rmtree(paths.folder)
        paths.rows.unlink(missing_ok=True)
