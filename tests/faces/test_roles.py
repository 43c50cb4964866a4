"""Models of single roles, named by the kind's own arguments, by `roles`, or in YAML."""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rowsmith import (
    ClassificationDataset,
    ConfigChangedError,
    ConfigError,
    Fallback,
    MCQDataset,
    MCQDatasetConfig,
    OfflineProvider,
    Spread,
)
from rowsmith.datasets.loading import KINDS, load_job
from rowsmith.datasets.naming import RoleLlms
from rowsmith.engine.events import CallMade, Event

WRITER, OTHER, THIRD = (OfflineProvider(f"offline-{name}") for name in ("writer", "other", "third"))


def mcq(folder: Path, **changes: Any) -> MCQDataset:
    source = folder / "documents.txt"
    source.write_text("".join(f"A document about the river {name}, and where it flows.\n" for name in "abcd"))
    settings = {"local_file_path": str(source), "output_file": str(folder / "rows.jsonl"), "min_document_length": 1}
    return MCQDataset(MCQDatasetConfig.model_validate({**settings, "num_samples_per_prompt": 2, **changes}))


def asked(dataset: MCQDataset, *args: Any, **how: Any) -> dict[tuple[str, str], int]:
    """How many calls each model answered in each role."""
    calls: Counter[tuple[str, str]] = Counter()

    def listen(event: Event) -> None:
        if isinstance(event, CallMade):
            calls[event.role, event.model.partition("/")[2]] += 1

    dataset.generate(*args, listeners=[listen], **how)
    return dict(calls)


def test_a_role_has_a_model_of_its_own(tmp_path: Path) -> None:
    made = mcq(tmp_path)
    assert asked(made, WRITER, distractor_llm=OTHER) == {
        ("question", "offline-writer"): 4,
        ("distractor", "offline-other"): 8,
    }
    assert {row["model_id"] for row in made} == {"offline-writer"}


def test_llms_may_be_left_out_where_every_role_is_named(tmp_path: Path) -> None:
    made = mcq(tmp_path)
    assert made.get_num_expected_rows(question_llm=WRITER, distractor_llm=OTHER) == 8
    assert asked(made, question_llm=WRITER, distractor_llm="offline/offline-other") == {
        ("question", "offline-writer"): 4,
        ("distractor", "offline-other"): 8,
    }
    assert len(made) == 8


def test_roles_by_name_are_the_same_as_arguments(tmp_path: Path) -> None:
    mcq(tmp_path).generate(question_llm=WRITER, distractor_llm=OTHER)
    made = mcq(tmp_path).generate(roles={"question": WRITER, "distractor": OTHER})
    assert made.report is not None
    assert (made.report.complete, made.report.calls) == (True, 0)


async def test_every_face_takes_roles(tmp_path: Path) -> None:
    made = mcq(tmp_path)
    assert {part.model for part in made_of(await made.estimate_async(question_llm=WRITER, distractor_llm=OTHER))} == {
        "offline/offline-writer",
        "offline/offline-other",
    }
    sample = await made.generate_sample_async(num_samples=2, question_llm=WRITER, distractor_llm=OTHER)
    assert {exchange.model for prompts in sample.prompts for exchange in prompts} == {
        "offline/offline-writer",
        "offline/offline-other",
    }
    await made.generate_async(question_llm=WRITER, distractor_llm=OTHER)
    assert len(made) == 8


def made_of(estimate: Any) -> Any:
    return estimate.parts


