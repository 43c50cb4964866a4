"""Anthropic's batches, against a scripted server that follows the reference of its endpoints."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from rowsmith import AnthropicProvider, ClassificationDataset, ClassificationDatasetConfig
from rowsmith.engine.options import Options
from rowsmith.errors import (
    AuthenticationError,
    BadRequestError,
    ModelNotFoundError,
    ProviderError,
    RateLimitError,
    ServiceError,
)
from rowsmith.llm.batch import Batches, Batching, BatchLimits, BatchState, BatchStatus
from rowsmith.llm.retry import RetryPolicy
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Completion, Finish, Message, Request
from rowsmith.testing import (
    BatchScript,
    CutOff,
    Fault,
    Garbage,
    Item,
    ItemEnd,
    RateLimited,
    Refusal,
    Reset,
    ScriptedServer,
    ServerError,
    WrongSchema,
)

from .loopback import always, served

Start = Callable[..., ScriptedServer]

SECRET = "sk-ant-api03-planted-and-never-to-be-seen"
QUICK = Options(policy=RetryPolicy(first=0.001, longest=0.01), grace=5.0)


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with Transport() as opened:
        yield opened


def provider(server: ScriptedServer, **settings: Any) -> AnthropicProvider:
    arguments: dict[str, Any] = {"api_key": SECRET, "batch_endpoint": True} | settings
    return AnthropicProvider("claude-haiku-4-5", api_base=server.url, **arguments)


def batches(made: AnthropicProvider) -> Batches:
    found = made.batches
    assert found is not None
    return found


def body(made: AnthropicProvider, prompt: str) -> bytes:
    return made.encode(Request((Message.user(prompt),)))


async def handed_in(made: AnthropicProvider, transport: Transport, *ids: str) -> str:
    desk = batches(made)
    items = [desk.item(name, body(made, f"Question {name}.")) for name in ids]
    return await desk.submit("a-name", items, transport)


async def ended(made: AnthropicProvider, batch: str, transport: Transport) -> dict[str, Completion | ProviderError]:
    """What came of each item, once the batch has ended."""
    desk = batches(made)
    while (await desk.status(batch, transport)).state is BatchState.RUNNING:
        pass
    return {result.id: result.outcome async for result in desk.results(batch, transport)}


# Handing in


def test_only_anthropics_own_address_is_known_to_have_batches() -> None:
    own = AnthropicProvider(api_key=SECRET)
    assert isinstance(own, Batching)
    assert own.batches is not None
    assert own.batches.limits == BatchLimits(requests=100_000, bytes=256_000_000)
    assert own.batches.price_factor == 0.5
    assert AnthropicProvider("m", api_base="http://127.0.0.1:1").batches is None
    assert AnthropicProvider("m", api_base="http://127.0.0.1:1", batch_endpoint=True).batches is not None
    assert SECRET not in repr(own.batches)


async def test_a_batch_is_handed_in_with_the_very_bodies_of_single_calls(transport: Transport) -> None:
    reply = {"id": "msgbatch_1", "type": "message_batch", "processing_status": "in_progress"}
    async with served(always(reply)) as server:
        made = AnthropicProvider("claude-haiku-4-5", api_base=server.url, api_key=SECRET, batch_endpoint=True)
        assert await handed_in(made, transport, "a-1", "b_2") == "msgbatch_1"
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/v1/messages/batches")
    assert asked.headers["x-api-key"] == SECRET
    assert asked.headers["anthropic-version"] == "2023-06-01"
    assert asked.json == {
        "requests": [
            {"custom_id": "a-1", "params": orjson.loads(body(made, "Question a-1."))},
            {"custom_id": "b_2", "params": orjson.loads(body(made, "Question b_2."))},
        ]
    }


async def test_a_refused_submission_is_the_error_it_stands_for(transport: Transport, scripted_server: Start) -> None:
    server = scripted_server(batches=BatchScript(requests=lambda name, _: RateLimited() if name == "submit" else None))
    with pytest.raises(RateLimitError):
        await handed_in(provider(server), transport, "a")
    with pytest.raises(BadRequestError, match="unique"):
        await handed_in(provider(scripted_server()), transport, "a", "a")
    with pytest.raises(AuthenticationError, match="ANTHROPIC_API_KEY") as caught:
        await handed_in(provider(scripted_server(api_key="other")), transport, "a")
    assert SECRET not in f"{caught.value} {vars(caught.value)}"


# How far it is, and what came of it


async def test_answers_come_by_their_ids_in_any_order(transport: Transport, scripted_server: Start) -> None:
    server = scripted_server(lambda call: f"An answer to {call.prompt}")
    made = provider(server)
    ids = [f"item-{number}" for number in range(20)]
    batch = await handed_in(made, transport, *ids)
    outcomes = await ended(made, batch, transport)
    assert list(outcomes) != ids
    assert sorted(outcomes) == sorted(ids)
    for name, outcome in outcomes.items():
        assert isinstance(outcome, Completion)
        assert outcome.text == f"An answer to Question {name}."
        assert outcome.usage.output_tokens > 0


async def test_the_status_counts_only_when_it_has_ended(transport: Transport, scripted_server: Start) -> None:
    server = scripted_server(batches=BatchScript(after_polls=1, items=_one_of_each()))
    made = provider(server)
    batch = await handed_in(made, transport, "fine", "expired", "missing", "errored")
    desk = batches(made)
    assert await desk.status(batch, transport) == BatchStatus(BatchState.RUNNING, total=4)
    assert await desk.status(batch, transport) == BatchStatus(BatchState.ENDED, total=4, answered=1, failed=3)


def _one_of_each() -> Callable[[Item], Fault | ItemEnd | None]:
    said: dict[str, Fault | ItemEnd] = {
        "expired": ItemEnd.EXPIRED,
        "missing": ItemEnd.MISSING,
        "errored": ServerError(529),
        "limited": RateLimited(),
        "refused": Refusal(),
        "cut": CutOff(),
        "garbage": Garbage(b'{"choices": []}'),
    }
    return lambda item: said.get(item.id)


async def test_each_item_is_its_answer_or_the_error_of_a_single_call(
    transport: Transport, scripted_server: Start
) -> None:
    made = provider(scripted_server(batches=BatchScript(items=_one_of_each())))
    ids = ("fine", "expired", "missing", "errored", "limited", "refused", "cut", "garbage")
    outcomes = await ended(made, await handed_in(made, transport, *ids), transport)
    assert outcomes.keys() == set(ids) - {"missing"}
    finishes = {name: outcome.finish for name, outcome in outcomes.items() if isinstance(outcome, Completion)}
    assert finishes == {"fine": Finish.STOP, "refused": Finish.REFUSED, "cut": Finish.LENGTH}
    errors = {name: outcome for name, outcome in outcomes.items() if isinstance(outcome, ProviderError)}
    assert {name: (type(error), error.status) for name, error in errors.items()} == {
        "expired": (ServiceError, None),
        "errored": (ServiceError, 529),
        "limited": (RateLimitError, 429),
        "garbage": (ServiceError, None),
    }
    assert all(error.retryable for error in errors.values())
    assert "expired" in str(errors["expired"])


async def test_a_request_that_the_service_refuses_is_a_bad_request(
    transport: Transport, scripted_server: Start
) -> None:
    made = provider(scripted_server())
    desk = batches(made)
    item = desk.item("a", orjson.dumps({"model": "m", "messages": []}))
    outcome = (await ended(made, await desk.submit("n", [item], transport), transport))["a"]
    assert isinstance(outcome, BadRequestError)
    assert "max_tokens" in str(outcome)


async def test_a_cancelled_batch_keeps_what_was_answered(transport: Transport, scripted_server: Start) -> None:
    made = provider(scripted_server(batches=BatchScript(after_polls=None)))
    batch = await handed_in(made, transport, "a", "b", "c", "d")
    desk = batches(made)
    assert (await desk.status(batch, transport)).state is BatchState.RUNNING
    await desk.cancel(batch, transport)
    outcomes = await ended(made, batch, transport)
    kinds = Counter(type(outcome) for outcome in outcomes.values())
    assert kinds == {Completion: 2, ServiceError: 2}
    await desk.cancel(batch, transport)


async def test_a_cancellation_that_fails_is_told(transport: Transport, scripted_server: Start) -> None:
    script = BatchScript(after_polls=None, requests=lambda name, _: ServerError() if name == "cancel" else None)
    made = provider(scripted_server(batches=script))
    batch = await handed_in(made, transport, "a")
    with pytest.raises(ServiceError):
        await batches(made).cancel(batch, transport)


async def test_a_batch_that_is_gone_is_told_with_the_way_out(transport: Transport, scripted_server: Start) -> None:
    with pytest.raises(ModelNotFoundError, match="rowsmith cancel"):
        await batches(provider(scripted_server())).status("msgbatch_none", transport)


# Finding a batch whose submission was not heard of


async def find(made: AnthropicProvider, transport: Transport, *ids: str, since: float) -> str | None:
    return await batches(made).find("a-name", ids, since, transport)


async def test_a_batch_is_found_after_its_reply_was_lost(transport: Transport, scripted_server: Start) -> None:
    script = BatchScript(after_polls=None, requests=lambda name, _: Reset() if name == "submit" else None)
    server = scripted_server(batches=script)
    made, since = provider(server), time.time()
    with pytest.raises(ProviderError):
        await handed_in(made, transport, "a", "b")
    (there,) = server.batches.batches
    assert await find(made, transport, "a", "b", since=since) == there
    assert await find(made, transport, "a", since=since) is None
    assert await find(made, transport, "a", "b", since=since + 10) is None


async def test_of_batches_that_have_ended_the_one_with_our_ids_is_it(
    transport: Transport, scripted_server: Start
) -> None:
    made, since = provider(scripted_server()), time.time()
    first = await handed_in(made, transport, "a", "b")
    await handed_in(made, transport, "c", "d")
    assert await find(made, transport, "a", "b", since=since) == first
    assert await find(made, transport, "e", "f", since=since) is None


async def test_of_several_that_run_none_is_guessed(transport: Transport, scripted_server: Start) -> None:
    server = scripted_server(batches=BatchScript(after_polls=None))
    made, since = provider(server), time.time()
    await handed_in(made, transport, "a", "b")
    second = await handed_in(made, transport, "c", "d")
    with pytest.raises(ServiceError, match="2 batches of 2 requests") as caught:
        await find(made, transport, "c", "d", since=since)
    assert caught.value.retryable
    server.batches.end()
    assert await find(made, transport, "c", "d", since=since) == second


async def test_the_list_is_read_page_by_page_and_no_further_than_needed(
    transport: Transport, scripted_server: Start
) -> None:
    server = scripted_server(batches=BatchScript(after_polls=None))
    made, since = provider(server), time.time()
    first = await handed_in(made, transport, "a", "b")
    for number in range(120):
        await handed_in(made, transport, f"other-{number}")
    assert await find(made, transport, "a", "b", since=since) == first
    assert server.batches.operations["list"] == 2
    assert await find(made, transport, "a", "b", since=time.time() + 60) is None
    assert server.batches.operations["list"] == 3


async def test_a_clock_that_is_wrong_here_does_not_hide_a_batch(transport: Transport) -> None:
    """The service says when it is; both its times are years away from ours."""
    batch = {
        "id": "msgbatch_1",
        "processing_status": "in_progress",
        "request_counts": {"processing": 1},
        "created_at": "2001-01-01T00:00:05.5Z",
    }
    reply = always({"data": [batch], "has_more": False}, Date="Mon, 01 Jan 2001 00:00:10 GMT")
    async with served(reply) as server:
        made = AnthropicProvider("m", api_base=server.url, batch_endpoint=True)
        assert await find(made, transport, "a", since=time.time() - 6) == "msgbatch_1"
        assert await find(made, transport, "a", since=time.time()) is None


# A whole run


def dataset(folder: Path) -> ClassificationDataset:
    classes: Any = [{"name": name, "description": f"texts that are {name}"} for name in ("good", "bad")]
    return ClassificationDataset(
        ClassificationDatasetConfig(
            classes=classes,
            num_samples_per_prompt=5,
            max_rounds=10,
            output_file=str(folder / "rows.jsonl"),
            prompts=["Write {num_samples} texts in {language_name}, {label_name}: {label_description}."],
        )
    )


def test_a_run_in_batches_is_exact_whatever_becomes_of_the_items(tmp_path: Path, scripted_server: Start) -> None:
    ends: tuple[Fault | ItemEnd | None, ...] = (
        ItemEnd.EXPIRED, CutOff(), ItemEnd.MISSING, WrongSchema(), ServerError(529), Refusal(),
    )  # fmt: skip
    server = scripted_server(
        api_key=SECRET,
        batches=BatchScript(items=lambda item: ends[item.number] if item.number < len(ends) else None),
    )
    llm = provider(server, input_cost_per_million=100.0, output_cost_per_million=100.0)
    made = dataset(tmp_path).generate(llm, options=QUICK, batch=True)
    assert Counter(row["label"] for row in made.to_list()) == {"good": 5, "bad": 5}
    assert server.batches.submissions >= 2
    assert server.batches.answered_again == 0
    assert made.report is not None
    total = made.report.total
    assert total.cost == pytest.approx((total.input_tokens + total.output_tokens) * 50 / 1e6)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
