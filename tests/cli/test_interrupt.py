"""Ctrl-C and SIGTERM, sent for real: nothing that was made is lost, and the way on is told."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from rowsmith.testing import Hang, ScriptedServer

from .conftest import Cli, ended, never_the_same, until, with_server

Servers = Callable[..., ScriptedServer]
FORTY_CELLS = ["target_rows: 200", "max_concurrency: 2"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_waits_for_what_is_in_flight_and_resume_goes_on(
    cli: Cli, scripted_server: Servers, number: signal.Signals, code: int
) -> None:
    server = scripted_server(never_the_same, latency=lambda call: 0.6 if 2 <= call.number < 6 else 0.0)
    cli.write(with_server(server, more=FORTY_CELLS))
    cli.env["OPENAI_API_KEY"] = "any"
    process = cli.start("run", "job.yaml")
    until(lambda: server.count >= 3, "three calls")
    process.send_signal(number)
    returncode, out, err = ended(process)
    asked = server.count
    made = (cli.folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()

    assert returncode == code, err
    assert "Stopping: no new calls" in err
    assert "Go on with: rowsmith resume rows.jsonl" in err
    assert "Traceback" not in err
    assert server.answered == asked  # every call that was sent was waited for
    assert len(made) == asked * 5
    assert f"rows.jsonl: {len(made)} of 200 rows" in out

    state = cli("status", "rows.jsonl")
    assert "rows.jsonl: stopped" in state.stdout
    assert f"rows     {len(made)} of 200" in state.stdout
    assert "Go on with: rowsmith resume rows.jsonl" in state.stdout

    (cli.folder / "job.yaml").unlink()  # the run's folder knows all that is needed
    resumed = cli("resume", "rows.run")
    assert resumed.returncode == 0, resumed.stderr
    assert "rows.jsonl: 200 rows, complete" in resumed.stdout
    assert server.count == 40  # none was asked twice
    assert "rows.jsonl: complete" in cli("status", "rows.jsonl").stdout


def test_the_second_signal_stops_at_once(cli: Cli, scripted_server: Servers) -> None:
    server = scripted_server(never_the_same, faults=[None, Hang(), Hang()])
    cli.write(with_server(server, more=FORTY_CELLS))
    cli.env["OPENAI_API_KEY"] = "any"
    process = cli.start("run", "job.yaml")
    until(lambda: server.count >= 3, "three calls")
    assert process.stderr is not None
    process.send_signal(signal.SIGINT)
    while "Stopping: no new calls" not in (line := process.stderr.readline()):
        assert line, "it ended before it said that it stops"
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    returncode, _, err = ended(process)
    assert time.monotonic() - began < 10
    assert returncode == 130, err
    assert "Stopping at once." in err
    assert "Traceback" not in err
    assert "5 rows made so far, and kept." in err

    resumed = cli("resume", "rows.jsonl")
    assert resumed.returncode == 0, resumed.stderr
    assert server.count == 42  # the two that were given up are asked again


def test_after_a_kill_status_says_so_and_resume_goes_on(cli: Cli, scripted_server: Servers) -> None:
    server = scripted_server(never_the_same, latency=lambda call: 0.5 if 10 <= call.number < 14 else 0.0)
    cli.write(with_server(server, more=FORTY_CELLS))
    cli.env["OPENAI_API_KEY"] = "any"
    process = cli.start("run", "job.yaml")
    until(lambda: server.count >= 12, "twelve calls")
    process.kill()
    ended(process)
    state = cli("status", "rows.jsonl")
    assert "rows.jsonl: cut off: its process ended before the run did" in state.stdout
    resumed = cli("resume", "rows.jsonl")
    assert resumed.returncode == 0, resumed.stderr
    assert len((cli.folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()) == 200