def test_a_role_may_be_shared(tmp_path: Path) -> None:
    calls = asked(mcq(tmp_path), Fallback([WRITER, OTHER]), distractor_llm={"spread": [OTHER, THIRD]})
    assert calls["question", "offline-writer"] == 4
    assert calls["distractor", "offline-other"] == calls["distractor", "offline-third"] == 4


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a misspelt argument": ({"distracter_llm": OTHER}, "mcq has no argument 'distracter_llm'. Did you mean 'distract"),
    "a role of another kind": (
        {"judge_llm": OTHER},
        "no argument 'judge_llm'. Its roles: question_llm, distractor_llm",
    ),
    "a misspelt setting": ({"max_costs": 3}, "no argument 'max_costs'. Did you mean 'max_cost'"),
    "a misspelt role": ({"roles": {"distracter": OTHER}}, "mcq has no role 'distracter'. Did you mean 'distractor'"),
    "an unknown role": ({"roles": {"poet": OTHER}}, "mcq has no role 'poet'. Its roles: question, distractor"),
    "no mapping": ({"roles": [OTHER]}, "roles must be a mapping from a role to its model"),
    "named twice": (
        {"roles": {"distractor": OTHER}, "distractor_llm": THIRD},
        "the role 'distractor' is named twice: in roles and as distractor_llm",
    ),
    "an unknown model": ({"distractor_llm": "ofline"}, "Did you mean 'offline'"),
    "llms for nothing": ({"question_llm": OTHER, "distractor_llm": THIRD}, "llms would be asked for nothing"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_fit_is_refused(what: str, tmp_path: Path) -> None:
    arguments, message = WRONG[what]
    with pytest.raises(ConfigError, match=message):
        mcq(tmp_path).generate(WRITER, **arguments)
    assert not (tmp_path / "rows.run").exists()


def test_a_role_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no model was named for distractor_llm: give it, or llms for all roles"):
        mcq(tmp_path).generate(question_llm=WRITER)
    with pytest.raises(ConfigError, match="no model was named: write generate"):
        mcq(tmp_path).generate()
    with pytest.raises(ConfigError, match="no argument 'questoin_llm'"):
        mcq(tmp_path).get_num_expected_rows(WRITER, questoin_llm=OTHER)  # type: ignore[call-arg]  # the misspelling


def test_another_model_for_a_role_is_another_run_but_one_behind_it_is_not(tmp_path: Path) -> None:
    mcq(tmp_path).generate(WRITER, distractor_llm=OTHER)
    made = mcq(tmp_path).generate(WRITER, distractor_llm=Fallback([OTHER, THIRD]))
    assert made.report is not None
    assert made.report.calls == 0
    with pytest.raises(ConfigChangedError, match="roles: was"):
        mcq(tmp_path).generate(WRITER, distractor_llm=THIRD)


def test_yaml_names_roles_and_shares_work(tmp_path: Path) -> None:
    mcq(tmp_path)  # writes the documents
    file = tmp_path / "job.yaml"
    file.write_text(
        "dataset: mcq\noutput_file: rows.jsonl\nlocal_file_path: documents.txt\nmin_document_length: 1\n"
        "num_samples_per_prompt: 2\n"
        "roles:\n"
        "  question: {fallback: [offline/offline-writer, offline/offline-other]}\n"
        "  distractor: {spread: [{model: offline/offline-a, weight: 3}, offline/offline-b]}\n"
    )
    job = load_job(file)
    assert job.names_models
    job.dataset.generate(**job.how)
    report = job.dataset.report
    assert report is not None
    calls = {model.partition("/")[2]: spend.calls for (model, _), spend in report.spend.items()}
    assert calls == {"offline-writer": 4, "offline-a": 6, "offline-b": 2}


def test_weights_are_given_in_yaml(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(
        "dataset: classification\noutput_file: rows.jsonl\nnum_samples_per_prompt: 1\n"
        "classes: [{name: good, description: g}, {name: bad, description: b}]\n"
        "languages: {en: English, fr: French, de: German, it: Italian}\n"
        "llms: [offline/offline-a, offline/offline-b]\nspread: [3, 1]\n"
    )
    job = load_job(file)
    job.dataset.generate(job.llms, **job.how)
    assert isinstance(job.dataset, ClassificationDataset)
    assert Counter(row["model_id"] for row in job.dataset) == {"offline-a": 6, "offline-b": 2}
    assert Spread(["offline/offline-a", "offline/offline-b"], weights=[3, 1]).parts == (3, 1)


def test_the_arguments_of_all_kinds_are_known_to_type_checkers() -> None:
    for home in KINDS.values():
        module, _, face = home.partition(".")
        recipe = getattr(importlib.import_module(f"rowsmith.datasets.{module}"), face).recipe
        assert set(recipe.arguments_of_roles().values()) <= RoleLlms.__annotations__.keys()
