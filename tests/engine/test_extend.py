"""More of the same on an output: only what is new is paid for; less, or other, is refused and changes nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rowsmith import MCQDataset
from rowsmith.engine.report import Report
from rowsmith.errors import ConfigChangedError

from .harness import (
    QUICK,
    Model,
    classes,
    dataset,
    entries,
    ledger,
    lines,
    must_be_exact,
    questions,
    tones,
)
from .test_resume import _mcq_answer


def report_of(made: Any) -> Report:
    assert made.report is not None
    found: Report = made.report
    return found


GROWTHS: dict[str, tuple[dict[str, Any], int, int]] = {
    "a class": ({"classes": classes("good", "bad", "neither")}, 2, 30),
    "a class in front": ({"classes": classes("neither", "good", "bad")}, 2, 30),
    "a language": ({"languages": {"en": "English", "fr": "French"}}, 4, 40),
    "a placeholder's value": ({"expansion": tones("dry", "warm", "odd")}, 2, 30),
    "a template": ({"prompts": None}, 0, 0),
    "a higher target": ({"target_rows": 25}, 4, 25),
    "both a class and a higher count": ({"classes": classes("a", "good", "bad"), "num_samples_per_prompt": 6}, 6, 36),
}


@pytest.mark.parametrize("what", [name for name in GROWTHS if name != "a template"])
def test_more_data_pays_only_for_what_is_new(what: str, tmp_path: Path) -> None:
    changes, calls, rows = GROWTHS[what]
    model = Model()
    before = {"target_rows": 20} if "target_rows" in changes else {}
    dataset(tmp_path, **before).generate(model, options=QUICK)
    old = {row["id"]: row for row in lines(tmp_path)}
    assert len(model.asked) == 4

    report = report_of(dataset(tmp_path, **changes).generate(model, options=QUICK))
    assert report.complete
    assert report.calls == calls == len(model.asked) - 4
    must_be_exact(tmp_path, rows)
    assert old.items() <= {row["id"]: row for row in lines(tmp_path)}.items()
    assert model.repeated == 0


def test_a_template_added_pays_for_its_cells_alone(tmp_path: Path) -> None:
    first = "Write {num_samples} texts in {language_name}, {label_name}: {label_description}."
    second = "Make {num_samples} texts in {language_name}, {label_name}: {label_description}."
    model = Model()
    dataset(tmp_path, prompts=[first], expansion={}).generate(model, options=QUICK)
    report = report_of(dataset(tmp_path, prompts=[second, first], expansion={}).generate(model, options=QUICK))
    assert report.calls == 2
    assert [prompt.split()[0] for prompt in model.prompts] == ["Write", "Write", "Make", "Make"]
    must_be_exact(tmp_path, 20)


def test_a_model_added_pays_for_its_cells_alone(tmp_path: Path) -> None:
    one, two = Model(), Model(model_id="second")
    dataset(tmp_path).generate(one, options=QUICK)
    old = {row["id"]: row for row in lines(tmp_path)}
    report = report_of(dataset(tmp_path).generate([two, one], options=QUICK))
    assert (len(one.asked), len(two.asked), report.calls) == (4, 4, 4)
    rows = {row["id"]: row for row in lines(tmp_path)}
    assert old.items() <= rows.items()
    assert Counter(row["model_id"] for row in rows.values()) == {"model": 20, "second": 20}
    # In plan order the models take turns within each prompt.
    assert [row["model_id"] for row in lines(tmp_path)][::5] == ["second", "model"] * 4


def test_documents_appended_are_the_only_ones_asked_about(tmp_path: Path) -> None:
    model = Model(_mcq_answer)
    documents = ["first document", "second document"]
    MCQDataset(questions(tmp_path, documents)).generate(model, options=QUICK)
    assert len(model.asked) == 6
    old = {row["id"]: row for row in lines(tmp_path)}
    grown = MCQDataset(questions(tmp_path, ["a new one in front", *documents, "third document"]))
    report = report_of(grown.generate(model, options=QUICK))
    assert report.calls == 6
    assert all("first document" not in prompt for prompt in model.prompts[6:])
    rows = lines(tmp_path)
    assert old.items() <= {row["id"]: row for row in rows}.items()
    assert [row["source_document"] for row in rows][::2] == [
        "a new one in front",
        "first document",
        "second document",
        "third document",
    ]


def test_a_higher_count_asks_only_for_the_rows_that_lack(tmp_path: Path) -> None:
    model = Model()
    dataset(tmp_path).generate(model, options=QUICK)
    old = {row["id"]: row for row in lines(tmp_path)}
    report = report_of(dataset(tmp_path, num_samples_per_prompt=8).generate(model, options=QUICK))
    assert (report.calls, report.replayed, report.rows) == (4, 4, 32)
    assert [question.count for question in model.asked] == [5, 5, 5, 5, 3, 3, 3, 3]
    assert old.items() <= {row["id"]: row for row in lines(tmp_path)}.items()
    report = report_of(dataset(tmp_path, num_samples_per_prompt=9).generate(model, options=QUICK))
    assert (report.calls, report.replayed) == (4, 8)
    must_be_exact(tmp_path, 36)


def test_answers_given_before_a_class_was_added_are_found_although_the_prompt_lists_all_classes(tmp_path: Path) -> None:
    """The default prompt lists the classes: adding one changes the prompt of every cell there is."""
    model = Model()
    settings: dict[str, Any] = {"prompts": None, "expansion": {}}
    dataset(tmp_path, **settings).generate(model, options=QUICK)
    settings["classes"] = classes("good", "bad", "neither")
    assert report_of(dataset(tmp_path, **settings).generate(model, options=QUICK)).calls == 1
    settings["classes"] = classes("good", "bad", "neither", "both")
    settings["num_samples_per_prompt"] = 7
    report = report_of(dataset(tmp_path, **settings).generate(model, options=QUICK))
    # The three old cells ask for the two rows that lack, the new one for all.
    assert (report.calls, report.replayed) == (4, 3)
    assert sorted(question.count for question in model.asked[3:]) == [2, 2, 2, 7]
    report = report_of(dataset(tmp_path, **settings, gates={"max_length": 999}).generate(model, options=QUICK))
    assert (report.calls, report.replayed) == (0, 7)
    must_be_exact(tmp_path, 28)


def test_an_unfinished_cell_goes_on_from_its_answer_when_the_plan_has_grown(tmp_path: Path) -> None:
    def answer(question: Any) -> str:
        if question.count < 5 and stuck:
            raise RuntimeError("the test stops here")
        return entries(*(f"{question.digest:x} {n}" for n in range(min(3, question.count))))

    stuck = [True]
    model = Model(answer)
    with pytest.raises(RuntimeError):
        dataset(tmp_path).generate(model, max_concurrency=1, options=QUICK)
    assert model.answered == 1
    stuck.clear()
    grown = dataset(tmp_path, classes=classes("neither", "good", "bad"), num_samples_per_prompt=6)
    report = report_of(grown.generate(model, options=QUICK))
    assert report.complete
    assert report.replayed == 1
    must_be_exact(tmp_path, 36)
    assert ledger(tmp_path, "SELECT count(*), count(DISTINCT key) FROM calls")[0] == (model.answered, model.answered)


LESS: dict[str, tuple[dict[str, Any], str]] = {
    "classes": ({"classes": classes("good", "neither")}, "classes"),
    "languages": ({"languages": {"fr": "French"}}, "languages"),
    "placeholder": ({"expansion": tones("dry")}, "expansion"),
    "count": ({"num_samples_per_prompt": 3}, "num_samples_per_prompt"),
    "target": ({"target_rows": 10}, "target_rows"),
}


@pytest.mark.parametrize("what", LESS)
def test_less_is_refused_and_nothing_changes(what: str, tmp_path: Path) -> None:
    changes, field = LESS[what]
    model = Model()
    dataset(tmp_path).generate(model, options=QUICK)
    tables = _tables(tmp_path)
    with pytest.raises(ConfigChangedError) as caught:
        dataset(tmp_path, **changes).generate(model, options=QUICK)
    assert caught.value.fields == (field,)
    assert _tables(tmp_path) == tables
    report = report_of(dataset(tmp_path).generate(model, options=QUICK))
    assert (report.calls, report.complete) == (0, True)


def test_a_sample_grows_and_keeps_its_prompts(tmp_path: Path) -> None:
    model = Model()
    few = tones("dry", "warm", "odd", "sad") | {"combinatorial": False, "num_random_samples": 3}
    dataset(tmp_path, expansion=few).generate(model, options=QUICK)
    assert len(model.asked) == 3
    report = report_of(dataset(tmp_path, expansion={**few, "num_random_samples": 5}).generate(model, options=QUICK))
    assert (report.calls, report.rows) == (2, 25)


def test_a_kill_in_the_middle_of_growing_leaves_the_old_plan_or_the_new(tmp_path: Path) -> None:
    """Renumbered cells and the fingerprint of the new plan are one transaction: a failure leaves neither."""
    from rowsmith.engine.ledger.store import Store

    model = Model()
    dataset(tmp_path).generate(model, options=QUICK)
    tables = _tables(tmp_path)

    def broken(store: Store, values: Any) -> None:
        raise KeyboardInterrupt

    grown = dataset(tmp_path, classes=classes("neither", "good", "bad"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "set_meta", broken)
        with pytest.raises(KeyboardInterrupt):
            grown.generate(model, options=QUICK)
    assert _tables(tmp_path) == tables
    assert report_of(dataset(tmp_path).generate(model, options=QUICK)).calls == 0
    assert report_of(grown.generate(model, options=QUICK)).calls == 2


def test_more_values_in_another_order_put_the_file_in_the_new_order_without_calls(tmp_path: Path) -> None:
    model = Model()
    dataset(tmp_path).generate(model, options=QUICK)
    report = report_of(dataset(tmp_path, classes=classes("bad", "good")).generate(model, options=QUICK))
    assert report.calls == 0
    assert [row["label"] for row in lines(tmp_path)][::5] == ["bad", "good", "bad", "good"]


@pytest.mark.parametrize("made", [5, 50])
def test_growing_twice_is_the_same_as_growing_once(made: int, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    many = [f"class {number}" for number in range(made)]
    for folder, steps in ((one, (2, made // 2, made)), (two, (made,))):
        folder.mkdir()
        for step in steps:
            dataset(folder, classes=classes(*many[:step])).generate(Model(), options=QUICK)
    assert sorted(row["id"] for row in lines(one)) == sorted(row["id"] for row in lines(two))
    assert (one / "rows.jsonl").read_bytes() == (two / "rows.jsonl").read_bytes()


def _tables(folder: Path) -> list[Any]:
    tables = [ledger(folder, f"SELECT * FROM {name} ORDER BY 1, 2") for name in ("calls", "cells", "blocks", "denied")]
    return [*tables, ledger(folder, "SELECT value FROM meta WHERE name = 'fingerprint'")]
