"""Remote models that make vectors of texts, and the ways in which services write such requests and replies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import orjson

from rowsmith.errors import ConfigError, MalformedReplyError
from rowsmith.llm import failures, vectors
from rowsmith.llm.prices import TokenPrices
from rowsmith.llm.provider import KnownLimits
from rowsmith.llm.providers import remote
from rowsmith.llm.values import Completion, Request, Rung, Usage
from rowsmith.llm.written import to_bytes

if TYPE_CHECKING:
    from rowsmith.llm.transport import Reply, Transport

_OF_TEXTS_ALONE = (
    "temperature",
    "top_p",
    "frequency_penalty",
    "max_completion_tokens",
    "reasoning_effort",
    "think",
)
"""Arguments of providers that an embedding has no use for."""


class Wire(Protocol):
    """One service's way to write a request for vectors and its reply."""

    def body(self, texts: Sequence[str]) -> dict[str, Any]:
        """The request, with its keys in a fixed order."""

    def asked(self, body: Any) -> int:
        """For how many vectors a request asks."""

    def vectors(self, reply: Any) -> Sequence[Sequence[float]]:
        """The vectors of a reply, in the order of the texts.

        Raises:
            KeyError, IndexError, TypeError, AttributeError: it has none.
        """

    def usage(self, reply: Any) -> Usage:
        """The tokens, as far as the reply tells them."""


@dataclass(frozen=True)
class EmbeddingModel:
    """A remote model that makes vectors of texts: a provider.

    Args:
        model: the provider that was named: its key, address, limits and prices hold here as well.
        endpoint: the address that answers.
        wire: how it is spoken to.
        parameters: what is sent beside the texts.

    Raises:
        ConfigError: an argument was given that only models that write have a use for.
    """

    model: remote.RemoteModel
    endpoint: str
    wire: Wire
    sent: Mapping[str, Any]

    max_completion_tokens = 0
    rungs = (Rung.PROMPT,)

    def __post_init__(self) -> None:
        given = [name for name in _OF_TEXTS_ALONE if getattr(self.model, name, None) is not None]
        if given:
            raise ConfigError(
                f"{self.name}/{self.model_id} is to make embeddings, and {' and '.join(map(repr, given))} is for "
                "models that write: leave it out."
            )

    @property
    def embeddings(self) -> Self:
        """Itself."""
        return self

    @property
    def name(self) -> str:
        """The provider's name in the registry."""
        return self.model.name

    @property
    def model_id(self) -> str:
        """The model's id at the service."""
        return self.model.model_id

    @property
    def limits(self) -> KnownLimits:
        """The limits as the arguments gave them."""
        return self.model.limits

    @property
    def timeout(self) -> float:
        """Seconds that one request may take in all."""
        return self.model.timeout

    @property
    def token_prices(self) -> TokenPrices | None:
        """The prices as the arguments gave them, or 0 for a server of one's own."""
        return self.model.token_prices

    @property
    def api_key(self) -> str | None:
        """The key: models of one key share their limits."""
        return self.model.api_key

    @property
    def extra_headers(self) -> Mapping[str, str] | None:
        """The user's own headers: they too may say whose limits hold."""
        return getattr(self.model, "extra_headers", None)

    def describe(self) -> Mapping[str, Any]:
        """The model, the address and what is sent."""
        return {
            "provider": self.name,
            "model": self.model_id,
            "endpoint": self.endpoint,
            "parameters": dict(self.sent),
        }

    def encode(self, request: Request) -> bytes:
        """The body that asks for a vector of each message's text."""
        return to_bytes(self.wire.body([message.content for message in request.messages]))

    async def complete(self, body: bytes, transport: Transport) -> Completion:
        """Send an encoded request and wait for the vectors.

        Raises:
            ProviderError: the most specific class that fits; `MalformedReplyError` if there are not as many vectors as
                texts, if they differ in size, or if one is none.
        """
        model = self.model
        reply = await transport.post(self.endpoint, body, model._headers, timeout=model.timeout, caller=model._caller)
        return self._read(body, reply)

    def _read(self, body: bytes, reply: Reply) -> Completion:
        caller = self.model._caller
        data = remote.from_bytes(reply, caller)
        try:
            found = self.wire.vectors(data)
            made = [vectors.rounded(one) for one in found]
            text = vectors.written(made)
        except ValueError as error:
            raise self._malformed(str(error), reply) from None
        except (KeyError, IndexError, TypeError, AttributeError):
            if isinstance(data, dict) and data.get("error"):
                raise failures.from_reply(500, reply.headers, reply.body, caller) from None
            raise self._malformed("the reply has no vectors in it", reply) from None
        wanted = self.wire.asked(orjson.loads(body))
        if len(made) != wanted:
            raise self._malformed(f"{len(made)} vectors came for {wanted} texts", reply)
        served = data.get("model") if isinstance(data, dict) else None
        return Completion(
            text=text,
            usage=self.wire.usage(data),
            model=failures.known_name(served, caller.secrets),
            request_id=failures.request_id(reply.headers, caller),
            headers=reply.headers,
        )

    def _malformed(self, reason: str, reply: Reply) -> MalformedReplyError:
        return failures.malformed(reason, reply.headers, reply.body, self.model._caller)


