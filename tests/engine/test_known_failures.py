"""Failures that generators of datasets are known for, where several parts of the engine meet."""

from __future__ import annotations

from pathlib import Path

from rowsmith.errors import ServiceError
from rowsmith.testing import Call, ScriptedServer

from .batches import SETTINGS, crowded, hurried, model, rows
from .harness import QUICK, Model, Question, dataset, ledger, must_be_exact, new_texts, tones

PROSE = "I would rather talk about something else."


def test_answers_of_a_batch_that_cannot_be_read_are_kept_and_not_bought_again(tmp_path: Path) -> None:
    evaded: set[str] = set()

    def evasive(call: Call) -> str:
        """Prose instead of rows at the first question of every third cell."""
        if "tone 1" in (last := call.asked.messages[-1].content) and (cell := last[:60]) not in evaded:
            evaded.add(cell)
            return PROSE
        return crowded(call)

    with ScriptedServer(evasive) as server:
        report = dataset(tmp_path, **SETTINGS).generate(model(server.base_url), options=hurried(), batch=True).report
        assert server.batches.answered_again == 0
        bought, before = server.batches.answered, rows(tmp_path)
        dataset(tmp_path, **SETTINGS).generate(model(server.base_url), options=hurried(), batch=True)
        assert server.batches.answered == bought
    assert rows(tmp_path) == before
    must_be_exact(tmp_path, 60)
    assert ledger(tmp_path, "SELECT count(*) FROM calls") == [(bought,)]
    assert ledger(tmp_path, f"SELECT count(*) FROM calls WHERE text = '{PROSE}'") == [(len(evaded),)]
    assert report is not None
    assert len(evaded) >= 2
    assert report.total.cost > 0


def test_one_request_that_fails_of_a_hundred_costs_nothing_of_the_others(tmp_path: Path) -> None:
    fifty = tones(*(f"tone {number}." for number in range(50)))
    broken = [True]

    def answer(question: Question) -> str:
        if broken and "tone 7." in question.prompt and "good" in question.prompt:
            raise ServiceError("the server failed", status=500)
        return new_texts(question)

    asked = Model(answer)
    report = dataset(tmp_path, expansion=fifty).generate(asked, options=QUICK).report
    assert report is not None
    assert (report.ended, report.rows) == ("short", 99 * 5)
    broken.clear()
    before = asked.answered
    report = dataset(tmp_path, expansion=fifty).generate(asked, options=QUICK).report
    assert report is not None
    assert report.complete
    assert asked.answered - before == 1
    must_be_exact(tmp_path, 500)
