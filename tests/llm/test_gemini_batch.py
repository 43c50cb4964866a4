"""Gemini's batch endpoint: what goes out, and what comes of batches that go every way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest
from pydantic import BaseModel

from rowsmith.errors import (
    BadRequestError,
    MalformedReplyError,
    ProviderError,
    QuotaError,
    RateLimitError,
    ServiceError,
)
from rowsmith.llm.batch import Batches, BatchResult, BatchState, BatchStatus
from rowsmith.llm.providers import gemini_batch
from rowsmith.llm.providers.gemini import GeminiProvider
from rowsmith.llm.providers.gemini_batch import GeminiBatches
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Completion, Finish, Message, OutputSchema, Request, Usage
from rowsmith.testing import (
    BatchFailure,
    BatchScript,
    CutOff,
    Garbage,
    ItemEnd,
    QuotaUsedUp,
    RateLimited,
    Refusal,
    Reset,
    ScriptedServer,
    ServerError,
)

from .loopback import Asked, Server, always, served

Start = Callable[..., ScriptedServer]

SECRET = "AQ.the-secret-of-the-test"
ANSWER = {"candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}]}


class Entry(BaseModel):
    text: str
    note: str | None = None


class Free(BaseModel):
    scores: dict[str, float]


def provider(server: ScriptedServer | Server, **settings: Any) -> GeminiProvider:
    return GeminiProvider(**{"api_base": server.url, "api_key": SECRET} | settings)


def batches(server: ScriptedServer | Server, **settings: Any) -> GeminiBatches:
    found = provider(server, **settings).batches
    assert found is not None
    return found


def items(made: GeminiProvider, count: int) -> list[bytes]:
    found = made.batches
    assert found is not None
    return [found.item(f"id-{n}", made.encode(Request((Message.user(f"question {n}"),)))) for n in range(count)]


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with Transport() as opened:
        yield opened


async def submitted(server: ScriptedServer, transport: Transport, count: int = 4) -> tuple[GeminiBatches, str]:
    made = batches(server)
    return made, await made.submit("run-1-wave-1", items(provider(server), count), transport)


async def outcomes(made: GeminiBatches, batch: str, transport: Transport) -> dict[str, Completion | ProviderError]:
    results = [result async for result in made.results(batch, transport)]
    assert all(isinstance(result, BatchResult) for result in results)
    assert len({result.id for result in results}) == len(results)
    return {result.id: result.outcome for result in results}


# What goes out


def test_it_fits_the_contract() -> None:
    made = GeminiProvider(api_key=SECRET).batches
    assert made is not None
    contract: Batches = made
    assert contract.price_factor == 0.5
    assert contract.limits.requests > 1000
    assert 2**20 < contract.limits.bytes <= 2 * 2**30
    assert SECRET not in repr(made)


def test_an_address_that_is_not_googles_has_none() -> None:
    assert GeminiProvider(api_key=SECRET, api_base="https://proxy.example").batches is None


def test_an_item_is_its_key_and_the_request() -> None:
    made = GeminiProvider(api_key=SECRET, temperature=0.5)
    body = made.encode(Request((Message.system("s"), Message.user("u"))))
    assert made.batches is not None
    line = made.batches.item("id-1", body)
    assert b"\n" not in line
    assert orjson.loads(line) == {"key": "id-1", "request": orjson.loads(body)}


def test_a_schema_goes_in_the_older_form_where_that_can_say_it() -> None:
    made = GeminiProvider(api_key=SECRET)
    assert made.batches is not None

    def config(model: type[BaseModel]) -> dict[str, Any]:
        request = Request((Message.user("u"),), OutputSchema("S", model.model_json_schema()))
        assert made.batches is not None
        found: dict[str, Any] = orjson.loads(made.batches.item("a", made.encode(request)))["request"][
            "generationConfig"
        ]
        return found

    assert config(Entry) == {
        "responseMimeType": "application/json",
        "responseSchema": {
            "type": "OBJECT",
            "properties": {"text": {"type": "STRING"}, "note": {"type": "STRING", "nullable": True}},
            "propertyOrdering": ["text", "note"],
            "required": ["text"],
        },
    }
    assert config(Free).keys() == {"responseMimeType", "responseJsonSchema"}


async def test_a_file_goes_up_in_pieces_and_a_batch_is_made_of_it(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(asked: Asked) -> Any:
        if asked.headers.get("x-goog-upload-command") == "start":
            elsewhere = "https://elsewhere.example/upload/v1beta/files?upload_id=u1&upload_protocol=resumable"
            return await always({}, x_goog_upload_url=elsewhere)(asked)
        if "finalize" in asked.headers.get("x-goog-upload-command", ""):
            return await always({"file": {"name": "files/f1"}})(asked)
        return await always({} if "upload" in asked.path else {"name": "batches/b1"})(asked)

    monkeypatch.setattr(gemini_batch, "_PIECE", 100)
    async with served(answer) as server:
        made = batches(server, extra_headers={"X-Extra": "e"})
        lines = [made.item(f"id-{n}", b'{"contents":["%d"]}' % n) for n in range(4)]
        assert await made.submit("run-1", lines, transport) == "batches/b1"
    start, *pieces, create = server.asked
    data = b"\n".join(lines) + b"\n"
    assert (start.method, start.path, start.json) == (
        "POST",
        "/upload/v1beta/files",
        {"file": {"displayName": "run-1"}},
    )
    assert start.headers["x-goog-upload-protocol"] == "resumable"
    assert start.headers["x-goog-upload-header-content-length"] == str(len(data))
    assert start.headers["x-goog-upload-header-content-type"] == "application/jsonl"
    assert b"".join(piece.body for piece in pieces) == data
    assert len(pieces) == 2
    assert [piece.headers["x-goog-upload-offset"] for piece in pieces] == ["0", "100"]
    assert [piece.headers["x-goog-upload-command"] for piece in pieces] == ["upload", "upload, finalize"]
    assert {piece.path for piece in pieces} == {"/upload/v1beta/files?upload_id=u1&upload_protocol=resumable"}
    assert create.path == "/v1beta/models/gemini-3.8-flash:batchGenerateContent"
    assert create.json == {"batch": {"displayName": "run-1", "inputConfig": {"fileName": "files/f1"}}}
    for asked in server.asked:
        assert asked.headers["x-goog-api-key"] == SECRET
        assert asked.headers["x-extra"] == "e"
        assert SECRET not in asked.path


# What comes back


async def test_answers_come_back_by_their_ids_in_any_order(transport: Transport, scripted_server: Start) -> None:
    server = scripted_server(lambda call: f"answer to {call.prompt}", batches=BatchScript(after_polls=1))
    made, batch = await submitted(server, transport, 6)
    assert batch == "batches/batch_000000"
    assert await made.status(batch, transport) == BatchStatus(BatchState.RUNNING, total=6)
    assert await made.status(batch, transport) == BatchStatus(BatchState.ENDED, total=6, answered=6)
    results = [result async for result in made.results(batch, transport)]
    assert [result.id for result in results] != [f"id-{n}" for n in range(6)]
    for result in results:
        assert isinstance(result.outcome, Completion)
        assert result.outcome.text == f"answer to question {result.id[-1]}"
        assert result.outcome.model == "gemini-3.8-flash"
        assert result.outcome.usage.output_tokens > 0
    assert len(results) == 6


async def test_what_comes_to_nothing_is_the_error_that_a_call_would_raise(
    transport: Transport, scripted_server: Start
) -> None:
    ends = [
        None,
        ItemEnd.EXPIRED,
        ItemEnd.CANCELLED,
        ItemEnd.MISSING,
        ServerError(503),
        RateLimited(),
        QuotaUsedUp(),
        Garbage(b"{}"),
        Refusal(filtered=True),
        CutOff(),
    ]
    server = scripted_server(batches=BatchScript(items=lambda item: ends[item.place]))
    made, batch = await submitted(server, transport, len(ends))
    status = await made.status(batch, transport)
    assert (status.state, status.total) == (BatchState.ENDED, len(ends))
    assert status.failed == 6
    found = await outcomes(made, batch, transport)
    kinds = {int(name[3:]): type(outcome) for name, outcome in found.items()}
    assert kinds == {
        0: Completion,
        1: ServiceError,
        2: ServiceError,
        4: ServiceError,
        5: RateLimitError,
        6: QuotaError,
        7: MalformedReplyError,
        8: Completion,
        9: Completion,
    }
    blocked, cut = found["id-8"], found["id-9"]
    assert isinstance(blocked, Completion)
    assert isinstance(cut, Completion)
    assert (blocked.finish, cut.finish) == (Finish.REFUSED, Finish.LENGTH)
    for expired in (found["id-1"], found["id-2"]):
        assert isinstance(expired, ProviderError)
        assert expired.retryable
        assert (expired.provider, expired.model) == ("gemini", "gemini-3.8-flash")


async def test_a_batch_that_failed_says_why(transport: Transport, scripted_server: Start) -> None:
    told = BatchFailure(f"The file has no requests; the key was {SECRET}.")
    server = scripted_server(batches=BatchScript(fails=lambda _: told))
    made, batch = await submitted(server, transport)
    status = await made.status(batch, transport)
    assert status.state is BatchState.FAILED
    assert status.message.startswith("The file has no requests")
    assert SECRET not in status.message
    assert await outcomes(made, batch, transport) == {}


async def test_a_batch_that_expired_has_no_results(transport: Transport, scripted_server: Start) -> None:
    server = scripted_server(batches=BatchScript(items=lambda _: ItemEnd.EXPIRED))
    made, batch = await submitted(server, transport)
    status = await made.status(batch, transport)
    assert (status.state, status.failed) == (BatchState.ENDED, 4)
    assert await outcomes(made, batch, transport) == {}


async def test_a_cancelled_batch_keeps_what_was_answered(transport: Transport, scripted_server: Start) -> None:
    server = scripted_server(batches=BatchScript(after_polls=None))
    made, batch = await submitted(server, transport)
    assert (await made.status(batch, transport)).state is BatchState.RUNNING
    await made.cancel(batch, transport)
    assert (await made.status(batch, transport)).state is BatchState.ENDED
    found = await outcomes(made, batch, transport)
    assert sorted(name for name, outcome in found.items() if isinstance(outcome, Completion)) == ["id-0", "id-1"]
    assert sum(isinstance(outcome, ServiceError) for outcome in found.values()) == 2
    await made.cancel(batch, transport)


async def test_a_cancelling_that_is_refused_while_it_runs_is_told(transport: Transport) -> None:
    async def answer(asked: Asked) -> Any:
        refusal = {"error": {"code": 400, "message": "no", "status": "FAILED_PRECONDITION"}}
        running = {"name": "batches/b", "metadata": {"state": "BATCH_STATE_RUNNING"}}
        return await (always(refusal, 400) if asked.method == "POST" else always(running))(asked)

    async with served(answer) as server:
        with pytest.raises(BadRequestError):
            await batches(server).cancel("batches/b", transport)


async def test_a_batch_is_found_by_its_name_on_whatever_page(transport: Transport, scripted_server: Start) -> None:
    server = scripted_server(batches=BatchScript(unlisted=1))
    made = batches(server)
    lines = items(provider(server), 1)
    ids = [await made.submit(f"run-{n}", lines, transport) for n in range(3)]
    assert await made.find("run-0", ["id-0"], 0.0, transport) is None
    assert await made.find("run-0", ["id-0"], 0.0, transport) == ids[0]
    assert await made.find("run-2", ["id-0"], 0.0, transport) == ids[2]
    assert await made.find("run", ["id-0"], 0.0, transport) is None


async def test_a_batch_whose_submission_was_not_heard_of_is_found(transport: Transport, scripted_server: Start) -> None:
    script = BatchScript(requests=lambda operation, _: Reset() if operation == "submit" else None)
    server = scripted_server(batches=script)
    with pytest.raises(ProviderError):
        await submitted(server, transport)
    assert server.batches.submissions == 1
    assert await batches(server).find("run-1-wave-1", [], 0.0, transport) == "batches/batch_000000"


async def test_a_line_that_cannot_be_joined_is_told_and_costs_only_itself(
    transport: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    error = {"code": 8, "message": f"slow down, {SECRET}", "status": "RESOURCE_EXHAUSTED"}
    lines = [
        orjson.dumps({"key": "a", "response": {**ANSWER, "usageMetadata": {"promptTokenCount": 3}}}),
        b"",
        b"no json",
        orjson.dumps({"response": ANSWER}),
        orjson.dumps({"key": "b", "error": error}),
        orjson.dumps({"key": "c", "status": {"code": 99, "message": "odd"}}),
        orjson.dumps({"key": "d", "response": {"candidates": "odd"}}),
        orjson.dumps({"key": "e"}),
    ]

    async def answer(asked: Asked) -> Any:
        if asked.path.startswith("/v1beta/batches/"):
            return await always({"metadata": {"output": {"responsesFile": "files/out-1"}}})(asked)
        return await always(b"\n".join(lines))(asked)

    async with served(answer) as server:
        with caplog.at_level(logging.WARNING, logger="rowsmith.llm"):
            found = await outcomes(batches(server), "batches/b", transport)
    assert server.asked[1].path == "/download/v1beta/files/out-1:download?alt=media"
    assert found.pop("a") == Completion("hi", usage=Usage(3))
    assert {name: type(outcome) for name, outcome in found.items()} == {
        "b": RateLimitError,
        "c": ServiceError,
        "d": MalformedReplyError,
        "e": MalformedReplyError,
    }
    assert SECRET not in f"{found}"
    assert len(caplog.records) == 2


async def test_many_batches_at_once_do_not_meet(transport: Transport, scripted_server: Start) -> None:
    server = scripted_server(lambda call: call.prompt)
    made, lines = batches(server), items(provider(server), 8)
    ids = await asyncio.gather(*(made.submit(f"run-{n}", lines[n : n + 1], transport) for n in range(8)))
    assert len(set(ids)) == 8
    for n, batch in enumerate(ids):
        assert (await made.status(batch, transport)).state is BatchState.ENDED
        found = await outcomes(made, batch, transport)
        assert [(name, getattr(outcome, "text", None)) for name, outcome in found.items()] == [
            (f"id-{n}", f"question {n}")
        ]
