"""Starting again: nothing is asked twice, and what is other is never answered with what is stored."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, Field

from rowsmith import ClassificationDataset, MCQDataset
from rowsmith.engine.before import as_before
from rowsmith.engine.events import CallMade, RunStarted
from rowsmith.engine.keys import call_key, row_id
from rowsmith.engine.ledger import CellStatus
from rowsmith.errors import ConfigChangedError, ServiceError
from rowsmith.llm.structured.output import ListOutput
from rowsmith.llm.values import Message, Request, Rung
from rowsmith.recipes.classification import Classification

from .harness import (
    PROMPT,
    QUICK,
    Events,
    Model,
    Question,
    config,
    dataset,
    entries,
    files,
    ledger,
    lines,
    must_be_exact,
    new_texts,
    questions,
    rejected,
)


def test_a_finished_run_makes_no_calls_and_says_so(tmp_path: Path) -> None:
    model, events = Model(), Events()
    first = dataset(tmp_path).generate(model, options=QUICK)
    assert first.report is not None
    assert (first.report.calls, first.report.rows) == (4, 20)
    before = files(tmp_path)["rows.jsonl"]

    again = dataset(tmp_path).generate(model, options=QUICK, listeners=[events])
    assert again.report is not None
    assert (again.report.calls, again.report.replayed, again.report.rows) == (0, 0, 20)
    assert again.report.complete
    assert len(model.asked) == 4
    (started,) = events.of(RunStarted)
    assert (started.settled, started.cells, started.rows_before) == (4, 4, 20)
    assert files(tmp_path)["rows.jsonl"] == before


CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]] = {
    "system prompt": ({"system_prompt": "Be brief."}, {}, ("system_prompt",)),
    "prompt": ({"prompts": [PROMPT.replace("Write", "Make")]}, {}, ("prompts",)),
    "seed": ({"seed": 7}, {}, ("seed",)),
    "a label's description": (
        {"classes": [{"name": "good", "description": "other"}, {"name": "bad", "description": "texts that are bad"}]},
        {},
        ("classes",),
    ),
    "a language's name": ({"languages": {"en": "Old English"}}, {}, ("languages",)),
    "a placeholder's value": ({"expansion": {"placeholders": {"tone": ["dry", "hot"]}}}, {}, ("expansion",)),
    "model": ({}, {"model_id": "other"}, ("llms",)),
    "endpoint": ({}, {"endpoint": "elsewhere"}, ("llms",)),
    "temperature": ({}, {"temperature": 0.5}, ("llms",)),
    "a lower count": ({"num_samples_per_prompt": 4}, {}, ("num_samples_per_prompt",)),
    "a class less": ({"classes": [{"name": "good", "description": "g"}, {"name": "c", "description": "c"}]}, {}, ()),
}


@pytest.mark.parametrize("what", CHANGES)
def test_another_configuration_is_refused_by_name_and_fresh_makes_all_anew(what: str, tmp_path: Path) -> None:
    changes, model_changes, fields = CHANGES[what]
    dataset(tmp_path).generate(Model(), options=QUICK)
    before = files(tmp_path)

    other = Model(**model_changes)
    with pytest.raises(ConfigChangedError, match=r"(?s)another output.*fresh=True \(--fresh\)") as caught:
        dataset(tmp_path, **changes).generate(other, options=QUICK)
    assert caught.value.fields == (fields or ("classes",))
    assert all(f"  {name}: " in str(caught.value) for name in caught.value.fields)
    assert other.asked == []
    assert _content(files(tmp_path)) == _content(before)

    report = dataset(tmp_path, **changes).generate(other, options=QUICK, fresh=True).report
    assert report is not None
    assert report.complete
    assert report.calls == len(other.asked) > 0
    assert report.replayed == 0


def test_spread_over_the_models_is_refused_on_an_output_without(tmp_path: Path) -> None:
    models = [Model(), Model(model_id="second")]
    dataset(tmp_path).generate(models, options=QUICK)
    with pytest.raises(ConfigChangedError) as caught:
        dataset(tmp_path).generate(models, spread=True, options=QUICK)
    assert caught.value.fields == ("llms",)


class Longer(BaseModel):
    text: str = Field(description="another description, so another schema")


class OtherAnswers(Classification):
    entries: ClassVar[ListOutput[Any]] = ListOutput(Longer)


class OtherDataset(ClassificationDataset):
    recipe: ClassVar = OtherAnswers


def test_another_schema_is_refused(tmp_path: Path) -> None:
    dataset(tmp_path).generate(Model(), options=QUICK)
    with pytest.raises(ConfigChangedError) as caught:
        OtherDataset(config(tmp_path)).generate(Model(), options=QUICK)
    assert caught.value.fields == ("schema",)


def test_a_document_edited_in_its_file_is_refused_by_the_name_of_its_axis(tmp_path: Path) -> None:
    model = Model(_mcq_answer)
    MCQDataset(questions(tmp_path, ["one", "two"])).generate(model, options=QUICK)
    asked = len(model.asked)
    with pytest.raises(ConfigChangedError, match="document") as caught:
        MCQDataset(questions(tmp_path, ["one", "two, edited"])).generate(model, options=QUICK)
    assert caught.value.fields == ("document",)
    assert len(model.asked) == asked


def _mcq_answer(question: Question) -> str:
    if "wrong answers" in question.prompt:
        return json.dumps({f"incorrect_answer_{n}": f"wrong {question.digest:x} {n}" for n in (1, 2, 3)})
    made = [
        {"question": f"what is {question.digest:x} {n}?", "correct_answer": f"right {question.digest:x} {n}"}
        for n in range(question.count)
    ]
    return json.dumps({"entries": made})


REQUEST = Request((Message.system("s"), Message.user("u")), ListOutput(Longer).schema, Rung.SCHEMA)
OTHER_REQUESTS = {
    "system prompt": replace(REQUEST, messages=(Message.system("t"), Message.user("u"))),
    "prompt": replace(REQUEST, messages=(Message.system("s"), Message.user("v"))),
    "speaker": replace(REQUEST, messages=(Message.user("s"), Message.user("u"))),
    "number of messages": replace(REQUEST, messages=(Message.system("s"), Message.user("u"), Message.user(""))),
    "schema": replace(REQUEST, schema=Classification.entries.schema),
    "no schema": replace(REQUEST, schema=None),
    "rung": replace(REQUEST, rung=Rung.JSON),
}


@pytest.mark.parametrize("what", OTHER_REQUESTS)
def test_each_part_of_a_request_is_part_of_the_key(what: str) -> None:
    model = Model()
    key = call_key(model.endpoint, model.encode(REQUEST))
    assert key == call_key(model.endpoint, model.encode(replace(REQUEST)))
    assert key != call_key(model.endpoint, model.encode(OTHER_REQUESTS[what]))


@pytest.mark.parametrize("change", [{"model_id": "other"}, {"endpoint": "there"}, {"temperature": 0.1}], ids=str)
def test_model_endpoint_and_parameters_are_part_of_the_key(change: dict[str, Any]) -> None:
    model, other = Model(), Model(**change)
    assert call_key(model.endpoint, model.encode(REQUEST)) != call_key(other.endpoint, other.encode(REQUEST))


def test_endpoint_and_body_cannot_run_into_each_other() -> None:
    assert call_key("a", b"bc") != call_key("ab", b"c")


def test_a_row_keeps_its_id_by_cell_call_and_place() -> None:
    ids = {row_id(cell, ordinal, place) for cell in ("1", "2") for ordinal in ("0", "1", "0.1") for place in (0, 1)}
    assert len(ids) == 12
    assert row_id("1", "0", 0) == row_id("1", "0", 0)


# --- answers that were paid for ---------------------------------------------------------------------------------------


def test_an_answer_that_cannot_be_read_is_kept_and_not_bought_again(tmp_path: Path) -> None:
    """The first start buys prose and stops; the second reads it again from the ledger and asks for the next round."""

    def answer(question: Question) -> str:
        if "avoid" in question.prompt:
            if not_yet:
                raise RuntimeError("stopped by the test")
            return new_texts(question)
        return "I would rather talk about something else."

    not_yet = [True]
    model = Model(answer)
    with pytest.raises(RuntimeError, match="stopped by the test"):
        dataset(tmp_path).generate(model, max_concurrency=1, options=QUICK)
    stored = ledger(tmp_path, "SELECT text FROM calls")
    assert stored == [("I would rather talk about something else.",)]
    asked_before = len(model.asked)
    not_yet.clear()

    report = dataset(tmp_path).generate(model, max_concurrency=1, options=QUICK).report
    assert report is not None
    assert report.complete
    assert report.replayed == 1
    # Three other cells with two calls each, and this one's second.
    assert report.calls == 7
    assert len(model.asked) == asked_before + 7
    assert {line["raw"] for line in rejected(tmp_path)} == {"I would rather talk about something else."}


def test_one_bad_entry_of_five_costs_one_row(tmp_path: Path) -> None:
    def answer(question: Question) -> str:
        texts = json.loads(new_texts(question))
        if question.count == 5:
            texts["entries"][2] = {"text": 7}
        return json.dumps(texts)

    model = Model(answer)
    report = dataset(tmp_path, expansion={"placeholders": {"tone": ["dry"]}}).generate(model, options=QUICK).report
    assert report is not None
    assert report.complete
    must_be_exact(tmp_path, 10)
    assert sorted(question.count for question in model.asked) == [1, 1, 5, 5]
    assert report.rejected == {"answer": 2}
    assert all(line["gate"] == "answer" and "7" in line["raw"] for line in rejected(tmp_path))


def test_a_changed_gate_reads_the_stored_answers_and_asks_only_for_what_falls_out(tmp_path: Path) -> None:
    model = Model(_of_two_lengths)
    dataset(tmp_path).generate(model, options=QUICK)
    first = {row["id"]: row for row in lines(tmp_path)}
    assert len(model.asked) == 4

    report = dataset(tmp_path, gates={"min_length": 5}).generate(model, options=QUICK).report
    assert report is not None
    assert (report.calls, report.replayed) == (0, 4)
    assert {row["id"]: row for row in lines(tmp_path)} == first

    report = dataset(tmp_path, gates={"min_length": 30}).generate(model, options=QUICK).report
    assert report is not None
    assert report.complete
    # In each cell one row of five falls out; the other four are the ones that were there.
    assert (report.calls, report.replayed) == (4, 4)
    assert len(first.keys() & {row["id"] for row in lines(tmp_path)}) == 16
    assert all(len(row["text"]) >= 30 for row in lines(tmp_path))

    report = dataset(tmp_path).generate(model, options=QUICK).report
    assert report is not None
    assert report.calls == 0
    assert {row["id"]: row for row in lines(tmp_path)} == first


def _of_two_lengths(question: Question) -> str:
    texts = [f"{number} {question.digest:x}" + " and so on" * 5 for number in range(question.count)]
    if question.count == 5:
        texts[0] = texts[0][:15]
    return entries(*texts)


def test_an_edited_filter_is_noticed_and_reads_the_stored_answers(tmp_path: Path) -> None:
    def even(limit: int) -> Callable[..., Any]:
        if limit == 1:
            return lambda content, topic, metadata: ("number 0" not in content, "no zeros")
        return lambda content, topic, metadata: True

    model = Model()
    dataset(tmp_path, gates={"filters": [even(0)]}).generate(model, options=QUICK)
    report = dataset(tmp_path, gates={"filters": [even(1)]}).generate(model, options=QUICK).report
    assert report is not None
    assert report.replayed >= 4
    assert report.calls > 0
    # A text for the missing row may be refused as well: its number is 0 again.
    assert all("number 0" not in row["text"] for row in lines(tmp_path))


def test_more_rounds_give_a_short_cell_another_chance(tmp_path: Path) -> None:
    def answer(question: Question) -> str:
        return new_texts(question) if patient and "avoid" in question.prompt else "no"

    patient: list[int] = []
    model = Model(answer)
    report = dataset(tmp_path, max_rounds=1).generate(model, options=QUICK).report
    assert report is not None
    assert report.ended == "short"
    assert len(model.asked) == 8
    assert dataset(tmp_path, max_rounds=1).generate(model, options=QUICK).report is not None
    assert len(model.asked) == 8
    patient.append(1)

    report = dataset(tmp_path, max_rounds=2).generate(model, options=QUICK).report
    assert report is not None
    assert report.complete
    assert len(model.asked) == 12


def test_a_cell_whose_calls_failed_is_tried_again_by_the_next_start(tmp_path: Path) -> None:
    def answer(question: Question) -> str:
        if "dry" in question.prompt and down:
            raise ServiceError("down")
        return new_texts(question)

    down = [True]
    model = Model(answer)
    report = dataset(tmp_path).generate(model, options=QUICK).report
    assert report is not None
    assert (report.ended, report.rows) == ("short", 10)
    assert {tuple(lack.group.values()) for lack in report.lacks} == {
        ("good", "en", "memory/model"),
        ("bad", "en", "memory/model"),
    }
    assert all("ServiceError" in reason for lack in report.lacks for reason in lack.reasons)
    assert ledger(tmp_path, "SELECT count(*) FROM cells WHERE status = 3") == [(2,)]
    assert int(CellStatus.FAILED) == 3
    answered = model.answered
    down.clear()
    report = dataset(tmp_path).generate(model, options=QUICK).report
    assert report is not None
    assert report.complete
    assert model.answered == answered + 2
    must_be_exact(tmp_path, 20)


def test_an_answer_given_on_a_higher_rung_is_found_after_the_step_down(tmp_path: Path) -> None:
    """One cell was answered by schema; then the model refuses schemas, and the run goes on below."""
    from rowsmith.errors import BadRequestError

    def answer(question: Question) -> str:
        if refuses and b'"rung":"schema"' in question.body:
            raise BadRequestError("response_format json_schema is not supported", status=400)
        if not refuses and question.number == 0 and len(model.asked) == 2:
            refuses.append(1)
            raise BadRequestError("response_format json_schema is not supported", status=400)
        return new_texts(question)

    refuses: list[int] = []
    model = Model(answer, rungs=(Rung.SCHEMA, Rung.JSON))
    dataset(tmp_path).generate(model, max_concurrency=1, options=QUICK)
    assert model.answered == 4

    report = dataset(tmp_path, gates={"max_length": 1000}).generate(model, options=QUICK).report
    assert report is not None
    assert (report.calls, report.replayed) == (0, 4)
    assert model.answered == 4


def test_a_prompt_can_be_put_as_it_was_before_its_values_grew() -> None:
    now = (Message.user("of a, b, c: write"),), {"listing": "a, b, c", "other": "a, b, c"}
    before = as_before(*now, {"listing": "a, b, c"}, {"listing": "a, b"})
    assert before == ((Message.user("of a, b: write"),), {"listing": "a, b", "other": "a, b, c"})
    assert as_before(*now, {"listing": "a, b, c"}, {"gone": "x"}) == now


def test_both_calls_of_a_question_are_replayed(tmp_path: Path) -> None:
    def stop(event: object) -> None:
        if isinstance(event, CallMade) and event.role == "distractor":
            raise KeyError("the listener's own")

    model = Model(_mcq_answer)
    documents = ["one document", "another document"]
    with pytest.raises(KeyError, match="the listener's own"):
        MCQDataset(questions(tmp_path, documents)).generate(model, max_concurrency=1, options=QUICK, listeners=[stop])
    paid = ledger(tmp_path, "SELECT role, count(*) FROM calls GROUP BY role ORDER BY role")
    # The second question's wrong answers were in flight when the listener failed: waited for, and kept.
    assert paid == [("distractor", 2), ("question", 1)]

    report = MCQDataset(questions(tmp_path, documents)).generate(model, options=QUICK).report
    assert report is not None
    assert report.complete
    assert (report.replayed, report.calls) == (3, 3)
    assert len(model.asked) == model.answered == 6
    must_be_exact(tmp_path, 4)


def _content(found: dict[str, bytes]) -> dict[str, bytes]:
    """Files without those in which SQLite and the lock leave their traces."""
    return {name: data for name, data in found.items() if name.endswith(".jsonl")}
