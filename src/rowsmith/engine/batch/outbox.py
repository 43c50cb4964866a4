"""What goes out: items in batches that fit the service, the memory and the budget."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rowsmith.engine.batch.office import Model, Office
from rowsmith.engine.batch.wire import error_to
from rowsmith.engine.events import BatchSubmitted
from rowsmith.engine.gauge import Taken
from rowsmith.engine.ledger.records import BatchRecord, Stage
from rowsmith.errors import BadRequestError, ProviderError

MOST_CALLS = 20_000
"""Requests in one batch, whatever more a service takes: what is fetched is looked through in memory."""
MOST_BYTES = 16 << 20
"""The same for bytes: a batch is put together in memory."""
UNSURE = 15.0
"""Seconds after which a batch that a service does not list was never handed in."""
_LOOK_EVERY = 1.0


@dataclass(frozen=True, slots=True)
class Chunk:
    """Items that go into one batch, and what is set aside for them."""

    ids: Sequence[str]
    items: Sequence[bytes]
    aside: Taken


class Outbox:
    """Hands batches in.

    Args:
        office: what it works with.
    """

    def __init__(self, office: Office) -> None:
        self._office = office
        self._book = office.book
        self._most = dict.fromkeys(office.models, MOST_CALLS)

    def narrow(self, who: bytes, calls: int) -> None:
        """Put no more than so many requests of a model into one batch."""
        self._most[who] = calls

    async def submit(self) -> None:
        """Hand in what waits, as far as the budget allows; the run is to end if it allows nothing any more.

        Raises:
            ProviderError: a service does not take it.
            Stopped: the run is to end.
        """
        office = self._office
        for model in office.models.values():
            for chunk in self._chunks(model):
                await self._hand_over(model, chunk)
                del chunk  # or it would be kept while the next is put together
            await office.ledger.flushed()
        if office.budget is None or self._book.live():
            return
        for model in office.models.values():
            for _, body in self._book.next_waiting(model.who):
                office.budget.exceed(model.provider, len(body))
                return

    def _chunks(self, model: Model) -> Iterator[Chunk]:
        """What waits for a model, in pieces that fit the service, our memory and the budget."""
        limits, budget = model.batches.limits, self._office.budget
        most_calls = min(limits.requests, self._most[model.who])
        most_bytes = min(limits.bytes, MOST_BYTES)
        ids: list[str] = []
        items: list[bytes] = []
        size, aside = 0, Taken(0.0, 0.0)
        for name, body in self._book.next_waiting(model.who):
            item = model.batches.item(name, body)
            # Each item may get a line feed or a comma of its own.
            length = len(item) + 1
            if length > limits.bytes:
                self._refuse_large(model, name, length)
                continue
            if items and (len(items) >= most_calls or size + length > most_bytes):
                yield Chunk(ids, items, aside)
                ids, items, size, aside = [], [], 0, Taken(0.0, 0.0)
            if budget is not None:
                taken = budget.admit(model.provider, len(body))
                if taken is None:
                    break
                aside = Taken(aside.tokens + taken.tokens, aside.cost + taken.cost)
            ids.append(name)
            items.append(item)
            size += length
        if items:
            yield Chunk(ids, items, aside)

    def _refuse_large(self, model: Model, name: str, length: int) -> None:
        error = BadRequestError(
            f"the request has {length:,} bytes; a whole batch may have {model.batches.limits.bytes:,}",
            provider=model.provider.name,
            model=model.provider.model_id,
        )
        error.fatal = False
        self._book.fail(name, 1, error_to(error), fatal=False)

    async def _hand_over(self, model: Model, chunk: Chunk) -> None:
        """Submit one batch. If the process ends anywhere in here, the next start finds out how far it came."""
        office = self._office
        number = max((batch.number for batch in self._book.all()), default=0) + 1
        name = f"rowsmith-{secrets.token_hex(8)}-{number}"
        batch = BatchRecord(
            number,
            name,
            model.who,
            model.name,
            None,
            int(Stage.SUBMITTING),
            len(chunk.items),
            since=office.clock.date(),
        )
        self._book.begin(batch, chunk.ids)
        office.set_aside(number, len(chunk.items), chunk.aside)
        await office.ledger.flushed()
        tried = 0

        async def submit() -> str:
            nonlocal tried
            tried += 1
            # A submission whose reply got lost may have been carried out.
            found = await self._find(batch, model) if tried > 1 else None
            return found or await model.batches.submit(name, chunk.items, office.transport)

        try:
            found = await office.insist(model, submit)
        except ProviderError as error:
            if not error.retryable:
                self._undo(number)
                await office.ledger.flushed()
            raise
        self._book.submitted(number, found)
        await office.ledger.flushed()
        office.emit(BatchSubmitted(batch.model, found, batch.items))

    async def look_for(self, batch: BatchRecord, model: Model) -> None:
        """Find out whether a service has a batch that was being handed in when the process ended."""
        office = self._office
        while True:
            found = await office.insist(model, lambda: self._find(batch, model))
            if found is not None:
                self._book.submitted(batch.number, found)
                return
            young = batch.since + UNSURE - office.clock.date()
            if young <= 0:
                self._undo(batch.number)
                return
            # It may be on its way still, or too new for the service's list.
            await office.pause(min(young, _LOOK_EVERY) + 0.001)

    async def _find(self, batch: BatchRecord, model: Model) -> str | None:
        ids = [item.id for item in self._book.items_in(batch.number)]
        return await model.batches.find(batch.name, ids, batch.since, self._office.transport)

    def _undo(self, number: int) -> None:
        self._book.undo(number)
        self._office.free(number, sent=False)
