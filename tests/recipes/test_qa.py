"""Questions and answers about documents."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowsmith import ConfigError, OpenAIProvider, QADataset, QADatasetConfig
from rowsmith.data.shapes import Document
from rowsmith.recipes.passages import Passages
from rowsmith.recipes.qa import placed
from rowsmith.testing import Call, ScriptedServer

LIME = "Limescale is left behind by hard water. Citric acid dissolves limescale. Vinegar is slower than citric acid."
PUMP = "A heat pump moves heat instead of making it. It needs a third of the energy of an electric heater."


def config(folder: Path, **fields: object) -> QADatasetConfig:
    given: dict[str, Any] = {
        "documents": [LIME, PUMP],
        "min_document_length": 1,
        "num_samples_per_prompt": 2,
        "output_file": str(folder / "rows.jsonl"),
        **fields,
    }
    return QADatasetConfig.model_validate(given)


def test_an_answer_of_thousands_is_where_its_row_says(tmp_path: Path) -> None:
    made = config(tmp_path, num_samples_per_prompt=500, unanswerable_share=0.2, gates={"duplicates": "allow"})
    rows = QADataset(made).generate("offline").to_list()
    assert len(rows) == 1000
    for row in rows:
        if row["is_impossible"]:
            assert (row["answer"], row["answer_start"]) == ("", None)
        else:
            assert row["context"][row["answer_start"] :].startswith(row["answer"])
            assert row["answer"]
    assert 199 <= sum(row["is_impossible"] for row in rows) <= 201


def test_a_share_holds_over_all_cells_even_of_one_row_each(tmp_path: Path) -> None:
    documents = [f"Document number {number} says that the colour of door {number} is blue." for number in range(400)]
    gates = {"duplicates": "allow"}
    made = config(tmp_path, documents=documents, num_samples_per_prompt=1, unanswerable_share=0.25, gates=gates)
    rows = QADataset(made).generate("offline").to_list()
    assert 60 <= sum(row["is_impossible"] for row in rows) <= 140  # 100 are to be expected, with a deviation of 9


def judge_and_writer(entries: list[dict[str, Any]], verdicts: dict[str, Any] | None = None) -> Any:
    turns = iter(entries)

    def say(call: Call) -> str:
        last = call.asked.messages[-1].content
        if "Judge both" in last:
            return json.dumps({"reasoning": "so", **(verdicts or {"supported": True, "needs_context": True})})
        return json.dumps({"entries": [next(turns)]})

    return say


def exact(question: str, answer: str, evidence: str = "") -> dict[str, Any]:
    return {"question": question, "answer": answer, "evidence": evidence}


def run(folder: Path, say: Any, **fields: object) -> tuple[QADataset, ScriptedServer]:
    made = QADataset(config(folder, documents=[LIME], num_samples_per_prompt=1, **fields))
    with ScriptedServer(say) as server:
        made.generate(OpenAIProvider("scripted", api_base=server.base_url))
    return made, server


def test_an_answer_in_other_words_is_asked_for_again_with_the_reason(tmp_path: Path) -> None:
    entries = [exact("What dissolves it?", "the citric acid"), exact("What is slower?", "Vinegar")]
    made, server = run(tmp_path, judge_and_writer(entries))
    (row,) = made.to_list()
    assert (row["answer"], row["answer_start"]) == ("Vinegar", LIME.index("Vinegar"))
    assert made.report is not None
    assert made.report.rejected == {"answer_span": 1}
    assert any("in these very characters" in call.asked.messages[-1].content for call in server.calls[1:])


def test_an_answer_that_stands_there_twice_is_placed_by_its_evidence() -> None:
    assert placed(LIME, "Limescale", "") == 0
    assert placed(LIME, "citric acid", "Vinegar is slower than citric acid.") == LIME.rindex("citric acid")
    assert "2 times" in str(placed(LIME.casefold(), "citric acid", "no such sentence"))
    assert "does not stand" in str(placed(LIME, "soap", ""))
    assert "empty" in str(placed(LIME, "  ", ""))


@given(st.text(min_size=1, max_size=60), st.data())
def test_a_place_is_always_one_where_the_answer_stands(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    place = placed(text, text[start:end], text)
    if isinstance(place, int):
        assert text[place:].startswith(text[start:end].strip())


def test_a_question_that_comes_twice_is_judged_once(tmp_path: Path) -> None:
    writes = iter([["Why?", "Why?"], ["Who?"]])

    def say(call: Call) -> str:
        if "Judge both" in call.asked.messages[-1].content:
            return json.dumps({"reasoning": "so", "supported": True, "needs_context": True})
        return json.dumps({"entries": [{"question": question, "answer": "Acid does."} for question in next(writes)]})

    made = QADataset(config(tmp_path, documents=[LIME], answers="abstractive"))
    with ScriptedServer(say) as server:
        made.generate(OpenAIProvider("scripted", api_base=server.base_url))
    assert [row["question"] for row in made.to_list()] == ["Why?", "Who?"]
    assert sum("Judge both" in call.asked.messages[-1].content for call in server.calls) == 2


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        ({"supported": False, "needs_context": True}, "does not follow from the text"),
        ({"supported": True, "needs_context": False}, "can be answered without the text"),
    ],
)
def test_what_the_judge_finds_wanting_is_refused(tmp_path: Path, verdict: dict[str, Any], reason: str) -> None:
    entries = [{"question": "What?", "answer": "Acid does."}]
    made, _ = run(tmp_path, judge_and_writer(entries, verdict), answers="abstractive", max_rounds=0)
    assert len(made) == 0
    refused = json.loads((tmp_path / "rows.run/rejected.jsonl").read_text())
    assert refused["gate"] == "judge"
    assert reason in refused["reason"]


@pytest.mark.parametrize(("answerable", "rows"), [(False, 1), (True, 0)])
def test_a_question_without_an_answer_must_have_none(tmp_path: Path, answerable: bool, rows: int) -> None:
    say = judge_and_writer([{"question": "Who found it?"}], {"answerable": answerable})
    made, _ = run(tmp_path, say, unanswerable_share=1.0, max_rounds=0)
    assert len(made) == rows
    assert all(row["is_impossible"] and row["answer"] == "" for row in made)


def test_styles_and_difficulties_are_asked_for_as_often_and_told(tmp_path: Path) -> None:
    made = config(tmp_path, question_styles=["a search query", "a polite e-mail"], difficulties=["easy", "hard"])
    dataset = QADataset(made)
    assert dataset.get_num_expected_rows() == 2 * 2 * 2 * 2
    with ScriptedServer() as server:
        dataset.generate(OpenAIProvider("scripted", api_base=server.base_url), max_concurrency=1)
        asked = [call.asked.messages[-1].content for call in server.calls]
    assert any("What the questions are like: a polite e-mail.\nHow hard they are: hard." in text for text in asked)
    counted = Counter((row["style"], row["difficulty"]) for row in QADataset(made).generate("offline", fresh=True))
    assert set(counted.values()) == {4}
    assert len(counted) == 4


def test_several_hops_show_passages_that_belong_together(tmp_path: Path) -> None:
    documents = [f"The turbine of dam {name} was built by engineer {name}son." for name in "ABCDE"]
    documents += ["Cats sleep most of their lives, and nobody minds.", "Soup is best when it is hot and salty."]
    made = config(tmp_path, documents=documents, hops=2, answers="abstractive", sample_count=7)
    rows = QADataset(made).generate("offline").to_list()
    for row in rows:
        assert len(row["metadata"]["passages"]) == 2
        if row["context"].startswith("The turbine"):
            assert row["context"].count("turbine") == 2


def test_long_documents_are_cut_into_passages_that_can_be_found_again(tmp_path: Path) -> None:
    long = " ".join(f"Sentence number {number} tells of thing {number}." for number in range(200))
    documents = [Document(long, "long.md"), Document("Short.", "short.md")]
    passages = Passages(documents, 300, 60, "sentences")
    assert len(passages) > 20
    for passage in passages[: len(passages) - 1]:
        assert long[passage.start :].startswith(passage.text)
    assert passages[len(passages) - 1].name == "short.md@0"
    assert len({passages.fingerprint(place) for place in range(len(passages))}) == len(passages)
    beside = passages.beside(passages[3], 2, Random(1))
    assert len(beside) == 2
    assert passages[3] not in beside


def test_a_document_more_pays_only_for_its_own_passages(tmp_path: Path) -> None:
    QADataset(config(tmp_path)).generate("offline")
    grown = QADataset(config(tmp_path, documents=[LIME, PUMP, "The tide comes in twice a day, pulled by the moon."]))
    report = grown.generate("offline").report
    assert report is not None
    assert report.complete
    assert report.calls == 3  # one for its questions, one for each verdict


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"chunk_overlap": 2000}, "must be less than chunk_size"),
        ({"unanswerable_prompt": "{num_samples} {language_name} {document}"}, "set unanswerable_share"),
        ({"judge_prompt": "{document}"}, "question"),
        ({"llm_as_judge": False, "judge_prompt": "{document} {question}"}, "no judge is asked"),
        ({"question_styles": ["a", "a"]}, "number 2 is 'a'"),
        ({"answers": "free"}, "extractive"),
    ],
)
def test_what_cannot_be_asked_is_refused(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(tmp_path, **fields)