@dataclass(frozen=True)
class OpenAIWire:
    """OpenAI's `/embeddings` (https://developers.openai.com/api/reference/resources/embeddings), which most speak.

    Args:
        model_id: the model.
        extra: further fields of the request.
    """

    model_id: str
    extra: Mapping[str, Any]

    def body(self, texts: Sequence[str]) -> dict[str, Any]:
        """`model`, `input`, then the further fields."""
        return {"model": self.model_id, "input": list(texts), **self.extra}

    def asked(self, body: Any) -> int:
        return len(body["input"])

    def vectors(self, reply: Any) -> Sequence[Sequence[float]]:
        """By their `index`: in which order they stand is not promised."""
        entries = reply["data"]
        placed = {entry["index"]: entry["embedding"] for entry in entries}
        return [placed[place] for place in range(len(entries))]

    def usage(self, reply: Any) -> Usage:
        return Usage(remote.tokens(reply.get("usage"), "prompt_tokens"))


@dataclass(frozen=True)
class OllamaWire:
    """Ollama's `/api/embed` (https://docs.ollama.com/api/embed).

    Args:
        model_id: the model.
        options: of the request; empty for none.
    """

    model_id: str
    options: Mapping[str, Any]

    def body(self, texts: Sequence[str]) -> dict[str, Any]:
        """`model`, `input`, then `options`."""
        body = {"model": self.model_id, "input": list(texts)}
        return {**body, "options": dict(self.options)} if self.options else body

    def asked(self, body: Any) -> int:
        return len(body["input"])

    def vectors(self, reply: Any) -> Sequence[Sequence[float]]:
        return list(reply["embeddings"])

    def usage(self, reply: Any) -> Usage:
        return Usage(remote.tokens(reply, "prompt_eval_count"))


@dataclass(frozen=True)
class GeminiWire:
    """Gemini's `batchEmbedContents` (https://ai.google.dev/api/embeddings).

    Args:
        resource: the model as it stands in addresses.
        extra: further fields of each text's request.
    """

    resource: str
    extra: Mapping[str, Any]

    def body(self, texts: Sequence[str]) -> dict[str, Any]:
        """For each text `model`, `content`, then the further fields."""
        return {
            "requests": [
                {"model": self.resource, "content": {"parts": [{"text": text}]}, **self.extra} for text in texts
            ]
        }

    def asked(self, body: Any) -> int:
        return len(body["requests"])

    def vectors(self, reply: Any) -> Sequence[Sequence[float]]:
        return [entry["values"] for entry in reply["embeddings"]]

    def usage(self, reply: Any) -> Usage:
        return Usage(remote.tokens(reply.get("usageMetadata"), "promptTokenCount"))
