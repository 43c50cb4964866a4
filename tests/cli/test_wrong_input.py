"""What a person is told who asked for something that cannot be: each message names the slip and the way out."""

from __future__ import annotations

import pytest

from .conftest import CLASSIFICATION, Cli

OFFLINE = ("--llm", "offline")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "job.yaml is empty: begin with `dataset: classification`"),
        ("- a\n", "job.yaml:1:1: a run is described by a mapping"),
        ("classes: []\n", "job.yaml: `dataset:` is missing. It names the kind: classification, "),
        (
            "dataset: clasification\n",
            "job.yaml:1:10: there is no dataset 'clasification'. Did you mean 'classification'?",
        ),
        (CLASSIFICATION + "langages: {}\n", "job.yaml:8:1: there is no field 'langages'. Did you mean 'languages'?"),
        (CLASSIFICATION + "llm: offline\n", "job.yaml:8:1: there is no 'llm' in a file; write `llms`"),
        (CLASSIFICATION + "fresh: true\n", "job.yaml:8:1: there is no 'fresh' in a file; write --fresh"),
        (
            CLASSIFICATION + "expansion: {combinatoria: true}\n",
            "job.yaml:8:13: expansion has no field 'combinatoria'. Did you mean 'combinatorial'?",
        ),
        (CLASSIFICATION + "seed: 1\nseed: 2\n", "job.yaml:9:1: the key 'seed' stands twice; it stood in line 8"),
        (
            CLASSIFICATION + "prompts:\n  - Write {num_samples} texts: {label_name}\n",
            "job.yaml:9:5: prompts.0 must be text, but YAML reads a mapping here",
        ),
        (CLASSIFICATION + "prompts:\n  - {label_name} x\n", "job.yaml:9:18 is not YAML:"),
        (CLASSIFICATION.replace("languages", "\tlanguages"), "Indent with blanks: YAML takes no tabs."),
        (CLASSIFICATION + "seed: soon\n", "a valid integer"),
        (CLASSIFICATION + "spread: maybe\n", "spread must be true or false, or a list of weights, got 'maybe'"),
        (CLASSIFICATION + "max_concurrency: many\n", "max_concurrency must be a number of requests, got 'many'"),
        (CLASSIFICATION.replace("output_file: rows.jsonl\n", ""), "write `output_file: job.jsonl`, or --output"),
        (CLASSIFICATION.replace("name: negative", "name: positive"), "'positive' stands twice"),
    ],
)
def test_a_slip_in_the_file(cli: Cli, text: str, message: str) -> None:
    cli.write(text)
    done = cli("run", "job.yaml", *OFFLINE)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert [path.name for path in cli.folder.iterdir()] == ["job.yaml"]


def test_a_syntax_error_shows_the_line_and_points_at_the_place(cli: Cli) -> None:
    cli.write(CLASSIFICATION + "system_prompt: Note: be brief\n")
    done = cli("run", "job.yaml", *OFFLINE)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert lines[0] == "error: job.yaml:8:20 is not YAML: mapping values are not allowed here"
    assert lines[1] == "    system_prompt: Note: be brief"
    assert lines[2] == " " * 23 + "^"
    assert "needs quotes" in lines[3]


def test_a_line_that_may_hold_a_key_is_not_shown(cli: Cli) -> None:
    cli.write(CLASSIFICATION + 'llms: [{model: openai/x, api_key: "sk-secret}]\n')
    done = cli("run", "job.yaml")
    assert done.returncode == 2
    assert "is not YAML" in done.stderr
    assert "sk-secret" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "seed"], "--set 'seed': write key=value"),
        (["--set", "seeed=1"], "--set seeed: there is no field 'seeed'. Did you mean 'seed'?"),
        (["--set", "classes.2.name=x"], "--set classes.2.name: '2' is no place in a list of 2"),
        (["--set", "seed=1", "--set", "seed.more=1"], "--set seed.more: seed is a value and has nothing inside"),
        (["--set", "gates.blocklist=[a"], "--set gates.blocklist"),
        (["--llm", "openia/gpt-5"], "Did you mean 'openai'?"),
        (["--llm", "{model: offline, latenc: 1}"], "Did you mean 'latency'?"),
        (["--max-concurrency", "0"], "--max-concurrency"),
        (["--log-level", "LOUD"], "no such log level: 'LOUD'"),
        (["--log-file", "job.yaml/log"], "log_file cannot be written"),
        (["--lllm", "offline"], "--lllm"),
    ],
)
def test_a_slip_on_the_command_line(cli: Cli, arguments: list[str], message: str) -> None:
    cli.write(CLASSIFICATION)
    done = cli("run", "job.yaml", *(() if "--llm" in arguments else OFFLINE), *arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_not_there_is_met_with_one_that_is(cli: Cli) -> None:
    cli.write(CLASSIFICATION, "sentiment.yaml")
    done = cli("run", "sentimnt.yaml", *OFFLINE)
    assert done.returncode == 2
    assert "there is no file 'sentimnt.yaml'. Did you mean 'sentiment.yaml'?" in done.stderr


def test_a_command_that_is_not_there_is_a_misuse(cli: Cli) -> None:
    assert cli("rnu").returncode == 2
    assert cli("run").returncode == 2


def test_without_a_model_it_says_what_to_write_and_uses_none(cli: Cli) -> None:
    cli.write(CLASSIFICATION)
    done = cli("run", "job.yaml")
    assert done.returncode == 2
    assert "  llms: [openai/gpt-5-mini]" in done.stderr
    assert "  rowsmith run job.yaml --llm openai/gpt-5-mini" in done.stderr
    assert "  offline  (no model" in done.stderr
    assert "OPENAI_API_KEY" not in done.stderr
    assert [path.name for path in cli.folder.iterdir()] == ["job.yaml"]


def test_without_a_model_what_is_at_hand_is_offered(cli: Cli) -> None:
    cli.write(CLASSIFICATION)
    done = cli("run", "job.yaml", OPENAI_API_KEY="sk-secret")
    assert done.returncode == 2
    assert "  openai/gpt-5-mini  (OPENAI_API_KEY is set)" in done.stderr
    assert "sk-secret" not in done.stderr


def test_rows_of_somebody_else_are_not_overwritten(cli: Cli) -> None:
    cli.write(CLASSIFICATION)
    (cli.folder / "rows.jsonl").write_text('{"mine": 1}\n', encoding="utf-8")
    done = cli("run", "job.yaml", *OFFLINE)
    assert done.returncode == 1
    assert "Choose another output" in done.stderr
    assert (cli.folder / "rows.jsonl").read_text(encoding="utf-8") == '{"mine": 1}\n'
