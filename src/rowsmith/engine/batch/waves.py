"""The batches of a run: what waits is submitted, what a service has is waited for, what comes back is booked.

Whatever the instant at which the process ends, the next start goes on from the ledger:

- That a batch is handed in is noted, with its name and its items, before it is. A start that finds such a note looks
  for the batch at the service, by that name, and hands its items in again only if there is none.
- An answer becomes a call of the ledger in the same commit in which its item ends; so results that are fetched again
  are booked once.
- What came to nothing waits to be submitted again, as often as the policy has retries; then its error is kept, and the
  cell is told of it as if it had called itself.
"""

from __future__ import annotations

from rowsmith.engine.asking import Price
from rowsmith.engine.batch.inbox import Inbox
from rowsmith.engine.batch.office import Model, Office
from rowsmith.engine.batch.outbox import Outbox
from rowsmith.engine.ledger.records import Stage
from rowsmith.engine.plan import Plan
from rowsmith.errors import ModelNotFoundError
from rowsmith.llm.batch import BatchState

_FIRST_PAUSE = 1.0
_GROWTH = 1.5


class Waves:
    """The batches of one run.

    Args:
        office: what they are looked after with.
        plan: for the cells whose calls come back.
        price: what an item costs.
    """

    def __init__(self, office: Office, plan: Plan, price: Price) -> None:
        self._office = office
        self._book = office.book
        self._out = Outbox(office)
        self._in = Inbox(office, plan, price, self._out.narrow)

    @property
    def outstanding(self) -> bool:
        """Whether anything waits to be submitted, or is at a service."""
        return bool(self._book.waiting() or self._book.live())

    async def recover(self) -> None:
        """Take up what an earlier start has left: find out what was handed in, and fetch what has ended meanwhile.

        Raises:
            RunError: a batch is of a model that the run does not have any more.
            ProviderError: a service cannot be asked.
            Stopped: the run is to end.
        """
        await self._take_up()
        await self._in.look()
        # As long as something is under way it is still the same try: what came to nothing is not asked for again.
        self._book.forget_errors(all=not self.outstanding)
        await self._office.ledger.flushed()

    async def _take_up(self) -> None:
        """Set aside what the batches of an earlier start may take, and find out which of them a service has."""
        office = self._office
        for batch in self._book.live():
            model = office.model(batch)
            if office.budget is not None:
                sizes = [item.size for item in self._book.items_in(batch.number)]
                office.set_aside(batch.number, len(sizes), office.budget.readmit(model.provider, sizes))
            if batch.stage == Stage.SUBMITTING:
                await self._out.look_for(batch, model)
        await office.ledger.flushed()

    async def submit(self) -> None:
        """Hand in what waits, as far as the budget allows; the run is to end if it allows nothing any more.

        Raises:
            ProviderError: a service does not take it.
            Stopped: the run is to end.
        """
        await self._out.submit()

    async def wait(self) -> None:
        """Wait until every batch has ended and what came of it is in the ledger.

        Raises:
            ProviderError: a service cannot be asked.
            Stopped: the run is to end; the batches go on.
        """
        most = self._office.options.batch_poll
        pause = min(_FIRST_PAUSE, most)
        while await self._in.look(pause):
            await self._office.pause(pause)
            pause = min(pause * _GROWTH, most)

    async def cancel(self) -> None:
        """Ask the services to end every batch early, and fetch what was answered.

        A batch that a service does not know any more is given up.

        Raises:
            ProviderError: a service cannot be asked.
            Stopped: the run is to end; the batches end in their time.
        """
        await self._take_up()
        office = self._office
        for batch in self._book.live():
            model = office.model(batch)

            async def cancel(name: str = batch.id or "", model: Model = model) -> None:
                await model.batches.cancel(name, office.transport)

            try:
                if (await self._in.look_at(batch)).state is BatchState.RUNNING:
                    await office.insist(model, cancel)
            except ModelNotFoundError as error:
                self._in.close(batch, Stage.GIVEN_UP, str(error))
        await office.ledger.flushed()
        await self.wait()
