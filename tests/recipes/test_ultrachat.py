"""Conversations, turn by turn."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rowsmith import ConfigError, OpenAIProvider, UltrachatDataset, UltrachatDatasetConfig
from rowsmith.testing import Call, ScriptedServer

TOPICS = {"machines": ["smells", "codes"], "heating": []}


def config(folder: Path, **fields: object) -> UltrachatDatasetConfig:
    given: dict[str, Any] = {
        "topics_and_subtopics": TOPICS,
        "domain": "households",
        "num_samples": 2,
        "output_file": str(folder / "rows.jsonl"),
        **fields,
    }
    return UltrachatDatasetConfig.model_validate(given)


def talk(call: Call) -> str:
    """A model that says in one word what it was asked for."""
    last = call.asked.messages[-1].content
    if call.asked.schema is not None:
        return json.dumps({"entries": [{"question": f"first {number} {hash(last) % 10**9}"} for number in range(2)]})
    if last.startswith("Put it"):
        return f"reformulated: {last[7:]}"
    if last.startswith("Go on"):
        return "follow-up"
    return "reply"


STEPS = {
    "persona_question_reformulation_prompt": "Put it {persona}|{subtopic}|{question}",
    "simulated_assistant_prompt": "{domain}>{topic}>{subtopic}: {question}",
    "user_followup_prompt": "Go on {persona}|{domain}|{subtopic}|{dialog_summary}",
    "user_system_prompt": "You are curious.",
}


def asked(server: ScriptedServer) -> list[list[tuple[str, str]]]:
    return [
        [(message.role, message.content) for message in call.asked.messages]
        for call in server.calls
        if call.asked.schema is None
    ]


def test_every_prompt_of_the_users_own_is_honoured_and_nothing_of_it_is_in_a_turn(tmp_path: Path) -> None:
    made = config(
        tmp_path,
        topics_and_subtopics={"machines": ["smells"]},
        personas=["a student"],
        num_samples=1,
        max_turns=3,
        conversation_continuation_prob=1.0,
        languages={"fr": "French"},
        **STEPS,
    )
    with ScriptedServer(talk) as server:
        model = OpenAIProvider("scripted", api_base=server.base_url)
        (row,) = UltrachatDataset(made).generate(model, max_concurrency=1).to_list()
        sent = asked(server)
    first = row["prompt"]
    assert first.startswith("reformulated: a student|smells|first 0")
    assert [message["role"] for message in row["messages"]] == ["user", "assistant"] * 3
    assert [message["content"] for message in row["messages"]] == [
        first,
        "reply",
        "follow-up",
        "reply",
        "follow-up",
        "reply",
    ]
    assert (row["persona"], row["topic"], row["subtopic"], row["domain"]) == (
        "a student",
        "machines",
        "smells",
        "households",
    )
    french = ("system", "Write in French.")
    opening = ("user", f"households>machines>smells: {first}")
    assert sent[1] == [french, opening]
    assert sent[2][0] == ("system", "You are curious.\n\nWrite in French.")
    assert sent[2][1][1] == f"Go on a student|households|smells|Person: {first}\n\nAssistant: reply"
    assert sent[3] == [french, opening, ("assistant", "reply"), ("user", "follow-up")]
    assert sent[5] == [*sent[3], ("assistant", "reply"), ("user", "follow-up")]


def test_turns_alternate_and_are_never_more_than_allowed_in_hundreds_of_conversations(tmp_path: Path) -> None:
    made = config(
        tmp_path, num_samples=100, max_turns=4, conversation_continuation_prob=0.6, personas=["a nurse", "a pilot"]
    )
    rows = UltrachatDataset(made).generate("offline").to_list()
    assert Counter(row["subtopic"] for row in rows) == {"smells": 100, "codes": 100, "heating": 100}
    lengths = Counter(len(row["messages"]) for row in rows)
    assert set(lengths) == {2, 4, 6, 8}
    assert 80 < lengths[2] < 160  # 120 are to be expected; the chance of missing this is one in a million
    assert {row["persona"] for row in rows} == {"a nurse", "a pilot"}
    for row in rows:
        assert [message["role"] for message in row["messages"]] == ["user", "assistant"] * (len(row["messages"]) // 2)
        assert all(message["content"].strip() for message in row["messages"])


def test_conversations_do_not_depend_on_how_many_calls_are_in_flight(tmp_path: Path) -> None:
    contents = set()
    for at_once in (1, 7):
        folder = tmp_path / str(at_once)
        folder.mkdir()
        made = config(folder, max_turns=3, personas=["a nurse", "a pilot", "a cook"])
        UltrachatDataset(made).generate("offline", max_concurrency=at_once)
        contents.add((folder / "rows.jsonl").read_text())
    assert len(contents) == 1


def test_without_personas_nobody_reformulates(tmp_path: Path) -> None:
    with ScriptedServer(talk) as server:
        made = config(tmp_path, conversation_continuation_prob=0.0, max_turns=5)
        rows = UltrachatDataset(made).generate(OpenAIProvider("scripted", api_base=server.base_url)).to_list()
    assert len(rows) == 6
    assert all(row["persona"] is None and len(row["messages"]) == 2 for row in rows)
    assert server.count == 3 + 6


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"topics_and_subtopics": {}}, "topics_and_subtopics"),
        ({"topics_and_subtopics": {"a": ["b", "b"]}}, "name of its own"),
        ({"personas": ["x", "x"]}, "number 2 is 'x'"),
        ({"num_samples_per_prompt": 3}, "num_samples and num_samples_per_prompt are the same"),
        ({"max_turns": 0}, "max_turns"),
        ({"conversation_continuation_prob": 1.2}, "conversation_continuation_prob"),
        ({"simulated_assistant_prompt": "{question}"}, "domain"),
        ({"user_followup_prompt": "{dialog_summary} {persona} {domain} {subtopic} {mood}"}, "mood"),
        ({"persona_question_reformulation_prompt": "{question} {persona} {subtopic}"}, "needs personas"),
        ({"question_generation_prompts": ["{num_samples} {topic}"]}, "language_name"),
    ],
)
def test_what_cannot_become_a_conversation_is_refused(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(tmp_path, **fields)


def test_an_opening_that_comes_twice_gets_no_answer_twice(tmp_path: Path) -> None:
    def answer(call: Call) -> str:
        if call.asked.schema is None:
            return "reply"
        openings = ["What burns?"] if "Why?" in call.asked.messages[-1].content else ["Why?", "Why?"]
        return json.dumps({"entries": [{"question": opening} for opening in openings]})

    made = config(tmp_path, topics_and_subtopics={"machines": ["smells"]}, max_turns=1)
    with ScriptedServer(answer) as server:
        model = OpenAIProvider("scripted", api_base=server.base_url)
        rows = UltrachatDataset(made).generate(model, max_concurrency=1).to_list()
        replies = len(asked(server))
    assert [row["prompt"] for row in rows] == ["Why?", "What burns?"]
    assert replies == 2
