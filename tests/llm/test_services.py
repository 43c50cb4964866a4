"""Each service of the table: what goes out to it, whose key it takes, and what it does in its own way."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any, NamedTuple

import orjson
import pytest
from pydantic import BaseModel, Field

from rowsmith.errors import ConfigError
from rowsmith.llm.clock import SystemClock
from rowsmith.llm.limits import Limiter
from rowsmith.llm.prices import TokenPrices
from rowsmith.llm.provider import Provider
from rowsmith.llm.providers import compatible, services
from rowsmith.llm.providers.compatible import (
    AzureOpenAIProvider,
    CerebrasProvider,
    DeepSeekProvider,
    GroqProvider,
    LlamaServerProvider,
    LMStudioProvider,
    MistralProvider,
    OpenAICompatibleProvider,
    VLLMProvider,
)
from rowsmith.llm.providers.openai import ChatCompletions, OpenAIProvider
from rowsmith.llm.providers.services import SERVICES, Service
from rowsmith.llm.registry import GROUP, resolve
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Message, OutputSchema, Request, Rung

from .loopback import always, served

KEY = "sk-the-secret-of-the-test"
MESSAGES = (Message.system("You write."), Message.user("Write."))


class Entry(BaseModel):
    text: str = Field(max_length=9)


SCHEMA = OutputSchema("Entry", Entry.model_json_schema())
CLASSES: dict[str, type[ChatCompletions]] = {
    made.name: made
    for made in vars(compatible).values()
    if isinstance(made, type) and issubclass(made, ChatCompletions) and made is not ChatCompletions
} | {"openai": OpenAIProvider}
NAMES = sorted(CLASSES)


def reply(text: str = "fine", **more: Any) -> dict[str, Any]:
    return {"id": "1", "model": "m", "choices": [{"message": {"content": text}, "finish_reason": "stop"}]} | more


@pytest.fixture
async def transport() -> Any:
    async with Transport() as opened:
        yield opened


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in SERVICES:
        for variable in (*service.keys, *service.bases):
            monkeypatch.delenv(variable, raising=False)


# What goes out


class Sent(NamedTuple):
    """What differs from service to service in a request: see `test_the_whole_request_of`."""

    path: str = "/v1/chat/completions"
    key: tuple[str, str] = ("authorization", f"Bearer {KEY}")
    limit: str = "max_tokens"
    rung: Rung = Rung.SCHEMA
    strict: bool = True
    constraints: bool = False
    effort: dict[str, Any] = {"reasoning_effort": "low"}  # noqa: RUF012  # never changed
    without: frozenset[str] = frozenset()


OWN = Sent(constraints=True)
SENT = {
    "azure": Sent(path="/openai/v1/chat/completions", key=("api-key", KEY), limit="max_completion_tokens"),
    "cerebras": Sent(limit="max_completion_tokens"),
    "deepseek": Sent(rung=Rung.JSON),
    "fireworks": Sent(),
    "groq": Sent(limit="max_completion_tokens"),
    "huggingface": Sent(),
    "llama_server": OWN._replace(effort={"chat_template_kwargs": {"reasoning_effort": "low"}}),
    "lmstudio": OWN,
    "mistral": Sent(),
    "nvidia": Sent(),
    # At an address on this machine these two take the server for one of the user's own.
    "openai": OWN,
    "openai_compatible": OWN,
    "openrouter": Sent(),
    "sglang": OWN,
    "together": Sent(),
    "vllm": OWN,
    "xai": Sent(limit="max_completion_tokens", without=frozenset({"frequency_penalty"})),
}


@pytest.mark.parametrize("name", NAMES)
async def test_the_whole_request_of(name: str, transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, service = SENT[name], CLASSES[name].service
    monkeypatch.setenv(service.keys[0], KEY)
    async with served(always(reply())) as server:
        root = server.url if service.bare else f"{server.url}/v1"
        made = resolve(
            {
                "model": f"{name}/{service.model or 'some/model'}",
                "api_base": root,
                "temperature": 0.5,
                "top_p": 0.9,
                "frequency_penalty": 0.1,
                "max_completion_tokens": 50,
                "reasoning_effort": "low",
                "extra_body": {"seed": 3},
                "extra_headers": {"X-Extra": "yes"},
            }
        )
        assert isinstance(made, CLASSES[name])
        body = made.encode(Request(MESSAGES, SCHEMA, made.rungs[0], hints={"a": 1}, seed=9))
        assert (await made.complete(body, transport)).text == "fine"
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", expected.path)
    header, value = expected.key
    assert asked.headers[header] == value
    assert {"authorization", "api-key", "x-api-key"} & asked.headers.keys() == {header}
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["x-extra"] == "yes"
    sampling = {"temperature": 0.5, "top_p": 0.9, "frequency_penalty": 0.1, expected.limit: 50}
    if "gpt-5" in service.model:
        sampling = {expected.limit: 50}
    assert asked.json == {
        "model": service.model or "some/model",
        "messages": [{"role": "system", "content": "You write."}, {"role": "user", "content": "Write."}],
        "response_format": wanted(expected),
        **{name: value for name, value in sampling.items() if name not in expected.without},
        **expected.effort,
        "seed": 3,
    }
    assert list(asked.json)[:3] == ["model", "messages", "response_format"]


def wanted(expected: Sent) -> dict[str, Any]:
    if expected.rung is Rung.JSON:
        return {"type": "json_object"}
    constraint = {"maxLength": 9} if expected.constraints else {"description": "(maxLength: 9)"}
    schema = {
        "type": "object",
        "properties": {"text": {"type": "string", **constraint}},
        "required": ["text"],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "Entry", "strict": expected.strict, "schema": schema}}


def test_at_openai_itself_its_own_facts_hold() -> None:
    made = OpenAIProvider("gpt-4.1-mini", api_key=KEY, max_completion_tokens=5, frequency_penalty=0.1)
    body = orjson.loads(made.encode(Request(MESSAGES, SCHEMA)))
    assert made.endpoint == "https://api.openai.com/v1/chat/completions"
    assert body["max_completion_tokens"] == 5
    assert body["frequency_penalty"] == 0.1
    assert body["response_format"]["json_schema"]["schema"]["properties"]["text"]["maxLength"] == 9


@pytest.mark.parametrize(
    ("base", "rungs", "limit"),
    [
        ("https://api.deepseek.com", (Rung.JSON, Rung.PROMPT), "max_tokens"),
        ("https://api.groq.com/openai/v1", (Rung.SCHEMA, Rung.JSON, Rung.PROMPT), "max_completion_tokens"),
        ("https://nobody.example/v1", (Rung.SCHEMA, Rung.JSON, Rung.PROMPT), "max_tokens"),
    ],
)
def test_a_general_provider_takes_the_facts_of_the_address(base: str, rungs: tuple[Rung, ...], limit: str) -> None:
    for kind in (OpenAIProvider, OpenAICompatibleProvider):
        made = kind("m", api_key=KEY, api_base=base, max_completion_tokens=5)
        assert made.rungs == rungs
        assert made.parameters == {limit: 5}


# The table


def test_every_service_is_in_the_table_once_and_reachable() -> None:
    assert sorted(service.name for service in SERVICES) == NAMES == sorted(SENT)
    for name, kind in CLASSES.items():
        (point,) = entry_points(group=GROUP, name=name)
        assert point.load() is kind
        assert kind.service.name == name


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_the_facts_of_a_service_are_complete(service: Service) -> None:
    assert service.title
    assert service.keys and service.bases  # noqa: PT018  # one thought
    assert service.base or service in (services.AZURE, services.COMPATIBLE)
    assert service.docs.startswith("https://") or service is services.COMPATIBLE
    assert service.model or service.own or service is services.COMPATIBLE
    assert service.rungs[-1] is Rung.PROMPT
    assert list(service.rungs) == [rung for rung in Rung if rung in service.rungs]
    assert service.limit in {"max_tokens", "max_completion_tokens"}
    assert service.base.endswith(service.path) or not service.base
    assert service.own == service.base.startswith("http://localhost")
    assert service.own or not service.base or services.at(service.base) is service


@pytest.mark.parametrize("name", NAMES)
def test_without_a_key_the_error_names_the_services_own_variable(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        CLASSES[name]("m", api_base="https://host.example/v1")
    assert f"set {CLASSES[name].service.keys[0]} " in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_key_and_address_come_from_the_services_variables(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = CLASSES[name].service
    for key in service.keys:
        for base in service.bases:
            with monkeypatch.context() as patch:
                patch.setenv(key, KEY)
                patch.setenv(base, "https://proxy.example/v9/")
                made = CLASSES[name]("m")
            assert made.api_key == KEY
            assert made.endpoint == "https://proxy.example/v9/chat/completions"
            assert KEY not in f"{made!r} {made.describe()}"


@pytest.mark.parametrize("name", NAMES)
def test_a_named_class_of_a_service_is_a_provider(name: str) -> None:
    made: Provider = CLASSES[name]("m", api_key=KEY, api_base="https://host.example/v1")
    assert isinstance(made, Provider)
    assert made.name == name
    assert made.describe()["provider"] == name


def test_no_other_service_gets_the_key_of_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in NAMES:
        if name != "openai":
            assert CLASSES[name]("m", api_base="http://localhost/v1").api_key is None


def test_two_accounts_at_a_service_do_not_share_their_limits() -> None:
    clock = SystemClock()
    one, two, same = (
        Limiter.shared(AzureOpenAIProvider(api_key=key, api_base="https://x.openai.azure.com"), clock, ceiling=4)
        for key in ("key-one", "key-two", "key-one")
    )
    assert one._allowance is same._allowance
    assert one._allowance is not two._allowance
    for limiter in (one, two, same):
        limiter.close()


# Addresses


@pytest.mark.parametrize(
    ("kind", "base", "endpoint"),
    [
        (AzureOpenAIProvider, "https://x.openai.azure.com/", "https://x.openai.azure.com/openai/v1"),
        (
            AzureOpenAIProvider,
            "https://x.services.ai.azure.com/openai/v1/",
            "https://x.services.ai.azure.com/openai/v1",
        ),
        (GroqProvider, "https://api.groq.com", "https://api.groq.com/openai/v1"),
        (CerebrasProvider, "https://api.cerebras.ai", "https://api.cerebras.ai/v1"),
        (MistralProvider, "https://api.mistral.ai", "https://api.mistral.ai/v1"),
        (MistralProvider, "https://proxy.example", "https://proxy.example"),
        (VLLMProvider, "http://gpu:8000", "http://gpu:8000/v1"),
        (DeepSeekProvider, "https://api.deepseek.com", "https://api.deepseek.com"),
        (OpenAICompatibleProvider, "https://proxy.example", "https://proxy.example"),
    ],
)
def test_an_address_as_the_services_own_tools_take_it_is_completed(
    kind: type[ChatCompletions], base: str, endpoint: str
) -> None:
    assert kind("m", api_key=KEY, api_base=base).endpoint == f"{endpoint}/chat/completions"


@pytest.mark.parametrize(
    ("kind", "variable"),
    [(AzureOpenAIProvider, "AZURE_OPENAI_ENDPOINT"), (OpenAICompatibleProvider, "OPENAI_COMPATIBLE_BASE_URL")],
)
def test_an_address_that_nobody_can_guess_is_asked_for(kind: type[ChatCompletions], variable: str) -> None:
    with pytest.raises(ConfigError, match=f"set {variable} "):
        kind("m", api_key=KEY)


@pytest.mark.parametrize("name", ["openai_compatible", "vllm", "sglang", "lmstudio"])
def test_where_nobody_can_guess_the_model_it_is_asked_for(name: str) -> None:
    with pytest.raises(ConfigError, match=f"give {name}/<model>"):
        resolve(name)


def test_a_server_of_ones_own_needs_no_key_and_sends_no_bill() -> None:
    made = LlamaServerProvider()
    assert made.api_key is None
    assert made.token_prices == TokenPrices(0, 0)
    given = LlamaServerProvider(input_cost_per_million=1, output_cost_per_million=2)
    assert given.token_prices == TokenPrices(1, 2)
    assert LlamaServerProvider(api_key=KEY, api_base="https://rented.example/v1").token_prices is None
    # What stands behind a general provider, even here, may be a proxy to a service that charges.
    assert OpenAICompatibleProvider("m", api_base="http://localhost/v1").token_prices is None


# Structured output


def test_only_models_that_promise_to_keep_to_a_schema_are_asked_to() -> None:
    def strict(model: str) -> bool:
        body = GroqProvider(model, api_key=KEY).encode(Request(MESSAGES, SCHEMA))
        promised: bool = orjson.loads(body)["response_format"]["json_schema"]["strict"]
        return promised

    assert strict("openai/gpt-oss-120b")
    assert not strict("qwen/qwen3.8-27b")


def test_lm_studio_has_no_json_mode() -> None:
    assert LMStudioProvider("m").rungs == (Rung.SCHEMA, Rung.PROMPT)
