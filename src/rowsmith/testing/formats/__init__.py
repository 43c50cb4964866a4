"""The wire formats that the scripted server speaks: one file each, listed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from rowsmith.testing.calls import Asked, Call, Reply
from rowsmith.testing.formats.anthropic import AnthropicMessages
from rowsmith.testing.formats.embeddings import GeminiEmbedContents, OllamaEmbed, OpenAIEmbeddings
from rowsmith.testing.formats.gemini import GeminiContents
from rowsmith.testing.formats.ollama import OllamaChat
from rowsmith.testing.formats.openai import OpenAIChat


class WireFormat(Protocol):
    """One service's way to write a request, a reply and an error."""

    @property
    def name(self) -> str:
        """The name in `Call.format`."""

    @property
    def paths(self) -> Sequence[str]:
        """Where calls are posted to; what varies stands in braces, as aiohttp has it."""

    @property
    def listing(self) -> str:
        """Where the models are listed; empty where they are not."""

    def read(self, body: Mapping[str, Any]) -> Asked:
        """What a body asks for.

        Args:
            body: decoded, with what varies in the path as further fields.

        Raises:
            ValueError: the body is not in this format; the text says what is wrong.
        """

    def key(self, headers: Mapping[str, str]) -> str | None:
        """The caller's key, or None."""

    def write(self, call: Call, reply: Reply) -> Mapping[str, Any]:
        """The body of a reply with status 200."""

    def error(self, reply: Reply) -> Mapping[str, Any]:
        """The body of a reply with another status."""

    def models(self, names: Sequence[str]) -> Mapping[str, Any]:
        """The body of the list of models."""


@runtime_checkable
class OwnHeaders(Protocol):
    """A wire format whose replies name their headers otherwise than OpenAI's."""

    def headers(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """The headers of a reply, from those that OpenAI's would have."""


FORMATS: tuple[WireFormat, ...] = (
    OpenAIChat(),
    AnthropicMessages(),
    GeminiContents(),
    OllamaChat(),
    OpenAIEmbeddings(),
    OllamaEmbed(),
    GeminiEmbedContents(),
)

__all__ = ["FORMATS", "OwnHeaders", "WireFormat"]
