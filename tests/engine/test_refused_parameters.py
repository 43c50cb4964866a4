"""A parameter that a model refuses is left out from then on: told once, noted, and found again by a later start."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rowsmith import BadRequestError, ClassificationDataset, OpenAIProvider
from rowsmith.engine.probe import probe
from rowsmith.llm.clock import SystemClock
from rowsmith.llm.prices import Prices
from rowsmith.llm.transport import Transport
from rowsmith.testing import Call, Fault, ScriptedServer, UnsupportedParameter

from .harness import QUICK, classes, dataset, ledger, must_be_exact

Start = Callable[..., ScriptedServer]


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """The warnings that were logged, as texts."""
    with caplog.at_level(logging.INFO, logger="rowsmith"):
        yield lambda: [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def provider(server: ScriptedServer, **settings: Any) -> OpenAIProvider:
    return OpenAIProvider("any", api_base=server.base_url, **{"api_key": "any", "temperature": 0.5, **settings})


def make(made: ClassificationDataset, llms: Any) -> None:
    """Make all rows."""
    report = made.generate(llms, options=QUICK).report
    assert report is not None
    assert report.complete


def refusing(*names: str) -> Callable[[Call], Fault | None]:
    """Refuses each body for the first of these parameters that it has."""
    return lambda call: next((UnsupportedParameter(name) for name in names if name in call.body), None)


def test_it_is_left_out_with_one_warning_however_many_calls_had_it(
    tmp_path: Path, scripted_server: Start, warnings: Callable[[], list[str]]
) -> None:
    many = classes(*(f"class {number}" for number in range(20)))
    server = scripted_server(faults=refusing("temperature"), latency=0.02)
    make(dataset(tmp_path, classes=many), provider(server))
    must_be_exact(tmp_path, 200)
    had = [call for call in server.calls if "temperature" in call.body]
    assert 1 < len(had) <= 40
    assert server.answered == 40
    (told,) = warnings()
    assert "openai/any" in told
    assert "`temperature`" in told


def test_several_are_found_one_after_the_other(
    tmp_path: Path, scripted_server: Start, warnings: Callable[[], list[str]]
) -> None:
    server = scripted_server(faults=refusing("top_p", "temperature"))
    make(dataset(tmp_path), provider(server, top_p=0.9, frequency_penalty=0.1))
    assert len(warnings()) == 2
    assert server.calls[-1].body["frequency_penalty"] == 0.1


def test_the_limit_of_tokens_is_kept_under_its_other_name_without_a_warning(
    tmp_path: Path, scripted_server: Start, warnings: Callable[[], list[str]]
) -> None:
    server = scripted_server(faults=refusing("max_tokens"))
    made = provider(server, max_completion_tokens=900, strict_params=True)
    make(dataset(tmp_path), made)
    assert server.calls[-1].body["max_completion_tokens"] == 900
    assert not warnings()


def test_a_later_start_asks_without_it_from_its_first_call_and_finds_the_answers(
    tmp_path: Path, scripted_server: Start, warnings: Callable[[], list[str]]
) -> None:
    first = scripted_server(faults=refusing("temperature"))
    made = dataset(tmp_path)
    make(made, provider(first))
    asked = first.count
    grown = dataset(tmp_path, classes=classes("good", "bad", "new"))
    make(grown, provider(first))
    must_be_exact(tmp_path, 30)
    assert [call.body.get("temperature") for call in first.calls[asked:]] == [None, None]
    assert first.answered_again == 0
    assert len(warnings()) == 1


def test_answers_to_requests_that_still_had_it_are_found_too(tmp_path: Path, scripted_server: Start) -> None:
    server = scripted_server(faults=lambda call: UnsupportedParameter("temperature") if call.number >= 2 else None)
    made = provider(server, max_concurrency=1)
    make(dataset(tmp_path), made)
    assert sum("temperature" in call.body for call in server.calls if call.status == 200) == 2
    asked = server.count
    # Other checks: every row is made anew, of the stored answers.
    stricter = dataset(tmp_path, gates={"blocklist": ["a phrase that nobody writes"]})
    make(stricter, made)
    assert server.count == asked


def test_rows_of_a_sample_are_found_by_the_run(tmp_path: Path, scripted_server: Start) -> None:
    server = scripted_server(faults=refusing("temperature"))
    assert len(dataset(tmp_path).generate_sample(provider(server), 2, options=QUICK)) == 2
    answered = server.answered
    make(dataset(tmp_path), provider(server))
    assert server.answered == 4
    assert answered == 2
    assert server.answered_again == 0


def test_with_strict_params_the_run_stops_and_says_which_one(tmp_path: Path, scripted_server: Start) -> None:
    server = scripted_server(faults=refusing("temperature"))
    with pytest.raises(BadRequestError, match="refuses `temperature`"):
        dataset(tmp_path).generate(provider(server, strict_params=True), options=QUICK)
    assert server.answered == 0
    assert not ledger(tmp_path, "SELECT * FROM meta WHERE name = 'omitted'")


def test_another_model_keeps_the_parameter(tmp_path: Path, scripted_server: Start) -> None:
    server = scripted_server(
        faults=lambda call: UnsupportedParameter("temperature") if call.body["model"] == "any" else None
    )
    other = OpenAIProvider("other", api_base=server.base_url, api_key="any", temperature=0.5)
    make(dataset(tmp_path), [provider(server), other])
    assert all(call.body.get("temperature") == 0.5 for call in server.calls if call.body["model"] == "other")


async def test_a_check_before_the_run_is_not_put_off_by_it(scripted_server: Start) -> None:
    server = scripted_server(faults=refusing("temperature"))
    async with Transport() as transport:
        came = await probe(provider(server), transport, Prices(), SystemClock())
        strictly = await probe(provider(server, strict_params=True), transport, Prices(), SystemClock())
    assert came.error is None
    assert strictly.error is not None
    assert "`temperature`" in str(strictly.error)
