"""Questions and answers about documents: for reading comprehension, and for retrieval (RAG) and its evaluation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from rowsmith.engine.asking import Prompt
from rowsmith.engine.axes import Axis
from rowsmith.engine.context import Context
from rowsmith.engine.draft import Draft
from rowsmith.engine.keys import random_of
from rowsmith.engine.plan import Cell
from rowsmith.llm.structured.output import ListOutput, Output
from rowsmith.llm.values import Message
from rowsmith.quality.gates import Rejection, Row
from rowsmith.recipes.base import BaseRecipe, Language
from rowsmith.recipes.passages import Passage, Passages
from rowsmith.recipes.qa_config import QADatasetConfig

_BETWEEN = "\n\n"
_APPROVED = [{"field": name, "value": value} for name, value in (("supported", True), ("needs_context", True))]
_MISSED = [{"field": "answerable", "value": False}]


class ExactEntry(BaseModel):
    """A question whose answer is a piece of the text."""

    question: str = Field(description="the question")
    answer: str = Field(description="the answer, in the very characters of the text, as short as it can be")
    evidence: str = Field(description="the sentence with the answer, in the very characters of the text")


class FreeEntry(BaseModel):
    """A question with an answer in words of its own."""

    question: str = Field(description="the question")
    answer: str = Field(description="the answer, in one to three sentences, by the text alone")


class QuestionEntry(BaseModel):
    """A question that the text does not answer."""

    question: str = Field(description="the question")


class Verdict(BaseModel):
    """What the judge says of a question with an answer."""

    reasoning: str = Field(description="what in the text speaks for and against the answer, in a few sentences")
    supported: bool = Field(description="true if the answer is right and all of it follows from the text")
    needs_context: bool = Field(description="true if nobody could answer it without this text")


class OpenVerdict(BaseModel):
    """What the judge says of a question that should have no answer."""

    reasoning: str = Field(description="what the text says of it, in a few sentences")
    answerable: bool = Field(description="true if the text answers the question")


class QA(BaseRecipe[QADatasetConfig]):
    """One cell is one passage, one template with its placeholders' values, a style, a difficulty and one language."""

    name: ClassVar[str] = "qa"
    roles: ClassVar[tuple[str, ...]] = ("question", "judge")
    role_arguments: ClassVar[Mapping[str, str]] = {"question": "question_gen_llm"}
    text_fields: ClassVar[tuple[str, ...]] = ("question",)
    growing_fields: ClassVar[frozenset[str]] = (
        BaseRecipe.growing_fields | QADatasetConfig.source_fields | {"question_styles", "difficulties"}
    )
    exact: ClassVar[ListOutput[ExactEntry]] = ListOutput(ExactEntry)
    free: ClassVar[ListOutput[FreeEntry]] = ListOutput(FreeEntry)
    unanswered: ClassVar[ListOutput[QuestionEntry]] = ListOutput(QuestionEntry)
    verdict: ClassVar[Output[Verdict]] = Output(Verdict)
    open_verdict: ClassVar[Output[OpenVerdict]] = Output(OpenVerdict)

    def __init__(self, config: QADatasetConfig) -> None:
        self._unanswerable = config.unanswerable
        self._judge = config.judge
        super().__init__(config)

    @property
    def needed_roles(self) -> tuple[str, ...]:
        return self.roles if self.config.llm_as_judge else self.roles[:1]

    def outer_axes(self) -> Sequence[Axis]:
        config = self.config
        self._passages = Passages(config.open_documents(), config.chunk_size, config.chunk_overlap, config.chunk_by)
        return (Axis("passage", self._passages),)

    def inner_axes(self) -> Sequence[Axis]:
        given = {"style": self.config.question_styles, "difficulty": self.config.difficulties}
        return [Axis(name, values, stratum=True) for name, values in given.items() if values]

    def values(self, cell: Cell) -> Mapping[str, object]:
        shown = self._shown(cell)
        values: dict[str, object] = {"document": _BETWEEN.join(passage.text for passage in shown)}
        values |= {name: cell.values.get(name) or "as they come" for name in ("style", "difficulty")}
        if shown[0].context is not None:
            values["context"] = shown[0].context
        if self.config.answers == "extractive":
            values["quotes"] = [{"field": "answer", "of": "document"}, {"field": "evidence", "of": "document"}]
        return values

    def group(self, cell: Cell) -> Mapping[str, str]:
        named = {name: cell.values[name] for name in ("style", "difficulty") if name in cell.values}
        return {**named, **super().group(cell)}

    async def make(self, cell: Cell, context: Context) -> None:
        language: Language = cell.values["language"]
        shown = self._shown(cell)
        text = _BETWEEN.join(passage.text for passage in shown)
        common = {
            "context": text,
            "language": language.code,
            **{name: cell.values[name] for name in ("style", "difficulty") if name in cell.values},
        }
        metadata = {**self.metadata(cell, context), "passages": [passage.name for passage in shown]}

        async def answered(draft: Draft[Any]) -> Row | Rejection:
            entry: ExactEntry | FreeEntry = draft.entry
            start: int | None = None
            if isinstance(entry, ExactEntry):
                place = placed(text, entry.answer, entry.evidence)
                if isinstance(place, str):
                    return Rejection("answer_span", place)
                start = place
            fault = await self._fault(draft, text, entry.question, entry.answer.strip())
            if fault is not None:
                return Rejection("judge", fault)
            return self._row(draft, common, metadata, entry.answer.strip(), start)

        async def open_one(draft: Draft[QuestionEntry]) -> Row | Rejection:
            fault = await self._fault(draft, text, draft.entry.question, None)
            return self._row(draft, common, metadata, "", None) if fault is None else Rejection("judge", fault)

        output: ListOutput[Any] = self.exact if self.config.answers == "extractive" else self.free
        share, phase = self.config.unanswerable_share, context.random.random()
        have: Counter[bool] = Counter()
        compared = _compared if self.config.llm_as_judge else None
        for want in context.wants:
            open_ones = int(want * share + phase)  # so that the share holds over all cells, whatever their number
            prompt = self.prompt(cell)
            goal = want - open_ones - have[True]
            have[True] += await context.collect_more("question", prompt, output, answered, goal, compared)
            goal = open_ones - have[False]
            have[False] += await context.collect_more(
                "question", self._open_prompt(prompt), self.unanswered, open_one, goal, compared
            )

    def _shown(self, cell: Cell) -> list[Passage]:
        """The cell's passage, and those that go with it."""
        passage: Passage = cell.values["passage"]
        if self.config.hops == 1:
            return [passage]
        chance = random_of(cell.key, self.seed, "passages")
        return [passage, *self._passages.beside(passage, self.config.hops - 1, chance)]

    def _open_prompt(self, prompt: Callable[[int], Prompt]) -> Callable[[int], Prompt]:
        """The cell's prompt for questions without an answer: the same values in another template."""

        def ask_for(count: int) -> Prompt:
            messages, hints = prompt(count)
            return Prompt((*messages[:-1], Message.user(self._unanswerable.render(hints))), hints)

        return ask_for

    async def _fault(self, draft: Draft[Any], text: str, question: str, answer: str | None) -> str | None:
        """What the judge finds wrong with a question, or None; `answer` is None if there should be none."""
        if not self.config.llm_as_judge:
            return None
        values = {"document": text, "question": question, "answer": answer or "(none: the text does not say)"}
        message = Message.user(self._judge.render(values))
        if answer is None:
            said = await draft.ask("judge", Prompt((message,), {**values, "quotes": _MISSED}), self.open_verdict)
            return f"the text does answer it: {said.reasoning}" if said.answerable else None
        verdict = await draft.ask("judge", Prompt((message,), {**values, "quotes": _APPROVED}), self.verdict)
        if not verdict.supported:
            return f"the answer does not follow from the text: {verdict.reasoning}"
        return None if verdict.needs_context else f"it can be answered without the text: {verdict.reasoning}"

    def _row(
        self, draft: Draft[Any], common: Mapping[str, Any], metadata: Mapping[str, Any], answer: str, start: int | None
    ) -> Row:
        judge = {"judge_model_id": draft.model("judge")} if self.config.llm_as_judge else {}
        return {
            "question": draft.entry.question,
            "answer": answer,
            "answer_start": start,
            "is_impossible": not answer,
            **common,
            "model_id": draft.model("question"),
            "metadata": {**metadata, **judge},
        }


def _compared(entry: ExactEntry | FreeEntry | QuestionEntry) -> Row:
    return {"question": entry.question}


def placed(text: str, answer: str, evidence: str) -> int | str:
    """Where an answer stands in a text, in characters; or what is wrong with it.

    One that stands there several times is the one in the evidence.
    """
    answer = answer.strip()
    if not answer:
        return "the answer is empty"
    count = text.count(answer)
    if count == 0:
        return f"the answer {answer!r} does not stand in the text in these very characters"
    if count == 1:
        return text.index(answer)
    around = text.find(evidence.strip()) if evidence.strip() else -1
    inside = evidence.strip().find(answer)
    if around < 0 or inside < 0:
        return f"the answer {answer!r} stands in the text {count} times, and the evidence does not say which is meant"
    return around + inside
