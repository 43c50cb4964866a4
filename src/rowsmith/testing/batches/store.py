"""What the batch endpoints of all services keep: files, batches and their results; and what is counted of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import orjson

from rowsmith.testing.batches.script import BatchFailure, BatchScript, Item, ItemEnd
from rowsmith.testing.calls import Call, Reply
from rowsmith.testing.faults import Fault

Answer = Callable[[Item, Fault | None], tuple[Call, Reply]]
"""What a single call with the item's body would have been, and what it would have got."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that was uploaded or made."""

    id: str
    name: str
    purpose: str
    data: bytes
    created: float


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an item.

    Attributes:
        item: the item.
        end: why it got no reply; None where it got one.
        call: the call that it would have been.
        reply: its reply, of any status.
    """

    item: Item
    end: ItemEnd | None = None
    call: Call | None = None
    reply: Reply = field(default_factory=Reply)

    @property
    def answered(self) -> bool:
        """Whether it got an answer, and is paid for."""
        return self.end is None and self.reply.status == 200


@dataclass(slots=True, eq=False)
class Batch:
    """A batch.

    Attributes:
        number: how many came before.
        id: the service's id.
        service: the name of the wire format.
        name: the client's own name for it, where the service has one.
        items: its requests.
        answer: makes the reply to an item.
        facts: what the service's own endpoints keep of it.
        created: seconds since 1970.
        polls: how often it was asked for.
        lists: how often the list was asked for since it came.
        told: the test has said that it is to end.
        cancelled: the client has asked to end it.
        failure: why it was refused as a whole.
        results: once it has ended.
        fetched: how often its results were asked for.
    """

    number: int
    id: str
    service: str
    name: str
    items: list[Item]
    answer: Answer
    facts: dict[str, Any]
    created: float
    polls: int = 0
    lists: int = 0
    told: bool = False
    cancelled: bool = False
    failure: BatchFailure | None = None
    results: list[Result] | None = None
    fetched: int = 0

    @property
    def ended(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.failure is not None or self.results is not None

    def count(self, *, answered: bool) -> int:
        """How many items were answered, or came to nothing, so far."""
        return sum(result.answered is answered for result in self.results or ())


class BatchStore:
    """The batches of one scripted server, over all services.

    Args:
        script: how they go.

    Attributes:
        batches: by the service's id, in order of arrival.
        files: by their id.
        items: items that came, in all batches.
        answered: items that were answered.
        answered_again: of them those whose body had been answered before: what was paid for twice.
        repeated: items that came while the same body was in a batch that had not ended.
        operations: requests by operation.
    """

    def __init__(self, script: BatchScript) -> None:
        self.script = script
        self.batches: dict[str, Batch] = {}
        self.files: dict[str, File] = {}
        self.items = 0
        self.answered = 0
        self.answered_again = 0
        self.repeated = 0
        self.operations: Counter[str] = Counter()
        self._attempts: Counter[str] = Counter()
        self._answered: Counter[str] = Counter()
        self._running: Counter[str] = Counter()

    # -- what the test does --------------------------------------------------------------------------------------------

    @property
    def submissions(self) -> int:
        """How many batches came."""
        return len(self.batches)

    @property
    def bodies(self) -> list[Mapping[str, Any]]:
        """The bodies of all items, in order of arrival."""
        return [item.body for batch in self.batches.values() for item in batch.items]

    def end(self, id: str | None = None) -> None:  # noqa: A002  # as services call it
        """Have a batch end, or all that run; seen with its next poll."""
        for batch in list(self.batches.values()):
            if id in (None, batch.id):
                batch.told = True

    def summary(self) -> dict[str, Any]:
        """The counters, JSON-ready."""
        return {
            "submissions": self.submissions,
            "items": self.items,
            "answered": self.answered,
            "answered_again": self.answered_again,
            "repeated": self.repeated,
            "ended": sum(batch.ended for batch in self.batches.values()),
            "operations": dict(self.operations),
        }

    # -- what services' endpoints do -----------------------------------------------------------------------------------

    def add_file(self, data: bytes, name: str, purpose: str) -> File:
        """Keep a file."""
        file = File(f"file-{len(self.files):06d}", name, purpose, data, time.time())
        self.files[file.id] = file
        return file

    def add_batch(
        self,
        service: str,
        requests: Iterable[tuple[str, str, Mapping[str, Any]]],
        answer: Answer,
        *,
        name: str = "",
        **facts: Any,
    ) -> Batch:
        """Take a batch.

        Args:
            service: the name of the wire format.
            requests: (id, path, body) of each item.
            answer: makes the reply to an item.
            name: the client's own name for it.
            facts: what the endpoints keep of it.
        """
        number = len(self.batches)
        items = [self._item(number, place, *request) for place, request in enumerate(requests)]
        batch = Batch(number, f"batch_{number:06d}", service, name, items, answer, facts, time.time())
        self.batches[batch.id] = batch
        for item in items:
            self.repeated += self._running[item.key] > 0
            self._running[item.key] += 1
        return batch

    def poll(self, batch: Batch) -> Batch:
        """The batch as it is when it is asked for once more."""
        if not batch.ended:
            patience = self.script.after_polls
            due = batch.told or batch.cancelled or (patience is not None and batch.polls >= patience)
            batch.polls += 1
            if due:
                self._end(batch)
        return batch

    def listed(self, service: str) -> list[Batch]:
        """A service's batches, the latest first, without those that are too new for its list."""
        found = []
        for batch in reversed(self.batches.values()):
            batch.lists += 1
            if batch.service == service and batch.lists > self.script.unlisted:
                found.append(batch)
        return found

    def cancel(self, batch: Batch) -> Batch:
        """Have a batch end early."""
        batch.cancelled = batch.cancelled or not batch.ended
        return batch

    def _item(self, batch: int, place: int, id: str, path: str, body: Mapping[str, Any]) -> Item:  # noqa: A002
        key = blake2b(path.encode() + b"\n" + orjson.dumps(body), digest_size=16).hexdigest()
        self._attempts[key] += 1
        item = Item(self.items, batch, place, id, body, key, self._attempts[key])
        self.items += 1
        return item

    def _end(self, batch: Batch) -> None:
        for item in batch.items:
            self._running[item.key] -= 1
        batch.failure = self.script.fails(batch.number) if self.script.fails else None
        if batch.failure is not None:
            return
        until = len(batch.items) * self.script.answered_at_cancel if batch.cancelled else len(batch.items)
        results = [self._result(batch, item, cut=item.place >= until) for item in batch.items]
        if self.script.shuffled:
            results.sort(key=lambda result: blake2b(result.item.id.encode()).digest())
        batch.results = results

    def _result(self, batch: Batch, item: Item, *, cut: bool) -> Result:
        if cut:
            return Result(item, ItemEnd.CANCELLED)
        said = self.script.items(item) if self.script.items else None
        if isinstance(said, ItemEnd):
            return Result(item, said)
        call, reply = batch.answer(item, said)
        if reply.status == 200:
            self.answered += 1
            self.answered_again += self._answered[item.key] > 0
            self._answered[item.key] += 1
        return Result(item, None, call, reply)
