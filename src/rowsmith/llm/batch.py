"""The contract of a service's batch endpoint: many requests handed in at once, answered within hours for less."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from rowsmith.errors import ProviderError
    from rowsmith.llm.transport import Transport
    from rowsmith.llm.values import Completion


class BatchState(StrEnum):
    """How far a batch is."""

    RUNNING = "running"
    ENDED = "ended"
    """Its results can be fetched. It may have expired or been cancelled on the way: what was answered is among them."""
    FAILED = "failed"
    """The service refused it as a whole: nothing was answered, nothing is billed."""


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """What a service says of a batch.

    Attributes:
        state: how far it is.
        total: its requests.
        answered: of them those with an answer so far; 0 where the service does not tell before the end.
        failed: of them those that came to nothing so far.
        message: the service's own words on a failure.
        later: of one that failed: the service only had no room for it, and may have when other batches have ended.
    """

    state: BatchState
    total: int = 0
    answered: int = 0
    failed: int = 0
    message: str = ""
    later: bool = False


class BatchResult(NamedTuple):
    """What came of one request: its answer, or the error that a single call would have raised.

    An expired or cancelled request is a `ServiceError`: it may be asked again.
    """

    id: str
    outcome: Completion | ProviderError


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """The most that a service takes in one batch.

    Attributes:
        requests: how many.
        bytes: in all, as they are handed in.
    """

    requests: int
    bytes: int


class Batches(Protocol):
    """The batch endpoint of one model. As a provider, it is a value: no connection and no state of a run in it.

    All methods that ask the service raise ProviderError, the most specific class that fits, and nothing else.
    """

    @property
    def limits(self) -> BatchLimits:
        """The most that one batch takes."""

    @property
    def price_factor(self) -> float:
        """What an answer costs, as a part of its usual price: 0.5 for half."""

    def item(self, id: str, body: bytes) -> bytes:  # noqa: A002  # as services call it
        """One request of a batch as it is handed in.

        Args:
            id: letters, digits, `_` and `-`, at most 64; unique in the batch. Its result bears it.
            body: as `Provider.encode` wrote it.
        """

    async def submit(self, name: str, items: Sequence[bytes], transport: Transport) -> str:
        """Hand in a batch; the service's id of it.

        Args:
            name: letters, digits, `_` and `-`, at most 64: no other batch of the account bears it.
            items: from `item`, within `limits`.
            transport: the way to the service.
        """

    async def find(self, name: str, ids: Sequence[str], since: float, transport: Transport) -> str | None:
        """The service's id of a batch that may have been handed in by a process that died before it heard so.

        Args:
            name: as it was handed in.
            ids: of its items, for services that let nobody name a batch.
            since: before it was handed in, in seconds since 1970.
            transport: the way to the service.
        """

    async def status(self, batch: str, transport: Transport) -> BatchStatus:
        """How far a batch is, by the service's id."""

    def results(self, batch: str, transport: Transport) -> AsyncIterator[BatchResult]:
        """What came of the requests of a batch that has ended, in any order. Some may be missing."""

    async def cancel(self, batch: str, transport: Transport) -> None:
        """Ask the service to end a batch early; it may take minutes until it has ended.

        One that has ended already is left alone.
        """


@runtime_checkable
class Batching(Protocol):
    """A provider whose service may have a batch endpoint."""

    @property
    def batches(self) -> Batches | None:
        """The endpoint, or None where this address has none."""
