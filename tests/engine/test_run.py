"""Exact counts under every fault, reports of what lacks, and ends in good order."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rowsmith import OpenAIProvider
from rowsmith.engine.events import CallMade, Event, RowAccepted, RowsWithdrawn, RunFinished
from rowsmith.errors import AuthenticationError, BadRequestError
from rowsmith.testing import (
    BadJSON,
    Call,
    CutOff,
    Duplicates,
    Empty,
    Fault,
    Garbage,
    Hang,
    HtmlPage,
    RateLimited,
    Refusal,
    Reset,
    ScriptedServer,
    ServerError,
    UnsupportedSchema,
    WrongKey,
    WrongSchema,
)

from .harness import (
    QUICK,
    Events,
    Model,
    Question,
    dataset,
    entries,
    ledger,
    lines,
    must_be_exact,
    new_texts,
    rejected,
    tones,
)

Start = Callable[..., ScriptedServer]


def provider(server: ScriptedServer, **settings: Any) -> OpenAIProvider:
    return OpenAIProvider("any", api_base=server.base_url, **{"api_key": "any", **settings})


# --- exact counts -----------------------------------------------------------------------------------------------------

FAULTS: dict[str, Fault] = {
    "429": RateLimited(),
    "429 with Retry-After": RateLimited(retry_after=0.01),
    "500": ServerError(),
    "reset": Reset(),
    "reset in the middle": Reset("middle"),
    "a proxy's page": HtmlPage(),
    "garbage": Garbage(),
    "bad JSON": BadJSON(),
    "repairable JSON": BadJSON(repairable=True),
    "wrong schema": WrongSchema(),
    "cut off": CutOff(),
    "refusal": Refusal(),
    "empty": Empty(),
    "schema not supported": UnsupportedSchema(),
}


@pytest.mark.parametrize("what", FAULTS)
def test_the_count_is_exact_under_each_fault(what: str, tmp_path: Path, scripted_server: Start) -> None:
    """Every other call meets the fault at its first attempt."""

    def fault(call: Call) -> Fault | None:
        if isinstance(FAULTS[what], UnsupportedSchema):
            return FAULTS[what]
        return FAULTS[what] if call.attempt == 1 and call.number % 2 == 0 else None

    server = scripted_server(faults=fault)
    report = dataset(tmp_path, max_rounds=9).generate(provider(server), options=QUICK).report
    assert report is not None
    assert report.complete
    must_be_exact(tmp_path, 20)
    assert Counter(row["label"] for row in lines(tmp_path)) == {"good": 10, "bad": 10}
    assert server.summary()["faults"]
    # What is not in the service's format is no answer, though its status was 200.
    assert server.answered_again == 0 or what == "garbage"
    accounted = len(rejected(tmp_path)) + report.retries
    assert accounted > 0 or what in ("repairable JSON", "schema not supported")


def test_a_server_that_hangs_costs_its_timeout_and_a_retry(tmp_path: Path, scripted_server: Start) -> None:
    server = scripted_server(faults=[None, Hang(30)])
    report = dataset(tmp_path).generate(provider(server, timeout=0.5), options=QUICK).report
    assert report is not None
    assert report.complete
    assert report.retries == 1
    must_be_exact(tmp_path, 20)


def test_one_bad_entry_of_five_costs_two_calls_in_all(tmp_path: Path, scripted_server: Start) -> None:
    server = scripted_server(faults=[WrongSchema(entries=1)])
    one_prompt = {**tones("dry", "warm"), "combinatorial": False, "num_random_samples": 1}
    dataset(tmp_path, expansion=one_prompt).generate(provider(server), options=QUICK)
    must_be_exact(tmp_path, 5)
    assert server.count == 2
    assert [call.prompt.split()[1] for call in server.calls] == ["5", "1"]


def test_a_surplus_is_cut_off_at_its_end(tmp_path: Path) -> None:
    model = Model(lambda question: entries(*(f"{question.digest:x} {n}" for n in range(9))))
    report = dataset(tmp_path, target_rows=7).generate(model, options=QUICK).report
    assert report is not None
    assert (report.rows, report.calls) == (7, 4)
    assert all(int(row["text"].split()[1]) < 5 for row in lines(tmp_path))
    by_cell = Counter(row["metadata"]["cell"] for row in lines(tmp_path))
    assert sorted(by_cell.values()) == [1, 2, 2, 2]


def test_what_lacks_is_reported_by_label_language_and_model_and_nothing_is_padded(
    tmp_path: Path, scripted_server: Start
) -> None:
    server = scripted_server(faults=lambda call: Duplicates() if " bad" in call.prompt else None)
    made = dataset(tmp_path, languages={"en": "English", "fr": "French"}, max_rounds=2)
    report = made.generate(provider(server), options=QUICK).report
    assert report is not None
    assert (report.ended, report.expected) == ("short", 40)
    # All cells of `bad` get the very same texts: the first in the plan has them, the others never get any.
    lacking = {tuple(lack.group.values()): lack.rows for lack in report.lacks}
    assert lacking.keys() == {("bad", "en", "openai/any"), ("bad", "fr", "openai/any")}
    assert sum(lacking.values()) == report.missing == 40 - len(lines(tmp_path))
    assert all(lack.reasons["duplicate"] >= lack.rows for lack in report.lacks)
    assert "lacking for label=bad, language=en" in str(report.lacks[0])
    texts = Counter(row["text"] for row in lines(tmp_path))
    assert set(texts.values()) == {1}
    good = [row for row in lines(tmp_path) if row["label"] == "good"]
    assert len(good) == 20
    calls = server.count
    again = made.generate(provider(server), options=QUICK).report
    assert again is not None
    assert (again.ended, again.lacks, server.count) == ("short", report.lacks, calls)


def test_events_add_up_to_the_rows_in_the_file(tmp_path: Path) -> None:
    """With rows displaced, answers that are nothing, and cells worked on more than once."""
    model = Model(
        lambda question: (
            entries(*(f"{question.digest % 7} {n}" for n in range(question.count)))
            if "\n" not in question.prompt
            else new_texts(question)
        ),
        seconds=lambda question: (question.digest % 5) / 500,
    )
    events = Events()
    made = dataset(tmp_path, expansion=tones(*"abcdefghij"), max_rounds=5)
    report = made.generate(model, options=QUICK, listeners=[events]).report
    assert report is not None
    counted = len(events.of(RowAccepted)) - sum(event.rows for event in events.of(RowsWithdrawn))
    assert counted == report.rows == len(lines(tmp_path)) == 100
    assert events.of(RunFinished) == [RunFinished(report)]


def test_a_request_that_alone_is_refused_costs_its_cell_and_not_the_run(tmp_path: Path) -> None:
    def answer(question: Question) -> str:
        if "warm texts in English, good" in question.prompt and too_long:
            raise BadRequestError("This model's maximum context length is 8192 tokens", status=400)
        return new_texts(question)

    too_long = [True]
    model = Model(answer)
    for _ in range(2):
        report = dataset(tmp_path).generate(model, options=QUICK).report
        assert report is not None
        assert (report.ended, report.rows) == ("short", 15)
        assert any("maximum context length" in reason for lack in report.lacks for reason in lack.reasons)
    too_long.clear()
    report = dataset(tmp_path).generate(model, options=QUICK).report
    assert report is not None
    assert report.complete
    assert model.answered == 4


def test_a_model_that_refuses_every_request_stops_the_run(tmp_path: Path) -> None:
    def refuse(question: Question) -> str:
        raise BadRequestError("unknown parameter: top_k", status=400)

    model = Model(refuse)
    made = dataset(tmp_path, expansion=tones(*(f"tone {number}" for number in range(200))))
    with pytest.raises(BadRequestError, match="top_k"):
        made.generate(model, options=QUICK)
    assert len(model.asked) < 100


def test_a_model_that_begins_to_refuse_every_request_stops_the_run(tmp_path: Path) -> None:
    def answer(question: Question) -> str:
        if len(model.asked) > 50:
            raise BadRequestError("this model is closed for now", status=400)
        return new_texts(question)

    model = Model(answer)
    made = dataset(tmp_path, expansion=tones(*(f"tone {number}" for number in range(200))))
    with pytest.raises(BadRequestError, match="closed"):
        made.generate(model, max_concurrency=8, options=QUICK)
    assert len(model.asked) < 120
    assert made.report is not None
    assert made.report.ended == "stopped"


# --- failures ---------------------------------------------------------------------------------------------------------


def test_a_wrong_key_stops_the_run_at_once_and_the_right_one_goes_on(tmp_path: Path, scripted_server: Start) -> None:
    revoked: list[bool] = []
    server = scripted_server(faults=lambda call: WrongKey() if revoked else None, api_key="right")
    made = dataset(tmp_path, expansion=tones(*(f"tone {number}" for number in range(100))))
    with pytest.raises(AuthenticationError):
        made.generate(provider(server, api_key="wrong"), options=QUICK)
    assert server.count == 1
    assert not (tmp_path / "rows.jsonl").read_bytes()

    def revoke(event: Event) -> None:
        if isinstance(event, CallMade) and server.answered >= 50:
            revoked.append(True)

    with pytest.raises(AuthenticationError):
        made.generate(provider(server, api_key="right"), max_concurrency=16, options=QUICK, listeners=[revoke])
    # What was under way when the key ceased to be valid, and not one call for each cell left.
    assert server.count < 1 + 50 + 3 * 16
    paid = server.answered
    revoked.clear()
    report = made.generate(provider(server, api_key="right"), options=QUICK).report
    assert report is not None
    assert report.complete
    assert server.answered == 200
    assert ledger(tmp_path, "SELECT count(*) FROM calls") == [(200,)]
    assert report.calls == 200 - paid
    must_be_exact(tmp_path, 1000)
    assert "wrong" not in (tmp_path / "rows.run/ledger.sqlite").read_bytes().decode("latin-1")


def test_a_filter_that_fails_stops_the_run_and_loses_nothing(tmp_path: Path) -> None:
    def broken(content: str, topic: str, metadata: Any) -> bool:
        if len(seen) == 7 and mended == 0:
            raise ZeroDivisionError("the filter's own")
        seen.append(content)
        return True

    seen: list[str] = []
    mended = 0
    model = Model()
    made = dataset(tmp_path, gates={"filters": [broken]})
    with pytest.raises(ZeroDivisionError, match="the filter's own"):
        made.generate(model, options=QUICK)
    assert made.report is not None
    assert made.report.ended == "stopped"
    assert "the filter's own" in made.report.why
    paid = model.answered
    assert ledger(tmp_path, "SELECT count(*) FROM calls") == [(paid,)]
    mended = 1
    report = made.generate(model, options=QUICK).report
    assert report is not None
    assert report.complete
    assert (model.answered, model.repeated) == (4, 0)


@pytest.mark.parametrize(
    "kind", ["RunStarted", "CellStarted", "CallMade", "RowAccepted", "CellFinished", "RunFinished"]
)
def test_a_listener_that_fails_stops_the_run_and_loses_nothing(kind: str, tmp_path: Path) -> None:
    def broken(event: Event) -> None:
        if type(event).__name__ == kind:
            raise OSError("the listener's own")

    model = Model()
    made = dataset(tmp_path)
    with pytest.raises(OSError, match="the listener's own"):
        made.generate(model, options=QUICK, listeners=[broken])
    report = made.generate(model, options=QUICK).report
    assert report is not None
    assert report.complete
    assert (model.answered, model.repeated) == (4, 0)
    must_be_exact(tmp_path, 20)


def test_after_a_failure_nobody_waits_longer_than_the_grace_time(tmp_path: Path) -> None:
    def answer(question: Question) -> str:
        if "warm" in question.prompt and "good" in question.prompt:
            raise RuntimeError("at once")
        return new_texts(question)

    def seconds(question: Question) -> float:
        return 0.0 if "good" in question.prompt else 60.0

    began = time.monotonic()
    with pytest.raises(RuntimeError, match="at once"):
        dataset(tmp_path).generate(Model(answer, seconds=seconds), options=QUICK.but(grace=0.1))
    assert time.monotonic() - began < 5
