"""`rowsmith topics` as a person uses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rowsmith.testing import ScriptedServer
from rowsmith.testing.answers import default_answer

from .conftest import Cli

YAML = "topic_prompt: Bee keeping\ndegree: 3\ndepth: 2\nllm: offline\noutput_file: out/topics.jsonl\n"


@pytest.fixture
def described(cli: Cli) -> Cli:
    (cli.folder / "topics.yaml").write_text(YAML)
    return cli


def test_build_show_prune_and_export(described: Cli) -> None:
    done = described("topics", "build", "topics.yaml")
    assert done.returncode == 0, done.stderr
    assert "12 rows, complete" in done.stdout
    shown = described("topics", "show", "out/topics.jsonl")
    assert shown.stdout.startswith("Bee keeping\n├── ")
    assert len(shown.stdout.splitlines()) == 13
    for name in ("cut.jsonl", "g.json", "t.md", "t.svg", "t.mmd", "t.txt"):
        done = described("topics", "export", "out/topics.jsonl", "-o", name)
        assert done.returncode == 0, done.stderr
        assert (described.folder / name).stat().st_size
    done = described("topics", "prune", "g.json", "-o", "small.md", "--depth", "1", "--degree", "2")
    assert (described.folder / "small.md").read_text().count("\n- ") == 2
    assert "3 topics" in done.stderr


def test_a_graph_is_built_and_the_same_command_and_resume_go_on(described: Cli) -> None:
    (described.folder / "topics.yaml").write_text(f"kind: graph\n{YAML}")
    stopped = described("topics", "build", "topics.yaml", "--max-requests", "2")
    assert stopped.returncode == 3
    assert "rowsmith resume out/topics.jsonl" in stopped.stderr
    gone_on = described("resume", "out/topics.jsonl", "--max-requests", "1000")
    assert gone_on.returncode == 0, gone_on.stderr
    again = described("topics", "build", "topics.yaml")
    assert "nothing left to do" in again.stdout
    assert (described.folder / "out" / "topics.links.jsonl").read_text().count("\n") == 12
    assert "links" in described("topics", "show", "out/topics.jsonl").stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("degree: 3\nllm: offline\noutput_file: a.jsonl\n", "topic_prompt"),
        (YAML.replace("degree", "degre"), "Did you mean 'degree'"),
        (YAML.replace("llm: offline\n", ""), "no model is named"),
        (YAML.replace("output_file: out/topics.jsonl\n", ""), "where the topics go"),
        ("- a\n", "a mapping"),
    ],
)
def test_what_is_wrong_is_said(described: Cli, text: str, words: str) -> None:
    (described.folder / "topics.yaml").write_text(text)
    done = described("topics", "build", "topics.yaml")
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_dead_model_is_an_error_and_no_topic(described: Cli) -> None:
    with ScriptedServer(default_answer, api_key="right") as server:
        llm = f"{{model: openai_compatible/x, api_key: sk-mistyped, api_base: '{server.base_url}'}}"
        (described.folder / "topics.yaml").write_text(YAML.replace("llm: offline", f"llm: {llm}"))
        done = described("topics", "build", "topics.yaml")
    assert done.returncode == 1
    assert "error:" in done.stderr
    assert "sk-mistyped" not in done.stderr
    assert Path(described.folder / "out" / "topics.jsonl").read_text() == ""


def test_help_names_the_commands(cli: Cli) -> None:
    done = cli("topics", "--help")
    assert all(name in done.stdout for name in ("build", "show", "prune", "export"))
