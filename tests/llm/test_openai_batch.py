"""OpenAI's batch endpoint: what goes out, field by field, and what is made of what comes back."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from rowsmith.errors import (
    AuthenticationError,
    BadRequestError,
    MalformedReplyError,
    ModelNotFoundError,
    RateLimitError,
    ServiceError,
)
from rowsmith.llm.batch import BatchLimits, BatchResult, BatchState, BatchStatus
from rowsmith.llm.providers.openai import OpenAIProvider
from rowsmith.llm.providers.openai_batch import OpenAIBatches
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Completion, Finish, Message, Request, Usage

KEY = "sk-proj-aVerySecretKey123"
T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.Response]]


def provider(base: str, **settings: Any) -> OpenAIProvider:
    return OpenAIProvider(model_id="gpt-5-mini", api_key=KEY, api_base=base, batch_endpoint=True, **settings)


def batches(base: str) -> OpenAIBatches:
    found = provider(base).batches
    assert found is not None
    return found


async def asked(routes: dict[tuple[str, str], Handler], work: Callable[[OpenAIBatches, Transport], Awaitable[T]]) -> T:
    """What comes of work with a server of these routes."""
    app = web.Application()
    for (method, path), handler in routes.items():
        app.router.add_route(method, path, handler)
    async with TestServer(app) as server, Transport() as transport:
        return await work(batches(str(server.make_url("/v1"))), transport)


def says(data: Any) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        return web.json_response(data)

    return handle


def line(name: str, body: Any = None, status: int = 200, error: Any = None) -> bytes:
    response = None if body is None else {"status_code": status, "request_id": "req_1", "body": body}
    return orjson.dumps({"id": "batch_req_1", "custom_id": name, "response": response, "error": error})


def completion(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, "refusal": None}
    return {
        "id": "chatcmpl-1",
        "model": "gpt-5-mini-2025-08-07",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
    }


async def results(output: bytes | None, errors: bytes | None = None) -> list[BatchResult]:
    """What is read from an output file and a file of errors."""

    async def content(request: web.Request) -> web.Response:
        return web.Response(body=output if request.match_info["id"] == "out" else errors)

    batch = {"id": "b", "output_file_id": output and "out", "error_file_id": errors and "err"}
    routes: dict[tuple[str, str], Handler] = {
        ("GET", "/v1/batches/b"): says(batch),
        ("GET", "/v1/files/{id}/content"): content,
    }

    async def fetch(door: OpenAIBatches, transport: Transport) -> list[BatchResult]:
        return [result async for result in door.results("b", transport)]

    return await asked(routes, fetch)


# -- where there is one ------------------------------------------------------------------------------------------------


def test_openai_has_one_and_others_only_if_it_is_said() -> None:
    assert isinstance(OpenAIProvider(api_key=KEY).batches, OpenAIBatches)
    assert OpenAIProvider(api_key=KEY, api_base="https://eu.api.openai.com/v1").batches is not None
    assert OpenAIProvider(api_key=KEY, batch_endpoint=False).batches is None
    assert OpenAIProvider(api_base="http://localhost:8080/v1").batches is None
    assert OpenAIProvider(api_base="http://localhost:8080/v1", batch_endpoint=True).batches is not None


def test_what_openai_names_as_its_limits_and_price() -> None:
    door = batches("http://localhost/v1")
    assert door.limits == BatchLimits(50_000, 200_000_000)
    assert door.price_factor == 0.5


def test_no_key_is_in_its_repr() -> None:
    assert KEY not in repr(batches("http://localhost/v1"))


# -- what goes out -----------------------------------------------------------------------------------------------------


def test_an_item_is_the_body_of_a_single_call_on_a_line() -> None:
    model = provider("http://localhost/v1", max_completion_tokens=9)
    body = model.encode(Request((Message.user('a "line"\nand é'),)))
    item = batches("http://localhost/v1").item("abc", body)
    assert b"\n" not in item
    assert orjson.loads(item) == {
        "custom_id": "abc",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": orjson.loads(body),
    }


async def test_a_submission_is_an_upload_and_a_batch_of_it() -> None:
    seen: list[Any] = []

    async def upload(request: web.Request) -> web.Response:
        form = await request.post()
        file = form["file"]
        assert isinstance(file, web.FileField)
        seen.append((request.headers["Authorization"], form["purpose"], file.filename, file.file.read()))
        return web.json_response({"id": "file-1", "object": "file", "purpose": "batch"})

    async def create(request: web.Request) -> web.Response:
        seen.append((request.headers["Authorization"], request.content_type, await request.json()))
        return web.json_response({"id": "batch_1", "object": "batch", "status": "validating"})

    routes: dict[tuple[str, str], Handler] = {("POST", "/v1/files"): upload, ("POST", "/v1/batches"): create}
    found = await asked(routes, lambda door, way: door.submit("our-name", [b'{"a":1}', b'{"b":2}'], way))
    assert found == "batch_1"
    uploaded, created = seen
    assert uploaded[:3] == (f"Bearer {KEY}", "batch", "our-name.jsonl")
    assert uploaded[3].split(b"\n") == [b'{"a":1}', b'{"b":2}', b""]
    assert created == (
        f"Bearer {KEY}",
        "application/json",
        {
            "input_file_id": "file-1",
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "metadata": {"name": "our-name"},
        },
    )


async def test_a_batch_is_found_by_its_name_on_any_page() -> None:
    now = time.time()
    pages = {
        "": {"data": [{"id": "b3", "metadata": None, "created_at": now}], "has_more": True},
        "b3": {"data": [{"id": "b2", "metadata": {"name": "ours"}, "created_at": now}], "has_more": True},
    }

    async def listing(request: web.Request) -> web.Response:
        return web.json_response(pages[request.query.get("after", "")])

    routes: dict[tuple[str, str], Handler] = {("GET", "/v1/batches"): listing}
    assert await asked(routes, lambda door, way: door.find("ours", (), now, way)) == "b2"


async def test_what_is_older_than_the_submission_is_not_looked_through() -> None:
    now, asked_for = time.time(), 0

    async def listing(_: web.Request) -> web.Response:
        nonlocal asked_for
        asked_for += 1
        old = {"id": "b", "metadata": {"name": "another"}, "created_at": now - 3600}
        return web.json_response({"data": [old], "has_more": True})

    assert await asked({("GET", "/v1/batches"): listing}, lambda door, way: door.find("ours", (), now, way)) is None
    assert asked_for == 1


async def test_cancelling_one_that_has_ended_does_nothing() -> None:
    statuses = []

    async def cancel(request: web.Request) -> web.Response:
        statuses.append(request.path)
        return web.json_response({"error": {"message": "Cannot cancel a batch with status 'completed'."}}, status=409)

    await asked({("POST", "/v1/batches/b/cancel"): cancel}, lambda door, way: door.cancel("b", way))
    assert statuses == ["/v1/batches/b/cancel"]


# -- what comes back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("validating", BatchState.RUNNING),
        ("in_progress", BatchState.RUNNING),
        ("finalizing", BatchState.RUNNING),
        ("cancelling", BatchState.RUNNING),
        ("completed", BatchState.ENDED),
        ("expired", BatchState.ENDED),
        ("cancelled", BatchState.ENDED),
        ("a word of next year", BatchState.RUNNING),
    ],
)
async def test_how_far_a_batch_is(status: str, state: BatchState) -> None:
    counts = {"total": 9, "completed": 5, "failed": 1}
    routes: dict[tuple[str, str], Handler] = {
        ("GET", "/v1/batches/b"): says({"id": "b", "status": status, "request_counts": counts})
    }
    assert await asked(routes, lambda door, way: door.status("b", way)) == BatchStatus(state, 9, 5, 1)


@pytest.mark.parametrize(("code", "later"), [("token_limit_exceeded", True), ("invalid_json_line", False)])
async def test_a_batch_that_was_refused_says_why(code: str, later: bool) -> None:
    errors = {"object": "list", "data": [{"code": code, "message": f"So it is, {KEY}.", "line": None}]}
    routes: dict[tuple[str, str], Handler] = {
        ("GET", "/v1/batches/b"): says({"id": "b", "status": "failed", "errors": errors})
    }
    found = await asked(routes, lambda door, way: door.status("b", way))
    assert (found.state, found.message, found.later) == (BatchState.FAILED, "So it is, ***", later)


async def test_answers_and_errors_come_from_both_files() -> None:
    too_many = {"error": {"message": "Slow down.", "code": "rate_limit_exceeded"}}
    too_long = {"error": {"message": "Too long.", "code": "context_length_exceeded"}}
    expired = {"code": "batch_expired", "message": "This request could not be executed in time."}
    output = b"\n".join([line("one", completion("first")), b"", line("two", completion("second")), b""])
    errors = b"\n".join([line("three", too_many, 429), line("four", too_long, 400), line("five", None, error=expired)])
    found = {result.id: result.outcome for result in await results(output, errors)}
    assert found["one"] == Completion("first", Finish.STOP, Usage(7, 3), "gpt-5-mini-2025-08-07", "req_1")
    assert isinstance(found["two"], Completion)
    assert isinstance(found["three"], RateLimitError)
    four = found["four"]
    assert isinstance(four, BadRequestError)
    assert (four.fatal, four.request_id) == (False, "req_1")
    five = found["five"]
    assert isinstance(five, ServiceError)
    assert five.retryable
    assert "could not be executed in time" in str(five)


async def test_one_line_that_makes_no_sense_does_not_cost_the_others() -> None:
    output = b"\n".join([b"<html>", line("one", {"choices": []}), line("two", completion("second"))])
    found = {result.id: result.outcome for result in await results(output)}
    assert set(found) == {"one", "two"}
    assert isinstance(found["one"], MalformedReplyError)
    assert isinstance(found["two"], Completion)


async def test_a_batch_without_answers_has_no_results() -> None:
    assert await results(None) == []


async def test_an_unknown_batch_is_no_unknown_model() -> None:
    async def nothing(_: web.Request) -> web.Response:
        return web.json_response({"error": {"message": "No batch found with id 'b'."}}, status=404)

    with pytest.raises(ModelNotFoundError, match=r"No batch found.*rowsmith cancel"):
        await asked({("GET", "/v1/batches/b"): nothing}, lambda door, way: door.status("b", way))


async def test_no_key_is_in_an_error() -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.json_response({"error": {"message": f"wrong: {request.headers['Authorization']}"}}, status=401)

    with pytest.raises(AuthenticationError) as caught:
        await asked({("POST", "/v1/files"): refuse}, lambda door, way: door.submit("n", [b"{}"], way))
    assert KEY not in str(caught.value)
