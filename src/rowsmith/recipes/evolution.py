"""Evol-Instruct: questions made harder, or others made of them, step by step.

After Xu et al., 2023, "WizardLM: Empowering Large Language Models to Follow Complex Instructions" (arXiv 2304.12244):
in-depth evolving adds constraints, deepens, concretises, asks for more steps of reasoning or complicates the input;
in-breadth evolving writes a rarer question of the same domain. Their elimination of failed steps is kept too: of a
question that says no more than the one before, or that copies words of the prompt, the one before it stays; one that
cannot be answered is given up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from rowsmith.engine.asking import Prompt
from rowsmith.engine.draft import Draft
from rowsmith.llm.structured.output import Output
from rowsmith.llm.values import Message
from rowsmith.prompts.template import Template
from rowsmith.quality.text import normalised

OPERATIONS: Mapping[str, str] = {
    "constraints": "Add one more constraint or requirement that an answer must meet.",
    "deepening": "If it touches on a matter only lightly, ask about it in more depth and breadth.",
    "concretising": "Put more specific concepts in the place of general ones.",
    "reasoning": "If it can be answered in a few simple steps of thought, have it ask for several steps explicitly.",
    "input": "Give it something to work on: a table, a piece of code, a formula, a message, some data.",
    "breadth": (
        "Write a brand-new one in its place: of the same field, about as long and as hard, but about something rarer."
    ),
}
"""The kinds of steps: in-depth the first five, in-breadth the last."""

DEFAULT_PROMPT = (
    "This question was written about a document:\n\n{document}\n\nThe question: {question}\n\n"
    "Make a better one of it that is a little harder. {operation}\n"
    "It must be reasonable, be understood and answered by people without the document before them, and stay in "
    "{language_name}. Add 10 to 20 words at most. Never speak of a given or a new question in it."
)

_SAME = Template(
    "Two questions:\n\n1. {question}\n\n2. {evolved}\n\n"
    "Do they ask the same, with the same constraints and requirements, in the same depth and breadth?"
)
_SHORT = 80
"""Words of an answer below which an apology in it means that the question was too hard."""
_COPIED = re.compile(
    r"#?\b(?:given|rewritten|new|evolved|created)[ _](?:prompt|question|instruction)\b#?", re.IGNORECASE
)


class Evolved(BaseModel):
    """A question after one step."""

    question: str = Field(description="the new question, and nothing else")


class Sameness(BaseModel):
    """Whether a step came to anything."""

    equal: bool = Field(description="true if the two questions ask the same")


@dataclass(frozen=True, slots=True)
class Evolution:
    """Evolves questions.

    Attributes:
        role: who is asked.
        template: what is asked; it has `{question}`, and may have `{operation}`, `{document}`, `{answer}` and more.
        steps: how many.
    """

    role: str
    template: Template
    steps: int

    evolved: ClassVar[Output[Evolved]] = Output(Evolved)
    sameness: ClassVar[Output[Sameness]] = Output(Sameness)

    @property
    def needs_answer(self) -> bool:
        """Whether the template shows an answer to the question."""
        return "answer" in self.template.mandatory

    async def step(self, draft: Draft[Any], values: Mapping[str, Any], chance: Random) -> tuple[str, str | None]:
        """(the question, the operation that made it) after one step; the old question and None where it failed.

        Args:
            draft: whose row it is for.
            values: what the template is filled from; `question` is the old one.
            chance: which operation is taken.
        """
        name = chance.choice(list(OPERATIONS))
        prompt = self._prompt(self.template, {**values, "operation": OPERATIONS[name]})
        new = (await draft.ask(self.role, prompt, self.evolved)).question.strip()
        if failed(values["question"], new):
            return values["question"], None
        same = await draft.ask(self.role, self._prompt(_SAME, {**values, "evolved": new}), self.sameness)
        return (values["question"], None) if same.equal else (new, name)

    def _prompt(self, template: Template, values: Mapping[str, Any]) -> Prompt:
        return Prompt((Message.user(template.render(values)),), values)


def failed(old: str, new: str) -> bool:
    """Whether a step came to nothing by its words alone: empty, unchanged, or with words of the prompt in it."""
    return not normalised(new) or normalised(new) == normalised(old) or bool(_COPIED.search(new))


def unanswered(answer: str) -> bool:
    """Whether an answer says that the question was too hard: short, and with an apology (the paper's own measure)."""
    return len(answer.split()) < _SHORT and "sorry" in answer.casefold()
