"""Questions with a better and a worse answer, for preference training (DPO and its kin)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import BaseModel, Field, model_validator

from rowsmith.data.shapes import Document
from rowsmith.engine.axes import Axis
from rowsmith.engine.context import Context
from rowsmith.engine.draft import Draft
from rowsmith.engine.plan import Cell
from rowsmith.llm.structured.output import ListOutput
from rowsmith.prompts.check import check
from rowsmith.prompts.template import Template
from rowsmith.quality.gates import Rejection, Row
from rowsmith.quality.text import normalised
from rowsmith.recipes.base import BaseRecipe, Language
from rowsmith.recipes.evolution import DEFAULT_PROMPT, Evolution, unanswered
from rowsmith.recipes.judgement import Judge
from rowsmith.recipes.sources import DocumentsConfig
from rowsmith.recipes.steps import TextStep

FLAWS = (
    "It is vague where the question wants something definite.",
    "One thing in it is wrong, and said with confidence.",
    "It answers only a part of the question.",
    "It answers something near the question instead.",
    "It is right, but gives no reason and leaves the reader where they were.",
    "It runs on and repeats itself, and buries what matters.",
)
"""What is weak about an answer that is written to be the worse one; one is drawn for each."""


class PreferenceDatasetConfig(DocumentsConfig):
    """Pairs of answers, so many for each document and language.

    Attributes:
        documents: texts to ask about; `input_documents` is another name.
        from_questions: the texts of the source are the questions themselves, and no others are made.
        num_samples_per_prompt: questions for each document; pairs for each question with `from_questions`.
        prompts: templates for the questions, with `{num_samples}`, `{language_name}` and `{document}`;
            `question_generation_prompts` is another name.
        chosen_response_generation_prompt: asks for the better answer; must have `{language_name}`, `{document}` and
            `{question}`, without `{document}` where there is none.
        rejected_response_generation_prompt: asks for the worse one; the same, and it may have `{flaw}`.
        evol_instruct: questions are evolved before they are answered (see `rowsmith.recipes.evolution`).
        evolution_prompt: a template of your own for it; must have `{question}`, and may have `{document}`, `{answer}`,
            `{operation}` and `{language_name}`.
        evolution_steps: how many steps.
        llm_as_judge: a judge scores both answers, 1 to 10, and decides.
        judge_prompt: a template of your own; must have `{question}`, and either `{response}` or both `{response_a}` and
            `{response_b}`; it may have `{document}`.
        judge_margin: by how much the chosen answer must be better; pairs that are nearer are refused and made again.
        on_disagreement: what becomes of a pair whose worse answer the judge finds better by the margin: `swap` the two,
            or `drop` it and make another.
    """

    num_samples_per_prompt: int = Field(default=3, ge=1)
    min_document_length: int = Field(default=1, ge=0)
    from_questions: bool = False
    chosen_response_generation_prompt: str | None = None
    rejected_response_generation_prompt: str | None = None
    evol_instruct: bool = False
    evolution_prompt: str | None = None
    evolution_steps: int = Field(default=1, ge=1, le=10)
    llm_as_judge: bool = False
    judge_prompt: str | None = None
    judge_margin: float = Field(default=1.0, ge=0, le=9)
    on_disagreement: Literal["swap", "drop"] = "swap"

    other_names: ClassVar[Mapping[str, str]] = {
        "input_documents": "documents",
        "question_generation_prompts": "prompts",
    }
    mandatory: ClassVar[frozenset[str]] = frozenset({"num_samples", "language_name", "document"})
    default_prompts: ClassVar[tuple[str, ...]] = (
        "Read this document:\n\n{document}\n\n"
        "Write {num_samples} questions in {language_name} that people who are interested in its subject could ask an "
        "assistant. Each must be understood by someone who has not got the document before them, and be worth an "
        "answer of a paragraph or more. Ask about different things in different ways.",
    )
    default_steps: ClassVar[Mapping[str, str]] = {
        "chosen_response_generation_prompt": (
            "You know this:\n\n{document}\n\nAnswer the question in {language_name} as an expert who wants to be of "
            "use: right, complete, clear and to the point. Never speak of a document.\n\n{question}"
        ),
        "rejected_response_generation_prompt": (
            "You know this:\n\n{document}\n\nAnswer the question in {language_name} as somebody would who means well "
            "and falls short. {flaw} Never say so, and never speak of a document.\n\n{question}"
        ),
        "evolution_prompt": DEFAULT_PROMPT,
        "judge_prompt": (
            "Two answers to a question. Judge them as a careful reader would: which is right, complete, clear and of "
            "use? Their order and their length mean nothing.\n\nThe question: {question}\n\nAnswer A:\n{response_a}\n\n"
            "Answer B:\n{response_b}\n\nGive each a score from 1 (useless) to 10 (cannot be better)."
        ),
    }

    @model_validator(mode="after")
    def _steps_fit(self) -> PreferenceDatasetConfig:
        document = set() if self.from_questions else {"document"}
        answers = {"language_name", "question", *document}
        names = {"language", "language_name", "question", *document}
        for name, more in (("chosen", set()), ("rejected", {"flaw"})):
            self._check(f"{name}_response_generation_prompt", answers, {*names, *more})
        self._check("evolution_prompt", {"question"}, {*names, "answer", "operation"})
        judged = Template(self.judge_prompt or "").mandatory
        single = {"response"} if "response" in judged else {"response_a", "response_b"}
        self._check("judge_prompt", {"question", *single}, names)
        for switch, name in (("evol_instruct", "evolution_prompt"), ("llm_as_judge", "judge_prompt")):
            if getattr(self, name) is not None and not getattr(self, switch):
                raise ValueError(f"{name} is given, but nothing is asked by it: set {switch}=True as well")
        if self.from_questions and self.prompts is not None:
            raise ValueError("with from_questions no questions are made: leave prompts out")
        return self

    def _check(self, name: str, mandatory: set[str], available: set[str]) -> None:
        text = getattr(self, name)
        if text is not None:
            check(Template(text), mandatory=mandatory, available=available, where=name)

    def step(self, name: str) -> Template:
        """The template of a step: the user's own, or the default one, without its document where there is none."""
        text = getattr(self, name) or self.default_steps[name]
        if self.from_questions and getattr(self, name) is None:
            for lead in (
                "You know this:\n\n{document}\n\n",
                "This question was written about a document:\n\n{document}\n\n",
            ):
                text = text.removeprefix(lead)
        return Template(text)


