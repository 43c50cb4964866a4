"""What comes back: how far batches are, and the answers and errors of those that have ended."""

from __future__ import annotations

from collections.abc import Callable

from rowsmith.engine.asking import Price
from rowsmith.engine.batch.office import Model, Office
from rowsmith.engine.batch.wire import error_to
from rowsmith.engine.events import BatchEnded, BatchProgress, CallMade, Retry
from rowsmith.engine.ledger.records import BatchRecord, CallRecord, ItemState, Stage
from rowsmith.engine.plan import Plan
from rowsmith.errors import BadRequestError, ProviderError, ServiceError
from rowsmith.llm.batch import BatchState, BatchStatus
from rowsmith.llm.values import Completion

_COMMITTED_AT_ONCE = 1000
"""Results that are taken in before they are committed."""


class Inbox:
    """Fetches what came of batches.

    Args:
        office: what it works with.
        plan: for the cells whose calls come back.
        price: what an item costs.
        narrow: told of a model that is to get smaller batches: how many requests at most.
    """

    def __init__(self, office: Office, plan: Plan, price: Price, narrow: Callable[[bytes, int], None]) -> None:
        self._office = office
        self._book = office.book
        self._ledger = office.ledger
        self._emit = office.emit
        self._plan = plan
        self._price = price
        self._narrow = narrow

    async def look(self, pause: float = 0.0) -> bool:
        """Ask how far each batch is, and fetch those that have ended; says whether some go on.

        Args:
            pause: seconds until it is asked again, for whoever looks on.

        Raises:
            ProviderError: a service cannot be asked.
            Stopped: the run is to end.
        """
        live = [batch for batch in self._book.live() if batch.id is not None]
        going_on: list[tuple[BatchRecord, BatchStatus]] = []
        no_room: list[tuple[BatchRecord, BatchStatus]] = []
        for batch in live:
            status = await self.look_at(batch)
            if status.state is BatchState.RUNNING:
                going_on.append((batch, status))
            elif status.state is BatchState.FAILED and status.later:
                no_room.append((batch, status))
        for batch, status in no_room:
            await self._put_off(batch, status, alone=len(no_room) == len(live))
        await self._ledger.flushed()
        if going_on:
            calls = sum(batch.items for batch, _ in going_on)
            answered = sum(status.answered for _, status in going_on)
            failed = sum(status.failed for _, status in going_on)
            self._emit(BatchProgress(len(going_on), calls, answered, failed, pause))
        return bool(going_on)

    async def look_at(self, batch: BatchRecord) -> BatchStatus:
        """Ask how far one batch is, and fetch it if it has ended; one that only found no room is left as it is."""
        office, name = self._office, batch.id or ""
        model = office.model(batch)
        status = await office.insist(model, lambda: model.batches.status(name, office.transport))
        if status.state is BatchState.ENDED:
            await self._fetch(batch, model, name)
        elif status.state is BatchState.FAILED and not status.later:
            await self._refused(batch, model, status)
        elif (status.answered, status.failed) != (batch.answered, batch.failed):
            self._book.progress(batch.number, status.answered, status.failed)
        return status

    async def _fetch(self, batch: BatchRecord, model: Model, name: str) -> None:
        """Book what came of a batch. Results that break off are fetched anew: what was booked is no item any more."""
        counts = [0, 0]

        async def fetch() -> None:
            await self._ledger.flushed()
            seen: set[str] = set()
            async for result in model.batches.results(name, self._office.transport):
                item = self._book.item(result.id)
                if item is None or item.batch != batch.number or item.id in seen:
                    continue
                seen.add(item.id)
                if isinstance(result.outcome, Completion):
                    counts[0] += 1
                    self._answered(batch, model, item, result.outcome)
                else:
                    counts[1] += 1
                    self._came_to_nothing(model, item, result.outcome)
                if not len(seen) % _COMMITTED_AT_ONCE:
                    await self._ledger.flushed()

        await self._office.insist(model, fetch)
        await self._ledger.flushed()
        for item in self._book.items_in(batch.number):
            counts[1] += 1
            self._came_to_nothing(model, item, _missing(model, name))
        self._end(batch._replace(answered=batch.items - counts[1], failed=counts[1]), Stage.FETCHED)
        await self._ledger.flushed()
        self._emit(BatchEnded(batch.model, name, counts[0], counts[1]))

    def _answered(self, batch: BatchRecord, model: Model, item: ItemState, completion: Completion) -> None:
        usage, now = completion.usage, self._office.clock.date()
        record = CallRecord(
            item.cell,
            item.cell_key,
            item.ordinal,
            item.key,
            item.role,
            batch.model,
            completion.finish,
            completion.text,
            usage.input_tokens,
            usage.output_tokens,
            usage.cached_tokens,
            usage.reasoning_tokens,
            completion.model,
            completion.request_id,
            self._price(model.provider, usage),
            max(0.0, now - batch.since),
            now,
        )
        self._book.answer(item.id, record)
        if self._office.budget is not None:
            self._office.budget.book(model.provider, item.size, completion)
        cell = self._plan.cell(item.cell)
        seconds, ordinal = record.seconds, item.ordinal
        made = CallMade(cell, item.role, batch.model, usage, record.cost, seconds, False, ordinal, completion)
        self._emit(made)

    def _came_to_nothing(self, model: Model, item: ItemState, error: ProviderError) -> None:
        tries = item.tries + 1
        if self._office.budget is not None:
            self._office.budget.unanswered()
        if error.retryable and tries <= self._office.options.policy.max_retries:
            self._book.release(item.id, tries)
            self._emit(Retry(model.name, str(error), tries, 0.0))
        else:
            self._book.fail(item.id, tries, error_to(error), fatal=error.fatal)

    async def _refused(self, batch: BatchRecord, model: Model, status: BatchStatus) -> None:
        """A batch was refused as a whole: every request in it was."""
        error = BadRequestError(
            f"the service refused the batch: {status.message or 'it did not say why'}",
            provider=model.provider.name,
            model=model.provider.model_id,
        )
        await self._ledger.flushed()
        items = self._book.items_in(batch.number)
        for item in items:
            self._came_to_nothing(model, item, error)
        self.close(batch._replace(failed=len(items)), Stage.REFUSED, status.message)

    async def _put_off(self, batch: BatchRecord, status: BatchStatus, *, alone: bool) -> None:
        """A service had no room for a batch: its requests go out again, in smaller ones if it had no other."""
        await self._ledger.flushed()
        if alone and batch.items == 1:
            await self._refused(batch, self._office.model(batch), status)
            return
        if alone:
            self._narrow(batch.who, max(1, batch.items // 2))
        self.close(batch, Stage.REFUSED, status.message, sent=False)

    def close(self, batch: BatchRecord, stage: Stage, message: str, *, sent: bool = True) -> None:
        """Nothing comes of a batch; what is left of its items waits again."""
        for item in self._book.items_in(batch.number):
            self._book.release(item.id, item.tries)
        self._end(batch._replace(message=message), stage, sent=sent)
        self._emit(BatchEnded(batch.model, batch.id or batch.name, 0, batch.items, message))

    def _end(self, batch: BatchRecord, stage: Stage, *, sent: bool = True) -> None:
        self._book.end(batch._replace(stage=int(stage), until=self._office.clock.date()))
        self._office.free(batch.number, sent=sent)


def _missing(model: Model, batch: str) -> ServiceError:
    return ServiceError(
        f"the results of batch {batch} do not have this request",
        provider=model.provider.name,
        model=model.provider.model_id,
    )
