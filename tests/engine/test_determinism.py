"""The same configuration, seed and answers: byte for byte the same file, at any concurrency and in any weather."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rowsmith import ClassificationDataset, MCQDataset, OpenAIProvider
from rowsmith.testing import BadJSON, Call, CutOff, RateLimited, Reply, Reset, ScriptedServer, ServerError, WrongSchema

from .harness import QUICK, Model, Question, config, dataset, entries, ledger, lines, must_be_exact, questions, tones

TONES = [f"tone {number}" for number in range(40)]


def from_a_small_world(question: Question) -> str:
    """Texts of which every other answer has one too, some twice in one answer; new ones come in later rounds."""
    drawn = random.Random(question.digest)
    size = 250 if question.prompt.count("\n") < 2 else 100_000
    return entries(*(f"text {drawn.randrange(size)}" for _ in range(question.count)))


def weather(seed: int) -> Callable[[Question], float]:
    """Latencies that have nothing to do with the order of the questions."""
    drawn = random.Random(seed)
    return lambda question: drawn.choice([0, 0, 0.001, 0.003, 0.01])


def made(folder: Path, in_flight: int, **changes: Any) -> tuple[bytes, bytes, int]:
    """(rows file, file of rejections, calls) of a run in a weather of its own."""
    folder.mkdir()
    model = Model(from_a_small_world, seconds=weather(in_flight))
    settings = {"expansion": tones(*TONES), "max_rounds": 8, **changes}
    report = dataset(folder, **settings).generate(model, max_concurrency=in_flight, options=QUICK).report
    assert report is not None
    assert report.complete
    must_be_exact(folder, report.expected)
    return (folder / "rows.jsonl").read_bytes(), (folder / "rows.run/rejected.jsonl").read_bytes(), len(model.asked)


def test_many_duplicates_at_any_concurrency_give_the_same_files(tmp_path: Path) -> None:
    rows, rejected, calls = made(tmp_path / "1", 1)
    assert rejected.count(b'"duplicate"') > 60, "the test needs a world small enough"
    for in_flight in (8, 64, 256):
        rows_there, rejected_there, calls_there = made(tmp_path / str(in_flight), in_flight)
        assert rows_there == rows
        assert rejected_there == rejected
        # Cells that lost a row later than they would have one by one may have asked once more than needed.
        assert calls_there < calls * 1.5


@pytest.mark.parametrize(
    "changes",
    [
        {"languages": {"en": "English", "fr": "French"}},
        {"expansion": {**tones(*TONES), "combinatorial": False, "num_random_samples": 33}},
        {"target_rows": 307},
    ],
    ids=["languages", "sampling", "target"],
)
def test_other_plans_give_the_same_files_too(changes: dict[str, Any], tmp_path: Path) -> None:
    assert made(tmp_path / "1", 1, **changes)[:2] == made(tmp_path / "64", 64, **changes)[:2]


@pytest.mark.parametrize("spread", [False, True], ids=["every prompt to every model", "prompts dealt out"])
def test_several_models_give_the_same_file(spread: bool, tmp_path: Path) -> None:
    found = []
    for in_flight in (1, 64):
        folder = tmp_path / str(in_flight)
        folder.mkdir()
        models = [
            Model(from_a_small_world, model_id=f"model-{number}", seconds=weather(7 * in_flight + number))
            for number in range(3)
        ]
        made = dataset(folder, expansion=tones(*TONES[:20]), max_rounds=8)
        made.generate(models, spread=spread, max_concurrency=in_flight, options=QUICK)
        must_be_exact(folder, 200 if spread else 600)
        found.append((folder / "rows.jsonl").read_bytes())
    assert found[0] == found[1]


@pytest.mark.parametrize("near", [None, 0.9], ids=["exact", "near"])
def test_two_steps_give_the_same_files(near: float | None, tmp_path: Path) -> None:
    def answer(question: Question) -> str:
        drawn = random.Random(question.digest)
        if question.schema == "Distractors":
            if drawn.random() < 0.3:
                return "not JSON"
            return json.dumps({f"incorrect_answer_{n}": f"wrong {drawn.random()}" for n in (1, 2, 3)})
        size = 60 if question.prompt.count("\n") < 6 else 100_000
        made = [
            {"question": f"what is {drawn.randrange(size)}?", "correct_answer": "it"} for _ in range(question.count)
        ]
        return json.dumps({"entries": [*made, made[0]]})

    if near is not None:
        pytest.importorskip("rensa")
    found = []
    for in_flight in (1, 8, 64):
        folder = tmp_path / str(in_flight)
        folder.mkdir()
        documents = [f"a document that is about {'x' * length}" for length in range(40)]
        gates = {"near_duplicates": near}
        mcq = MCQDataset(questions(folder, documents, max_rounds=8, num_samples_per_prompt=4, gates=gates))
        model = Model(answer, seconds=weather(in_flight))
        report = mcq.generate(model, max_concurrency=in_flight, options=QUICK).report
        assert report is not None
        assert report.complete
        must_be_exact(folder, 160)
        found.append(((folder / "rows.jsonl").read_bytes(), (folder / "rows.run/rejected.jsonl").read_bytes()))
        assert found[-1][1].count(b'duplicate"') > 60, "the test needs a world small enough"
    assert found[0] == found[1] == found[2]


def test_what_a_cell_has_already_gets_no_second_step(tmp_path: Path) -> None:
    """Each answer has one question twice, and one that its cell had before; no row is asked its second step in vain."""

    def answer(question: Question) -> str:
        if question.schema == "Distractors":
            return json.dumps({f"incorrect_answer_{n}": f"wrong {question.digest} {n}" for n in (1, 2, 3)})
        about = re.findall(r"is about (\d+)", question.prompt)[0]
        had = [number for number in range(9) if f"What is {about}, {number}?" in question.prompt]
        repeated = had[:1] if question.prompt.count("the same text") == 1 else []
        numbers = [*repeated, len(had), len(had), len(had) + 1, len(had) + 2]
        made = [{"question": f"What is {about}, {number}?", "correct_answer": "it"} for number in numbers]
        return json.dumps({"entries": made[:4]})

    documents = [f"a document that is about {number}" for number in range(20)]
    mcq = MCQDataset(questions(tmp_path, documents, max_rounds=8, num_samples_per_prompt=4))
    model = Model(answer)
    mcq.generate(model, max_concurrency=8, options=QUICK)
    must_be_exact(tmp_path, 80)
    refused = (tmp_path / "rows.run/rejected.jsonl").read_bytes().count(b'"duplicate"')
    second = [question for question in model.asked if question.schema == "Distractors"]
    assert refused == 40
    assert len(second) == 80


def test_a_run_stopped_again_and_again_gives_the_file_of_one_that_was_not(tmp_path: Path) -> None:
    rows, rejected, _ = made(tmp_path / "whole", 1)
    folder = tmp_path / "pieces"
    folder.mkdir()
    model = Model(from_a_small_world, seconds=weather(3))
    stops = 0
    for number in range(200):
        left = 11 + number

        def stop(event: object) -> None:
            nonlocal left
            left -= type(event).__name__ == "CallMade"
            if left == 0:
                raise KeyError("stop")

        try:
            settings = {"expansion": tones(*TONES), "max_rounds": 8}
            ClassificationDataset(config(folder, **settings)).generate(
                model, max_concurrency=16, options=QUICK, listeners=[stop]
            )
        except KeyError:
            stops += 1
        else:
            break
    assert stops > 5
    assert (folder / "rows.jsonl").read_bytes() == rows
    assert (folder / "rows.run/rejected.jsonl").read_bytes() == rejected
    assert model.repeated == 0
    assert ledger(folder, "SELECT count(*) FROM calls") == [(len(model.asked),)]


# --- over HTTP --------------------------------------------------------------------------------------------------------


def faults(call: Call) -> Any:
    """What an answer says is decided by its body alone; whether one comes at all, by the attempt as well."""
    drawn = random.Random(call.key)
    content = drawn.random()
    if call.attempt < 3 and random.Random(f"{call.key}/{call.attempt}").random() < 0.25:
        return drawn.choice([RateLimited(), RateLimited(retry_after=0.01), ServerError(), Reset(), Reset("middle")])
    if content < 0.15:
        return drawn.choice([BadJSON(), BadJSON(repairable=True), WrongSchema(entries=1), CutOff()])
    return None


def an_answer(call: Call) -> Reply:
    count = int(next(word for word in call.prompt.split() if word.isdigit()))
    return Reply(text=from_a_small_world(Question(call.key.encode(), call.prompt, "", count, "", 0)))


def weather_of_calls(seed: int) -> Callable[[Call], float]:
    drawn = random.Random(seed)
    return lambda call: drawn.choice([0.0, 0.001, 0.005])


def test_over_http_with_faults_the_file_is_the_same(tmp_path: Path) -> None:
    found: list[bytes] = []
    port = 0
    for in_flight in (1, 64):
        folder = tmp_path / str(in_flight)
        folder.mkdir()
        seconds = weather_of_calls(in_flight)
        # At the same address each time: it is part of the calls' keys, which the rows name.
        with ScriptedServer(an_answer, faults=faults, latency=seconds, record=False, port=port) as server:
            port = int(server.url.rpartition(":")[2])
            provider = OpenAIProvider("any", api_key="any", api_base=server.base_url)
            made = dataset(folder, expansion=tones(*TONES[:20]), max_rounds=8)
            made.generate(provider, max_concurrency=in_flight, options=QUICK)
        must_be_exact(folder, 200)
        found.append((folder / "rows.jsonl").read_bytes())
        assert server.answered_again == 0
        assert server.summary()["faults"].keys() >= {"RateLimited", "ServerError", "Reset", "BadJSON"}
    assert found[0] == found[1]


def test_another_seed_draws_another_sample(tmp_path: Path) -> None:
    found: list[list[str]] = []
    for seed in (1, 2, 1):
        folder = tmp_path / f"{len(found)}"
        folder.mkdir()
        few = {**tones(*TONES), "combinatorial": False, "num_random_samples": 10}
        dataset(folder, expansion=few, seed=seed).generate(Model(), options=QUICK)
        found.append([row["metadata"]["placeholders"]["tone"] for row in lines(folder)])
    assert found[0] != found[1]
    assert found[0] == found[2]
