"""Questions with a better and a worse answer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from rowsmith import ConfigError, OpenAIProvider, PreferenceDataset, PreferenceDatasetConfig
from rowsmith.recipes.evolution import failed, unanswered
from rowsmith.testing import Call, ScriptedServer

DOCUMENTS = ["Limescale is what hard water leaves behind.", "A heat pump moves heat instead of making it."]


def config(folder: Path, **fields: object) -> PreferenceDatasetConfig:
    given: dict[str, Any] = {
        "input_documents": DOCUMENTS,
        "num_samples_per_prompt": 2,
        "output_file": str(folder / "rows.jsonl"),
        **fields,
    }
    return PreferenceDatasetConfig.model_validate(given)


class Models:
    """Every role as a scripted model of its own, which says in its answers who it is."""

    def __init__(self, server: ScriptedServer) -> None:
        for role in ("question", "chosen", "rejected", "evolution", "judge"):
            setattr(self, role, OpenAIProvider(role, api_base=server.base_url))

    def named(self, *roles: str) -> Mapping[str, Any]:
        names = {
            "question": "question_gen_llm",
            "chosen": "chosen_response_gen_llm",
            "rejected": "rejected_response_gen_llm",
            "evolution": "evolution_llm",
            "judge": "judge_llm",
        }
        return {names[role]: getattr(self, role) for role in roles}


def script(judge: Callable[[str], dict[str, Any]] | None = None, *, equal: bool = False) -> Callable[[Call], str]:
    def say(call: Call) -> str:
        last = call.asked.messages[-1].content
        if call.asked.model == "question":
            return json.dumps({"entries": [{"question": f"{last[23:50].strip()} {number}?"} for number in range(2)]})
        if call.asked.model == "judge":
            assert judge is not None
            return json.dumps({"reasoning": "so", **judge(last)})
        if call.asked.model == "evolution":
            same = "Do they ask the same" in last
            question = last.partition("The question: ")[2].partition("\n")[0]
            return json.dumps({"equal": equal} if same else {"question": f"harder: {question}"})
        return f"{call.asked.model} says: {last[-70:]}"

    return say


def test_the_three_models_of_a_pair_and_nobody_else_are_needed(tmp_path: Path) -> None:
    with ScriptedServer(script()) as server:
        made = PreferenceDataset(config(tmp_path))
        rows = made.generate(**Models(server).named("question", "chosen", "rejected")).to_list()
    assert len(rows) == 4
    for row in rows:
        assert row["chosen"].startswith("chosen says")
        assert row["rejected"].startswith("rejected says")
        assert (row["question_model_id"], row["chosen_model_id"], row["rejected_model_id"]) == (
            "question",
            "chosen",
            "rejected",
        )
        assert (row["chosen_score"], row["rejected_score"]) == (None, None)
        assert row["question"] in row["chosen"]
    assert Counter(row["document"] for row in rows) == dict.fromkeys(DOCUMENTS, 2)


def in_favour_of(text: str, by: int = 4) -> Callable[[str], dict[str, Any]]:
    """A judge that likes one side, and a little more whichever comes first."""

    def judge(prompt: str) -> dict[str, Any]:
        first, second = prompt.split("Answer A:\n")[1].split("Answer B:\n")
        return {"score_a": 3 + by * (text in first) + 1, "score_b": 3 + by * (text in second)}

    return judge


ALL = ("question", "chosen", "rejected", "judge")


def test_a_judge_scores_in_both_orders_so_that_the_place_does_not_count(tmp_path: Path) -> None:
    with ScriptedServer(script(in_favour_of("chosen says"))) as server:
        rows = PreferenceDataset(config(tmp_path, llm_as_judge=True)).generate(**Models(server).named(*ALL)).to_list()
        judged = [call for call in server.calls if call.asked.model == "judge"]
    assert len(judged) == 2 * len(rows) == 8
    assert {(row["chosen_score"], row["rejected_score"]) for row in rows} == {(7.5, 3.5)}
    assert not any(row["metadata"]["swapped"] for row in rows)


def test_a_judge_that_disagrees_swaps_the_pair_with_its_models(tmp_path: Path) -> None:
    with ScriptedServer(script(in_favour_of("rejected says"))) as server:
        rows = PreferenceDataset(config(tmp_path, llm_as_judge=True)).generate(**Models(server).named(*ALL)).to_list()
    for row in rows:
        assert row["chosen"].startswith("rejected says")
        assert row["chosen_model_id"] == "rejected"
        assert row["chosen_score"] > row["rejected_score"]
        assert row["metadata"]["swapped"]


@pytest.mark.parametrize(
    ("fields", "judge", "reason"),
    [
        ({"on_disagreement": "drop"}, in_favour_of("rejected says"), "is the better one: 3.5 and 7.5"),
        ({"judge_margin": 5}, in_favour_of("chosen says"), "too near to each other: 7.5 and 3.5"),
        ({"judge_margin": 0}, in_favour_of("chosen says", 0), "too near to each other: 3.5 and 3.5"),
    ],
)
def test_pairs_that_are_no_pairs_are_refused_and_told_of(
    tmp_path: Path, fields: dict[str, Any], judge: Callable[[str], dict[str, Any]], reason: str
) -> None:
    made = PreferenceDataset(config(tmp_path, llm_as_judge=True, max_rounds=0, **fields))
    with ScriptedServer(script(judge)) as server:
        made.generate(**Models(server).named(*ALL))
    assert made.to_list() == []
    assert made.report is not None
    assert made.report.rejected == {"judge": 4}
    refused = [json.loads(line) for line in (tmp_path / "rows.run/rejected.jsonl").read_text().splitlines()]
    assert all(reason in record["reason"] for record in refused)


def test_scores_out_of_bounds_are_asked_for_again(tmp_path: Path) -> None:
    scores = iter([11, 0, 9] + [2] * 100)

    def judge(prompt: str) -> dict[str, Any]:
        return {"score": next(scores) if "rejected says" not in prompt else 1}

    made = config(
        tmp_path, input_documents=DOCUMENTS[:1], num_samples_per_prompt=1, llm_as_judge=True,
        judge_prompt="{document} {question} {response}",
    )  # fmt: skip
    with ScriptedServer(script(judge)) as server:
        (row,) = PreferenceDataset(made).generate(**Models(server).named(*ALL)).to_list()
    assert (row["chosen_score"], row["rejected_score"]) == (9, 1)


@pytest.mark.parametrize("equal", [False, True])
def test_questions_are_evolved_step_by_step_unless_a_step_says_nothing_new(tmp_path: Path, equal: bool) -> None:
    made = config(tmp_path, evol_instruct=True, evolution_steps=2)
    roles = ("question", "chosen", "rejected", "evolution")
    with ScriptedServer(script(equal=equal)) as server:
        rows = PreferenceDataset(made).generate(**Models(server).named(*roles)).to_list()
    for row in rows:
        assert row["question"].startswith("harder: ") is not equal
        assert len(row["metadata"]["evolution"]) == (0 if equal else 2)
        assert row["question"] in row["chosen"]


def test_a_prompt_of_the_users_own_may_show_the_answer_that_is_to_be_outgrown(tmp_path: Path) -> None:
    made = config(tmp_path, evol_instruct=True, evolution_prompt="{document}|{answer}|{question}")
    roles = ("question", "chosen", "rejected", "evolution")
    with ScriptedServer(script()) as server:
        PreferenceDataset(made).generate(**Models(server).named(*roles))
        evolved = [call.asked.messages[-1].content for call in server.calls if call.asked.model == "evolution"]
    assert any("|chosen says: " in prompt for prompt in evolved)


def test_steps_that_failed_are_known_by_their_words() -> None:
    assert failed("What is lime?", "  what is lime ")
    assert failed("What is lime?", "")
    assert failed("What is lime?", "Here is the #Rewritten Prompt#: what is lime in water?")
    assert not failed("What is lime?", "What is lime, and how is it removed from steel in three steps?")
    assert unanswered("I'm sorry, but this cannot be answered.")
    assert not unanswered("I am sorry to hear it. " + "Descale the machine with citric acid. " * 20)


def test_given_questions_are_answered_as_they_are(tmp_path: Path) -> None:
    questions = ["How do I descale a kettle?", "What does a heat pump cost to run?"]
    made = config(tmp_path, input_documents=questions, from_questions=True, num_samples_per_prompt=2)
    with ScriptedServer(script()) as server:
        rows = PreferenceDataset(made).generate(**Models(server).named("chosen", "rejected"), max_concurrency=1)
        assert {call.asked.model for call in server.calls} == {"chosen", "rejected"}
    # The scripted model says the same each time: one pair a question is all there is without duplicates.
    assert {row["question"] for row in rows} == set(questions)
    assert all("document" not in row for row in rows)


def test_pairs_of_hundreds_of_rows_are_in_order_offline(tmp_path: Path) -> None:
    made = config(tmp_path, num_samples_per_prompt=100, llm_as_judge=True, evol_instruct=True, max_rounds=8)
    rows = PreferenceDataset(made).generate("offline").to_list()
    assert len(rows) == 200
    for row in rows:
        assert 1 <= row["rejected_score"] < row["chosen_score"] <= 10
        assert row["chosen"].strip() != row["rejected"].strip()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"judge_prompt": "{question} {response}"}, "set llm_as_judge=True"),
        ({"evolution_prompt": "{question}"}, "set evol_instruct=True"),
        ({"llm_as_judge": True, "judge_prompt": "{question} {answer_a}"}, "response_a"),
        ({"chosen_response_generation_prompt": "{question}"}, "language_name"),
        ({"evol_instruct": True, "evolution_prompt": "harder!"}, "question"),
        ({"from_questions": True, "prompts": ["{num_samples} {language_name} {document}"]}, "leave prompts out"),
        ({"documents": ["x"]}, "are the same; give one of them"),
    ],
)
def test_what_cannot_be_asked_is_refused(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(tmp_path, **fields)
