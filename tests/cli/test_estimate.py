"""`rowsmith estimate` and `rowsmith sample`, as a person calls them."""

from __future__ import annotations

from collections.abc import Callable

from rowsmith.testing import ScriptedServer

from .conftest import CLASSIFICATION, Cli, never_the_same, with_server

Servers = Callable[..., ScriptedServer]


def priced(server: ScriptedServer) -> str:
    """The classification with a model that has a price."""
    model = f'model: openai/any, api_base: "{server.base_url}", input_cost_per_million: 1, output_cost_per_million: 2'
    return f"{CLASSIFICATION}llms: [{{{model}}}]\n"


def test_an_estimate_names_rows_calls_tokens_cost_and_time_and_asks_nobody(cli: Cli, scripted_server: Servers) -> None:
    server = scripted_server()
    cli.write(priced(server))
    done = cli("estimate", "job.yaml", "--set", "rpm_limit=1", "--set", "num_samples_per_prompt=2")
    assert done.returncode == 2, "limits belong to the model"
    done = cli("estimate", "job.yaml", "--set", "llms.0.rpm_limit=2", "--set", "num_samples_per_prompt=2")
    assert done.returncode == 0, done.stderr
    assert "rows     8, from 4 cells of the plan" in done.stdout
    assert "calls    about 4" in done.stdout
    assert "cost     about $0.00" in done.stdout
    assert "time     2:00 or more" in done.stdout
    assert "no model was asked" in done.stderr
    assert server.count == 0
    assert sorted(path.name for path in cli.folder.iterdir()) == ["job.yaml"]


def test_an_unknown_price_says_how_to_give_it(cli: Cli, scripted_server: Servers) -> None:
    cli.write(with_server(scripted_server()))
    done = cli("estimate", "job.yaml")
    assert "cost     unknown: no price is known for openai/scripted" in done.stdout
    assert "input_cost_per_million" in done.stdout


def test_several_models_and_roles_are_told_apart(cli: Cli, scripted_server: Servers) -> None:
    cli.write(with_server(scripted_server(), "one", "two"))
    done = cli("estimate", "job.yaml")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["openai/one", "writer", "4"] in [line[:3] for line in lines]
    assert ["openai/two", "writer", "4"] in [line[:3] for line in lines]


def test_a_paid_sample_and_a_shown_sample_are_used_by_the_run(cli: Cli, scripted_server: Servers) -> None:
    server = scripted_server(never_the_same)
    cli.write(priced(server))
    measured = cli("estimate", "job.yaml", "--sample", "2")
    assert measured.returncode == 0, measured.stderr
    assert "the answers to 2 of them" in measured.stderr
    assert server.count == 2

    shown = cli("sample", "job.yaml", "-n", "3")
    assert shown.returncode == 0, shown.stderr
    assert "3 rows, 1 new call, $0.0" in shown.stderr
    assert "Nothing was written to rows.jsonl" in shown.stderr
    assert shown.stdout.count("writer: user") == 3
    assert "of the class" in shown.stdout
    assert (cli.folder / "rows.jsonl").read_bytes() == b""
    assert server.count == 3

    assert cli("run", "job.yaml").returncode == 0
    assert (server.count, server.answered_again) == (4, 0)
    assert len((cli.folder / "rows.jsonl").read_text().splitlines()) == 20


def test_a_sample_that_lacks_rows_says_why_and_ends_with_3(cli: Cli, scripted_server: Servers) -> None:
    server = scripted_server()
    cli.write(priced(server))
    done = cli("sample", "job.yaml", "-n", "20", "--max-requests", "2")
    assert done.returncode == 3
    assert "10 rows lack: max_requests is reached: 2 of 2 requests are sent" in done.stderr
    assert server.count == 2


def test_a_budget_without_a_price_is_an_error_before_anything_is_paid(cli: Cli, scripted_server: Servers) -> None:
    server = scripted_server()
    cli.write(with_server(server))
    done = cli("run", "job.yaml", "--max-cost", "1")
    assert done.returncode == 2
    assert "no price is known for openai/scripted" in done.stderr
    assert server.count == 0


def test_no_model_is_asked_for_by_name_here_too(cli: Cli) -> None:
    cli.write(CLASSIFICATION)
    for command in ("estimate", "sample"):
        done = cli(command, "job.yaml")
        assert done.returncode == 2
        assert "no model is named" in done.stderr
