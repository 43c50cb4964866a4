"""Failures that generators of datasets are known for: none of them may happen with any kind."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from kinds import KINDS, TEXT, Noting, made

from rowsmith import ConnectionFailedError, Dataset, OpenAIProvider, RowsmithError
from rowsmith.datasets.loading import KINDS as NAMES
from rowsmith.datasets.loading import kind_of
from rowsmith.engine.options import Options
from rowsmith.llm.retry import RetryPolicy
from rowsmith.testing import Call, ScriptedServer

QUICK = Options(policy=RetryPolicy(max_retries=1, first=0.001, longest=0.01), grace=5.0)

TOLD: Mapping[str, tuple[str, ...]] = {
    "classification": ("pleased", "is glad", "cross", "is angry"),
    "regression": ("dry", "wet", "how wet it is"),
    "token_labels": ("PER", "a person", "LOC", "a place"),
    "raw": ("letter", "canals", "locks"),
    "ultrachat": ("canals", "locks", "towpaths", "a lock keeper", "waterways"),
    "mcq": (TEXT,),
    "qa": (TEXT,),
    "preference": (TEXT,),
    "labels": (TEXT, "water", "rivers", "air", "winds"),
    "generic": ("Canals", TEXT),
    "generator": ("canals", "Explain to bargees.", "lock keepers"),
    "task": ("You write signs for boats.", "stern", "kind", "barge", "punt"),
}
"""What a configuration says must be in what the model is asked."""

STEPS: Mapping[tuple[str, str], tuple[str, dict[str, Any]]] = {
    ("mcq", "distractor_prompt"): ("MINE {language_name} {question} {correct_answer}", {}),
    ("qa", "judge_prompt"): ("MINE {document} {question} {answer}", {}),
    ("qa", "unanswerable_prompt"): (
        "MINE {num_samples} {language_name} {document}",
        {"unanswerable_share": 1.0, "llm_as_judge": False},
    ),
    ("preference", "chosen_response_generation_prompt"): ("MINE {language_name} {document} {question}", {}),
    ("preference", "rejected_response_generation_prompt"): ("MINE {language_name} {document} {question} {flaw}", {}),
    ("preference", "evolution_prompt"): ("MINE {question} {document}", {"evol_instruct": True}),
    ("preference", "judge_prompt"): ("MINE {question} {response_a} {response_b}", {"llm_as_judge": True}),
    ("ultrachat", "persona_question_reformulation_prompt"): ("MINE {question} {persona} {subtopic}", {}),
    ("ultrachat", "simulated_assistant_prompt"): ("MINE {domain} {topic} {subtopic} {question}", {}),
    ("ultrachat", "user_followup_prompt"): (
        "MINE {dialog_summary} {persona} {domain} {subtopic}",
        {"conversation_continuation_prob": 1.0},
    ),
    ("ultrachat", "user_system_prompt"): ("MINE", {"conversation_continuation_prob": 1.0}),
}
"""(kind, field) → a template of the user's own, and what else it needs."""

BRACES = "If {question} then {{topic}}, {} {0} %s %(x)s ${HOME} \\n {document} {num_samples} {persona}. " + TEXT
"""A source text that looks like a template."""

WITH_BRACES: Mapping[str, dict[str, Any]] = {
    "classification": {"classes": [{"name": "a", "description": BRACES}, {"name": "b", "description": "other"}]},
    "regression": {"quantity": BRACES},
    "token_labels": {"labels": [{"name": "A", "description": BRACES}, {"name": "B", "description": "b"}]},
    "raw": {"topics": [BRACES]},
    "ultrachat": {"topics_and_subtopics": {BRACES: ["locks"]}, "domain": "{topic}", "personas": ["{question}"]},
    "mcq": {"documents": [BRACES]},
    "qa": {"documents": [BRACES]},
    "preference": {"documents": [BRACES], "evol_instruct": True, "llm_as_judge": True},
    "labels": {"documents": [BRACES]},
    "generic": {"documents": [{"title": "{body}", "body": BRACES}]},
    "generator": {"instructions": BRACES, "topics": [BRACES.split(". ")[0], "{topic}"]},
    "task": {"description": BRACES},
}


def test_every_kind_is_looked_at() -> None:
    assert set(KINDS) == set(TOLD) == set(WITH_BRACES) == set(NAMES)
    steps = {(kind, name) for kind in NAMES for name in kind_of(kind, "")[0].model_fields if name.endswith("_prompt")}
    system = ("system_prompt", "generation_system_prompt", "dataset_system_prompt")
    others = (*system, "num_samples_per_prompt")
    assert {(kind, name) for kind, name in steps if name not in others} == set(STEPS)


@pytest.mark.parametrize("kind", KINDS)
def test_all_that_was_configured_is_in_what_the_model_is_asked(kind: str, tmp_path: Path) -> None:
    model = Noting()
    made(kind, tmp_path, system_prompt="Be terse.").generate(model)
    for told in (*TOLD[kind], "English"):
        assert told in model.words or (told == "English" and kind in ("labels", "generic")), told
    assert "Be terse." in model.words
    assert not re.search(r"(?<![\w{])\{\{?[a-z_]+\}?\}", model.words)


