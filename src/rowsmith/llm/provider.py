"""The contract of a provider: one model behind one wire format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from rowsmith.llm.transport import Transport
    from rowsmith.llm.values import Completion, Request, Rung


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLimits:
    """What a service is known to allow one key and model; None where nothing is known.

    Attributes:
        rpm: requests per minute.
        tpm: tokens per minute, input and output together.
        rpd: requests per day.
        max_concurrency: requests in flight at once.
    """

    rpm: int | None = None
    tpm: int | None = None
    rpd: int | None = None
    max_concurrency: int | None = None


@runtime_checkable
class Provider(Protocol):
    """One model behind one wire format. It is a value: no connection, no loop and no state of a run in it.

    A call goes in two steps, so that the very bytes that decide the answer are what the ledger's key is made of:
    `encode` turns a request into the body that will go out, `complete` sends that body. Neither changes the request.
    """

    @property
    def name(self) -> str:
        """The provider's name in the registry, such as `openai`."""

    @property
    def model_id(self) -> str:
        """The model's id at the service, such as `gpt-5-mini`."""

    @property
    def endpoint(self) -> str:
        """The address that answers, without any key in it. It is part of each call's key."""

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """The ways this wire format has to ask for structured output, surest first; at least one."""

    @property
    def limits(self) -> KnownLimits:
        """The limits to obey, as the user gave them or the service is known to have them."""

    @property
    def timeout(self) -> float:
        """Seconds that one request may take in all."""

    def describe(self) -> Mapping[str, Any]:
        """All settings that change what is answered, JSON-ready, never a key: the run's fingerprint is made of it."""

    def encode(self, request: Request) -> bytes:
        """The request's body in canonical form (keys in a fixed order): the same request, the same bytes."""

    async def complete(self, body: bytes, transport: Transport) -> Completion:
        """Send an encoded request and wait for the answer.

        Raises:
            ProviderError: the most specific class that fits; nothing else.
        """
