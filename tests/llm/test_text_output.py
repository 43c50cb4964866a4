"""Answers that are free text."""

from __future__ import annotations

import pytest

from rowsmith.llm.structured.feedback import ask_again
from rowsmith.llm.structured.outcome import Outcome
from rowsmith.llm.structured.text_output import TextOutput
from rowsmith.llm.values import Completion, Finish, Message, Rung

TEXT = TextOutput()


def test_a_text_is_taken_as_it_is_but_for_blanks_around_it() -> None:
    code = "def f():\n    return 1\n\n\n    # \ttabs"
    assert TEXT.read(Completion(f"\n {code}  \n")).value == code


def test_reasoning_is_not_part_of_the_text() -> None:
    assert TEXT.read(Completion("<think>They ask for a town.</think>\n\nBonn.")).value == "Bonn."


def test_an_apology_is_no_refusal_unless_the_service_says_so() -> None:
    sorry = "I'm sorry to hear that your order is late."
    assert TEXT.read(Completion(sorry)).value == sorry
    assert TEXT.read(Completion(sorry, Finish.REFUSED)).outcome is Outcome.REFUSED


@pytest.mark.parametrize(
    ("completion", "outcome"),
    [
        (Completion("It began well and", Finish.LENGTH), Outcome.CUT_OFF),
        (Completion("", Finish.LENGTH), Outcome.CUT_OFF),
        (Completion("<think>and then"), Outcome.CUT_OFF),
        (Completion(" \n "), Outcome.EMPTY),
    ],
)
def test_what_is_no_whole_text_is_told_apart(completion: Completion, outcome: Outcome) -> None:
    reading = TEXT.read(completion)
    assert reading.value is None
    assert reading.outcome is outcome
    assert "JSON" not in ask_again(reading, TEXT.again)


def test_the_conversation_is_sent_as_it_is_on_every_rung() -> None:
    messages = (Message.user("Hello"), Message.assistant("Hi"), Message.user("And?"))
    assert TEXT.schema is None
    assert all(TEXT.prompt_for(rung, messages) == messages for rung in Rung)
