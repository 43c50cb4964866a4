"""The services whose batch endpoints the scripted server speaks: one file each, listed here."""

from __future__ import annotations

from typing import Protocol

from rowsmith.testing.batches.anthropic import AnthropicBatchEndpoints
from rowsmith.testing.batches.desk import Desk
from rowsmith.testing.batches.gemini import GeminiBatchEndpoints
from rowsmith.testing.batches.mistral import MistralBatchEndpoints
from rowsmith.testing.batches.openai import OpenAIBatchEndpoints


class BatchService(Protocol):
    """One service's batch endpoints."""

    @property
    def name(self) -> str:
        """The name in `Batch.service`: that of the wire format of its items."""

    def open(self, desk: Desk) -> None:
        """Put the endpoints up, with `desk.route`."""


SERVICES: tuple[BatchService, ...] = (
    OpenAIBatchEndpoints(),
    AnthropicBatchEndpoints(),
    GeminiBatchEndpoints(),
    MistralBatchEndpoints(),
)

__all__ = ["SERVICES", "BatchService", "Desk"]
