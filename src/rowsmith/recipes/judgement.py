"""A judge compares two answers to one question and gives each a score.

Judges favour the answer that is shown first (Zheng et al., 2023, "Judging LLM-as-a-Judge", arXiv 2306.05685), so a pair
is judged in both orders and the scores are averaged; or each answer is judged by itself, where a template asks so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from rowsmith.engine.asking import Prompt
from rowsmith.engine.draft import Draft
from rowsmith.llm.structured.output import Output
from rowsmith.llm.values import Message
from rowsmith.prompts.template import Template

LOWEST, HIGHEST = 1, 10


class PairVerdict(BaseModel):
    """What a judge says of two answers."""

    reasoning: str = Field(description="what speaks for and against each answer, in a few sentences")
    score_a: int = Field(ge=LOWEST, le=HIGHEST, description=f"the score of answer A, {LOWEST} to {HIGHEST}")
    score_b: int = Field(ge=LOWEST, le=HIGHEST, description=f"the score of answer B, {LOWEST} to {HIGHEST}")


class SingleVerdict(BaseModel):
    """What a judge says of one answer."""

    reasoning: str = Field(description="what speaks for and against the answer, in a few sentences")
    score: int = Field(ge=LOWEST, le=HIGHEST, description=f"the score, {LOWEST} to {HIGHEST}")


@dataclass(frozen=True, slots=True)
class Judge:
    """Scores two answers.

    Attributes:
        role: who is asked.
        template: with `{response_a}` and `{response_b}` it is asked twice, in both orders; with `{response}` once for
            each answer.
    """

    role: str
    template: Template

    pair: ClassVar[Output[PairVerdict]] = Output(PairVerdict)
    single: ClassVar[Output[SingleVerdict]] = Output(SingleVerdict)

    async def scores(
        self, draft: Draft[Any], values: Mapping[str, Any], first: str, second: str
    ) -> tuple[float, float]:
        """The scores of two answers, each from 1 to 10.

        Raises:
            AnswerError: the judge gave no usable verdict.
            ProviderError: a call failed for good.
        """
        if "response" in self.template.mandatory:
            one, other = [
                await draft.ask(self.role, self._prompt({**values, "response": response}), self.single)
                for response in (first, second)
            ]
            return one.score, other.score
        straight = await draft.ask(self.role, self._pair(values, first, second), self.pair)
        turned = await draft.ask(self.role, self._pair(values, second, first), self.pair)
        return (straight.score_a + turned.score_b) / 2, (straight.score_b + turned.score_a) / 2

    def _pair(self, values: Mapping[str, Any], a: str, b: str) -> Prompt:
        return self._prompt({**values, "response_a": a, "response_b": b})

    def _prompt(self, values: Mapping[str, Any]) -> Prompt:
        return Prompt((Message.user(self.template.render(values)),), values)
