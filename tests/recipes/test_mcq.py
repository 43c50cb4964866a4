"""Multiple-choice questions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rowsmith import ConfigError, MCQDataset, MCQDatasetConfig, OpenAIProvider
from rowsmith.quality.text import normalised
from rowsmith.recipes.mcq import OF_THE_ABOVE, distractors, fault
from rowsmith.testing import Call, ScriptedServer

DOCUMENTS = [
    f"River number {number} rises in the mountains of region {number} and ends in a lake." for number in range(50)
]


def config(folder: Path, **fields: object) -> MCQDatasetConfig:
    given: dict[str, Any] = {
        "documents": DOCUMENTS,
        "min_document_length": 10,
        "num_samples_per_prompt": 4,
        "gates": {"duplicates": "allow"},
        "output_file": str(folder / "rows.jsonl"),
        **fields,
    }
    return MCQDatasetConfig.model_validate(given)


@pytest.mark.parametrize("count", [1, 3, 9])
def test_all_answers_of_hundreds_of_questions_differ(tmp_path: Path, count: int) -> None:
    rows = MCQDataset(config(tmp_path, num_incorrect_answers=count)).generate("offline").to_list()
    assert len(rows) == 200
    for row in rows:
        wrong = [row[f"incorrect_answer_{number}"] for number in range(1, count + 1)]
        assert f"incorrect_answer_{count + 1}" not in row
        assert len({normalised(answer) for answer in (row["correct_answer"], *wrong)}) == count + 1


def wrong(*answers: str) -> Any:
    model = distractors(len(answers)).model
    return model(**{f"incorrect_answer_{place}": answer for place, answer in enumerate(answers, start=1)})


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (("A lake", "A SEA ", "a sea."), "is the same as incorrect_answer_2"),
        (("the Rhine.", "a", "b"), "is the same as the right answer"),
        (("a", " ", "b"), "incorrect_answer_2 is empty"),
        (("a", "b", "All of the above"), "speaks of the other answers"),
        (("a", "b", "None of these."), "speaks of the other answers"),
        (("a", "b", "Both of them"), "speaks of the other answers"),
        (("a", "b", "A and C"), "speaks of the other answers"),
        (("a", "b", "Keine der genannten"), "speaks of the other answers"),
        (("a", "b", "Toutes les réponses ci-dessus"), "speaks of the other answers"),
        (("a", "b", "Ninguna de las anteriores"), "speaks of the other answers"),
        (("a", "b", "以上都是"), "speaks of the other answers"),
    ],
)
def test_wrong_answers_that_are_none_are_told_apart(answers: tuple[str, ...], said: str) -> None:
    assert said in str(fault("The Rhine", wrong(*answers)))


def test_sound_answers_pass() -> None:
    for text in ("the above-ground storey", "all of Europe", "none", "both rivers", "salt and pepper", "以上海为例"):
        assert not OF_THE_ABOVE.search(normalised(text)), text
    assert fault("The Rhine", wrong("The Elbe", "The Oder", "The Danube")) is None
    assert fault("The Rhine", wrong("a", "b", "All of the above"), of_the_above=True) is None


def test_all_of_the_above_is_asked_for_again_and_allowed_by_choice(tmp_path: Path) -> None:
    def say(call: Call) -> str:
        last = call.asked.messages[-1].content
        if "speaks of the other answers" in last:
            return json.dumps({f"incorrect_answer_{number}": f"a lake {number}" for number in (1, 2)})
        if "Write two wrong answers" in last:
            return json.dumps({"incorrect_answer_1": "a sea", "incorrect_answer_2": "all of the above"})
        return json.dumps({"entries": [{"question": "Where does it end?", "correct_answer": "a lake"}]})

    for allowed in (False, True):
        folder = tmp_path / str(allowed)
        folder.mkdir()
        made = config(
            folder, sample_count=1, num_samples_per_prompt=1, num_incorrect_answers=2, allow_all_of_the_above=allowed
        )
        with ScriptedServer(say) as server:
            (row,) = MCQDataset(made).generate(OpenAIProvider("scripted", api_base=server.base_url)).to_list()
        assert row["incorrect_answer_2"] == ("all of the above" if allowed else "a lake 2")


@pytest.mark.parametrize("fields", [{"num_incorrect_answers": 0}, {"num_incorrect_answers": 10}])
def test_a_senseless_number_of_answers_is_refused(tmp_path: Path, fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="num_incorrect_answers"):
        config(tmp_path, **fields)


def test_documents_that_are_left_out_are_counted_and_told(tmp_path: Path) -> None:
    made = MCQDataset(config(tmp_path, documents=[*DOCUMENTS[:2], "short", "", DOCUMENTS[0]])).generate("offline")
    assert made.report is not None
    assert made.skipped == made.report.skipped == {"too short": 1, "empty": 1, "repeated": 1}
