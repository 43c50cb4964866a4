"""Answers that are free text: a turn of a conversation, an essay. Nothing is asked for but the words themselves."""

from __future__ import annotations

from typing import ClassVar

from rowsmith.llm.structured.outcome import Outcome, Reading
from rowsmith.llm.structured.recover import CUT_OFF, CUT_OFF_AT_ONCE, CUT_OFF_THINKING, EMPTY, refused
from rowsmith.llm.structured.scan import without_thinking
from rowsmith.llm.values import Completion, Finish, Message, OutputSchema, Rung


class TextOutput:
    """An answer that is taken as it comes, without the reasoning that some models write before it.

    That a model declines is told by the service's word for it alone: an answer may well begin with "I'm sorry".
    """

    again: ClassVar[str] = "Answer again, with the text alone."
    schema: ClassVar[OutputSchema | None] = None

    def prompt_for(self, rung: Rung, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """The messages to send: the same on every rung."""
        del rung
        return messages

    def read(self, completion: Completion) -> Reading[str]:
        """The text of an answer, without blanks around it; what lies inside is left as it is."""
        if completion.finish is Finish.REFUSED:
            return Reading(None, Outcome.REFUSED, refused(completion))
        text, thinking = without_thinking(completion.text)
        text = text.strip()
        if completion.finish is Finish.LENGTH:
            return Reading(None, Outcome.CUT_OFF, CUT_OFF if text else CUT_OFF_AT_ONCE)
        if thinking:
            return Reading(None, Outcome.CUT_OFF, CUT_OFF_THINKING)
        return Reading(text, Outcome.OK) if text else Reading(None, Outcome.EMPTY, EMPTY)
