"""Mistral's batch jobs, against a scripted server that follows the reference of its endpoints."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest

from rowsmith.errors import AuthenticationError, BadRequestError, ProviderError, ServiceError
from rowsmith.llm.batch import Batching, BatchState
from rowsmith.llm.providers.compatible import AzureOpenAIProvider, MistralProvider
from rowsmith.llm.providers.mistral_batch import MistralBatches
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Completion, Message, Request
from rowsmith.testing import BadRequest, BatchFailure, BatchScript, Fault, ItemEnd, Reset, ScriptedServer

Servers = Callable[..., ScriptedServer]
KEY = "the-secret-of-the-test"


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with Transport() as opened:
        yield opened


def provider(server: ScriptedServer, **settings: Any) -> MistralProvider:
    return MistralProvider(
        "mistral-small-latest", api_base=server.base_url, **{"api_key": KEY, "batch_endpoint": True, **settings}
    )


def desk(made: MistralProvider) -> MistralBatches:
    batches = made.batches
    assert batches is not None
    return batches


def items(made: MistralProvider, count: int) -> list[bytes]:
    bodies = (made.encode(Request((Message.user(f"Question {number}"),))) for number in range(count))
    return [desk(made).item(f"item-{number}", body) for number, body in enumerate(bodies)]


async def results(made: MistralProvider, job: str, transport: Transport) -> dict[str, Completion | ProviderError]:
    assert (await desk(made).status(job, transport)).state is BatchState.ENDED
    return {result.id: result.outcome async for result in desk(made).results(job, transport)}


async def test_what_goes_out_field_by_field(scripted_server: Servers, transport: Transport) -> None:
    server = scripted_server(api_key=KEY)
    made = provider(server, temperature=0.5)
    job = await desk(made).submit("rowsmith-1", items(made, 2), transport)
    batch = server.batches.batches[job]
    (file,) = server.batches.files.values()
    assert (file.name, file.purpose) == ("rowsmith-1.jsonl", "batch")
    assert [orjson.loads(line) for line in file.data.splitlines()] == [
        {
            "custom_id": f"item-{number}",
            "body": {
                "model": "mistral-small-latest",
                "messages": [{"role": "user", "content": f"Question {number}"}],
                "temperature": 0.5,
            },
        }
        for number in range(2)
    ]
    assert batch.facts == {
        "metadata": {"name": "rowsmith-1"},
        "input_file_id": file.id,
        "model": "mistral-small-latest",
    }


async def test_answers_are_joined_by_id_whatever_their_order(scripted_server: Servers, transport: Transport) -> None:
    server = scripted_server(lambda call: f"answer to {call.prompt}")
    made = provider(server)
    job = await desk(made).submit("one", items(made, 30), transport)
    found = await results(made, job, transport)
    assert list(found) != [f"item-{number}" for number in range(30)]
    assert {name: outcome.text for name, outcome in found.items() if isinstance(outcome, Completion)} == {
        f"item-{number}": f"answer to Question {number}" for number in range(30)
    }
    assert all(outcome.usage.input_tokens for outcome in found.values() if isinstance(outcome, Completion))


async def test_what_came_to_nothing_is_the_error_it_stands_for(scripted_server: Servers, transport: Transport) -> None:
    ends: dict[str, Fault | ItemEnd] = {
        "item-0": ItemEnd.EXPIRED,
        "item-1": BadRequest("too long", 422),
        "item-2": ItemEnd.MISSING,
    }
    server = scripted_server(batches=BatchScript(items=lambda item: ends.get(item.id)))
    made = provider(server)
    job = await desk(made).submit("one", items(made, 5), transport)
    found = await results(made, job, transport)
    assert sorted(found) == ["item-0", "item-1", "item-3", "item-4"]
    expired, bad = found["item-0"], found["item-1"]
    assert isinstance(expired, ServiceError)
    assert expired.retryable
    assert isinstance(bad, BadRequestError)
    assert bad.status == 422
    assert KEY not in f"{expired} {bad}"


async def test_a_job_runs_until_it_has_ended(scripted_server: Servers, transport: Transport) -> None:
    server = scripted_server(batches=BatchScript(after_polls=2))
    made = provider(server)
    job = await desk(made).submit("one", items(made, 3), transport)
    states = [(await desk(made).status(job, transport)) for _ in range(3)]
    assert [status.state for status in states] == [BatchState.RUNNING, BatchState.RUNNING, BatchState.ENDED]
    assert (states[-1].total, states[-1].answered, states[-1].failed) == (3, 3, 0)


async def test_a_job_that_is_refused_as_a_whole_says_why(scripted_server: Servers, transport: Transport) -> None:
    server = scripted_server(batches=BatchScript(fails=lambda number: BatchFailure("The file is not JSON")))
    made = provider(server)
    job = await desk(made).submit("one", items(made, 3), transport)
    status = await desk(made).status(job, transport)
    assert (status.state, status.message) == (BatchState.FAILED, "The file is not JSON")


async def test_a_job_whose_handing_in_was_not_heard_of_is_found_by_name(
    scripted_server: Servers, transport: Transport
) -> None:
    def reset(operation: str, number: int) -> Reset | None:
        return Reset() if (operation, number) == ("submit", 120) else None

    server = scripted_server(batches=BatchScript(requests=reset, after_polls=None))
    made = provider(server)
    since = time.time()
    for number in range(120):
        await desk(made).submit(f"job-{number}", items(made, 1), transport)
    with pytest.raises(ProviderError):
        await desk(made).submit("job-120", items(made, 1), transport)
    assert await desk(made).find("job-120", [], since, transport) == list(server.batches.batches)[-1]
    assert await desk(made).find("job-0", [], since, transport) == next(iter(server.batches.batches))
    assert await desk(made).find("job", [], since, transport) is None


async def test_what_is_older_is_not_looked_through(scripted_server: Servers, transport: Transport) -> None:
    server = scripted_server()
    made = provider(server)
    await desk(made).submit("one", items(made, 1), transport)
    assert await desk(made).find("one", [], time.time() + 3600, transport) is None


async def test_a_job_that_is_cancelled_ends_with_what_it_has(scripted_server: Servers, transport: Transport) -> None:
    server = scripted_server(batches=BatchScript(after_polls=None))
    made = provider(server)
    job = await desk(made).submit("one", items(made, 4), transport)
    await desk(made).cancel(job, transport)
    found = await results(made, job, transport)
    assert sum(isinstance(outcome, Completion) for outcome in found.values()) == 2
    assert sum(isinstance(outcome, ServiceError) for outcome in found.values()) == 2
    # One that has ended is left alone.
    await desk(made).cancel(job, transport)


async def test_a_wrong_key_is_told(scripted_server: Servers, transport: Transport) -> None:
    made = provider(scripted_server(api_key="another"))
    with pytest.raises(AuthenticationError, match="MISTRAL_API_KEY") as caught:
        await desk(made).submit("one", items(made, 1), transport)
    assert KEY not in str(caught.value)


def test_only_an_address_that_has_the_endpoint_says_so() -> None:
    made = MistralProvider(api_key=KEY)
    assert isinstance(made, Batching)
    assert made.batches is not None
    assert made.batches.price_factor == 0.5
    assert made.batches.limits.requests == 1_000_000
    assert re.fullmatch(r"https://api\.mistral\.ai/v1", made.batches.base)
    assert KEY not in repr(made.batches)
    assert MistralProvider(api_key=KEY, api_base="https://proxy.example/v1").batches is None
    assert AzureOpenAIProvider(api_key=KEY, api_base="https://x.openai.azure.com").batches is not None
