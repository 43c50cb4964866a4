"""Batch runs on the command line: submit, leave, look, come back, give up."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from rowsmith.testing import BatchScript, Call, ScriptedServer
from rowsmith.testing.answers import default_answer

from .conftest import CLASSIFICATION, Cli, ended, until


def by_the_body(call: Call) -> str:
    """An answer that no other question gets, singly or in a batch."""
    return default_answer(call, question=call.key.encode())


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(by_the_body, batches=BatchScript(after_polls=None)) as running:
        yield running


def job(server: ScriptedServer, *more: str) -> str:
    """Four cells, by a model that has a batch endpoint."""
    llm = f'  - {{model: openai/scripted, api_base: "{server.base_url}", batch_endpoint: true}}'
    return "\n".join([CLASSIFICATION + "llms:", llm, *more, ""])


def test_a_run_in_batches_from_its_beginning_to_its_end(cli: Cli, server: ScriptedServer) -> None:
    server.batches.script = BatchScript()
    cli.write(job(server))
    done = cli("run", "job.yaml", "--batch")
    assert done.returncode == 0, done.stderr
    assert "20 rows, complete" in done.stdout
    assert (server.count, server.batches.items) == (0, 4)


def test_submit_leave_look_and_come_back(cli: Cli, server: ScriptedServer) -> None:
    cli.write(job(server))
    left = cli("run", "job.yaml", "--batch", "--no-wait")
    assert left.returncode == 4, left.stderr
    assert "1 batch with 4 requests goes on at the service; come back later." in left.stderr
    assert "Go on with: rowsmith resume rows.jsonl" in left.stderr

    seen = cli("status", "rows.jsonl").stdout
    assert "1 batch under way, as the service said last:" in seen
    assert "batch_000000" in seen
    assert "Go on with: rowsmith resume rows.jsonl" in seen

    early = cli("resume", "rows.jsonl", "--no-wait")
    assert (early.returncode, server.batches.submissions) == (4, 1)

    server.batches.end()
    back = cli("resume", "rows.jsonl")  # it knows that it is a batch run
    assert back.returncode == 0, back.stderr
    assert "20 rows, complete" in back.stdout
    assert (server.count, server.batches.items, server.batches.answered) == (0, 4, 4)
    assert "under way" not in cli("status", "rows.jsonl").stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_and_the_batch_goes_on(cli: Cli, server: ScriptedServer, number: signal.Signals) -> None:
    cli.write(job(server, "batch: true"))
    running = cli.start("run", "job.yaml")
    until(lambda: server.batches.operations["status"], "the batch is waited for")
    running.send_signal(number)
    code, _, told = ended(running)
    assert code == 128 + number
    assert "what was handed in goes on at the service" in told
    assert "1 batch with 4 requests goes on at the service; come back later." in told
    assert "Go on with: rowsmith resume rows.jsonl" in told
    server.batches.end()
    assert cli("resume", "rows.jsonl").returncode == 0
    assert server.batches.submissions == 1


def test_an_interrupted_submission_is_not_made_twice(cli: Cli, server: ScriptedServer) -> None:
    cli.write(job(server, "batch: true"))
    running = cli.start("run", "job.yaml")
    until(lambda: server.batches.operations["upload"], "the file is uploaded")
    running.send_signal(signal.SIGINT)
    ended(running)
    server.batches.script = BatchScript()
    assert cli("resume", "rows.jsonl").returncode == 0
    assert (server.batches.submissions, server.batches.items) == (1, 4)


def test_cancel_keeps_what_was_answered(cli: Cli, server: ScriptedServer) -> None:
    cli.write(job(server))
    cli("run", "job.yaml", "--batch", "--no-wait")
    cancelled = cli("cancel", "rows.jsonl")
    assert cancelled.returncode == 0, cancelled.stderr
    assert (server.batches.operations["cancel"], server.batches.answered) == (1, 2)
    assert "batch" not in cli("status", "rows.jsonl").stdout.split("Go on with")[0]
    assert "no batch of this run is under way" in cli("cancel", "rows.jsonl").stdout
    assert cli("run", "job.yaml").returncode == 0  # singly
    assert server.count == 2


def test_a_batch_that_was_being_handed_in_can_be_cancelled(cli: Cli, server: ScriptedServer) -> None:
    cli.write(job(server))
    running = cli.start("run", "job.yaml", "--batch")
    until(lambda: server.batches.operations["status"], "the batch is waited for")
    running.kill()
    ended(running)
    with closing(sqlite3.connect(cli.folder / "rows.run/ledger.sqlite")) as ledger, ledger:
        ledger.execute("UPDATE batches SET stage = 0, id = NULL")  # as if it had not heard of it yet
    assert cli("cancel", "rows.jsonl").returncode == 0
    assert (server.batches.operations["cancel"], server.batches.answered) == (1, 2)


def test_a_single_run_over_batches_that_are_under_way_is_refused(cli: Cli, server: ScriptedServer) -> None:
    cli.write(job(server))
    cli("run", "job.yaml", "--batch", "--no-wait")
    refused = cli("run", "job.yaml")
    assert refused.returncode == 1
    assert "1 batch with 4 requests of this run are under way" in refused.stderr
    assert "rowsmith cancel" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--batch", "--llm", "offline"), "offline at offline cannot be asked in batches"),
        (("--set", "batch=perhaps"), "batch must be true or false, got 'perhaps'"),
    ],
)
def test_a_slip(cli: Cli, server: ScriptedServer, arguments: tuple[str, ...], message: str) -> None:
    cli.write(job(server))
    done = cli("run", "job.yaml", *arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert server.batches.operations.total() == 0
