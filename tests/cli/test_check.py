"""`rowsmith check`, as a person calls it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from rowsmith.testing import RateLimited, ScriptedServer, UnsupportedParameter

from .conftest import CLASSIFICATION, COMMAND, SECONDS, Cli

Servers = Callable[..., ScriptedServer]


def model(server: ScriptedServer, more: str = "") -> str:
    prices = "input_cost_per_million: 1, output_cost_per_million: 2"
    return f'{CLASSIFICATION}llms: [{{model: openai/any, api_base: "{server.base_url}", {prices}{more}}}]\n'


def marks(out: str) -> list[tuple[str, str]]:
    """(mark, subject) of each finding."""
    found = []
    for line in out.split("\n\n")[0].splitlines():
        mark, _, rest = line.partition(" ")
        found.append((mark, rest.strip().split("  ")[0]))
    return found


def test_one_screen_says_that_all_is_in_order(cli: Cli, scripted_server: Servers) -> None:
    server = scripted_server()
    cli.write(model(server))
    done = cli("check", "job.yaml", OPENAI_API_KEY="any")
    assert done.returncode == 0, done.stdout + done.stderr
    assert marks(done.stdout) == [
        ("ok", "configuration"),
        ("ok", "openai/any"),
        ("ok", "price of openai/any"),
        ("ok", "output"),
        ("ok", "disk"),
    ]
    assert "20 rows from 4 cells" in done.stdout
    assert "calls    about 4" in done.stdout
    assert done.stdout.endswith("All is in order.\n")
    assert len(done.stdout.splitlines()) < 24
    assert len({line.index("  ") for line in done.stdout.splitlines()[:1]}) == 1
    columns = {
        line.index(text) for line, text in zip(done.stdout.splitlines(), ("class", "answers", "$1"), strict=False)
    }
    assert len(columns) == 1, "what was found stands in one column"
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert server.count == 1
    assert sorted(path.name for path in cli.folder.iterdir()) == ["job.yaml"]


def test_an_error_ends_with_1_and_a_warning_with_0(cli: Cli, scripted_server: Servers) -> None:
    cli.write(model(scripted_server(api_key="right")))
    done = cli("check", "job.yaml", OPENAI_API_KEY="wrong")
    assert done.returncode == 1
    assert ("error", "openai/any") in marks(done.stdout)
    assert done.stdout.endswith("1 error, 0 warnings: the run would fail.\n")

    cli.write(model(scripted_server(faults=RateLimited(retry_after=60))))
    done = cli("check", "job.yaml", OPENAI_API_KEY="any")
    assert done.returncode == 0
    assert ("warning", "openai/any") in marks(done.stdout)
    assert done.stdout.endswith("1 warning: the run can begin.\n")


def test_all_missing_keys_are_shown_at_once(cli: Cli) -> None:
    cli.write(CLASSIFICATION + "llms: [openai/gpt-5-mini, anthropic/claude-haiku-5-5, {fallback: [xai/a, groq/b]}]\n")
    done = cli("check", "job.yaml")
    assert done.returncode == 1
    for variable in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "XAI_API_KEY", "GROQ_API_KEY"):
        assert f"set {variable}" in done.stdout


def test_no_calls_asks_nobody(cli: Cli, scripted_server: Servers) -> None:
    server = scripted_server(api_key="right")
    cli.write(model(server))
    done = cli("check", "job.yaml", "--no-calls", OPENAI_API_KEY="wrong")
    assert done.returncode == 0
    assert "not asked" in done.stdout
    assert server.count == 0


def test_options_of_the_run_are_looked_at_too(cli: Cli, scripted_server: Servers) -> None:
    server = scripted_server(faults=UnsupportedParameter("temperature"))
    cli.write(model(server, ", temperature: 0.5, max_concurrency: 3"))
    done = cli("check", "job.yaml", "--batch", "--max-cost", "0.00001", "--max-requests", "3", OPENAI_API_KEY="any")
    assert done.returncode == 1
    found = marks(done.stdout)
    assert ("error", "batches of openai/any") in found
    assert ("warning", "max_cost") in found
    assert ("warning", "max_requests") in found
    assert "refuses `temperature`: left out of its requests" in done.stdout
    assert "3 at once" in done.stdout


def test_an_output_of_another_configuration_is_told_on_lines_of_their_own(cli: Cli) -> None:
    cli.write(CLASSIFICATION + "llms: [offline]\n")
    assert cli("run", "job.yaml").returncode == 0
    done = cli("check", "job.yaml", "--set", "seed=4")
    assert done.returncode == 1
    assert ("error", "output") in marks(done.stdout)
    assert "seed: was 0, is 4" in done.stdout
    assert cli("check", "job.yaml", "--set", "seed=4", "--fresh").returncode == 0
    assert cli("check", "job.yaml").returncode == 0
    assert len((cli.folder / "rows.jsonl").read_text().splitlines()) == 20


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dataset: [", "job.yaml"),
        (CLASSIFICATION + "llms: [offline]\ncolour: red\n", "there is no field 'colour'"),
        (CLASSIFICATION.replace("num_samples_per_prompt: 5", "num_samples_per_prompt: five"), "num_samples_per_prompt"),
        (CLASSIFICATION, "no model is named"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_of_its_own(cli: Cli, text: str, words: str) -> None:
    cli.write(text)
    done = cli("check", "job.yaml")
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_a_terminal_gets_colours_and_lines_that_fit(cli: Cli, scripted_server: Servers) -> None:
    cli.write(CLASSIFICATION + "llms: [openai/gpt-5-mini, offline]\n")
    out = on_terminal([*COMMAND, "check", "job.yaml"], cli.folder, {**cli.env, "COLUMNS": "80"})
    assert "\x1b[31merror\x1b[0m" in out
    assert "\x1b[32mok\x1b[0m" in out
    plain = out.replace("\x1b[31m", "").replace("\x1b[32m", "").replace("\x1b[0m", "")
    assert max(len(line) for line in plain.split("\n\n")[0].splitlines()) <= 80


def on_terminal(command: list[str], folder: Path, env: dict[str, str]) -> str:
    """What a command prints where its stdout is a terminal."""
    own, its = os.openpty()
    process = subprocess.Popen(command, cwd=folder, env=env, stdout=its, stdin=-3, stderr=-3)
    os.close(its)
    printed = b""
    with suppress(OSError):  # Linux ends a terminal whose other side is closed with an error
        while chunk := os.read(own, 65536):
            printed += chunk
    os.close(own)
    assert process.wait(SECONDS) == 1
    return printed.decode().replace("\r\n", "\n")
