"""Embeddings by the command: in YAML, in checks and estimates, gone on with, and with keys that nobody sees."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rowsmith.testing import FewerVectors, ScriptedServer

from .conftest import CLASSIFICATION, Cli
from .test_check import marks

pytest.importorskip("numpy")

Servers = Callable[..., ScriptedServer]
KEY = "in-the-embeddings-7Hq2-Zt90"


def job(server: ScriptedServer, more: str = "", embeddings: str = "openai/text-embedding-3-small") -> str:
    address = f'api_base: "{server.base_url}"'
    prices = "input_cost_per_million: 1, output_cost_per_million: 0"
    return (
        f"{CLASSIFICATION}llms: [{{model: openai/any, {address}, {prices}}}]\n"
        f"gates:\n  near_duplicates: 0.97\n  embeddings: {{model: {embeddings}, {address}, {prices}{more}}}\n"
    )


def test_a_check_asks_for_one_vector_and_counts_the_calls(cli: Cli, scripted_server: Servers) -> None:
    server = scripted_server()
    cli.write(job(server))
    done = cli("check", "job.yaml", OPENAI_API_KEY="any")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "openai/text-embedding-3-small (embedding)" in done.stdout
    assert ("ok", "price of openai/text-embedding-3-small") in marks(done.stdout)
    assert "gives vectors of 256 numbers" in done.stdout
    assert "calls    about 8" in done.stdout
    assert sorted(call.path for call in server.calls) == ["/v1/chat/completions", "/v1/embeddings"]


def test_a_check_says_what_is_wrong_with_the_vectors(cli: Cli, scripted_server: Servers) -> None:
    server = scripted_server(faults=lambda call: FewerVectors() if call.asked.embedding else None)
    cli.write(job(server))
    done = cli("check", "job.yaml", OPENAI_API_KEY="any")
    assert "0 vectors came for 1 texts" in " ".join(done.stdout.split())


def test_a_check_without_a_key_says_so_of_the_embeddings_alone(cli: Cli, scripted_server: Servers) -> None:
    server = scripted_server()
    cli.write(
        job(server)
        .replace("embeddings: {model: openai/", "embeddings: {model: gemini/")
        .replace(f'text-embedding-3-small, api_base: "{server.base_url}"', 'x, api_base: "https://example.com"')
    )
    done = cli("check", "job.yaml", OPENAI_API_KEY="any", GEMINI_API_KEY="", GOOGLE_API_KEY="")
    assert done.returncode != 0
    assert ("error", "embeddings") in marks(done.stdout)
    assert "GEMINI_API_KEY" in done.stdout
    assert ("ok", "openai/any") in marks(done.stdout)


def test_an_estimate_has_the_embeddings_in_it(cli: Cli, scripted_server: Servers) -> None:
    server = scripted_server()
    cli.write(job(server))
    done = cli("estimate", "job.yaml", OPENAI_API_KEY="any")
    assert done.returncode == 0, done.stderr
    assert "embedding" in done.stdout
    assert server.count == 0


def test_a_run_is_carried_out_and_its_spend_is_shown(cli: Cli, scripted_server: Servers) -> None:
    server = scripted_server()
    cli.write(job(server))
    done = cli("run", "job.yaml", OPENAI_API_KEY="any")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = (cli.folder / "rows.jsonl").read_text().splitlines()
    assert len(rows) == 20
    status = cli("status", "rows.jsonl")
    assert "text-embedding-3-small" in status.stdout
    assert server.answered_again == 0
    again = cli("run", "job.yaml", OPENAI_API_KEY="any")
    assert again.returncode == 0
    assert server.answered_again == 0


def test_a_key_among_the_gates_is_stored_and_shown_nowhere(cli: Cli, scripted_server: Servers) -> None:
    server = scripted_server()
    cli.write(job(server, f", api_key: {KEY}"))
    done = cli("run", "job.yaml", OPENAI_API_KEY="any")
    assert done.returncode == 0, done.stdout + done.stderr
    said = [done.stdout, done.stderr]
    for command in (("status", "rows.jsonl"), ("resume", "rows.jsonl"), ("check", "job.yaml")):
        told = cli(*command, OPENAI_API_KEY="any")
        said += [told.stdout, told.stderr]
    assert not any(KEY in text for text in said)
    for path in cli.folder.rglob("*"):
        assert path.name == "job.yaml" or not path.is_file() or KEY.encode() not in path.read_bytes()
    assert any(call.headers["authorization"] == f"Bearer {KEY}" for call in server.calls if call.asked.embedding)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("embeddings: opnai/x", "Did you mean 'openai'"),
        ("embeddings: anthropic/claude-sonnet-4-5", "no endpoint for embeddings"),
        ("embedings: offline", "Did you mean 'embeddings'"),
    ],
)
def test_a_wrong_name_is_told_with_the_right_one(cli: Cli, line: str, told: str) -> None:
    cli.write(f"{CLASSIFICATION}llms: offline\ngates:\n  near_duplicates: 0.9\n  {line}\n")
    done = cli("run", "job.yaml")
    assert done.returncode != 0
    assert told in " ".join(done.stderr.split())


def test_topics_from_yaml(cli: Cli) -> None:
    Path(cli.folder / "topics.yaml").write_text(
        "topic_prompt: Tea\ndegree: 2\ndepth: 2\nllm: offline\noutput_file: topics.jsonl\n"
        "near_duplicates: 0.95\nembeddings: offline\n"
    )
    done = cli("topics", "build", "topics.yaml")
    assert done.returncode == 0, done.stderr
    assert len((cli.folder / "topics.jsonl").read_text().splitlines()) == 6
    assert json.loads((cli.folder / "topics.jsonl").read_text().splitlines()[0])["topic"]
