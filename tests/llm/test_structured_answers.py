"""Reading answers as models really write them."""

from __future__ import annotations

import time
from typing import Literal

import pytest
from pydantic import BaseModel, RootModel

from rowsmith.llm.structured.output import ListOutput, Output
from rowsmith.llm.values import Completion, Finish

from .broken_answers import AB, CASES, Case


class Review(BaseModel):
    text: str
    label: Literal["good", "bad"] = "good"
    score: float | None = None


REVIEWS = ListOutput(Review)
REVIEW = Output(Review)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_answer_gives_what_it_says_and_no_more(case: Case) -> None:
    reading = REVIEWS.read(Completion(case.answer))
    assert [entry.text for entry in reading.entries] == case.texts
    assert (len(reading.bad), reading.outcome) == (case.bad, case.outcome)
    assert all(entry.error and len(entry.error) < 400 for entry in reading.bad)
    assert bool(reading.detail) is (case.outcome != "ok")


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 60
