"""Reading answers as models really write them, and answers made to do harm."""

from __future__ import annotations

import time
from typing import Literal

import pytest
from pydantic import BaseModel, Field, RootModel

from rowsmith.llm.structured.outcome import BadEntry, Outcome
from rowsmith.llm.structured.output import ListOutput, Output
from rowsmith.llm.values import Completion, Finish

from .broken_answers import AB, CASES, A, Case


class Review(BaseModel):
    text: str
    label: Literal["good", "bad"] = "good"
    score: float | None = None


class Pair(BaseModel):
    first: str = Field(alias="firstText")
    rank: int


class Node(BaseModel):
    name: str
    children: list[Node] = []


REVIEWS = ListOutput(Review)
REVIEW = Output(Review)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_answer_gives_what_it_says_and_no_more(case: Case) -> None:
    reading = REVIEWS.read(Completion(case.answer))
    assert [entry.text for entry in reading.entries] == case.texts
    assert (len(reading.bad), reading.outcome) == (case.bad, case.outcome)
    assert all(entry.error and len(entry.error) < 400 for entry in reading.bad)
    assert bool(reading.detail) is (case.outcome != "ok")


def test_a_bad_entry_says_where_it_stood_what_was_wrong_and_what_came() -> None:
    reading = REVIEWS.read(Completion(f'{{"entries": [{A}, {{"text": "x", "label": "fine"}}]}}'))
    assert reading.bad == [
        BadEntry(1, '{"text": "x", "label": "fine"}', "label: Input should be 'good' or 'bad' (received 'fine')")
    ]


def test_positions_count_over_lists_that_follow_each_other() -> None:
    reading = REVIEWS.read(Completion(f'{{"entries": [{A}]}}\n{{"entries": [{{"text": 1}}, {A}]}}'))
    assert [entry.position for entry in reading.bad] == [1]
    assert len(reading.entries) == 2


def test_a_refusal_is_told_apart_whatever_its_text() -> None:
    reading = REVIEWS.read(Completion(AB, Finish.REFUSED))
    assert (reading.entries, reading.outcome, reading.detail) == ([], Outcome.REFUSED, AB)
    assert REVIEW.read(Completion("No.", Finish.REFUSED)).detail == "No."
    assert REVIEW.read(Completion("", Finish.REFUSED)).detail == "The answer was refused, and no reason given."


def test_a_complete_answer_at_the_limit_is_complete() -> None:
    assert REVIEWS.read(Completion(AB, Finish.LENGTH)).outcome is Outcome.OK
    assert REVIEW.read(Completion(f"{A}\n\n\n", Finish.LENGTH)).outcome is Outcome.OK


@pytest.mark.parametrize("text", ["", " ", "<think>hm", "Let me see", "{"])
def test_no_answer_at_the_limit_is_cut_off(text: str) -> None:
    assert REVIEWS.read(Completion(text, Finish.LENGTH)).outcome is Outcome.CUT_OFF
    assert REVIEW.read(Completion(text, Finish.LENGTH)).outcome is Outcome.CUT_OFF


@pytest.mark.parametrize(
    "answer",
    [
        A,
        f"```json\n{A}\n```",
        f'For example {{"text": "x"}}. My answer: {A}',
        f"[{A}]",
        f'{{"review": {A}}}',
        f"{A} I am quite sure.",
        f"{A}}}}}",
        '{"text": "a",}',
        "{'text': 'a'}",
        '"{\\"text\\": \\"a\\"}"',
        '"a"',
    ],
)
def test_one_object_is_found_in_many_forms(answer: str) -> None:
    reading = REVIEW.read(Completion(answer))
    assert reading.value is not None
    assert (reading.value.text, reading.outcome) == ("a", Outcome.OK)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("{}", Outcome.EMPTY),
        ("null", Outcome.EMPTY),
        (" ", Outcome.EMPTY),
        ('{"text": 5}', Outcome.INVALID),
        ("It was good.", Outcome.INVALID),
        ('{"text": "5" }"}', Outcome.INVALID),
        ("I'm unable to write that.", Outcome.REFUSED),
        ('{"text": "a", "label": "good"', Outcome.CUT_OFF),
        ('For example {"text": "x"}. My answer: {"text": "a', Outcome.CUT_OFF),
    ],
)
def test_what_is_not_one_object_has_its_outcome(answer: str, outcome: Outcome) -> None:
    reading = REVIEW.read(Completion(answer))
    assert (reading.value, reading.outcome) == (None, outcome)
    assert reading.detail


