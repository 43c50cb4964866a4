"""The bridge to LiteLLM: the real package, asking the scripted server, with all that can go wrong there."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import json
import logging
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import BaseModel

from rowsmith import ClassificationDataset, ClassificationDatasetConfig, LiteLLMProvider
from rowsmith.engine.events import Event
from rowsmith.engine.options import Options
from rowsmith.errors import (
    AuthenticationError,
    BadRequestError,
    ConfigError,
    ConnectionFailedError,
    MalformedReplyError,
    MissingDependencyError,
    ModelNotFoundError,
    ProviderError,
    ProviderTimeoutError,
    QuotaError,
    RateLimitError,
    ServiceError,
)
from rowsmith.llm import registry
from rowsmith.llm.parameters import refused
from rowsmith.llm.provider import Provider
from rowsmith.llm.retry import RetryPolicy
from rowsmith.llm.structured.rungs import looks_like_unsupported
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Completion, Finish, Message, OutputSchema, Request, Rung
from rowsmith.testing import (
    BadJSON,
    BadRequest,
    Call,
    CutOff,
    Empty,
    Fault,
    Garbage,
    Hang,
    HtmlPage,
    QuotaUsedUp,
    RateLimited,
    Refusal,
    Reply,
    Reset,
    ScriptedServer,
    ServerError,
    UnknownModel,
    UnsupportedParameter,
    UnsupportedSchema,
    WrongKey,
    WrongSchema,
)

from .loopback import unused_port

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("litellm") is None, reason="needs the package litellm"),
    # LiteLLM sets this filter itself when it is imported; pytest sets its own for each test.
    pytest.mark.filterwarnings("ignore:.*ReadOnly:UserWarning"),
]

Start = Callable[..., ScriptedServer]

SECRET = "sk-planted-0123456789-never-seen"


class Entry(BaseModel):
    text: str
    stars: int = 1


SCHEMA = OutputSchema("Entry", Entry.model_json_schema())
MESSAGES = (Message.system("You write."), Message.user("Write."))
REQUEST = Request(MESSAGES, SCHEMA, hints={"label": "hidden-hint"}, seed=987654)


@pytest.fixture(scope="module", autouse=True)
def imported() -> None:
    """Import it once, outside of any test: what warns at its import is LiteLLM's own affair."""
    if importlib.util.find_spec("litellm") is not None:
        from rowsmith.llm.providers import litellm_library

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            litellm_library._library()


def model(server: ScriptedServer, **settings: Any) -> LiteLLMProvider:
    return LiteLLMProvider(**{"model_id": "openai/tiny", "api_base": server.base_url, "api_key": SECRET} | settings)


async def ask(llm: Provider, request: Request = REQUEST) -> Completion:
    async with Transport() as transport:
        return await llm.complete(llm.encode(request), transport)


async def failure(llm: Provider, request: Request = REQUEST) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await ask(llm, request)
    error = caught.value
    assert SECRET not in f"{error} {error!r} {vars(error)} {error.__cause__!r} {error.__context__!r}"
    return error


def child(code: str, *flags: str) -> str:
    return subprocess.run([sys.executable, *flags, "-c", code], capture_output=True, text=True, check=True).stdout


# -- what it is ---------------------------------------------------------------------------------------------------


def test_it_is_a_provider_that_is_reached_by_name() -> None:
    made = registry.resolve("litellm/bedrock/anthropic.claude-haiku-4-5-20251001-v1:0")
    assert isinstance(made, LiteLLMProvider)
    assert (made.name, made.model_id) == ("litellm", "bedrock/anthropic.claude-haiku-4-5-20251001-v1:0")
    assert made.endpoint == "litellm"
    with pytest.raises(ConfigError, match="litellm/<model>"):
        registry.resolve("litellm")


def test_the_package_is_imported_when_the_model_is_asked_and_not_before() -> None:
    code = (
        "import sys, rowsmith; llm = rowsmith.LiteLLMProvider('openai/m', api_key='k' * 9); llm.describe(); "
        "from rowsmith.llm.values import *; llm.encode(Request((Message.user('x'),))); print('litellm' in sys.modules)"
    )
    assert child(code).strip() == "False"


