"""A run looked over before it is paid for: what each finding says, and that nothing is written or bought for it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from rowsmith import (
    ClassificationDataset,
    ClassificationDatasetConfig,
    Fallback,
    MCQDataset,
    MCQDatasetConfig,
    OfflineProvider,
    OpenAIProvider,
    Spread,
)
from rowsmith.engine.checkup import Checkup, Finding, Verdict, check_output, check_room
from rowsmith.engine.estimate import Estimate, Part
from rowsmith.engine.options import Options
from rowsmith.testing import (
    BadJSON,
    BadRequest,
    BatchScript,
    Call,
    CutOff,
    QuotaUsedUp,
    Rate,
    RateLimited,
    ScriptedServer,
    ServerError,
    UnsupportedParameter,
    UnsupportedSchema,
)

Servers = Callable[..., ScriptedServer]
NAME = "openai/scripted"
_NOBODY = 65534
FREE: dict[str, Any] = {"input_cost_per_million": 0, "output_cost_per_million": 0}
CLASSES = [{"name": name, "description": f"texts that are {name}"} for name in ("positive", "negative")]


def dataset(folder: Path, **changes: Any) -> ClassificationDataset:
    settings = {"classes": CLASSES, "output_file": str(folder / "rows.jsonl"), "num_samples_per_prompt": 5}
    return ClassificationDataset(ClassificationDatasetConfig.model_validate({**settings, **changes}))


def at(server: ScriptedServer, model: str = "scripted", **arguments: Any) -> OpenAIProvider:
    return OpenAIProvider(model, **{"api_key": "any", "api_base": server.base_url, **FREE, **arguments})


def about(found: Checkup, subject: str) -> Finding:
    named = [finding for finding in found.findings if finding.subject == subject]
    assert len(named) == 1, found
    return named[0]


def verdicts(found: Checkup) -> Mapping[str, Verdict]:
    return {finding.subject: finding.verdict for finding in found.findings}


def test_all_that_was_looked_at_is_told_with_the_estimate(tmp_path: Path, scripted_server: Servers) -> None:
    server = scripted_server(rate=Rate(requests=50))
    model = at(server, rpm_limit=20, input_cost_per_million=1, output_cost_per_million=2)
    found = dataset(tmp_path).validate(model)
    assert found.ok
    assert not found.warnings
    assert list(verdicts(found)) == [
        "configuration",
        "openai/scripted",
        "price of openai/scripted",
        "output",
        "disk",
    ]
    assert about(found, "configuration").text == "classification: 10 rows from 2 cells"
    told = about(found, "openai/scripted").text
    assert told.startswith("answers by JSON Schema in ")
    assert "20 requests a minute, 50 requests" in told
    assert "$1.00 in, $2.00 out, for a million tokens; this check cost $0.0" in about(found, f"price of {NAME}").text
    assert found.estimate is not None
    assert (found.estimate.rows, found.estimate.calls) == (10, 2)
    assert str(found).count("\n") > 5


def test_one_tiny_call_is_made_for_each_model_and_nothing_is_written(tmp_path: Path, scripted_server: Servers) -> None:
    server = scripted_server()
    folder = tmp_path / "there"
    folder.mkdir()
    found = dataset(folder).validate([at(server, "a"), at(server, "b")])
    assert found.ok
    assert sorted(call.asked.model for call in server.calls) == ["a", "b"]
    assert all(len(str(call.body)) < 2000 for call in server.calls)
    assert list(folder.iterdir()) == []


def test_without_calls_nobody_is_asked(tmp_path: Path, scripted_server: Servers) -> None:
    server = scripted_server()
    found = dataset(tmp_path).validate(at(server, rpm_limit=7), calls=False)
    assert found.ok
    assert about(found, NAME).text == "not asked; limits: 7 requests a minute"
    assert about(found, f"price of {NAME}").text == "nothing is charged"
    assert server.count == 0


@pytest.mark.parametrize("asked_as", ["llms", "fallback", "spread", "role"])
def test_every_missing_key_is_told(tmp_path: Path, asked_as: str) -> None:
    specs: list[Any] = ["openai/gpt-5-mini", {"model": "anthropic/claude-haiku-5-5", "temperature": 0}, "offline"]
    llms: Any = specs
    if asked_as == "fallback":
        llms = {"fallback": specs}
    elif asked_as == "spread":
        llms = {"spread": [{"model": "openai/gpt-5-mini", "weight": 2}, *specs[1:]]}
    how: dict[str, Any] = {}
    if asked_as == "role":
        llms, how = "offline", {"roles": {"writer": {"fallback": specs}}}
    found = dataset(tmp_path).validate(llms, **how)
    keys = {finding.subject: finding.text for finding in found.errors}
    assert set(keys) == {"openai/gpt-5-mini", "anthropic/claude-haiku-5-5"}
    assert "OPENAI_API_KEY" in keys["openai/gpt-5-mini"]
    assert "ANTHROPIC_API_KEY" in keys["anthropic/claude-haiku-5-5"]
    assert verdicts(found)["offline"] is Verdict.OK, "those that can be asked are asked all the same"
    assert found.estimate is None


def test_a_wrapper_that_is_wrong_itself_is_told(tmp_path: Path) -> None:
    found = dataset(tmp_path).validate({"fallback": ["offline"]})
    assert [(one.subject, "at least two" in one.text) for one in found.errors] == [("llms", True)]


def test_models_that_do_not_go_together_are_told(tmp_path: Path) -> None:
    found = dataset(tmp_path).validate(["offline", OfflineProvider()])
    assert [one.subject for one in found.errors] == ["models"]
    assert "stands twice" in found.errors[0].text
    assert not dataset(tmp_path).validate([]).ok
    assert not dataset(tmp_path).validate("offline", roles={"juge": "offline"}).ok
    assert not dataset(tmp_path).validate("offline", max_cost=-1).ok


@pytest.mark.parametrize(
    ("options", "verdict", "words"),
    [
        ({"api_key": "right"}, Verdict.ERROR, "Incorrect API key provided (HTTP 401). Check the key in OPENAI_API_KEY"),
        ({"models": ["other"]}, Verdict.ERROR, "The model 'scripted' does not exist (HTTP 404)"),
        ({"faults": QuotaUsedUp()}, Verdict.ERROR, "You exceeded your current quota"),
        ({"faults": RateLimited(retry_after=9)}, Verdict.WARNING, "The run waits and asks again"),
        ({"faults": ServerError(503)}, Verdict.WARNING, "(HTTP 503). The run waits and asks again"),
        ({"faults": BadRequest("no such thing")}, Verdict.ERROR, "no such thing (HTTP 400)"),
        ({"faults": BadJSON()}, Verdict.WARNING, "answers, but not as it was asked to"),
        ({"faults": CutOff()}, Verdict.WARNING, "answers, but not as it was asked to (cut_off"),
        ({"faults": UnsupportedSchema()}, Verdict.OK, "answers by JSON mode (JSON Schema is refused)"),
        ({"faults": UnsupportedSchema(json_too=True)}, Verdict.OK, "by JSON by the prompt alone (JSON Schema is"),
    ],
)
def test_what_a_service_answers_is_weighed(
    tmp_path: Path, scripted_server: Servers, options: dict[str, Any], verdict: Verdict, words: str
) -> None:
    server = scripted_server(**options)
    found = dataset(tmp_path).validate(at(server))
    assert about(found, NAME).verdict is verdict
    assert words in about(found, NAME).text
    assert found.ok is (verdict is not Verdict.ERROR)


def test_nothing_is_asked_twice_where_it_only_would_be_busy(tmp_path: Path, scripted_server: Servers) -> None:
    server = scripted_server(faults=RateLimited(retry_after=60))
    dataset(tmp_path).validate(at(server))
    assert server.count == 1


def test_a_silent_server_is_a_timeout_and_a_closed_port_a_failed_connection(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        found = dataset(tmp_path).validate(OpenAIProvider("any", api_key="any", api_base=address, timeout=0.2, **FREE))
    assert "no answer" in about(found, "openai/any").text
    found = dataset(tmp_path).validate(OpenAIProvider("any", api_key="any", api_base=address, **FREE))
    assert "Check that the server runs" in about(found, "openai/any").text


def test_a_refused_parameter_is_named_and_the_model_is_asked_without_it(
    tmp_path: Path, scripted_server: Servers
) -> None:
    server = scripted_server(faults=UnsupportedParameter("temperature"))
    found = dataset(tmp_path).validate(at(server, temperature=0.5, top_p=0.5))
    first, second = (finding for finding in found.findings if finding.subject == NAME)
    assert (first.verdict, first.text) == (Verdict.WARNING, "refuses `temperature`: left out of its requests")
    assert second.verdict is Verdict.OK
    assert [sorted(call.body.keys() & {"temperature", "top_p"}) for call in server.calls] == [
        ["temperature", "top_p"],
        ["top_p"],
    ]
    found = dataset(tmp_path).validate(at(server, temperature=0.5, strict_params=True))
    assert about(found, NAME).verdict is Verdict.ERROR
    assert "This model refuses `temperature`" in about(found, NAME).text


# -- models that share work -------------------------------------------------------------------------------------------


@pytest.fixture
def two(scripted_server: Servers) -> tuple[OpenAIProvider, OpenAIProvider, OpenAIProvider]:
    """A model that answers, and two that do not exist."""
    server = scripted_server(models=["good"])
    return at(server, "good"), at(server, "gone"), at(server, "lost")


Three = tuple[OpenAIProvider, OpenAIProvider, OpenAIProvider]


def test_one_that_stands_in_takes_the_blame_off_the_first(tmp_path: Path, two: Three) -> None:
    good, gone, lost = two
    found = dataset(tmp_path).validate(Fallback([gone, good]))
    assert found.ok
    assert about(found, "openai/gone").verdict is Verdict.WARNING
    assert about(found, "openai/gone").text.endswith("openai/good stands in for it from the first call")
    found = dataset(tmp_path).validate(Fallback([good, gone]))
    assert found.ok
    assert about(found, "openai/gone").text.endswith("It could not stand in for openai/good")
    found = dataset(tmp_path).validate(Fallback([gone, lost]))
    assert [one.subject for one in found.errors] == ["openai/gone", "openai/lost"]


def test_a_spread_needs_every_one_of_its_models(tmp_path: Path, two: Three) -> None:
    good, gone, lost = two
    assert not dataset(tmp_path).validate(Spread([good, gone])).ok
    assert dataset(tmp_path).validate(Spread([good, Fallback([gone, "offline"])])).ok
    found = dataset(tmp_path).validate(Fallback([Spread([good, gone]), "offline"]))
    assert found.ok
    assert about(found, "openai/gone").text.endswith("offline stands in for it from the first call")
    assert not dataset(tmp_path).validate([Fallback([gone, good]), lost]).ok


def test_a_failing_model_that_has_a_role_of_its_own_is_an_error(tmp_path: Path, two: Three) -> None:
    good, gone, _ = two
    source = tmp_path / "documents.txt"
    source.write_text("A document about a river, and where it flows.\n")
    config = {"local_file_path": str(source), "output_file": str(tmp_path / "rows.jsonl"), "min_document_length": 1}
    found = MCQDataset(MCQDatasetConfig.model_validate(config)).validate(good, distractor_llm=gone)
    assert about(found, "openai/good (question)").verdict is Verdict.OK
    assert about(found, "openai/gone (distractor)").verdict is Verdict.ERROR


# -- prices, budgets, batches -----------------------------------------------------------------------------------------


def test_an_unknown_price_is_a_warning_and_with_max_cost_an_error(tmp_path: Path, scripted_server: Servers) -> None:
    model = OpenAIProvider("odd", api_key="any", api_base=scripted_server().base_url)
    found = dataset(tmp_path).validate(model)
    assert found.ok
    assert "input_cost_per_million" in about(found, "price of openai/odd").text
    assert about(found, "price of openai/odd").verdict is Verdict.WARNING
    found = dataset(tmp_path).validate(model, max_cost=1)
    assert [one.subject for one in found.errors] == ["max_cost"]
    assert "openai/odd" in about(found, "max_cost").text


def test_limits_of_what_may_be_spent_are_held_against_the_estimate(tmp_path: Path, scripted_server: Servers) -> None:
    model = at(scripted_server(), input_cost_per_million=1000, output_cost_per_million=1000)
    found = dataset(tmp_path).validate(model, max_cost=0.01, max_requests=1, max_tokens=10)
    assert found.ok
    assert {one.subject for one in found.warnings} == {"max_cost", "max_requests", "max_tokens"}
    assert "2 calls" in about(found, "max_requests").text
    assert "$0.01" in about(found, "max_cost").text
    found = dataset(tmp_path).validate(model, max_cost=1000, max_requests=2, max_tokens=10**6)
    assert not found.warnings


def test_batches_need_an_endpoint_for_each_model(tmp_path: Path, scripted_server: Servers) -> None:
    server = scripted_server()
    found = dataset(tmp_path).validate([at(server, "a", batch_endpoint=True), at(server, "b")], batch=True)
    assert about(found, "batches of openai/a").verdict is Verdict.OK
    assert about(found, "batches of openai/b").verdict is Verdict.ERROR
    assert found.estimate is not None
    assert "batches of openai/a" not in verdicts(dataset(tmp_path).validate(at(server, "a", batch_endpoint=True)))


def test_the_estimate_of_a_batch_run_is_at_batch_prices(tmp_path: Path, scripted_server: Servers) -> None:
    model = at(scripted_server(), batch_endpoint=True, input_cost_per_million=100, output_cost_per_million=100)
    costs = [
        found.estimate.cost
        for found in (dataset(tmp_path).validate(model, batch=batch) for batch in (False, True))
        if found.estimate is not None and found.estimate.cost is not None
    ]
    assert costs[1] == pytest.approx(costs[0] / 2)


# -- the output -------------------------------------------------------------------------------------------------------


def test_an_output_of_another_configuration_is_an_error_unless_it_is_to_be_deleted(tmp_path: Path) -> None:
    dataset(tmp_path).generate("offline")
    went_on = dataset(tmp_path, num_samples_per_prompt=6).validate("offline")
    assert went_on.ok
    assert "has a run already, with 10 rows, which will go on" in about(went_on, "output").text
    other = dataset(tmp_path, seed=4)
    found = other.validate("offline")
    assert [one.subject for one in found.errors] == ["output"]
    assert "seed: was 0, is 4" in found.errors[0].text
    found = other.validate("offline", fresh=True)
    assert found.ok
    assert "has 10 rows, which will be deleted" in about(found, "output").text
    assert len(dataset(tmp_path)) == 10


def test_a_file_that_is_not_of_a_run_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("mine\n")
    found = dataset(tmp_path).validate("offline")
    assert "not of a run of Rowsmith" in about(found, "output").text
    (tmp_path / "rows.jsonl").unlink()
    (tmp_path / "rows.jsonl").mkdir()
    assert not dataset(tmp_path).validate("offline").ok


def test_an_output_that_another_process_writes_is_an_error_and_is_not_disturbed(tmp_path: Path) -> None:
    held = "from rowsmith.engine.ledger.lock import RunLock; from pathlib import Path\n"
    held += f"with RunLock(Path({str(tmp_path / 'rows.run' / 'lock')!r})):\n print('held', flush=True); input()"
    (tmp_path / "rows.run").mkdir()
    with subprocess.Popen([sys.executable, "-c", held], stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        finding = check_output(tmp_path / "rows.jsonl")
        assert finding.verdict is Verdict.ERROR
        assert f"is being written by process {other.pid}" in finding.text
        other.communicate("\n")
    assert check_output(tmp_path / "rows.jsonl").verdict is Verdict.OK


@pytest.fixture
def not_root() -> Iterator[Path]:
    """A folder of a user who may not do everything, for as long as the test runs."""
    with tempfile.TemporaryDirectory() as folder:
        if os.geteuid() != 0:
            yield Path(folder)
            return
        os.chown(folder, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, 0)
        try:
            yield Path(folder)
        finally:
            os.setresuid(0, 0, 0)


@pytest.mark.skipif(os.name == "nt", reason="folders are not closed by their mode")
def test_a_folder_that_cannot_be_written_or_looked_into_is_an_error(not_root: Path) -> None:
    for mode, words in ((0o555, "closed cannot be written to"), (0o000, "Permission denied")):
        (not_root / "closed").mkdir(mode=mode)
        finding = check_output(not_root / "closed" / "deeper" / "rows.jsonl")
        assert finding.verdict is Verdict.ERROR
        assert words in finding.text
        (not_root / "closed").rmdir()


def test_a_parent_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert check_output(tmp_path / "file" / "rows.jsonl").verdict is Verdict.ERROR
    assert check_output(tmp_path / "file" / "deeper" / "rows.jsonl").verdict is Verdict.ERROR


def test_room_on_the_disk_is_held_against_what_is_set_aside_and_what_will_be_written(tmp_path: Path) -> None:
    rows, huge = tmp_path / "rows.jsonl", 1 << 60
    assert check_room(rows, Options(), 1).verdict is Verdict.OK
    large = Estimate(1, 1, (Part("m", "writer", 1, 1, huge, 0.0),), None, 1, 0)
    found = check_room(rows, Options(), 1, large)
    assert found.verdict is Verdict.WARNING
    assert "stops in good order" in found.text
    assert check_room(rows, Options(max_concurrency=huge), 1).verdict is Verdict.ERROR


def test_batches_of_an_earlier_start_are_told_of(tmp_path: Path, scripted_server: Servers) -> None:
    server = scripted_server(batches=BatchScript(after_polls=None))
    model = at(server, batch_endpoint=True)
    dataset(tmp_path).generate(model, batch=True, no_wait=True)
    found = dataset(tmp_path).validate(model)
    assert "1 batch of an earlier start are under way" in about(found, "output").text
    assert about(found, "output").verdict is Verdict.ERROR
    assert dataset(tmp_path).validate(model, batch=True).ok
    found = dataset(tmp_path).validate(model, fresh=True)
    assert about(found, "output").verdict is Verdict.WARNING


def test_a_listener_or_a_call_of_the_users_own_is_not_needed_to_look(tmp_path: Path) -> None:
    heard: list[object] = []
    assert dataset(tmp_path).validate("offline", listeners=[heard.append]).ok
    assert heard == []


async def test_it_works_inside_a_running_loop(tmp_path: Path, scripted_server: Servers) -> None:
    def slow(call: Call) -> float:
        return 0.01

    server = scripted_server(latency=slow)
    assert (await dataset(tmp_path).validate_async(at(server))).ok
    assert dataset(tmp_path).validate(at(server)).ok
