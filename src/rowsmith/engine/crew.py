"""Workers that take a run's cells one after the other, many at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

from rowsmith.engine.cellwork import Work
from rowsmith.engine.ending import Ending
from rowsmith.engine.ledger import Ledger
from rowsmith.engine.pending import Pending
from rowsmith.engine.plan import Cell
from rowsmith.engine.shielded import to_the_end
from rowsmith.errors import QuotaError
from rowsmith.llm.limits import Stopped

_IN_ONE_TURN = 32
"""Cells that end in one turn of the event loop before each worker waits for the next: a model that answers without ever
waiting, as the offline one does, must not keep all others from their turn."""

_log = logging.getLogger("rowsmith.engine.run")


class Cells(Protocol):
    """Where cells are found by their numbers: a plan, or what is asked ahead of one."""

    def cell(self, index: int) -> Cell:
        """The index-th cell."""


class Crew:
    """The workers of one run.

    Args:
        plan: what there is to do.
        ledger: of the run.
        ending: the run's.
        grace: seconds that a call may still take once the run is to end.
    """

    def __init__(self, plan: Cells, ledger: Ledger, ending: Ending, grace: float) -> None:
        self._plan = plan
        self._ledger = ledger
        self._ending = ending
        self._grace = grace
        self._workers: set[asyncio.Task[None]] = set()
        self._active = 0
        self._in_turn = 0
        self._change = asyncio.Event()
        self._pending = Pending((), ())
        ending.tell(self._change.set)

    async def work(self, pending: Pending, work: Work, known: Callable[[int], bool], workers: int) -> None:
        """Have the pending cells worked on, and wait for the end.

        Args:
            pending: the cells.
            work: what is done with each.
            known: whether the ledger has something of a cell.
            workers: how many cells are worked on at once.

        Raises:
            asyncio.CancelledError: the task was cancelled; what was in flight was waited for within the grace time.
        """
        self._pending = pending
        self._workers = {asyncio.create_task(self._worker(work, known)) for _ in range(workers)}
        await self._wait_for_workers()

    def _turn_over(self) -> None:
        self._in_turn = 0

    def reopen(self, number: int) -> None:
        """Have a finished cell worked on again."""
        self._pending.reopen(number)
        self._change.set()

    async def _worker(self, work: Work, known: Callable[[int], bool]) -> None:
        """Take cells one after the other until there is none left, here or still to be reopened."""
        pending, ending, ledger, loop = self._pending, self._ending, self._ledger, asyncio.get_running_loop()
        while not ending.why:
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
                await work.carry_out(self._plan.cell(number), known=reopened or known(number))
                if ledger.crowded:
                    await ledger.flushed()
                self._in_turn += 1
                if self._in_turn == _IN_ONE_TURN // 4:  # where few end in each turn, not every turn needs to be told
                    loop.call_soon(self._turn_over)
                elif self._in_turn >= _IN_ONE_TURN:
                    await asyncio.sleep(0)
            except Stopped:
                return
            except QuotaError as error:
                _log.error("%s", error)
                ending.stop(str(error))
                return
            except Exception as error:
                ending.fail(ledger.explained(error))
                return
            finally:
                self._active -= 1
                if self._active == 0:
                    self._change.set()
            if ledger.full:
                ending.stop("the disk is full")

    async def _wait_for_workers(self) -> None:
        """Wait for the end; after a failure, or if this task is cancelled, no longer than the grace time.

        Cancelled a second time it waits for no answer any more. No worker outlives it.
        """
        ending = self._ending
        everyone: asyncio.Future[Any] = asyncio.gather(*self._workers, return_exceptions=True)
        failed: asyncio.Future[Any] = asyncio.ensure_future(ending.failed.wait())
        try:
            await asyncio.wait({everyone, failed}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({everyone}, timeout=self._grace if ending.failed.is_set() else None)
        except asyncio.CancelledError:
            ending.stop("interrupted")
            await asyncio.wait({everyone}, timeout=self._grace)
            raise
        finally:
            failed.cancel()
            for task in self._workers:
                task.cancel()
            await to_the_end(_ended(everyone))


async def _ended(tasks: asyncio.Future[Any]) -> None:
    await asyncio.wait({tasks})
