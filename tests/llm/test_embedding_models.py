"""Embedding models over real HTTP, in each format: what is sent, what is read, and all that may go wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from rowsmith import GeminiProvider, OfflineProvider, OllamaProvider, OpenAIProvider
from rowsmith.errors import (
    AuthenticationError,
    BadRequestError,
    ConfigError,
    ConnectionFailedError,
    MalformedReplyError,
    ModelNotFoundError,
    ProviderError,
    ProviderTimeoutError,
    QuotaError,
    RateLimitError,
    ServiceError,
)
from rowsmith.llm import vectors
from rowsmith.llm.embedding import NamedEmbedding
from rowsmith.llm.prices import Prices
from rowsmith.llm.provider import Provider
from rowsmith.llm.providers.compatible import LlamaServerProvider, MistralProvider
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Completion, Message, Request, Usage
from rowsmith.testing import (
    BadRequest,
    FewerVectors,
    Garbage,
    Hang,
    HtmlPage,
    NotNumbers,
    OtherSize,
    QuotaUsedUp,
    RateLimited,
    Reset,
    ScriptedServer,
    ServerError,
    UnknownModel,
    WrongKey,
    Zeros,
)

pytest.importorskip("numpy")

KEY = "a-key-that-nobody-may-see-0123456789"
TEXTS = ("car engines", "automobile motors", 'Äpfel, "süß"\n→ 東京')


def openai(server: ScriptedServer, **more: Any) -> Any:
    return OpenAIProvider("vectors", api_key=KEY, api_base=server.base_url, **more).embeddings


def ollama(server: ScriptedServer, **more: Any) -> Any:
    return OllamaProvider("vectors", api_key=KEY, api_base=server.url, **more).embeddings


def gemini(server: ScriptedServer, **more: Any) -> Any:
    return GeminiProvider("vectors", api_key=KEY, api_base=server.url, **more).embeddings


FORMATS = pytest.mark.parametrize("make", [openai, ollama, gemini])


def request(texts: tuple[str, ...] = TEXTS) -> Request:
    return Request(tuple(map(Message.user, texts)))


async def ask(model: Provider, texts: tuple[str, ...] = TEXTS) -> Completion:
    async with Transport() as transport:
        return await model.complete(model.encode(request(texts)), transport)


def points(text: str) -> list[float]:
    """Another vector for each text, by its letters."""
    return [1.0, float(len(text)), float(ord(text[0]) % 17), -float(ord(text[-1]) % 13), 0.25]


@FORMATS
async def test_vectors_come_in_the_order_of_the_texts(make: Callable[..., Any]) -> None:
    with ScriptedServer(embed=points, api_key=KEY) as server:
        completion = await ask(make(server))
        assert [call.asked.messages for call in server.calls] == [request().messages]
    assert vectors.read(completion.text) == [vectors.rounded(points(text)) for text in TEXTS]
    assert completion.usage.input_tokens > 0
    assert completion.usage.output_tokens == 0


async def test_the_bodies_are_those_of_the_services() -> None:
    with ScriptedServer() as server:
        assert openai(server, extra_body={"dimensions": 64}).encode(request(("a", "b"))) == (
            b'{"model":"vectors","input":["a","b"],"dimensions":64}'
        )
        assert ollama(server, num_ctx=512).encode(request(("a",))) == (
            b'{"model":"vectors","input":["a"],"options":{"num_ctx":512}}'
        )
        assert gemini(server, extra_body={"outputDimensionality": 64}).encode(request(("a",))) == (
            b'{"requests":[{"model":"models/vectors","content":{"parts":[{"text":"a"}]},"outputDimensionality":64}]}'
        )
        first = GeminiProvider("gemini-embedding-001", api_key=KEY, api_base=server.url).embeddings
        assert b'"taskType":"SEMANTIC_SIMILARITY"' in first.encode(request(("a",)))
        assert [model(server).endpoint.removeprefix(server.url) for model in (openai, ollama, gemini)] == [
            "/v1/embeddings",
            "/api/embed",
            "/v1beta/models/vectors:batchEmbedContents",
        ]


@FORMATS
@pytest.mark.parametrize(
    ("fault", "kind", "told"),
    [
        (RateLimited(retry_after=7), RateLimitError, "Rate limit"),
        (ServerError(), ServiceError, "had an error"),
        (ServerError(503), ServiceError, "had an error"),
        (WrongKey(), AuthenticationError, "Incorrect API key"),
        (UnknownModel(), ModelNotFoundError, "not"),
        (BadRequest("The text is too long: too many tokens"), BadRequestError, "too long"),
        (Reset(), ConnectionFailedError, "."),
        (Reset("middle"), ConnectionFailedError, "."),
        (Hang(), ProviderTimeoutError, "0.3"),
        (HtmlPage(), ServiceError, "502"),
        (HtmlPage(200), MalformedReplyError, "not JSON"),
        (Garbage(), MalformedReplyError, "not JSON"),
        (Garbage(b"{}"), MalformedReplyError, "no vectors in it"),
        (Garbage(b"[]"), MalformedReplyError, "no vectors in it"),
        (Garbage(b'{"data": 7, "embeddings": 7}'), MalformedReplyError, "no vectors in it"),
        (Garbage(b'{"error": {"message": "out of memory"}}'), ServiceError, "out of memory"),
        (FewerVectors(), MalformedReplyError, "2 vectors came for 3 texts"),
        (FewerVectors(3), MalformedReplyError, "0 vectors came for 3 texts"),
        (OtherSize(all=False), MalformedReplyError, "different sizes"),
        (NotNumbers(), MalformedReplyError, "none: NaN"),
        (NotNumbers("null"), MalformedReplyError, "NaN|else than numbers"),
        (NotNumbers('"much"'), MalformedReplyError, "else than numbers"),
        (NotNumbers("1e999"), MalformedReplyError, "infinity|not JSON"),
        (Zeros(), MalformedReplyError, "nothing but zeros"),
    ],
    ids=repr,
)
async def test_each_failure_is_its_own_error(
    make: Callable[..., Any], fault: Any, kind: type[ProviderError], told: str
) -> None:
    with ScriptedServer(faults=fault) as server, pytest.raises(ProviderError, match=told) as caught:
        await ask(make(server, timeout=0.3 if isinstance(fault, Hang) else 20.0))
    error = caught.value
    assert type(error) is kind
    assert (error.model, KEY in str(error), KEY in repr(error)) == ("vectors", False, False)


@pytest.mark.parametrize("make", [openai, gemini])
async def test_a_quota_that_is_used_up_is_told_from_too_many_requests(make: Callable[..., Any]) -> None:
    with ScriptedServer(faults=QuotaUsedUp()) as server, pytest.raises(QuotaError, match="quota"):
        await ask(make(server))


@FORMATS
async def test_a_key_that_a_reply_repeats_is_not_shown(make: Callable[..., Any]) -> None:
    fault = Garbage(f'{{"echo": "{KEY}"}}'.encode())
    with ScriptedServer(faults=fault) as server, pytest.raises(MalformedReplyError) as caught:
        await ask(make(server))
    assert KEY not in str(caught.value)
    assert "***" in str(caught.value)


async def test_the_offline_provider_goes_by_spelling_and_says_the_same_every_time() -> None:
    model = OfflineProvider().embeddings
    same, moved, other, meant = vectors.read(
        (await ask(model, ("Car engines", "Engines of cars", "Cake recipes", "Automobile motors"))).text
    )
    again = vectors.read((await ask(OfflineProvider().embeddings, ("Car engines",))).text)
    assert again == [same]

    def cosine(a: bytes, b: bytes) -> float:
        x, y = memoryview(a).cast("b"), memoryview(b).cast("b")
        return math.fsum(map(int.__mul__, x, y)) / math.sqrt(
            math.fsum(map(int.__mul__, x, x)) * math.fsum(map(int.__mul__, y, y))
        )

    assert cosine(same, moved) > 0.6
    assert abs(cosine(same, other)) < 0.4
    assert abs(cosine(same, meant)) < 0.4, "it knows nothing of meaning, and is not said to"


async def test_no_text_is_too_odd_for_the_offline_provider() -> None:
    found = vectors.read((await ask(OfflineProvider().embeddings, ("", "…", "\0", "a" * 10_000, "東京"))).text)
    assert len(found) == 5
    assert all(any(one) for one in found)


@pytest.mark.parametrize(
    ("spec", "price"),
    [
        ({"model": "openai/text-embedding-3-small", "api_key": KEY}, 0.02),
        ({"model": "openai/text-embedding-3-large", "api_key": KEY}, 0.13),
        ({"model": "gemini/gemini-embedding-001", "api_key": KEY}, 0.15),
        ({"model": "ollama/nomic-embed-text", "api_base": "http://localhost:11434"}, 0.0),
        ({"model": "llama_server", "api_base": "http://localhost:8080"}, 0.0),
        ("offline", 0.0),
        (
            {"model": "openai/own", "api_key": KEY, "input_cost_per_million": 3, "output_cost_per_million": 0},
            3.0,
        ),
        ({"model": "openai/text-embedding-9", "api_key": KEY}, None),
    ],
)
def test_what_embeddings_cost(spec: Any, price: float | None) -> None:
    named = NamedEmbedding.of(spec)
    assert named is not None
    assert Prices()(named.model, Usage(1_000_000)) == (None if price is None else pytest.approx(price))


@pytest.mark.parametrize("name", ["temperature", "top_p", "max_completion_tokens"])
def test_a_setting_that_vectors_have_no_use_for_is_an_error(name: str) -> None:
    named = NamedEmbedding.of({"model": "ollama/nomic-embed-text", name: 1})
    assert named is not None
    with pytest.raises(ConfigError, match=name):
        _ = named.model


@pytest.mark.parametrize(
    "provider",
    [MistralProvider("mistral-embed", api_key=KEY), LlamaServerProvider(), OpenAIProvider("x", api_key=KEY).embeddings],
    ids=repr,
)
def test_a_provider_stands_for_its_embeddings(provider: Any) -> None:
    named = NamedEmbedding.of(provider)
    assert named is not None
    assert named.model.endpoint.endswith("/v1/embeddings")
    assert KEY not in repr(named.model)
    assert KEY not in repr(named)
    assert KEY not in str(named.model.describe())


def test_a_mapping_with_a_key_does_not_show_it() -> None:
    named = NamedEmbedding.of({"model": "openai/text-embedding-3-small", "api_key": KEY})
    assert KEY not in repr(named)
    assert named == NamedEmbedding.of({"model": "openai/text-embedding-3-small", "api_key": KEY})
    assert named != NamedEmbedding.of("openai/text-embedding-3-small")
