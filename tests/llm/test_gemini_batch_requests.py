"""The requests about Gemini's batches: every state, every page, and every way they fail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from rowsmith.errors import AuthenticationError, MalformedReplyError, ModelNotFoundError, ServiceError
from rowsmith.llm.batch import BatchState, BatchStatus
from rowsmith.llm.providers.gemini import GeminiProvider
from rowsmith.llm.providers.gemini_batch import GeminiBatches
from rowsmith.llm.transport import Transport
from rowsmith.testing import BatchScript, ScriptedServer, ServerError

from .loopback import Asked, Server, always, served

Start = Callable[..., ScriptedServer]

SECRET = "AQ.the-secret-of-the-test"


def batches(server: ScriptedServer | Server) -> GeminiBatches:
    found = GeminiProvider(api_base=server.url, api_key=SECRET).batches
    assert found is not None
    return found


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with Transport() as opened:
        yield opened


async def test_the_list_is_turned_page_by_page(transport: Transport) -> None:
    def page(*names: str, more: str = "") -> dict[str, Any]:
        operations = [{"name": f"batches/{name}", "metadata": {"displayName": name}} for name in names]
        return {"operations": operations} | ({"nextPageToken": more} if more else {})

    pages = {"": page("a", "b", more="t/1"), "t%2F1": {"nextPageToken": "t2"}, "t2": page("c")}

    async def answer(asked: Asked) -> Any:
        return await always(pages[asked.path.partition("pageToken=")[2]])(asked)

    async with served(answer) as server:
        assert await batches(server).find("c", [], 0.0, transport) == "batches/c"
        assert await batches(server).find("d", [], 0.0, transport) is None
    assert server.asked[0].path == "/v1beta/batches?pageSize=100"
    assert len(server.asked) == 6


@pytest.mark.parametrize(
    ("operation", "state"),
    [
        ({"metadata": {"state": "BATCH_STATE_PENDING"}}, BatchState.RUNNING),
        ({"metadata": {"state": "JOB_STATE_RUNNING"}}, BatchState.RUNNING),
        ({"metadata": {"state": "BATCH_STATE_UNSPECIFIED"}}, BatchState.RUNNING),
        ({}, BatchState.RUNNING),
        ({"metadata": {"state": "JOB_STATE_SUCCEEDED", "output": {"responsesFile": "files/x"}}}, BatchState.ENDED),
        (
            {"metadata": {"state": "BATCH_STATE_SUCCEEDED"}, "done": True, "response": {"responsesFile": "files/x"}},
            BatchState.ENDED,
        ),
        ({"metadata": {"state": "BATCH_STATE_SUCCEEDED"}, "done": True}, BatchState.RUNNING),
        ({"metadata": {"state": "BATCH_STATE_SUCCEEDED"}, "done": True, "response": {}}, BatchState.ENDED),
        ({"metadata": {"state": "BATCH_STATE_CANCELLED"}, "done": True, "error": {"code": 1}}, BatchState.ENDED),
        ({"metadata": {"state": "BATCH_STATE_EXPIRED"}, "done": True}, BatchState.ENDED),
        ({"metadata": {"state": "JOB_STATE_PARTIALLY_SUCCEEDED"}}, BatchState.ENDED),
        ({"metadata": {"state": "BATCH_STATE_FAILED"}, "error": {"code": 3, "message": "m"}}, BatchState.FAILED),
    ],
)
async def test_every_state_has_its_meaning(transport: Transport, operation: object, state: BatchState) -> None:
    async with served(always(operation)) as server:
        assert (await batches(server).status("batches/b", transport)).state is state


async def test_counts_are_texts_and_may_be_missing(transport: Transport) -> None:
    stats = {"requestCount": "7", "successfulRequestCount": "4", "failedRequestCount": 2, "pendingRequestCount": "odd"}
    async with served(always({"metadata": {"state": "BATCH_STATE_RUNNING", "batchStats": stats}})) as server:
        assert await batches(server).status("batches/b", transport) == BatchStatus(BatchState.RUNNING, 7, 4, 2)


@pytest.mark.parametrize("operation", ["upload", "submit", "list", "status", "results", "cancel"])
async def test_a_failure_of_the_service_is_raised_by_each_request(
    transport: Transport, scripted_server: Start, operation: str
) -> None:
    failing = True

    def fault(named: str, _: int) -> ServerError | None:
        return ServerError(503) if failing and named == operation else None

    server = scripted_server(batches=BatchScript(requests=fault, after_polls=0))
    made = batches(server)
    lines = [made.item(f"id-{n}", b'{"contents":[{"parts":[{"text":"q"}]}]}') for n in range(2)]

    async def all_of_it() -> None:
        batch = await made.submit("run", lines, transport)
        assert await made.find("run", [], 0.0, transport) == batch
        if operation == "cancel":
            await made.cancel(batch, transport)
        assert (await made.status(batch, transport)).state is BatchState.ENDED
        assert len([result async for result in made.results(batch, transport)]) == 2

    with pytest.raises(ServiceError):
        await all_of_it()
    failing = False
    await all_of_it()


async def test_a_wrong_key_and_a_lost_batch_are_told(transport: Transport, scripted_server: Start) -> None:
    server = scripted_server(api_key="AQ.another-key")
    with pytest.raises(AuthenticationError) as wrong:
        await batches(server).submit("run", [b"{}"], transport)
    assert SECRET not in f"{wrong.value} {wrong.value!r}"
    with pytest.raises(ModelNotFoundError, match="rowsmith cancel"):
        await batches(scripted_server()).status("batches/gone", transport)


@pytest.mark.parametrize("reply", [b"<html>", [], {"file": {}}, {"name": 3}])
async def test_a_reply_that_names_nothing_is_malformed(transport: Transport, reply: object) -> None:
    async with served(always(reply, x_goog_upload_url="http://h/upload/v1beta/files?upload_id=1")) as server:
        with pytest.raises(MalformedReplyError):
            await batches(server).submit("run", [b"{}"], transport)
    async with served(always({})) as server:
        with pytest.raises(MalformedReplyError, match="address to upload to"):
            await batches(server).submit("run", [b"{}"], transport)
