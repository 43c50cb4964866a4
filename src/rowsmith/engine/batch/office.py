"""What all parts of a batch run work with: the ledger, the services, what is set aside, and patience."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from rowsmith.engine.batch.tray import who_is
from rowsmith.engine.batch.wire import batches_of
from rowsmith.engine.events import Event, Retry
from rowsmith.engine.gauge import Taken
from rowsmith.engine.ledger.records import BatchRecord
from rowsmith.engine.models import Models, full_name
from rowsmith.errors import ProviderError, RunError
from rowsmith.llm.limits import Stopped

if TYPE_CHECKING:
    from rowsmith.engine.budget import Budget
    from rowsmith.engine.ending import Ending
    from rowsmith.engine.ledger import Ledger
    from rowsmith.engine.options import Options
    from rowsmith.llm.batch import Batches
    from rowsmith.llm.provider import Provider
    from rowsmith.llm.transport import Transport

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Model:
    """One model with its batch endpoint."""

    who: bytes
    provider: Provider
    batches: Batches

    @property
    def name(self) -> str:
        """`provider/model_id`."""
        return full_name(self.provider)


class Office:
    """Where a run's batches are looked after.

    Args:
        ledger: of the run.
        models: who is asked; each has a batch endpoint.
        transport: the way to the services.
        options: of the run.
        budget: what may be spent; None for no limit.
        emit: where events go.
        ending: the run's.
    """

    def __init__(
        self,
        ledger: Ledger,
        models: Models,
        transport: Transport,
        options: Options,
        budget: Budget | None,
        emit: Callable[[Event], None],
        ending: Ending,
    ) -> None:
        self.ledger = ledger
        self.book = ledger.batches
        self.transport = transport
        self.options = options
        self.clock = options.clock
        self.budget = budget
        self.emit = emit
        self.ending = ending
        found = ((provider, batches_of(provider)) for provider in models.all())
        self.models = {who_is(one): Model(who_is(one), one, batches) for one, batches in found if batches is not None}
        self._aside: dict[int, tuple[int, Taken]] = {}

    def model(self, batch: BatchRecord) -> Model:
        """Whose batch it is.

        Raises:
            RunError: the run has no such model any more.
        """
        model = self.models.get(batch.who)
        if model is None:
            raise RunError(
                f"batch {batch.id or batch.name} was handed in for {batch.model} with other settings, or at another "
                "address, than this run has. Go on with the models that the run was begun with, or end the batch with "
                "them: rowsmith cancel"
            )
        return model

    # -- what is set aside ---------------------------------------------------------------------------------------------

    def set_aside(self, number: int, calls: int, taken: Taken) -> None:
        """So much is set aside for a batch, until it is freed."""
        self._aside[number] = (calls, taken)

    def free(self, number: int, *, sent: bool = True) -> None:
        """Nothing more comes of a batch; its requests do not count if they were not `sent`."""
        calls, taken = self._aside.pop(number, (0, Taken(0.0, 0.0)))
        if self.budget is not None and calls:
            self.budget.free(calls, taken, sent=sent)

    # -- asking a service ----------------------------------------------------------------------------------------------

    async def insist(self, model: Model, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask until there is a reply, or the service has failed for as long as the policy has patience.

        A batch takes hours: a network that is gone for some minutes is no reason to end the run.

        Raises:
            ProviderError: what the service said last.
            Stopped: the run is to end.
        """
        policy, failures, since = self.options.policy, 0, self.clock.now()
        while True:
            if self.ending.why:
                raise Stopped
            try:
                return await self._in_good_order(ask())
            except ProviderError as error:
                failures += 1
                if not error.retryable or self.clock.now() - since > policy.patience:
                    raise
                seconds = policy.pause(failures, error)
                self.emit(Retry(model.name, str(error), failures, seconds))
                await self.pause(seconds)

    async def _in_good_order(self, work: Awaitable[T]) -> T:
        """Let a request come to its end, within the grace time, when the run is interrupted meanwhile."""
        task = asyncio.ensure_future(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self.ending.stop("interrupted")
            try:
                await asyncio.wait({task}, timeout=self.options.grace)
            finally:
                task.cancel()
            if task.done() and not task.cancelled() and task.exception() is None:
                return task.result()  # the run's end raises the cancellation again
            raise

    async def pause(self, seconds: float) -> None:
        """Let time pass.

        Raises:
            Stopped: the run is to end.
        """
        sleeping = asyncio.ensure_future(self.clock.sleep(seconds))
        stopping = asyncio.ensure_future(self.ending.stopping.wait())
        try:
            await asyncio.wait({sleeping, stopping}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self.ending.stop("interrupted")
            raise
        finally:
            sleeping.cancel()
            stopping.cancel()
        if self.ending.why:
            raise Stopped
