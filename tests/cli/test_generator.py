"""`dataset: generator` as a person uses it: topics first, then rows; stopped, killed, gone on with in either phase."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rowsmith import Tree
from rowsmith.cli.state import look
from rowsmith.engine.ledger import RunPaths
from rowsmith.testing import BadRequest, Hang, ScriptedServer
from rowsmith.testing.calls import Call

from .conftest import Cli, ended, until

Servers = Callable[..., ScriptedServer]

YAML = """\
dataset: generator
output_file: plants.jsonl
llms: [{{model: openai/writer, api_base: "{url}"}}]
topics:
  topic_prompt: Keeping houseplants alive
  degree: 3
  depth: 2
instructions: Create detailed explanations with practical examples.
generation_system_prompt: You are a gardener.
num_steps: 18
batch_size: 3
sampling_strategy: balanced
"""
TOPICS, CALLS_FOR_TOPICS, CALLS_FOR_ROWS = 12, 4, 6


def about_topics(call: Call) -> bool:
    """Whether a call asks for topics."""
    return "A field is being divided into topics" in call.prompt


def rows(cli: Cli, name: str = "plants.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (cli.folder / name).read_bytes().splitlines()]


@pytest.fixture
def described(cli: Cli, scripted_server: Servers) -> Callable[..., ScriptedServer]:
    """Starts a server and writes the file that names it: takes lines to add, and what `ScriptedServer` takes."""

    def start(more: str = "", change: tuple[str, str] = ("", ""), **options: Any) -> ScriptedServer:
        server = scripted_server(**options)
        cli.env["OPENAI_API_KEY"] = "any"
        cli.write(YAML.format(url=server.base_url).replace(*change) + more, "plants.yaml")
        return server

    return start


def test_topics_are_built_first_then_rows_are_made_and_both_are_told_of(
    cli: Cli, described: Callable[..., ScriptedServer]
) -> None:
    server = described()
    done = cli("run", "plants.yaml")
    assert done.returncode == 0, done.stderr
    assert "plants.topics.jsonl: 12 rows, complete" in done.stdout
    assert "plants.jsonl: 18 rows, complete" in done.stdout
    assert f"in all\n  calls    {CALLS_FOR_TOPICS + CALLS_FOR_ROWS}\n" in done.stdout
    assert [about_topics(call) for call in server.calls] == [True] * CALLS_FOR_TOPICS + [False] * CALLS_FOR_ROWS
    tree = Tree.load(cli.folder / "plants.topics.jsonl")
    made = Counter(tuple(row["topic_path"]) for row in rows(cli))
    assert made == dict.fromkeys((topic.path for topic in tree), 2)
    again = cli("run", "plants.yaml")
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("nothing left to do") == 2
    assert server.count == CALLS_FOR_TOPICS + CALLS_FOR_ROWS
    state = cli("status", "plants.jsonl").stdout
    assert "plants.topics.jsonl: complete\n  rows     12 of 12" in state
    assert "plants.jsonl: complete\n  rows     18 of 18" in state


def test_topics_and_rows_have_models_of_their_own_unless_one_is_given_for_all(
    cli: Cli, described: Callable[..., ScriptedServer]
) -> None:
    server = described()
    own = f"{{model: openai/thinker, api_base: '{server.base_url}'}}"
    assert cli("run", "plants.yaml", "--set", f"topics.llm={own}", "--set", "topics.temperature=null").returncode == 0
    asked = Counter((call.body["model"], about_topics(call)) for call in server.calls)
    assert asked == {("thinker", True): CALLS_FOR_TOPICS, ("writer", False): CALLS_FOR_ROWS}
    one = cli("run", "plants.yaml", "--set", f"topics.llm={own}", "--llm", "offline", "-o", "other.jsonl")
    assert one.returncode == 0, one.stderr
    assert server.count == CALLS_FOR_TOPICS + CALLS_FOR_ROWS
    assert {row["model_id"] for row in rows(cli, "other.topics.jsonl")} == {"offline"}


def test_temperatures_reach_the_calls_that_they_are_for(cli: Cli, described: Callable[..., ScriptedServer]) -> None:
    server = described("temperature: 0.3\n", change=("  degree: 3", "  temperature: 0.9\n  degree: 3"))
    assert cli("run", "plants.yaml").returncode == 0
    assert {(about_topics(call), call.body["temperature"]) for call in server.calls} == {(True, 0.9), (False, 0.3)}


# -- stops and kills ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plants.jsonl", "plants.topics.jsonl"])
def test_killed_in_either_phase_it_goes_on_and_nothing_is_asked_twice(
    cli: Cli, described: Callable[..., ScriptedServer], name: str
) -> None:
    """Each start is killed while its last call hangs: all others are committed long before."""
    described()
    assert cli("run", "plants.yaml", "-o", "whole.jsonl", "--set", "topics.output_file=whole.t.jsonl").returncode == 0
    hang = [Hang() if number in (2, 4, 7, 9) else None for number in range(10)]
    server = described(faults=hang, more="max_concurrency: 1\n")
    for number, before in enumerate((3, 5, 8, 10)):
        process = cli.start(*(("run", "plants.yaml") if number % 2 == 0 else ("resume", name)))
        until(partial(reached, server, before), f"{before} calls")
        until(partial(committed, cli, before - 1 - number), "the answers before it")
        process.kill()
        ended(process)
        state = cli("status", "plants.jsonl").stdout
        phase = ("plants.topics.jsonl: cut off", "rows     0 of 18") if before <= 5 else ("rows     12 of 12",)
        assert all(words in state for words in ("plants.jsonl: cut off", *phase)), state
        assert "Go on with: rowsmith resume plants.jsonl" in state
    done = cli("resume", name)
    assert done.returncode == 0, done.stderr
    assert server.answered == CALLS_FOR_TOPICS + CALLS_FOR_ROWS
    assert server.answered_again == 0
    for made, whole in (("plants.topics.jsonl", "whole.t.jsonl"), ("plants.jsonl", "whole.jsonl")):
        assert [without_origin(row) for row in rows(cli, made)] == [without_origin(row) for row in rows(cli, whole)]


def without_origin(row: dict[str, Any]) -> dict[str, Any]:
    """A row without the names of its cell and calls, which depend on the address of the server; nor its id."""
    return {name: value for name, value in row.items() if name not in ("id", "metadata")}


def reached(server: ScriptedServer, calls: int) -> bool:
    """Whether so many calls have come."""
    return server.count >= calls


def committed(cli: Cli, calls: int) -> bool:
    """Whether the answers of so many calls are in the ledgers of both phases."""
    files = ("plants.topics.jsonl", "plants.jsonl")[: 1 + (calls > CALLS_FOR_TOPICS)]
    found = [look(RunPaths.of(cli.folder / name)) for name in files]
    return sum(part.calls for state in found for part in state.spend.values()) >= calls


@pytest.mark.parametrize(
    ("calls", "phase", "number", "code"), [(2, "topics", signal.SIGINT, 130), (6, "rows", signal.SIGTERM, 143)]
)
def test_a_signal_in_either_phase_ends_it_in_good_order(
    cli: Cli, described: Callable[..., ScriptedServer], calls: int, phase: str, number: int, code: int
) -> None:
    server = described(more="max_concurrency: 1\n", latency=lambda call: 0.4 if call.number == calls - 1 else 0.0)
    process = cli.start("run", "plants.yaml")
    until(lambda: server.count >= calls, f"{calls} calls")
    process.send_signal(number)
    returncode, out, err = ended(process)
    assert returncode == code, err
    assert server.count == server.answered == calls  # what was in flight was waited for
    assert "Stopping: no new calls" in err
    assert "Traceback" not in err
    assert "Go on with: rowsmith resume plants.jsonl" in err
    assert "6 of 12 in plants.topics.jsonl" in err if phase == "topics" else "12 of 12 in plants.topics.jsonl" in err
    assert "plants.topics.jsonl: " in out
    assert "plants.jsonl: 0 of 18 rows" in out or phase == "rows"
    assert "plants.jsonl: stopped" in cli("status", "plants.jsonl").stdout
    (cli.folder / "plants.yaml").unlink()  # the run's folder knows all that is needed
    done = cli("resume", "plants.jsonl")
    assert done.returncode == 0, done.stderr
    assert "plants.jsonl: 18 rows, complete" in done.stdout
    assert server.count == CALLS_FOR_TOPICS + CALLS_FOR_ROWS


def test_a_wrong_key_makes_no_topic_and_says_how_to_go_on(cli: Cli, described: Callable[..., ScriptedServer]) -> None:
    server = described(api_key="right")
    done = cli("run", "plants.yaml", OPENAI_API_KEY="sk-mistyped")
    assert done.returncode == 1
    assert "error:" in done.stderr
    assert "sk-mistyped" not in done.stderr
    assert "Go on with: rowsmith resume plants.jsonl" in done.stderr
    assert server.answered == 0
    done = cli("resume", "plants.jsonl", OPENAI_API_KEY="right")
    assert done.returncode == 0, done.stderr
    assert server.answered == CALLS_FOR_TOPICS + CALLS_FOR_ROWS


# -- topics that lack --------------------------------------------------------------------------------------------------


def below_the_second(call: Call) -> BadRequest | None:
    """The calls that ask for what is below one topic of the first level fail."""
    number = call.prompt.partition("Topics beside it")[2].partition("\n\nWrite")[0].count("\n- ")
    divides = about_topics(call) and "The topic to divide now" in call.prompt
    return BadRequest() if divides and number and call.number == 2 else None


def test_if_topics_lack_no_row_is_made_unless_it_is_wanted(cli: Cli, described: Callable[..., ScriptedServer]) -> None:
    server = described(more="max_concurrency: 1\n", faults=below_the_second)
    done = cli("run", "plants.yaml")
    assert done.returncode == 3
    assert "plants.topics.jsonl: 9 of 12 rows" in done.stdout
    assert "3 of topic Keeping houseplants alive → " in done.stdout
    assert "3 of 12 topics lack" in done.stderr
    assert "topics.incomplete=go_on" in done.stderr
    assert "plants.jsonl: 0 of 18 rows" in done.stdout
    assert not rows(cli)
    assert server.count == CALLS_FOR_TOPICS  # one of them failed
    smaller = cli("run", "plants.yaml", "--set", "topics.incomplete=go_on", "-o", "smaller.jsonl")
    assert smaller.returncode == 0, smaller.stderr  # the fault was that of the third call alone
    mended = cli("resume", "plants.jsonl")
    assert mended.returncode == 0, mended.stderr
    assert "plants.topics.jsonl: 12 rows, complete" in mended.stdout
    assert (
        Counter(row["topic"] for row in rows(cli)).values() == Counter(dict.fromkeys(range(9), 2)).values()
        or len({row["topic"] for row in rows(cli)}) == 9
    )


def test_rows_about_fewer_topics_stay_about_these(cli: Cli, described: Callable[..., ScriptedServer]) -> None:
    described(more="max_concurrency: 1\n", faults=below_the_second)
    part = cli("run", "plants.yaml", "--set", "topics.incomplete=go_on", "--max-requests", "7")
    assert part.returncode == 3, part.stderr
    assert "max_requests is reached" in part.stderr
    kept = rows(cli)
    assert kept
    done = cli("resume", "plants.jsonl", "--max-requests", "1000")
    assert done.returncode == 0, done.stderr
    made = rows(cli)
    assert len(made) == 18
    assert {row["id"] for row in kept} <= {row["id"] for row in made}
    assert len({row["topic"] for row in made}) == 6
    assert len(Tree.load(cli.folder / "plants.topics.jsonl")) == 6


# -- limits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("most", "topics", "made"), [(3, "9 of 12 rows", 0), (CALLS_FOR_TOPICS, "12 rows", 0), (7, "12 rows", 6)]
)
def test_limits_are_those_of_topics_and_rows_together(
    cli: Cli, described: Callable[..., ScriptedServer], most: int, topics: str, made: int
) -> None:
    server = described(more=f"max_concurrency: 1\nmax_requests: {most}\n")
    done = cli("run", "plants.yaml")
    assert done.returncode == 3
    assert server.count == most
    assert f"plants.topics.jsonl: {topics}" in done.stdout
    assert len(rows(cli)) == made
    assert "max_requests is reached" in done.stderr
    assert cli("resume", "plants.jsonl").returncode == 3
    assert server.count == most
    assert cli("resume", "plants.jsonl", "--max-requests", "10").returncode == 0
    assert server.count == CALLS_FOR_TOPICS + CALLS_FOR_ROWS


def test_topics_may_have_a_limit_within_that_of_all(cli: Cli, described: Callable[..., ScriptedServer]) -> None:
    server = described(more="max_concurrency: 1\nmax_requests: 100\n")
    done = cli("run", "plants.yaml", "--set", "topics.max_requests=2")
    assert done.returncode == 3
    assert server.count == 2
    assert "plants.topics.jsonl: 6 of 12 rows" in done.stdout
    assert cli("run", "plants.yaml").returncode == 0


def test_a_cost_that_cannot_be_reckoned_is_said_before_anything_is_asked(
    cli: Cli, described: Callable[..., ScriptedServer]
) -> None:
    server = described("max_cost: 1\n")
    done = cli("run", "plants.yaml")
    assert done.returncode == 2
    assert "max_cost" in done.stderr
    assert server.count == 0
    assert not (cli.folder / "plants.run").exists()
    assert not (cli.folder / "plants.topics.run").exists()


# -- other settings on the same output ---------------------------------------------------------------------------------


def test_topics_grow_as_long_as_no_row_is_made(cli: Cli, described: Callable[..., ScriptedServer]) -> None:
    server = described()
    assert cli("run", "plants.yaml", "--max-requests", "3").returncode == 3
    assert cli("run", "plants.yaml", "--max-requests", "4", "--set", "topics.degree=4").returncode == 3
    done = cli("run", "plants.yaml", "--set", "topics.degree=4")
    assert done.returncode == 0, done.stderr
    assert "plants.topics.jsonl: 20 rows, complete" in done.stdout
    assert server.answered_again == 0


def test_fresh_starts_topics_and_rows_anew(cli: Cli, described: Callable[..., ScriptedServer]) -> None:
    server = described()
    assert cli("run", "plants.yaml").returncode == 0
    done = cli("run", "plants.yaml", "--fresh", "--set", "topics.degree=2", "--set", "num_steps=8")
    assert done.returncode == 0, done.stderr
    assert "plants.topics.jsonl: 6 rows, complete" in done.stdout
    assert len(rows(cli)) == 8
    assert sum(about_topics(call) for call in server.calls) == CALLS_FOR_TOPICS + 3


def test_rows_whose_topics_are_gone_are_not_gone_on_with(cli: Cli, described: Callable[..., ScriptedServer]) -> None:
    described(more="max_concurrency: 1\n")
    cli("run", "plants.yaml", "--max-requests", "7")
    (cli.folder / "plants.topics.jsonl").unlink()
    (cli.folder / "plants.topics.run").rename(cli.folder / "elsewhere")
    done = cli("run", "plants.yaml")
    assert done.returncode == 1
    assert "has rows about the topics in plants.topics.jsonl" in done.stderr
    assert len(rows(cli)) == 6


# -- before a run ------------------------------------------------------------------------------------------------------


def test_estimate_and_check_tell_of_both_and_ask_nobody(cli: Cli, described: Callable[..., ScriptedServer]) -> None:
    server = described()
    told = cli("estimate", "plants.yaml")
    assert told.returncode == 0, told.stderr
    assert "first    12 topics are built, 9 of them without subtopics, by about 4 calls" in told.stdout
    assert "rows     18, from " in told.stdout
    assert "calls    about 10" in told.stdout
    assert "openai/writer  topics      4" in told.stdout
    checked = cli("check", "plants.yaml", "--no-calls")
    assert checked.returncode == 0, checked.stdout
    assert "12 topics will be built first, into plants.topics.jsonl, by openai/writer" in checked.stdout
    assert server.count == 0
    assert [path.name for path in cli.folder.iterdir()] == ["plants.yaml"]
    assert cli("run", "plants.yaml").returncode == 0
    assert "calls    about 6" in cli("estimate", "plants.yaml").stdout
    assert "all 12 are in plants.topics.jsonl" in cli("check", "plants.yaml", "--no-calls").stdout


def test_check_asks_the_model_of_the_topics_too(cli: Cli, described: Callable[..., ScriptedServer]) -> None:
    server = described(models=["writer"])
    own = f"{{model: openai/nobody, api_base: '{server.base_url}'}}"
    checked = cli("check", "plants.yaml", "--set", f"topics.llm={own}", "--set", "batch_size=60")
    assert checked.returncode == 1
    assert "openai/nobody (topics)" in checked.stdout
    assert "batch_size is 60" in checked.stdout


def test_a_sample_builds_the_topics_and_the_run_uses_all_of_it(
    cli: Cli, described: Callable[..., ScriptedServer]
) -> None:
    server = described()
    done = cli("sample", "plants.yaml", "-n", "2")
    assert done.returncode == 0, done.stderr
    assert "Made first: 12 rows of plants.topics.jsonl, 4 calls." in done.stderr
    assert not rows(cli)
    assert cli("run", "plants.yaml").returncode == 0
    assert server.count == CALLS_FOR_TOPICS + CALLS_FOR_ROWS


def test_a_key_in_the_topics_block_is_not_kept(cli: Cli, described: Callable[..., ScriptedServer]) -> None:
    server = described(more="max_concurrency: 1\n")
    own = f"{{model: openai/thinker, api_base: '{server.base_url}', api_key: sk-planted-in-the-block}}"
    done = cli("run", "plants.yaml", "--set", f"topics.llm={own}", "--max-requests", "2")
    assert done.returncode == 3
    assert "the same command (keys in plants.yaml are not stored)" in done.stderr
    kept = [path for path in cli.folder.rglob("*") if path.is_file() and b"sk-planted" in path.read_bytes()]
    assert kept == []
    resumed = cli("resume", "plants.jsonl")
    assert resumed.returncode == 2
    assert "topics.llm.api_key stood in" in resumed.stderr
    assert cli("run", "plants.yaml", "--set", f"topics.llm={own}").returncode == 0


def test_paths_start_at_the_files_folder(cli: Cli, described: Callable[..., ScriptedServer], tmp_path: Path) -> None:
    described(change=("  topic_prompt: Keeping houseplants alive\n  degree: 3\n  depth: 2\n", "  file: own.md\n"))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "own.md").write_text("# Plants\n- Ferns\n- Palms\n")
    (tmp_path / "good.py").write_text("def good(content, topic, row):\n    return 'Ferns' in topic or row['answer']\n")
    cli.write((tmp_path / "plants.yaml").read_text() + "content_filters: [good.py:good]\n", "plants.yaml")
    done = cli("run", "../plants.yaml", cwd=tmp_path / "elsewhere")
    assert done.returncode == 0, done.stderr
    assert Counter(row["topic"] for row in rows(cli)) == {"Ferns": 9, "Palms": 9}
    assert cli("resume", "../plants.jsonl", cwd=tmp_path / "elsewhere").returncode == 0
