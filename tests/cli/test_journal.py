"""The log of a run, as `--log-file` and `--log-level` ask for it."""

from __future__ import annotations

from collections.abc import Callable

from rowsmith.testing import ScriptedServer, ServerError

from .conftest import CLASSIFICATION, Cli, never_the_same, with_server

Servers = Callable[..., ScriptedServer]


def test_a_log_file_tells_the_run_and_the_terminal_does_not(cli: Cli, scripted_server: Servers) -> None:
    server = scripted_server(
        lambda call: "no" if 'class "positive"' in call.prompt else never_the_same(call),
        faults=[None, ServerError(503)],
    )
    cli.write(with_server(server, more=["max_rounds: 0"]))
    done = cli("run", "job.yaml", "--log-file", "logs/run.log", OPENAI_API_KEY="any")
    assert done.returncode == 3
    log = (cli.folder / "logs" / "run.log").read_text(encoding="utf-8")
    assert "rows.jsonl: 20 rows, 0 of 4 cells settled, by openai/scripted" in log
    assert "trying again in " in log
    assert "HTTP 503" in log
    assert log.count(": short, 0 rows") == 2
    assert "short: 10 of 20 rows, 4 calls" in log
    assert "5 lacking for label=positive, language=fr, model=openai/scripted: invalid (1)" in log
    assert "answered" not in log
    assert " INFO " not in done.stderr
    assert "HTTP 503" not in done.stderr


def test_the_level_debug_tells_every_call_and_every_refusal(cli: Cli) -> None:
    cli.write(CLASSIFICATION + "gates: {blocklist: [the]}\n")
    done = cli("run", "job.yaml", "--llm", "offline", "--log-level", "DEBUG")
    assert "offline as writer answered in 0.0 s" in done.stderr
    assert "rejected by blocklist: text contains " in done.stderr
    assert ": done, 5 rows" in done.stderr


def test_without_either_nothing_is_logged(cli: Cli) -> None:
    cli.write(CLASSIFICATION)
    done = cli("run", "job.yaml", "--llm", "offline", "--quiet")
    assert done.stderr == ""
    assert sorted(path.name for path in cli.folder.iterdir()) == ["job.yaml", "rows.jsonl", "rows.run"]