@pytest.mark.parametrize(("kind", "field"), STEPS)
def test_a_prompt_of_the_users_own_is_sent_and_filled_in(kind: str, field: str, tmp_path: Path) -> None:
    template, more = STEPS[kind, field]
    model = Noting()
    made(kind, tmp_path, **{field: template, **more}).generate(model)
    asked = [message["content"] for messages in model.noted for message in messages if "MINE" in message["content"]]
    assert asked
    assert not any(re.search(r"\{[a-z_]+\}", text) for text in asked)


@pytest.mark.parametrize("kind", KINDS)
def test_texts_with_braces_are_data(kind: str, tmp_path: Path) -> None:
    model = Noting()
    dataset = made(kind, tmp_path, **WITH_BRACES[kind]).generate(model, options=QUICK)
    assert BRACES in model.words
    assert len(dataset) == dataset.get_num_expected_rows()


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_given_is_not_changed(kind: str, tmp_path: Path) -> None:
    given = {**KINDS[kind], **WITH_BRACES[kind]}
    before = json.dumps(given)
    dataset = made(kind, tmp_path, **WITH_BRACES[kind])
    config = dataset.config.model_copy(deep=True)
    dataset.generate("offline", options=QUICK)
    assert json.dumps(given) == before
    assert dataset.config == config


@pytest.mark.parametrize("kind", KINDS)
def test_a_dead_service_makes_no_row_and_is_no_success(kind: str, tmp_path: Path) -> None:
    nobody = OpenAIProvider("gone", api_base="http://127.0.0.1:9/v1")
    dataset = made(kind, tmp_path)
    with suppress(ConnectionFailedError):
        dataset.generate(nobody, options=QUICK)
    report = dataset.report
    assert report is None or (report.ended != "complete" and "127.0.0.1:9" in str([report.lacks, report.ahead]))
    assert len(dataset) == 0


def test_a_dead_service_makes_up_no_values_of_an_axis(tmp_path: Path) -> None:
    nobody = OpenAIProvider("gone", api_base="http://127.0.0.1:9/v1")
    axis = {"name": "craft", "generated": {"amount": 3, "prompt": "Name {amount} boats."}, "prompt": "For a {value}."}
    dataset = made("task", tmp_path, axes=[axis])
    with pytest.raises(RowsmithError):
        dataset.generate(nobody, options=QUICK)
    assert len(dataset) == 0
    assert not list(tmp_path.rglob("craft.txt"))


CODE = "def f(x):\n\tif x:\n        return  'a  b'\n\n\n    # end  \n"


def test_code_keeps_its_indentation_from_the_answer_to_the_export(tmp_path: Path) -> None:
    def say(call: Call) -> str:
        return json.dumps({"entries": [{"text": f"{CODE}{call.number}"}]})

    with ScriptedServer(say) as server:
        dataset = made("raw", tmp_path, topics=["code"])
        dataset.generate(OpenAIProvider("m", api_base=server.base_url, api_key="any"), options=QUICK)
    assert [row["text"] for row in dataset] == [f"{CODE}0"]
    loaded = Dataset.load(tmp_path / "raw.jsonl")
    loaded.save(tmp_path / "saved.jsonl")
    loaded.map(lambda row: {"instruction": "code", "output": row["text"]}).export(tmp_path / "out.jsonl", "messages")
    assert json.loads((tmp_path / "saved.jsonl").read_bytes())["text"] == f"{CODE}0"
    assert json.loads((tmp_path / "out.jsonl").read_bytes())["messages"][1]["content"] == f"{CODE}0"


def test_ids_of_digits_stay_texts_through_a_stop_a_resume_and_a_second_start(tmp_path: Path) -> None:
    ids = [f"{number:03d}" for number in range(1, 9)]
    source = tmp_path / "source.csv"
    source.write_text("key,text\n" + "".join(f"{one},A note on number {one}.\n" for one in ids))
    given = {"documents": None, "local_file_path": str(source), "id_column": "key"}
    for most in (3, None, None):
        made("labels", tmp_path, **given).generate("offline", max_requests=most, max_concurrency=1)
        rows = made("labels", tmp_path, **given).to_list()
        assert [row["key"] for row in rows] == ids[: len(rows)]
    assert len(rows) == len(ids)


def test_another_prompt_never_gets_the_rows_of_the_first(tmp_path: Path) -> None:
    """Each output has answers of its own, and on one output another question is refused (see the tests of resuming)."""
    first, second = Noting(), Noting()
    made("raw", tmp_path, output_file=str(tmp_path / "a.jsonl")).generate(first)
    made("raw", tmp_path, output_file=str(tmp_path / "b.jsonl"), system_prompt="Be odd.").generate(second)
    assert len(first.noted) == len(second.noted) == 2
    assert [row["text"] for row in Dataset.load("a.jsonl")] != [row["text"] for row in Dataset.load("b.jsonl")]


def test_a_second_start_adds_nothing(tmp_path: Path) -> None:
    for kind in KINDS:
        made(kind, tmp_path).generate("offline", options=QUICK)
        before = (tmp_path / f"{kind}.jsonl").read_bytes()
        model = Noting()
        made(kind, tmp_path).generate(model, options=QUICK)
        assert (tmp_path / f"{kind}.jsonl").read_bytes() == before
        assert model.noted == []