def test_aliases_recursive_models_and_roots_are_read() -> None:
    assert ListOutput(Pair).read(Completion('[{"firstText": "a", "rank": 1},]')).entries[0].first == "a"
    tree = Output(Node).read(Completion('```\n{"name": "a", "children": [{"name": "b"}]}\n```')).value
    assert tree is not None
    assert tree.children == [Node(name="b")]
    words = Output(RootModel[list[str]]).read(Completion('Here: ["a", "b"]')).value
    assert words is not None
    assert words.root == ["a", "b"]


def test_an_object_inside_an_entry_is_never_taken_for_an_entry() -> None:
    """Its text ends like an answer, and inside a string: quotes could be broken, or the answer cut off."""
    nested = '{"entries": [{"name": "a", "children": [{"name": "b"}, {"name": "c"}, {"name": "d }'
    assert ListOutput(Node).read(Completion(nested)).entries == []


SIZE = 200_000
HARMFUL = {
    "open brackets": "[" * SIZE,
    "open braces": "{" * SIZE,
    "open objects": '{"a":' * (SIZE // 5),
    "lists of objects": "[{" * (SIZE // 2),
    "closing after opening": "[" * (SIZE // 2) + "}" * (SIZE // 2),
    "quotes": '{"text": "' + '"' * SIZE + '"}',
    "escaped quotes": '{"text": ' + '"\\"' + '\\"' * (SIZE // 2),
    "backslashes": '{"text": "' + "\\" * SIZE,
    "commas": '{"text": 1' + ", " * (SIZE // 2) + "}",
    "blanks": '{"text":' + " " * SIZE + "}",
    "comments": '{"text": ' + "/*" * (SIZE // 2) + "}",
    "inches": '{"entries": [{"text": "' + '5" ' * (SIZE // 3) + '"}]}',
    "seams": '{"entries": [{"text": "' + '},{"a"' * (SIZE // 6) + '"}]}',
    "bad entries": '{"entries": [' + ", ".join(['{"text": 5}'] * (SIZE // 13)) + "]}",
    "broken entries": '{"entries": [' + ", ".join(['{"text": a b "}'] * (SIZE // 17)) + "]}",
    "many members": "{" + '"k": 1, ' * (SIZE // 8) + '"z": 2}',
    "many objects": '{"a": 1} ' * (SIZE // 9),
    "reasoning": "x</think>" * (SIZE // 9),
    "fences": "```json\n" * (SIZE // 8),
    "digits": '{"text": ' + "9" * SIZE + "}",
    "lone surrogates": '{"entries": ["' + "\ud800" * SIZE + '"]}',
    "null characters": "\x00" * SIZE,
}


@pytest.mark.parametrize("answer", HARMFUL.values(), ids=HARMFUL)
def test_a_harmful_answer_costs_time_in_proportion_to_its_length(answer: str) -> None:
    """What is quadratic in a length of 200,000 takes hours; what is linear, well under a second or two."""
    start = time.process_time()
    REVIEWS.read(Completion(answer))
    REVIEW.read(Completion(answer, Finish.LENGTH))
    assert time.process_time() - start < 10


def test_ten_megabytes_are_read() -> None:
    answer = '{"entries": [' + ",".join(['{"text": "' + "a" * 10_000 + '"}'] * 1_000) + ',{"text": 5}]}'
    reading = REVIEWS.read(Completion(answer))
    assert (len(reading.entries), len(reading.bad)) == (1_000, 1)
