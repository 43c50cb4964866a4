"""Models that share work in a run: who is asked, whose name rows and sums bear, and what a resume asks again."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rowsmith import (
    AuthenticationError,
    BadRequestError,
    ConfigChangedError,
    ConfigError,
    Fallback,
    MCQDataset,
    QuotaError,
    ServiceError,
    Spread,
)
from rowsmith.engine.events import CallFailed, CallMade, CallStarted
from rowsmith.llm.values import Completion, Finish

from .harness import (
    QUICK,
    Events,
    Model,
    Question,
    classes,
    dataset,
    ledger,
    lines,
    must_be_exact,
    new_texts,
    questions,
    tones,
)


def failing(error: Exception) -> Callable[[Question], str]:
    def answer(question: Question) -> str:
        raise error

    return answer


def named(name: str, answer: Any = new_texts, **settings: Any) -> Model:
    return Model(answer, model_id=name, **settings)


def made_by(folder: Path) -> dict[str, int]:
    rows = lines(folder)
    assert all(row["metadata"]["provider"] == "memory" for row in rows)
    return dict(Counter(row["model_id"] for row in rows))


# --- one stands in for another ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [AuthenticationError, QuotaError], ids=["a wrong key", "a used-up quota"])
def test_a_model_that_fails_for_all_calls_is_asked_once_and_the_other_makes_the_rows(
    error: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = named("a", failing(error("no more", provider="memory", model="a"))), named("b")
    events = Events()
    with caplog.at_level(logging.WARNING, logger="rowsmith"):
        made = dataset(tmp_path).generate(Fallback([a, b]), options=QUICK, listeners=[events])
    must_be_exact(tmp_path, 20)
    assert made_by(tmp_path) == {"b": 20}
    assert (len(a.asked), len(b.asked)) == (1, 4)
    assert made.report is not None
    assert {who: spend.calls for who, spend in made.report.spend.items()} == {("memory/b", "writer"): 4}
    assert {event.model for event in events.of(CallMade)} == {"memory/b"}
    assert len(events.of(CallStarted)) == len(events.of(CallMade)) + len(events.of(CallFailed))
    told = [record.getMessage() for record in caplog.records if "is not asked again" in record.getMessage()]
    assert len(told) == 1
    assert "memory/a is not asked again in this run, memory/b stands in for it" in told[0]


def test_a_model_that_fails_at_some_questions_is_replaced_for_these_alone(tmp_path: Path) -> None:
    def answer(question: Question) -> str:
        if "dry" in question.prompt:
            raise BadRequestError("this document is too long")
        return new_texts(question)

    a, b = named("a", answer), named("b")
    events = Events()
    dataset(tmp_path).generate(Fallback([a, b]), options=QUICK, listeners=[events])
    assert made_by(tmp_path) == {"a": 10, "b": 10}
    assert all(("dry" in str(row["metadata"]["placeholders"])) == (row["model_id"] == "b") for row in lines(tmp_path))
    assert [(event.model, type(event.error)) for event in events.of(CallFailed)] == [("memory/a", BadRequestError)] * 2


def test_a_failing_server_is_tried_again_first(tmp_path: Path) -> None:
    def answer(question: Question) -> str:
        if question.number == 0:
            raise ServiceError("hiccup")
        return new_texts(question)

    a, b = named("a", answer), named("b")
    dataset(tmp_path).generate(Fallback([a, b]), options=QUICK)
    assert made_by(tmp_path) == {"a": 20}
    assert b.asked == []


def test_when_all_have_failed_the_run_ends_as_with_the_last(tmp_path: Path) -> None:
    a = named("a", failing(QuotaError("no credit")))
    b = named("b", failing(AuthenticationError("wrong key")))
    with pytest.raises(AuthenticationError):
        dataset(tmp_path).generate(Fallback([a, b]), options=QUICK)
    again = named("a"), named("b")
    dataset(tmp_path).generate(Fallback(again), options=QUICK)
    assert made_by(tmp_path) == {"a": 20}


def test_a_model_that_works_is_not_stopped_by_one_that_stands_in_and_does_not(tmp_path: Path) -> None:
    def answer(question: Question) -> str:
        if "dry" in question.prompt:
            raise BadRequestError("too long")
        return new_texts(question)

    a, b = named("a", answer), named("b", failing(AuthenticationError("wrong key")))
    report = dataset(tmp_path).generate(Fallback([a, b]), options=QUICK).report
    assert report is not None
    assert (report.ended, report.rows, len(b.asked)) == ("short", 10, 1)
    assert made_by(tmp_path) == {"a": 10}


REFUSED = Completion("I would rather not.", Finish.REFUSED)


def test_a_refusal_is_an_answer_unless_it_is_to_be_taken_on(tmp_path: Path) -> None:
    for on_refusal, expected in ((False, {}), (True, {"b": 20})):
        folder = tmp_path / str(on_refusal)
        folder.mkdir()
        a, b = named("a", lambda _: REFUSED), named("b")
        made = dataset(folder, max_rounds=0).generate(Fallback([a, b], on_refusal=on_refusal), options=QUICK)
        assert made_by(folder) == expected
        assert made.report is not None
        assert made.report.total.calls == len(a.asked) + len(b.asked) == (8 if on_refusal else 4)
        seen = len(a.asked), len(b.asked)
        made = dataset(folder, max_rounds=0, gates={"min_length": 2}).generate(
            Fallback([a, b], on_refusal=on_refusal), options=QUICK
        )
        assert (len(a.asked), len(b.asked)) == seen, "a refusal that was paid for was asked for again"
        assert made_by(folder) == expected


def test_when_all_refuse_the_first_refusal_is_the_answer(tmp_path: Path) -> None:
    models = named("a", lambda _: REFUSED), named("b", lambda _: REFUSED)
    made = dataset(tmp_path, max_rounds=0).generate(Fallback(models, on_refusal=True), options=QUICK)
    assert made.report is not None
    assert made.report.rejected == {"refused": 4}


def test_a_second_step_may_be_answered_by_another_model_than_the_first(tmp_path: Path) -> None:
    def ask(question: Question) -> str:
        if question.schema != "Distractors":
            return entries_of_questions(question)
        raise BadRequestError("not this")

    def wrong(question: Question) -> str:
        return '{"incorrect_answer_1": "x", "incorrect_answer_2": "y", "incorrect_answer_3": "z"}'

    a, b = named("a", ask), named("b", wrong)
    events = Events()
    MCQDataset(questions(tmp_path, ["one", "two"])).generate(Fallback([a, b]), options=QUICK, listeners=[events])
    assert made_by(tmp_path) == {"a": 4}
    assert {(call.model, call.role) for call in events.of(CallMade)} == {
        ("memory/a", "question"),
        ("memory/b", "distractor"),
    }


def entries_of_questions(question: Question) -> str:
    made = ", ".join(
        f'{{"question": "q {question.digest} {number}", "correct_answer": "right"}}' for number in range(question.count)
    )
    return f'{{"entries": [{made}]}}'


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_a_resumed_run_takes_the_answers_of_who_stood_in_without_asking_anybody(tmp_path: Path) -> None:
    a, b = named("a", failing(AuthenticationError("wrong key"))), named("b")
    dataset(tmp_path).generate(Fallback([a, b]), options=replace(QUICK, max_requests=3))
    assert len(b.asked) == 2
    before = (tmp_path / "rows.jsonl").read_bytes()

    # A gate that lets all through reads every stored answer anew.
    alive, other = named("a"), named("b")
    dataset(tmp_path, gates={"min_length": 2}).generate(Fallback([alive, other]), options=QUICK)
    assert (tmp_path / "rows.jsonl").read_bytes().startswith(before)
    assert made_by(tmp_path) == {"a": 10, "b": 10}
    assert (len(alive.asked), len(other.asked)) == (2, 0)


def test_the_file_is_the_same_at_any_concurrency(tmp_path: Path) -> None:
    def answer(question: Question) -> str:
        if question.digest % 3 == 0:
            raise BadRequestError("not this one")
        return new_texts(question)

    found = []
    for in_flight in (1, 3, 64):
        folder = tmp_path / str(in_flight)
        folder.mkdir()
        models: list[Any] = [
            Spread([Fallback([named("a", answer), named("x")]), named("b")], weights=[3, 1]),
            Fallback([Spread([named("c", answer), named("d", answer)]), named("y")]),
        ]
        slow = [*all_of(models[0]), *all_of(models[1])]
        for leaf in slow:
            leaf.seconds = lambda question: (question.digest % 7) / 2000
        many = tones(*(f"tone {number}" for number in range(12)))
        dataset(folder, expansion=many).generate(models, max_concurrency=in_flight, options=QUICK)
        must_be_exact(folder, 240)
        found.append((folder / "rows.jsonl").read_bytes())
    assert found[0] == found[1] == found[2]
    assert set(made_by(tmp_path / "1")) == set("abcdxy")


def all_of(choice: Any) -> list[Any]:
    return [leaf for member in choice.members for leaf in all_of(member)] if hasattr(choice, "members") else [choice]


def test_a_model_can_be_added_behind_another_while_a_run_goes_on(tmp_path: Path) -> None:
    a = named("a")
    dataset(tmp_path).generate(a, options=replace(QUICK, max_requests=2))
    dead, b = named("a", failing(QuotaError("no credit"))), named("b")
    dataset(tmp_path).generate(Fallback([dead, b]), options=QUICK)
    assert made_by(tmp_path) == {"a": 10, "b": 10}
    c = named("c")
    made = dataset(tmp_path).generate(Fallback([dead, c, b]), options=QUICK)
    assert made.report is not None
    assert (made.report.complete, made.report.calls, c.asked) == (True, 0, [])


def test_a_model_that_has_answered_for_another_cannot_be_left_out(tmp_path: Path) -> None:
    dead, b, c = named("a", failing(QuotaError("no credit"))), named("b"), named("c")
    dataset(tmp_path).generate(Fallback([dead, b, c]), options=QUICK)
    for choice in (named("a"), Fallback([named("a"), c]), Fallback([named("a"), named("b", temperature=1.0)])):
        with pytest.raises(ConfigChangedError) as caught:
            dataset(tmp_path).generate(choice, options=QUICK)
        assert caught.value.fields == ("llms",)
    dataset(tmp_path).generate(Fallback([named("a"), b]), options=QUICK)  # c has never answered


def test_the_same_model_with_another_key_may_stand_in(tmp_path: Path) -> None:
    a = named("same", failing(QuotaError("no credit")), api_key="one")
    b = named("same", api_key="two")
    dataset(tmp_path).generate(Fallback([a, b]), options=QUICK)
    assert (len(a.asked), len(b.asked)) == (1, 4)
    must_be_exact(tmp_path, 20)


# --- dealing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spread", [[3, 1], [0.75, 0.25]])
def test_weights_deal_the_prompts_out_exactly_for_every_label(spread: list[float], tmp_path: Path) -> None:
    many = tones(*(f"tone {number}" for number in range(16)))
    dataset(tmp_path, expansion=many, num_samples_per_prompt=1).generate(
        [named("a"), named("b")], spread=spread, options=QUICK
    )
    found = Counter((row["label"], row["model_id"]) for row in lines(tmp_path))
    assert found == {("good", "a"): 12, ("bad", "a"): 12, ("good", "b"): 4, ("bad", "b"): 4}

    other = tmp_path / "wrapped"
    other.mkdir()
    dataset(other, expansion=many, num_samples_per_prompt=1).generate(
        Spread([named("a"), named("b")], weights=spread), options=QUICK
    )
    assert (other / "rows.jsonl").read_bytes() == (tmp_path / "rows.jsonl").read_bytes()


def test_a_spread_beside_another_model_gets_every_prompt_once(tmp_path: Path) -> None:
    a, b, c = named("a"), named("b"), named("c")
    made = dataset(tmp_path)
    assert made.get_num_expected_rows([Spread([a, b]), c]) == 40
    made.generate([Spread([a, b]), c], options=QUICK)
    assert made_by(tmp_path) == {"a": 10, "b": 10, "c": 20}
    assert sorted(a.prompts + b.prompts) == sorted(c.prompts)


def test_cells_stay_with_their_model_when_the_configuration_grows(tmp_path: Path) -> None:
    models = named("a"), named("b")
    dataset(tmp_path, expansion=tones(*"abcd"), num_samples_per_prompt=1).generate(Spread(models), options=QUICK)
    before = {row["id"]: row for row in lines(tmp_path)}
    grown: Mapping[str, Any] = {"classes": classes("better", "good", "bad"), "expansion": tones(*"abcdef")}

    # As if each cell had been stopped before its end: all of them are worked on again, and asked for one row more.
    dataset(tmp_path, **grown, num_samples_per_prompt=2).generate(Spread(models), options=QUICK)
    must_be_exact(tmp_path, 36)
    rows = {row["id"]: row for row in lines(tmp_path)}
    assert {key: rows[key] for key in before} == before
    of_cell: dict[str, set[str]] = {}
    for row in rows.values():
        of_cell.setdefault(row["metadata"]["cell"], set()).add(row["model_id"])
    assert all(len(names) == 1 for names in of_cell.values())
    assert Counter(row["model_id"] for row in rows.values()).keys() == {"a", "b"}
    assert not any(model.repeated for model in models)


def test_the_same_model_with_other_settings_keeps_its_answers_when_the_configuration_grows(tmp_path: Path) -> None:
    models = named("a"), named("a", temperature=1.0)
    dataset(tmp_path, expansion=tones(*"abcd")).generate(Spread(models), options=QUICK)
    grown: Mapping[str, Any] = {"classes": classes("better", "good", "bad"), "gates": {"min_length": 2}}
    made = dataset(tmp_path, expansion=tones(*"abcd"), **grown).generate(Spread(models), options=QUICK)
    assert made.report is not None
    assert (made.report.replayed, made.report.calls) == (8, 4)


def test_a_spread_within_another_is_dealt_by_itself(tmp_path: Path) -> None:
    a, b, c = named("a"), named("b"), named("c")
    many = tones(*(f"tone {number}" for number in range(32)))
    inner = Fallback([Spread([a, b]), named("x")])
    dataset(tmp_path, expansion=many, num_samples_per_prompt=1).generate(Spread([inner, c]), options=QUICK)
    found = made_by(tmp_path)
    assert found.keys() == {"a", "b", "c"}
    assert found["c"] == 32


def test_roles_are_dealt_independently_of_the_cells(tmp_path: Path) -> None:
    def answer(question: Question) -> str:
        if question.schema != "Distractors":
            return entries_of_questions(question)
        return '{"incorrect_answer_1": "x", "incorrect_answer_2": "y", "incorrect_answer_3": "z"}'

    events = Events()
    writers = Spread([named("a", answer), named("b", answer)])
    others = Spread([named("c", answer), named("d", answer)])
    made = MCQDataset(questions(tmp_path, ["about " + "x" * number for number in range(64)]))
    made.generate(question_llm=writers, distractor_llm=others, options=QUICK, listeners=[events])
    by_cell: dict[str, set[str]] = {}
    for call in events.of(CallMade):
        by_cell.setdefault(call.cell.name, set()).add(call.model[-1])
    assert {"".join(sorted(names)) for names in by_cell.values()} == {"ac", "ad", "bc", "bd"}
    assert Counter(row["model_id"] for row in lines(tmp_path)) == {"a": 64, "b": 64}


def test_a_model_alone_may_begin_to_share(tmp_path: Path) -> None:
    a, b = named("a"), named("b")
    dataset(tmp_path).generate(a, options=QUICK)
    dataset(tmp_path, expansion=tones("dry", "warm", "odd", "new")).generate(Spread([a, b]), options=QUICK)
    assert made_by(tmp_path) == {"a": 30, "b": 10}
    with pytest.raises(ConfigChangedError) as caught:
        dataset(tmp_path, expansion=tones("dry", "warm", "odd", "new")).generate([a, b], options=QUICK)
    assert caught.value.fields == ("llms",)


def test_what_gets_the_same_prompt_twice_is_refused(tmp_path: Path) -> None:
    a, b = named("a"), named("b")
    wrong: list[list[Any]] = [[a, Fallback([a, b])], [Spread([a, b]), b], [Fallback([Spread([a, b]), named("c")]), b]]
    for llms in wrong:
        with pytest.raises(ConfigError, match="stands twice in llms"):
            dataset(tmp_path).generate(llms, options=QUICK)
    with pytest.raises(ConfigError, match=r"one weight for each of the 2 models, such as \[3, 1\]; got \[1, 2, 3\]"):
        dataset(tmp_path).generate([a, b], spread=[1, 2, 3], options=QUICK)
    assert not list(tmp_path.iterdir())


# --- limits, estimate, sample -----------------------------------------------------------------------------------------


def test_an_estimate_and_a_sample_speak_of_the_models_that_really_answer(tmp_path: Path) -> None:
    a, b = named("a"), named("b")
    many = tones(*(f"tone {number}" for number in range(16)))
    found = dataset(tmp_path, expansion=many).estimate(Spread([a, b], weights=[3, 1]))
    assert {part.model: part.calls for part in found.parts} == {"memory/a": 24, "memory/b": 8}

    dead = named("a", failing(AuthenticationError("wrong key")))
    sample = dataset(tmp_path, expansion=many).generate_sample(Fallback([dead, b]), 4, options=QUICK)
    assert {exchange.model for exchanges in sample.prompts for exchange in exchanges} == {"memory/b"}
    found = dataset(tmp_path, expansion=many).estimate(Fallback([dead, b]), sample=4, options=QUICK)
    assert {part.model for part in found.parts} == {"memory/a", "memory/b"}


def test_the_budget_counts_what_every_model_was_asked(tmp_path: Path) -> None:
    def answer(question: Question) -> str:
        raise BadRequestError("never")

    a, b = named("a", answer), named("b")
    made = dataset(tmp_path).generate(Fallback([a, b]), options=replace(QUICK, max_requests=5, max_concurrency=1))
    assert len(a.asked) + len(b.asked) == 5
    assert made.report is not None
    assert "max_requests is reached" in made.report.why
    assert dict(ledger(tmp_path, "SELECT model, sum(calls) FROM spend GROUP BY model")) == {"memory/b": len(b.asked)}
