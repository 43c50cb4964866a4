"""Models that share work, roles, and traces, as the command takes them."""

from __future__ import annotations

from collections import Counter

from .conftest import CLASSIFICATION, Cli

# What `opentelemetry-instrument` does before the command: it sets up who takes the traces.
SET_UP = """\
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
provider = TracerProvider()
file = open("spans", "a")
line = lambda span: f"{span.name} {dict(span.attributes).get('gen_ai.request.model', '')}\\n"
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=file, formatter=line)))
trace.set_tracer_provider(provider)
"""


def test_several_models_are_dealt_to_by_weights(cli: Cli) -> None:
    (cli.folder / "job.yaml").write_text(CLASSIFICATION)
    models = ("--llm", "offline/offline-a", "--llm", "offline/offline-b")
    done = cli("run", "job.yaml", *models, "--set", "spread=[3, 1]")
    assert done.returncode == 0, done.stderr
    assert by_model(cli) == {"offline-a": 15, "offline-b": 5}
    again = cli("resume", "rows.jsonl")
    assert again.returncode == 0, again.stderr
    wrong = cli("run", "job.yaml", *models, "--set", "spread=[3, 1, 2]")
    assert wrong.returncode == 2
    assert "one weight for each of the 2 models" in wrong.stderr


def test_a_wrapper_is_written_as_a_mapping(cli: Cli) -> None:
    (cli.folder / "job.yaml").write_text(
        CLASSIFICATION
        + "llms:\n  - fallback:\n      - spread: [{model: offline/offline-a, weight: 3}, offline/offline-b]\n"
        "      - offline/offline-c\n"
    )
    done = cli("run", "job.yaml")
    assert done.returncode == 0, done.stderr
    assert by_model(cli) == {"offline-a": 15, "offline-b": 5}
    other = cli("run", "job.yaml", "-o", "other.jsonl", "--llm", "{fallback: [offline/offline-x, offline/offline-y]}")
    assert other.returncode == 0, other.stderr
    wrong = cli("run", "job.yaml", "-o", "third.jsonl", "--llm", "{fallback: [offline, offlin]}")
    assert wrong.returncode == 2
    assert "Did you mean 'offline'?" in wrong.stderr


def test_a_model_on_the_command_line_takes_all_roles(cli: Cli) -> None:
    (cli.folder / "job.yaml").write_text(CLASSIFICATION + "roles: {writer: openai/gpt-5-mini}\n")
    done = cli("run", "job.yaml", "--llm", "offline")
    assert done.returncode == 0, done.stderr
    assert by_model(cli) == {"offline": 20}
    wrong = cli("run", "job.yaml", "--set", "roles.wrter=offline", "--set", "roles.writer=offline")
    assert wrong.returncode == 2
    assert "has no role 'wrter'. Did you mean 'writer'?" in wrong.stderr


def test_a_run_is_traced_where_something_takes_the_traces(cli: Cli) -> None:
    (cli.folder / "job.yaml").write_text(CLASSIFICATION + "llms: [offline]\n")
    nobody = cli("run", "job.yaml", "--trace")
    assert nobody.returncode == 2
    assert "nothing takes the traces" in nobody.stderr
    assert not (cli.folder / "rows.jsonl").exists()

    (cli.folder / "sitecustomize.py").write_text(SET_UP)
    done = cli("run", "job.yaml", "--trace", PYTHONPATH=str(cli.folder))
    assert done.returncode == 0, done.stderr
    spans = Counter((cli.folder / "spans").read_text().splitlines())
    assert spans == {"chat offline offline": 4, "rowsmith.cell ": 4, "rowsmith.run ": 1}

    (cli.folder / "job.yaml").write_text(CLASSIFICATION + "llms: [offline]\ntrace: perhaps\n")
    wrong = cli("run", "job.yaml")
    assert wrong.returncode == 2
    assert "trace must be true or false, got 'perhaps'" in wrong.stderr


def by_model(cli: Cli) -> dict[str, int]:
    from rowsmith.data.rows import Rows

    return dict(Counter(row["model_id"] for row in Rows(cli.folder / "rows.jsonl")))
