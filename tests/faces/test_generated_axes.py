"""Axes whose values a model writes first: on the same engine, into a file that a person can edit."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from rowsmith import AnswerError, Axis, ConfigChangedError, ConfigError, OpenAIProvider, Task, TaskDataset
from rowsmith.cli.state import look
from rowsmith.engine.events import CallMade, Event, RowAccepted, RunStarted
from rowsmith.engine.ledger import RunPaths
from rowsmith.testing import BadJSON, Call, ScriptedServer


class Text(BaseModel):
    text: str


NAMES = [
    "Ada",
    "Ben",
    "Cem",
    "Dora",
    "Eli",
    "Finn",
    "Gus",
    "Hana",
    "Ivo",
    "Jun",
    "Kai",
    "Lea",
    "Mio",
    "Nora",
    "Olga",
    "Per",
    "Quin",
    "Rosa",
    "Sven",
    "Tara",
]


def persona(amount: int = 4, prompt: str = "Name {amount} kinds of customers.") -> Axis:
    return Axis.generated("persona", amount=amount, prompt=prompt, instance_prompt="It is written by {value}.")


def dataset(folder: Path, *axes: Axis, **fields: Any) -> TaskDataset:
    task = Task(description="You write texts.", output=Text, axes=list(axes) or [persona()], num_samples_per_prompt=2)
    return TaskDataset(task.model_copy(update=fields), folder / "rows.jsonl")


def values(folder: Path, name: str = "persona") -> list[str]:
    return (folder / "rows.run" / "axes" / f"{name}.txt").read_text(encoding="utf-8").splitlines()


def personas(made: TaskDataset) -> list[str]:
    """The values in the rows, each once, in their order."""
    return list(dict.fromkeys(row["metadata"]["axes"]["persona"] for row in made))


class Customers:
    """A model that names customers: as many as it is asked for, or what it is told to say."""

    def __init__(self, *said: list[str]) -> None:
        self.said = list(said)
        self.asked: list[str] = []
        self.texts = 0

    def __call__(self, call: Call) -> str:
        if "customers" not in call.prompt:
            self.texts += 1
            count = int(re.findall(r"\d+", call.prompt)[0])
            return json.dumps({"entries": [{"text": f"text {call.key} {number}"} for number in range(count)]})
        self.asked.append(call.prompt)
        if self.said:
            named = self.said.pop(0)
        else:
            count = int(re.findall(r"\d+", call.prompt)[0])
            named = [name for name in NAMES if name not in call.prompt][:count]
        return json.dumps({"entries": [{"persona": name} for name in named]})


def provider(server: ScriptedServer, **more: Any) -> OpenAIProvider:
    return OpenAIProvider("m", api_base=server.base_url, api_key="k", **more)


def test_values_are_written_first_and_asked_for_once(tmp_path: Path) -> None:
    customers = Customers()
    with ScriptedServer(customers) as server:
        made = dataset(tmp_path)
        assert made.get_num_expected_rows() == 8
        made.generate(provider(server))
        assert values(tmp_path) == personas(made) == NAMES[:4]
        again = dataset(tmp_path).generate(provider(server))
    assert len(made) == 8
    assert len(customers.asked) == 1
    assert customers.texts == 4
    assert again.report is not None
    assert again.report.calls == 0


def test_what_is_alike_is_refused_and_the_number_is_exact(tmp_path: Path) -> None:
    customers = Customers(
        ["a tired night nurse", "A  tired night nurse!", "the tired night nurse", "a retired sailor"],
        ["a young shepherd", "a bus driver", "one too many"],
    )
    with ScriptedServer(customers) as server:
        dataset(tmp_path).generate(provider(server))
    assert values(tmp_path) == ["a tired night nurse", "a retired sailor", "a young shepherd", "a bus driver"]
    assert "- A  tired night nurse!" not in customers.asked[0]
    assert "is too much like 'a tired night nurse'" in customers.asked[1]


def test_too_few_values_are_an_error_that_keeps_what_there_is_and_the_next_start_asks_for_the_rest(
    tmp_path: Path,
) -> None:
    customers = Customers(["Ada", "Ben"], *[["Ada"]] * 3)
    with ScriptedServer(customers) as server:
        with pytest.raises(AnswerError, match=r"'persona' has 2 of 4 values. Refused: 3 alike.*axes/persona.txt"):
            dataset(tmp_path).generate(provider(server))
        assert values(tmp_path) == ["Ada", "Ben"]
        assert customers.texts == 0
        made = dataset(tmp_path).generate(provider(server))
    assert values(tmp_path) == personas(made) == ["Ada", "Ben", "Cem", "Dora"]
    assert "Name 2 kinds" in customers.asked[-1]
    assert "- Ada\n- Ben" in customers.asked[-1]


def test_an_edited_file_is_used_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "rows.run" / "axes"
    folder.mkdir(parents=True)
    (folder / "persona.txt").write_text("\ufeffZoë, a smith\n\n  Uwe \nXu\r\nYa\n", encoding="utf-8")
    customers = Customers()
    with ScriptedServer(customers) as server:
        made = dataset(tmp_path).generate(provider(server))
        assert personas(made) == ["Zoë, a smith", "Uwe", "Xu", "Ya"]
        with (folder / "persona.txt").open("a", encoding="utf-8") as file:
            file.write("Added by hand\n")
        grown = dataset(tmp_path)
        assert grown.get_num_expected_rows() == 10
        before = made.to_list()
        assert grown.generate(provider(server)).to_list()[:8] == before
        assert personas(grown)[-1] == "Added by hand"
        (folder / "persona.txt").write_text("Zoë, a smith\nUwe\nXu\nSomebody else\nAdded by hand\n", encoding="utf-8")
        with pytest.raises(ConfigChangedError, match="persona"):
            dataset(tmp_path).generate(provider(server))
        (folder / "persona.txt").write_text("Zoë\nUwe\n zoë!\n", encoding="utf-8")
        with pytest.raises(ConfigError, match=r"line 3 \(.* is the same as line 1"):
            dataset(tmp_path)
    assert customers.asked == []


def test_a_higher_amount_asks_for_the_rest_and_keeps_the_rows(tmp_path: Path) -> None:
    customers = Customers()
    with ScriptedServer(customers) as server:
        before = dataset(tmp_path).generate(provider(server)).to_list()
        made = dataset(tmp_path, persona(6)).generate(provider(server))
    assert made.to_list()[:8] == before
    assert values(tmp_path) == personas(made) == NAMES[:6]
    assert made.report is not None
    assert made.report.calls == 3


def test_another_request_for_the_values_is_another_configuration_before_anything_is_asked(tmp_path: Path) -> None:
    customers = Customers()
    with ScriptedServer(customers) as server:
        dataset(tmp_path).generate(provider(server))
        other = persona(6, "Name {amount} sorts of customers.")
        with pytest.raises(ConfigChangedError, match="axes"):
            dataset(tmp_path, other).generate(provider(server))
        assert len(customers.asked) == 1
        made = dataset(tmp_path, other).generate(provider(server), fresh=True)
    assert len(customers.asked) == 2
    assert "Name 6 sorts" in customers.asked[1]
    assert len(made) == 12


def test_the_values_cost_what_the_run_costs(tmp_path: Path) -> None:
    with ScriptedServer(Customers()) as server:
        model = provider(server, input_cost_per_million=1000, output_cost_per_million=1000)
        estimate = dataset(tmp_path).estimate(model)
        assert [(part.role, part.calls) for part in estimate.parts] == [("writer", 4), ("axis", 1)]
        report = dataset(tmp_path).generate(model).report
    assert report is not None
    spent = {role: spend for (_, role), spend in report.spend.items()}
    assert spent["axis"].calls == 1
    assert report.total.cost == pytest.approx(spent["axis"].cost + spent["writer"].cost)
    assert spent["axis"].cost > 0
    assert report.calls == 5


def test_a_budget_that_is_used_up_ends_the_run_in_good_order(tmp_path: Path) -> None:
    customers = Customers(["Ada"], ["Ben"], ["Cem"])
    with ScriptedServer(customers) as server:
        stopped = dataset(tmp_path).generate(provider(server), max_requests=2)
        assert stopped.report is not None
        assert stopped.report.ended == "stopped"
        assert "max_requests" in stopped.report.why
        assert len(stopped) == 0
        assert look(RunPaths(tmp_path / "rows.jsonl")).state == "stopped"
        made = dataset(tmp_path).generate(provider(server))
    assert len(made) == 8
    assert values(tmp_path)[:3] == ["Ada", "Ben", "Cem"]
    assert len(customers.asked) == 4


def test_a_sample_has_the_values_written_and_the_run_uses_them(tmp_path: Path) -> None:
    customers = Customers()
    with ScriptedServer(customers) as server:
        sample = dataset(tmp_path).generate_sample(provider(server), 2)
        assert len(sample) == 2
        assert not (tmp_path / "rows.jsonl").exists() or not (tmp_path / "rows.jsonl").read_text()
        made = dataset(tmp_path).generate(provider(server))
    assert len(made) == 8
    assert len(customers.asked) == 1
    assert customers.texts == 4


def test_the_axis_has_a_role_of_its_own(tmp_path: Path) -> None:
    with ScriptedServer(Customers()) as names, ScriptedServer(Customers()) as texts:
        dataset(tmp_path).generate(provider(texts), axis_llm=OpenAIProvider("n", api_base=names.base_url, api_key="k"))
        assert (names.count, texts.count) == (1, 4)


def test_several_models_write_rows_and_the_first_the_values(tmp_path: Path) -> None:
    customers = Customers()
    with ScriptedServer(customers) as server:
        models = [provider(server), OpenAIProvider("n", api_base=server.base_url, api_key="k")]
        made = dataset(tmp_path).generate(models)
    assert len(made) == 16
    assert len(customers.asked) == 1


def test_many_values_are_asked_for_in_parts_and_broken_answers_cost_none(tmp_path: Path) -> None:
    amount = 130
    with ScriptedServer(chances={BadJSON(): 0.3}, hints={"topic": "ships"}) as server:
        made = dataset(tmp_path, persona(amount), max_rounds=9).generate(provider(server))
    assert len(set(values(tmp_path))) == len(values(tmp_path)) == amount
    assert len(made) == 2 * amount


def test_listeners_hear_of_the_calls_and_of_no_row_before_the_run_starts(tmp_path: Path) -> None:
    heard: list[Event] = []
    dataset(tmp_path).generate("offline", listeners=[heard.append])
    start = next(place for place, event in enumerate(heard) if isinstance(event, RunStarted))
    assert [event.role for event in heard[:start] if isinstance(event, CallMade)] == ["axis"]
    assert not any(isinstance(event, RowAccepted) for event in heard[:start])


def test_the_prompt_shows_a_placeholder_until_the_value_is_known(tmp_path: Path) -> None:
    made = dataset(tmp_path)
    assert "It is written by <persona 3 of 4>." in made.prompt_for(2)
    made.generate("offline")
    assert f"It is written by {values(tmp_path)[2]}." in made.prompt_for(2)
    assert "It is written by a king." in made.prompt_for({"persona": "a king"})


CHILD = """
import os, signal, sys, time
from rowsmith.engine.events import CallMade, CallStarted
sys.path.insert(0, {tests!r})
from test_generated_axes import dataset, persona, Path
calls = 0
def kill(event):
    global calls
    if isinstance(event, CallStarted) and event.role == "axis":
        calls += 1
        if calls == 2:
            time.sleep(0.3)
            os.kill(os.getpid(), signal.SIGKILL)
dataset(Path({folder!r}), persona(60)).generate("offline", listeners=[kill])
"""


def test_killed_between_two_calls_for_values_it_goes_on_without_asking_twice(tmp_path: Path) -> None:
    unkilled, killed = tmp_path / "unkilled", tmp_path / "killed"
    unkilled.mkdir()
    killed.mkdir()
    whole = dataset(unkilled, persona(60)).generate("offline")

    code = CHILD.format(tests=str(Path(__file__).parent), folder=str(killed))
    ended = subprocess.run([sys.executable, "-c", code], check=False, env={**os.environ, "PYTHONWARNINGS": "error"})
    assert ended.returncode == -signal.SIGKILL
    assert not (killed / "rows.run" / "axes").exists()
    report = dataset(killed, persona(60)).generate("offline").report
    assert report is not None
    assert report.replayed == 1
    assert values(killed) == values(unkilled)
    assert (killed / "rows.jsonl").read_bytes() == (unkilled / "rows.jsonl").read_bytes()
    assert len(whole) == 120
