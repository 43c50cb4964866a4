"""One service stands in for another over real HTTP: one that dies, a wrong key, a used-up quota, and a kill."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rowsmith import Fallback, OpenAIProvider, Spread
from rowsmith.testing import (
    BadRequest,
    BatchScript,
    Call,
    QuotaUsedUp,
    ScriptedServer,
    ServerError,
    UnknownModel,
    WrongKey,
)
from rowsmith.testing.faults import Fault

from .batches import hurried, model
from .child import SETTINGS, Job, Journal, Kill, Nursery, armed
from .harness import QUICK, dataset, ledger, lines, must_be_exact

ROWS = 200


def over_http(server: ScriptedServer | str, name: str, **settings: Any) -> OpenAIProvider:
    address = server if isinstance(server, str) else server.base_url
    return OpenAIProvider(name, **{"api_key": f"key-of-{name}", "api_base": address, **settings})


def from_the(number: int, fault: Fault) -> Any:
    """A fault that begins with a certain call and stays."""

    def fault_for(call: Call) -> Fault | None:
        return fault if call.number >= number else None

    return fault_for


def must_tell_who_answered(folder: Path) -> None:
    """Each row bears the name of the model that the ledger has its first call from."""
    answered = {key.hex()[:16]: model for key, model in ledger(folder, "SELECT key, model FROM calls")}
    for row in lines(folder):
        assert answered[row["metadata"]["calls"][0].removeprefix("sha256:")] == f"openai/{row['model_id']}"


@pytest.mark.parametrize("fault", [WrongKey(), QuotaUsedUp(), UnknownModel(), ServerError()], ids=repr)
@pytest.mark.parametrize("first", [0, 12], ids=["from the start", "in the middle"])
def test_a_service_that_dies_is_replaced(first: int, fault: Fault, tmp_path: Path) -> None:
    with ScriptedServer(faults=from_the(first, fault)) as a, ScriptedServer() as b:
        models = Fallback([over_http(a, "model-a"), over_http(b, "model-b")])
        made = dataset(tmp_path, **SETTINGS).generate(models, options=QUICK, max_concurrency=4)
        must_be_exact(tmp_path, ROWS)
        must_tell_who_answered(tmp_path)
        assert made.report is not None
        assert made.report.complete
        by = Counter(row["model_id"] for row in lines(tmp_path))
        assert by.keys() == ({"model-a", "model-b"} if first else {"model-b"})
        assert a.answered == first
        # One that says no to all calls is not asked again; one that fails is, with all retries, by five calls.
        most = (5 + 8) * (1 + QUICK.policy.max_retries) if isinstance(fault, ServerError) else 4
        assert a.count <= first + most


def test_a_second_key_of_the_same_account_stands_in(tmp_path: Path) -> None:
    with ScriptedServer(api_key="right") as server:
        models = [over_http(server, "model", api_key=key) for key in ("wrong", "right")]
        dataset(tmp_path, **SETTINGS).generate(Fallback(models), options=QUICK)
        must_be_exact(tmp_path, ROWS)
        assert server.count == server.answered + 1


def share(job: Job) -> None:
    """A child's work: a run over two services, killed at some instant."""
    journal = Journal(job.folder)
    journal.add("start")
    a, b, c = (over_http(address, name) for name, address in job.options["addresses"].items())
    models = Spread([Fallback([a, b]), c], weights=[3, 1])
    listener = armed(job.kill, journal)
    dataset(job.folder, **SETTINGS).generate(models, options=QUICK, max_concurrency=2, listeners=[listener])


@pytest.mark.parametrize("number", [5, 17, 30])
def test_a_kill_loses_nothing_of_what_each_has_answered(number: int, tmp_path: Path, nursery: Nursery) -> None:
    with (
        ScriptedServer(faults=from_the(10, WrongKey()), latency=0.05) as a,
        ScriptedServer(latency=0.05) as b,
        ScriptedServer(latency=0.05) as c,
    ):
        options = {"addresses": {"model-a": a.base_url, "model-b": b.base_url, "model-c": c.base_url}}
        assert nursery.finish(Job(tmp_path, Kill("CallMade", number), options=options, work=share)) == -9
        assert nursery.finish(Job(tmp_path, options=options, work=share)) == 0
        must_be_exact(tmp_path, ROWS)
        must_tell_who_answered(tmp_path)
        # What was in flight at the kill, or in the commit window, may be bought again; nothing else.
        assert a.answered_again + b.answered_again + c.answered_again <= 18
        assert ledger(tmp_path, "SELECT count(*) - count(DISTINCT key) FROM calls") == [(0,)]
        cells = Counter(
            model == "openai/model-c" for (model,) in ledger(tmp_path, "SELECT model FROM calls WHERE ordinal = '0'")
        )
        assert cells == {False: 30, True: 10}


def test_in_batches_one_model_stands_in_for_another_and_prompts_are_dealt(tmp_path: Path) -> None:
    too_long = BatchScript(items=lambda _: BadRequest(message="too long"))
    with (
        ScriptedServer(batches=too_long) as a,
        ScriptedServer(batches=BatchScript()) as b,
        ScriptedServer(batches=BatchScript()) as c,
    ):
        servers = enumerate((a, b, c))
        first, second, third = (model(server.base_url, model_id=f"model-{number}") for number, server in servers)
        spread = Spread([Fallback([first, second]), third], weights=[3, 1])
        made = dataset(tmp_path, **SETTINGS).generate(spread, options=hurried(), batch=True)
        assert made.report is not None
        assert made.report.complete, made.report
        must_be_exact(tmp_path, ROWS)
        must_tell_who_answered(tmp_path)
        assert Counter(row["model_id"] for row in lines(tmp_path)) == {"model-1": 150, "model-2": 50}
        assert (a.batches.answered, b.batches.answered, c.batches.answered) == (0, 30, 10)