def test_nothing_is_fetched_said_or_read_from_env_files_by_a_program_from_its_import_to_its_end(
    tmp_path: Path, scripted_server: Start
) -> None:
    """One program for both, as importing LiteLLM takes seconds."""
    (tmp_path / ".env").write_text("SOME_API_KEY=from-the-file\n")
    server = scripted_server()
    code = f"""
import asyncio, os, socket
before = socket.socket.connect, socket.getaddrinfo
def no(*args, **options): raise SystemExit("it reached out")
socket.socket.connect = socket.getaddrinfo = no
from rowsmith.llm.providers import litellm_library
package = litellm_library._library()._package
print([package.callbacks, package.success_callback, package.suppress_debug_info])
print("SOME_API_KEY" in os.environ)
socket.socket.connect, socket.getaddrinfo = before
from rowsmith import LiteLLMProvider
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Message, Request
llm = LiteLLMProvider("openai/tiny", api_base={server.base_url!r}, api_key="k" * 20)
async def main():
    async with Transport() as transport:
        print((await llm.complete(llm.encode(Request((Message.user("x"),))), transport)).finish)
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-W", "always::ResourceWarning", "-c", code], capture_output=True, text=True, check=True
    )
    assert (done.stdout.splitlines(), done.stderr) == (["[[], [], True]", "False", "stop"], "")


def test_without_the_package_the_line_to_install_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"rowsmith\[litellm\]"):
        LiteLLMProvider("openai/m")


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ({"aws_secret_access_key": "x"}, "environment"),
        ({"vertex_credentials": "x"}, "environment"),
        ({"azure_ad_token": "x"}, "environment"),
        ({"num_retries": 3}, "Rowsmith"),
        ({"messages": []}, "Rowsmith"),
    ],
)
def test_what_is_secret_or_ours_is_no_argument(extra: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        LiteLLMProvider("openai/m", extra_body=extra)


def test_what_decides_the_answer_is_in_the_body_and_no_key() -> None:
    llm = LiteLLMProvider(
        "bedrock/claude", api_key=SECRET, temperature=0.5, max_completion_tokens=9, extra_body={"aws_region_name": "x"}
    )
    body = orjson.loads(llm.encode(REQUEST))
    assert list(body) == ["model", "messages", "response_format", "temperature", "max_tokens", "aws_region_name"]
    assert body["model"] == "bedrock/claude"
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["text", "stars"]
    assert SECRET not in f"{body} {llm!r} {llm.describe()}"


# -- what goes out and comes back ---------------------------------------------------------------------------------


async def test_an_answer_comes_back_whole(scripted_server: Start) -> None:
    server = scripted_server(lambda _: '{"text":"hi","stars":2}', api_key=SECRET)
    came = await ask(model(server, temperature=0.5, top_p=0.9, frequency_penalty=0.1, max_completion_tokens=50))
    assert (came.text, came.finish, came.model) == ('{"text":"hi","stars":2}', Finish.STOP, "tiny")
    assert came.usage.input_tokens > 0
    assert came.usage.output_tokens > 0
    assert came.request_id == "req_0"
    (call,) = server.calls
    sent = dict(call.body)
    assert sent.pop("response_format")["json_schema"]["name"] == "Entry"
    assert sent == {
        "model": "tiny",
        "messages": [{"role": "system", "content": "You write."}, {"role": "user", "content": "Write."}],
        "temperature": 0.5,
        "top_p": 0.9,
        "frequency_penalty": 0.1,
        "max_tokens": 50,
    }


async def test_the_headers_of_limits_come_back(scripted_server: Start) -> None:
    told = {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "59"}
    came = await ask(model(scripted_server(lambda _: Reply(text="an answer", headers=told))))
    assert came.headers is not None
    assert told.items() <= dict(came.headers).items()


async def test_another_service_is_asked_in_its_own_format(scripted_server: Start) -> None:
    server = scripted_server(lambda _: "an answer", api_key=SECRET)
    llm = model(server, model_id="anthropic/claude-x", api_base=server.url)
    came = await ask(llm, Request(MESSAGES))
    assert (came.text, came.finish) == ("an answer", Finish.STOP)
    assert server.calls[0].path == "/v1/messages"


async def test_each_rung_has_its_format(scripted_server: Start) -> None:
    server = scripted_server()
    for rung, kind in ((Rung.SCHEMA, "json_schema"), (Rung.JSON, "json_object"), (Rung.PROMPT, None)):
        await ask(model(server), Request(MESSAGES, SCHEMA, rung))
        assert (server.calls[-1].body.get("response_format") or {}).get("type") == kind


@pytest.mark.parametrize(
    ("fault", "finish", "text"),
    [
        (CutOff(2), Finish.LENGTH, "an"),
        (Refusal("No."), Finish.REFUSED, "No."),
        (Refusal(filtered=True), Finish.REFUSED, ""),
        (Empty(), Finish.STOP, ""),
    ],
)
async def test_what_is_no_whole_answer_says_so(scripted_server: Start, fault: Fault, finish: Finish, text: str) -> None:
    came = await ask(model(scripted_server(lambda _: "an answer", faults=fault)), Request(MESSAGES))
    assert (came.finish, came.text) == (finish, text)


# -- keys ---------------------------------------------------------------------------------------------------------


async def test_a_missing_key_is_told_by_its_variable_before_anything_is_sent() -> None:
    error = await failure(LiteLLMProvider("openai/gpt-4o"))
    assert isinstance(error, AuthenticationError)
    assert "OPENAI_API_KEY" in str(error)


async def test_a_key_is_found_in_an_env_file(scripted_server: Start, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"OPENAI_API_KEY={SECRET}\n")
    server = scripted_server(api_key=SECRET)
    await ask(model(server, api_key=None))
    assert server.answered == 1


async def test_a_server_of_ones_own_needs_no_key(scripted_server: Start) -> None:
    server = scripted_server()
    await ask(model(server, api_key=None))
    assert server.answered == 1


# -- failures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind", "status"),
    [
        (RateLimited(retry_after=7), RateLimitError, 429),
        (QuotaUsedUp(), QuotaError, 429),
        (BadRequest("pay", 402), QuotaError, 402),
        (ServerError(500), ServiceError, 500),
        (ServerError(503), ServiceError, 503),
        (ServerError(529), ServiceError, 529),
        (HtmlPage(502), ServiceError, 502),
        (HtmlPage(200), MalformedReplyError, None),
        (Garbage(), MalformedReplyError, None),
        (Reset("before"), ConnectionFailedError, None),
        (Reset("middle"), ConnectionFailedError, None),
        (Hang(), ProviderTimeoutError, None),
        (WrongKey(), AuthenticationError, 401),
        (BadRequest("not for you", 403), AuthenticationError, 403),
        (UnknownModel(), ModelNotFoundError, 404),
        (BadRequest(), BadRequestError, 400),
        (BadRequest("odd", 422), BadRequestError, 422),
    ],
)
async def test_every_failure_is_the_error_it_stands_for_after_one_try(
    scripted_server: Start, fault: Fault, kind: type[ProviderError], status: int | None
) -> None:
    server = scripted_server(faults=fault)
    error = await failure(model(server, timeout=0.3 if isinstance(fault, Hang) else 10))
    assert type(error) is kind
    assert (error.status, error.provider, error.model) == (status, "litellm", "openai/tiny")
    assert "litellm." not in error.message
    assert "OpenAIException" not in error.message
    assert server.count == 1
    assert error.retry_after == (7 if isinstance(fault, RateLimited) else None)


async def test_nobody_there_is_a_failed_connection() -> None:
    error = await failure(LiteLLMProvider("openai/m", api_base=f"http://127.0.0.1:{unused_port()}/v1", api_key=SECRET))
    assert isinstance(error, ConnectionFailedError)
    assert "refused" in error.message


async def test_a_service_or_package_that_is_not_there_is_told() -> None:
    error = await failure(LiteLLMProvider("nosuch/m"))
    assert isinstance(error, ModelNotFoundError)
    assert "does not know the service" in str(error)


async def test_too_long_a_prompt_is_the_fault_of_one_request(scripted_server: Start) -> None:
    fault = BadRequest("This model's maximum context length is 100 tokens.", code="context_length_exceeded")
    error = await failure(model(scripted_server(faults=fault)))
    assert isinstance(error, BadRequestError)
    assert not error.fatal


async def test_a_refused_parameter_and_a_refused_schema_are_recognised(scripted_server: Start) -> None:
    error = await failure(model(scripted_server(faults=UnsupportedParameter("top_p")), top_p=0.5))
    assert isinstance(error, BadRequestError)
    assert refused(error, ("temperature", "top_p")) == "top_p"
    assert looks_like_unsupported(await failure(model(scripted_server(faults=UnsupportedSchema()))))


async def test_what_litellm_itself_refuses_is_recognised_too(scripted_server: Start) -> None:
    server = scripted_server()
    unable = model(server, model_id="openai/gpt-4")
    assert looks_like_unsupported(await failure(unable))
    without = await failure(
        model(server, model_id="cohere_chat/command-r", extra_body={"logprobs": True}), Request(MESSAGES)
    )
    assert isinstance(without, BadRequestError)
    assert refused(without, ("logprobs",)) == "logprobs"
    assert server.count == 0


async def test_a_call_can_be_cancelled(scripted_server: Start) -> None:
    loop, came = asyncio.get_running_loop(), asyncio.Event()

    def hang(call: Call) -> Fault:
        loop.call_soon_threadsafe(came.set)
        return Hang()

    server = scripted_server(faults=hang)
    async with Transport() as transport:
        llm = model(server)
        task = asyncio.ensure_future(llm.complete(llm.encode(REQUEST), transport))
        await came.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


# -- connections --------------------------------------------------------------------------------------------------


def test_connections_end_with_the_last_transport_of_their_loop(scripted_server: Start) -> None:
    import litellm

    server = scripted_server()
    llm = model(server)

    async def use() -> tuple[int, int]:
        mine = litellm.in_memory_llm_clients_cache.update_cache_key_with_event_loop("")

        def held() -> int:
            return len([name for name in litellm.in_memory_llm_clients_cache.cache_dict if name.endswith(mine)])

        async with Transport() as first:
            async with Transport() as second:
                await llm.complete(llm.encode(REQUEST), first)
                await llm.complete(llm.encode(REQUEST), second)
            between = held()
            await llm.complete(llm.encode(REQUEST), first)
        return between, held()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        between, after = asyncio.run(use())
        gc.collect()
    assert between > 0
    assert after == 0


# -- whole runs ---------------------------------------------------------------------------------------------------

FAULTS: tuple[Fault | None, ...] = (
    RateLimited(retry_after=0.01),
    ServerError(503),
    None,
    Refusal(),
    Refusal(filtered=True),
    CutOff(),
    Empty(),
    WrongSchema(),
    BadJSON(),
    Reset("middle"),
)


def test_the_count_is_exact_under_all_faults_and_the_key_is_nowhere(
    tmp_path: Path, scripted_server: Start, caplog: pytest.LogCaptureFixture
) -> None:
    classes: Any = [{"name": name, "description": f"texts that are {name}"} for name in ("good", "bad")]
    dataset = ClassificationDataset(
        ClassificationDatasetConfig(
            classes=classes,
            num_samples_per_prompt=5,
            max_rounds=10,
            output_file=str(tmp_path / "rows.jsonl"),
            prompts=[
                f"Write {tone} {{num_samples}} texts in {{language_name}}, {{label_name}}: {{label_description}}."
                for tone in ("dry", "warm")
            ],
        )
    )
    events: list[Event] = []
    server = scripted_server(faults=FAULTS, api_key=SECRET)
    llm = model(server, temperature=0.9, input_cost_per_million=1.0, output_cost_per_million=5.0)
    options = Options(policy=RetryPolicy(first=0.001, longest=0.01), grace=5.0)
    with caplog.at_level(logging.DEBUG):
        made = dataset.generate(llm, options=options, listeners=[events.append])
    rows = made.to_list()
    assert Counter(row["label"] for row in rows) == {"good": 10, "bad": 10}
    assert all(row["metadata"]["provider"] == "litellm" for row in rows)
    assert made.report is not None
    assert made.report.total.cost is not None
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("rowsmith")]
    assert SECRET not in repr(events) + json.dumps(ours)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