class _Sides(NamedTuple):
    """The better and the worse answer, each with its model, and their scores."""

    chosen: tuple[str, str]
    rejected: tuple[str, str]
    scores: tuple[float | None, float | None] = (None, None)
    swapped: bool = False


class QuestionEntry(BaseModel):
    """A question."""

    question: str = Field(description="the question, as it would be put to an assistant")


class Preference(BaseRecipe[PreferenceDatasetConfig]):
    """One cell is one document (or question), one template with its placeholders' values, and one language."""

    name: ClassVar[str] = "preference"
    roles: ClassVar[tuple[str, ...]] = ("question", "chosen", "rejected", "evolution", "judge")
    role_arguments: ClassVar[Mapping[str, str]] = {
        "question": "question_gen_llm",
        "chosen": "chosen_response_gen_llm",
        "rejected": "rejected_response_gen_llm",
        "evolution": "evolution_llm",
        "judge": "judge_llm",
    }
    text_fields: ClassVar[tuple[str, ...]] = ("question", "chosen")
    growing_fields: ClassVar[frozenset[str]] = BaseRecipe.growing_fields | PreferenceDatasetConfig.source_fields
    questions: ClassVar[ListOutput[QuestionEntry]] = ListOutput(QuestionEntry)

    def __init__(self, config: PreferenceDatasetConfig) -> None:
        self._chosen = TextStep("chosen", config.step("chosen_response_generation_prompt"), config.system_prompt)
        self._rejected = TextStep("rejected", config.step("rejected_response_generation_prompt"), config.system_prompt)
        self._evolution = Evolution("evolution", config.step("evolution_prompt"), config.evolution_steps)
        self._judge = Judge("judge", config.step("judge_prompt"))
        super().__init__(config)

    @property
    def needed_roles(self) -> tuple[str, ...]:
        """The roles that this configuration really asks."""
        idle = {"question"} if self.config.from_questions else set()
        idle |= set() if self.config.evol_instruct else {"evolution"}
        idle |= set() if self.config.llm_as_judge else {"judge"}
        return tuple(role for role in self.roles if role not in idle)

    def outer_axes(self) -> Sequence[Axis]:
        return (Axis("document", self.config.open_documents()),)

    def values(self, cell: Cell) -> Mapping[str, object]:
        document: Document = cell.values["document"]
        values = {"document": document.text}
        return values if document.context is None else {**values, "context": document.context}

    async def make(self, cell: Cell, context: Context) -> None:
        document: Document = cell.values["document"]
        language: Language = cell.values["language"]
        metadata = {**self.metadata(cell, context), "source_id": document.id}
        common = {"language_name": language.name, "language": language.code}

        async def of_question(draft: Draft[Any]) -> Row | Rejection:
            question = document.text if draft.entry is None else draft.entry.question
            given = common if draft.entry is None else {**common, "document": document.text}
            return await self._pair(draft, question, given, metadata)

        if self.config.from_questions:
            await context.compose(of_question)
        else:
            await context.collect("question", self.prompt(cell), self.questions, of_question)

    async def _pair(
        self, draft: Draft[Any], question: str, common: Mapping[str, Any], metadata: Mapping[str, Any]
    ) -> Row | Rejection:
        chance = draft.random
        operations: list[str] = []
        for _ in range(self._evolution.steps if self.config.evol_instruct else 0):
            values = {**common, "question": question}
            if self._evolution.needs_answer:
                values["answer"] = await self._chosen.ask(draft, values)
            question, operation = await self._evolution.step(draft, values, chance)
            operations += [operation] if operation else []
        values = {**common, "question": question}
        chosen = await self._chosen.ask(draft, values)
        if operations and unanswered(chosen):
            return Rejection("evolution", f"the question has become too hard to answer: {question}")
        rejected = await self._rejected.ask(draft, {**values, "flaw": chance.choice(FLAWS)})
        if normalised(chosen) == normalised(rejected):
            return Rejection("preference", "both answers are the same")
        judged = _Sides((chosen, draft.model("chosen")), (rejected, draft.model("rejected")))
        if self.config.llm_as_judge:
            scores = await self._judge.scores(draft, values, chosen, rejected)
            decided = self._decided(judged, *scores)
            if isinstance(decided, Rejection):
                return decided
            judged = decided
        return {
            **({"document": common["document"]} if "document" in common else {}),
            "question": question,
            "chosen": judged.chosen[0],
            "rejected": judged.rejected[0],
            "chosen_score": judged.scores[0],
            "rejected_score": judged.scores[1],
            "language": common["language"],
            "question_model_id": None if self.config.from_questions else draft.model("question"),
            "chosen_model_id": judged.chosen[1],
            "rejected_model_id": judged.rejected[1],
            "metadata": {
                **metadata,
                "evolution": operations,
                "swapped": judged.swapped,
                "judge_model_id": draft.model("judge") if self.config.llm_as_judge else None,
            },
        }

    def _decided(self, sides: _Sides, chosen: float, rejected: float) -> _Sides | Rejection:
        """The pair as the judge would have it, or why there is none."""
        config, said = self.config, f"{chosen:g} and {rejected:g} of 10"
        if chosen == rejected or abs(chosen - rejected) < config.judge_margin:
            return Rejection("judge", f"the two answers are too near to each other: {said}")
        if chosen > rejected:
            return sides._replace(scores=(chosen, rejected))
        if config.on_disagreement == "drop":
            return Rejection("judge", f"the answer that was to be rejected is the better one: {said}")
        return _Sides(sides.rejected, sides.chosen, (rejected, chosen), swapped=True)
