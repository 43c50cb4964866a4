"""Whole runs on a model in Gemini's format, with all that can go wrong there."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rowsmith import ClassificationDataset, ClassificationDatasetConfig, GeminiProvider, PromptExpansionConfig
from rowsmith.engine.events import Event
from rowsmith.engine.options import Options
from rowsmith.errors import AuthenticationError, QuotaError
from rowsmith.llm.caller import Caller
from rowsmith.llm.limits import Limiter
from rowsmith.llm.retry import RetryPolicy
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Message, Request
from rowsmith.testing import (
    BadJSON,
    BatchScript,
    CutOff,
    Empty,
    Fault,
    Item,
    ItemEnd,
    QuotaUsedUp,
    RateLimited,
    Refusal,
    Reset,
    ScriptedServer,
    ServerError,
    UnsupportedParameter,
    UnsupportedSchema,
    WrongKey,
    WrongSchema,
)
from support.clock import HurriedClock

Start = Callable[..., ScriptedServer]

SECRET = "AQ.planted-and-never-to-be-seen"
QUICK = Options(policy=RetryPolicy(first=0.001, longest=0.01), grace=5.0)
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


def dataset(folder: Path) -> ClassificationDataset:
    """Two classes in two tones: 20 rows."""
    classes: Any = [{"name": name, "description": f"texts that are {name}"} for name in ("good", "bad")]
    return ClassificationDataset(
        ClassificationDatasetConfig(
            classes=classes,
            num_samples_per_prompt=5,
            max_rounds=10,
            output_file=str(folder / "rows.jsonl"),
            prompts=["Write {num_samples} {{tone}} texts in {language_name}, {label_name}: {label_description}."],
            expansion=PromptExpansionConfig(placeholders={"tone": ["dry", "warm"]}),
        )
    )


def model(server: ScriptedServer, **settings: Any) -> GeminiProvider:
    return GeminiProvider(**{"api_base": server.url, "api_key": SECRET} | settings)


def must_be_whole(made: ClassificationDataset) -> None:
    rows = made.to_list()
    assert Counter(row["label"] for row in rows) == {"good": 10, "bad": 10}
    assert len({row["text"] for row in rows}) == 20
    assert all(row["metadata"]["provider"] == "gemini" for row in rows)


def must_hold_no_key(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


def test_the_count_is_exact_under_all_faults_and_the_key_is_nowhere(
    tmp_path: Path, scripted_server: Start, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[Event] = []

    server = scripted_server(faults=FAULTS, api_key=SECRET)
    llm = model(server, temperature=0.9, input_cost_per_million=1.0, output_cost_per_million=5.0)
    with caplog.at_level(logging.DEBUG):
        made = dataset(tmp_path).generate(llm, options=QUICK, listeners=[events.append])
    must_be_whole(made)
    assert server.summary()["faults"].keys() == {type(fault).__name__ for fault in FAULTS if fault}
    assert made.report is not None
    assert made.report.total.cost is not None
    assert made.report.total.cost > 0
    assert not [call for call in server.calls if SECRET in call.path or SECRET in str(call.body)]
    assert SECRET not in caplog.text
    assert SECRET not in repr(events)
    must_hold_no_key(tmp_path)


def test_a_model_without_schemas_is_asked_for_json_and_one_without_that_by_the_prompt(
    tmp_path: Path, scripted_server: Start
) -> None:
    for number, (fault, config) in enumerate(
        [
            (UnsupportedSchema(), {"responseMimeType": "application/json"}),
            (UnsupportedSchema(json_too=True), None),
        ]
    ):
        server = scripted_server(faults=fault)
        must_be_whole(dataset(tmp_path / str(number)).generate(model(server), options=QUICK))
        for call in server.calls:
            if call.status == 200:
                assert call.body.get("generationConfig") == config
                assert "JSON Schema" in call.prompt
        assert "responseJsonSchema" in server.calls[0].body["generationConfig"]


def test_a_parameter_that_the_model_refuses_is_left_out_with_one_warning(
    tmp_path: Path, scripted_server: Start, caplog: pytest.LogCaptureFixture
) -> None:
    server = scripted_server(faults=UnsupportedParameter("frequencyPenalty"))
    llm = model(server, frequency_penalty=0.5, temperature=0.5)
    with caplog.at_level(logging.WARNING):
        must_be_whole(dataset(tmp_path).generate(llm, options=QUICK))
    assert len([record for record in caplog.records if "frequencyPenalty" in record.getMessage()]) == 1
    assert server.calls[0].body["generationConfig"]["frequencyPenalty"] == 0.5
    answered = [call.body["generationConfig"] for call in server.calls if call.status == 200]
    assert all("frequencyPenalty" not in config and config["temperature"] == 0.5 for config in answered)


def test_a_wrong_key_stops_the_run_and_is_not_told(tmp_path: Path, scripted_server: Start) -> None:
    server = scripted_server(faults=WrongKey())
    with pytest.raises(AuthenticationError, match="GEMINI_API_KEY") as caught:
        dataset(tmp_path).generate(model(server), options=QUICK)
    assert SECRET not in f"{caught.value} {caught.value!r} {vars(caught.value)}"
    assert server.count == 1
    must_hold_no_key(tmp_path)


def test_a_used_up_day_ends_the_run_and_it_goes_on_later(tmp_path: Path, scripted_server: Start) -> None:
    server = scripted_server(faults=[None, QuotaUsedUp()])
    report = dataset(tmp_path).generate(model(server, max_concurrency=1), options=QUICK).report
    assert report is not None
    assert not report.complete
    assert server.count == 2
    must_be_whole(dataset(tmp_path).generate(model(server), options=QUICK))
    assert server.answered_again == 0


def test_a_run_in_batches_costs_half_and_loses_nothing(tmp_path: Path, scripted_server: Start) -> None:
    ends = [None, ItemEnd.EXPIRED, ItemEnd.MISSING, ServerError(503)]

    def end(item: Item) -> Fault | ItemEnd | None:
        return ends[item.place] if item.attempt == 1 else None

    server = scripted_server(batches=BatchScript(items=end, after_polls=1), api_key=SECRET)
    llm = model(server, input_cost_per_million=1.0, output_cost_per_million=5.0)
    made = dataset(tmp_path).generate(llm, batch=True, options=replace(QUICK, batch_poll=0.01))
    must_be_whole(made)
    assert made.report is not None
    spent = made.report.total
    assert spent.cost == pytest.approx((spent.input_tokens * 1 + spent.output_tokens * 5) / 1e6 / 2)
    assert (server.count, server.batches.answered_again) == (0, 0)
    assert all("responseSchema" in body["generationConfig"] for body in server.batches.bodies)
    must_hold_no_key(tmp_path)


async def ask(server: ScriptedServer, calls: int, clock: HurriedClock, **settings: Any) -> list[object]:
    """What came of so many requests."""
    llm = model(server, **settings)
    async with Transport() as transport:
        caller = Caller(llm, transport, Limiter.shared(llm, clock, ceiling=64), RetryPolicy(), clock, lambda _: None)
        bodies = [llm.encode(Request((Message.user(f"question {number}"),))) for number in range(calls)]
        try:
            return await asyncio.gather(*(caller.complete(body) for body in bodies), return_exceptions=True)
        finally:
            caller.stop()


async def test_fifteen_requests_a_minute_are_kept_to(scripted_server: Start) -> None:
    clock = HurriedClock(200)
    server = scripted_server(lambda _: "an answer")
    began = clock.now()
    await ask(server, 45, clock, rpm_limit=15, api_key="AQ.fifteen-a-minute")
    assert server.answered == 45
    # 45 at 15 a minute are three minutes, of which the first 15 need not wait.
    assert clock.now() - began >= 115


async def test_fifteen_hundred_requests_a_day_are_kept_to(scripted_server: Start) -> None:
    server = scripted_server(lambda _: "an answer", record=False)
    said = await ask(server, 1600, HurriedClock(1), rpd_limit=1500, api_key="AQ.fifteen-hundred-a-day")
    refused = [one for one in said if isinstance(one, QuotaError)]
    assert len(refused) == 100
    assert "the 1,500 requests of the day" in str(refused[0])
    assert server.answered == server.count == 1500
