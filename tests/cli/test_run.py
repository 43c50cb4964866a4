"""`rowsmith run`, as a person or a script calls it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from rowsmith.testing import BadJSON, ScriptedServer, ServerError

from .conftest import CLASSIFICATION, Cli, never_the_same, with_server

Servers = Callable[..., ScriptedServer]


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_file_with_a_model_makes_exactly_the_rows_asked_for(cli: Cli, scripted_server: Servers) -> None:
    server = scripted_server(never_the_same)
    cli.write(with_server(server))
    done = cli("run", "job.yaml", OPENAI_API_KEY="any")
    assert done.returncode == 0, done.stderr
    made = rows(cli.folder / "rows.jsonl")
    assert Counter((row["label"], row["language"]) for row in made) == {
        (label, language): 5 for label in ("positive", "negative") for language in ("en", "fr")
    }
    assert "rows.jsonl: 20 rows, complete" in done.stdout
    assert "calls    4" in done.stdout
    assert server.count == 4


def test_running_it_again_makes_no_call_and_says_so(cli: Cli) -> None:
    cli.write(CLASSIFICATION)
    first = cli("run", "job.yaml", "--llm", "offline")
    before = (cli.folder / "rows.jsonl").read_bytes()
    again = cli("run", "job.yaml", "--llm", "offline")
    assert (first.returncode, again.returncode) == (0, 0)
    assert "calls    4" in first.stdout
    assert "none: there was nothing left to do" in again.stdout
    assert (cli.folder / "rows.jsonl").read_bytes() == before


def test_options_win_over_the_file(cli: Cli) -> None:
    cli.write(CLASSIFICATION + "llms: [nobody/nothing]\n")
    done = cli(
        *("run", "job.yaml", "--llm", "offline", "--output", "made/other.jsonl"),
        *("--set", "num_samples_per_prompt=2", "--set", "languages.no=Norwegian", "--set", "classes.0.name=007"),
    )
    assert done.returncode == 0, done.stderr
    made = rows(cli.folder / "made" / "other.jsonl")
    assert Counter((row["label"], row["language"]) for row in made) == {
        (label, language): 2 for label in ("007", "negative") for language in ("en", "fr", "no")
    }
    assert not (cli.folder / "rows.jsonl").exists()


def test_with_spread_the_prompts_are_dealt_out_among_the_models(cli: Cli) -> None:
    cli.write(CLASSIFICATION)
    models = ("--llm", "offline", "--llm", "{model: offline, model_id: offline-b}")
    both = cli("run", "job.yaml", *models, "-o", "both.jsonl")
    dealt = cli("run", "job.yaml", *models, "-o", "dealt.jsonl", "--spread")
    assert (both.returncode, dealt.returncode) == (0, 0), both.stderr + dealt.stderr
    assert Counter(row["model_id"] for row in rows(cli.folder / "both.jsonl")) == {"offline": 20, "offline-b": 20}
    assert Counter(row["model_id"] for row in rows(cli.folder / "dealt.jsonl")) == {"offline": 10, "offline-b": 10}


def test_paths_in_the_file_start_at_the_file_and_paths_given_start_here(cli: Cli) -> None:
    folder = cli.folder / "jobs"
    folder.mkdir()
    (folder / "documents.txt").write_text("A text that is long enough to ask about. " * 4 + "\n", encoding="utf-8")
    cli.write("dataset: mcq\noutput_file: q.jsonl\nlocal_file_path: documents.txt\n", "jobs/job.yaml")
    elsewhere = cli("run", "jobs/job.yaml", "--llm", "offline")
    assert elsewhere.returncode == 0, elsewhere.stderr
    assert len(rows(folder / "q.jsonl")) == 3
    same = cli("run", "job.yaml", "--llm", "offline", cwd=folder)
    assert "none: there was nothing left to do" in same.stdout, same.stderr
    given = cli("run", "jobs/job.yaml", "--llm", "offline", "-o", "here.jsonl")
    assert given.returncode == 0
    assert len(rows(cli.folder / "here.jsonl")) == 3


def test_fresh_starts_anew_where_a_changed_file_is_refused(cli: Cli) -> None:
    cli.write(CLASSIFICATION)
    cli("run", "job.yaml", "--llm", "offline")
    refused = cli("run", "job.yaml", "--llm", "offline", "--set", "system_prompt=Be brief.")
    assert refused.returncode == 1
    assert "system_prompt" in refused.stderr
    assert "--fresh" in refused.stderr
    fresh = cli("run", "job.yaml", "--llm", "offline", "--set", "system_prompt=Be brief.", "--fresh")
    assert (fresh.returncode, len(rows(cli.folder / "rows.jsonl"))) == (0, 20)


def test_quiet_prints_nothing_where_nothing_is_wrong(cli: Cli) -> None:
    cli.write(CLASSIFICATION)
    done = cli("run", "job.yaml", "--llm", "offline", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_rows_that_cannot_be_made_are_told_by_group_and_by_the_exit_code(cli: Cli, scripted_server: Servers) -> None:
    server = scripted_server(faults=lambda call: BadJSON() if 'class "positive"' in call.prompt else None)
    cli.write(with_server(server, more=["max_rounds: 0"]))
    done = cli("run", "job.yaml", OPENAI_API_KEY="any")
    quiet = cli("run", "job.yaml", "--quiet", OPENAI_API_KEY="any")
    assert done.returncode == quiet.returncode == 3, done.stderr
    assert "could not be made" in done.stderr
    assert "rows lack" in done.stdout
    assert "rows lack" in quiet.stderr


def test_rows_that_lack_are_asked_for_again_with_more_rounds(cli: Cli, scripted_server: Servers) -> None:
    server = scripted_server(never_the_same, faults=[BadJSON()])
    cli.write(with_server(server, more=["max_rounds: 0"]))
    first = cli("run", "job.yaml", OPENAI_API_KEY="any")
    assert first.returncode == 3
    assert "5 of 20 rows could not be made." in first.stderr
    assert "with a higher max_rounds" in first.stderr
    assert cli("run", "job.yaml", OPENAI_API_KEY="any").returncode == 3
    assert server.count == 4
    again = cli("run", "job.yaml", "--set", "max_rounds=1", OPENAI_API_KEY="any")
    assert again.returncode == 0, again.stderr
    assert server.count == 5
    assert len(rows(cli.folder / "rows.jsonl")) == 20


def test_a_limit_stops_the_run_in_good_order_and_a_higher_one_goes_on(cli: Cli, scripted_server: Servers) -> None:
    server = scripted_server(never_the_same)
    cli.write(with_server(server))
    stopped = cli("run", "job.yaml", "--max-requests", "3", OPENAI_API_KEY="any")
    assert stopped.returncode == 3, stopped.stderr
    assert "Stopped: " in stopped.stderr
    assert "max_requests" in stopped.stderr
    assert server.count == 3
    further = cli("resume", "rows.jsonl", "--max-requests", "9", OPENAI_API_KEY="any")
    assert further.returncode == 0, further.stderr
    assert server.count == 4


def test_a_wrong_key_stops_at_once_with_one_message(cli: Cli, scripted_server: Servers) -> None:
    server = scripted_server(api_key="right")
    cli.write(with_server(server))
    done = cli("run", "job.yaml", OPENAI_API_KEY="sk-very-wrong")
    assert done.returncode == 1
    assert "error: openai/scripted: " in done.stderr
    assert "HTTP 401" in done.stderr
    assert "Traceback" not in done.stderr
    assert "sk-very-wrong" not in done.stdout + done.stderr
    assert "rowsmith resume rows.jsonl" in done.stderr
    assert "rows.jsonl: 0 of 20 rows" in done.stdout
    assert server.count < 4
    with_traceback = cli("run", "job.yaml", "--debug", OPENAI_API_KEY="sk-very-wrong")
    assert "Traceback" in with_traceback.stderr
    assert "sk-very-wrong" not in with_traceback.stderr


def test_the_summary_tells_retries_and_tokens_and_models(cli: Cli, scripted_server: Servers) -> None:
    server = scripted_server(never_the_same, faults=[None, ServerError(503)])
    cli.write(with_server(server, "one", "two"))
    done = cli("run", "job.yaml", OPENAI_API_KEY="any")
    assert done.returncode == 0, done.stderr
    assert "calls    8, 1 retry" in done.stdout
    assert " in, " in done.stdout
    assert "openai/one  writer      4" in done.stdout
    assert "no price is known for openai/one, openai/two" in done.stdout


def test_a_key_in_the_file_is_used_and_stored_nowhere(cli: Cli, scripted_server: Servers) -> None:
    server = scripted_server(never_the_same, api_key="sk-in-the-file")
    text = with_server(server).replace("model: openai/scripted", "model: openai/scripted, api_key: sk-in-the-file")
    cli.write(text)
    done = cli("run", "job.yaml", "--log-file", "run.log", "--log-level", "DEBUG")
    assert done.returncode == 0, done.stderr
    assert "sk-in-the-file" not in done.stdout + done.stderr
    files = [path for path in cli.folder.rglob("*") if path.is_file() and path.name != "job.yaml"]
    assert cli.folder / "rows.run" / "ledger.sqlite" in files
    assert not [path for path in files if b"sk-in-the-file" in path.read_bytes()]
    resumed = cli("resume", "rows.jsonl")
    assert resumed.returncode == 2
    assert "llms.0.api_key stood in" in resumed.stderr
    assert "keys are never stored" in resumed.stderr


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_output_to_a_pipe_has_no_colours(cli: Cli, stream: str) -> None:
    cli.write(CLASSIFICATION)
    assert "\x1b" not in getattr(cli("run", "job.yaml", "--llm", "offline"), stream)
    assert "\x1b" not in getattr(cli("run", "job.yaml"), stream)
