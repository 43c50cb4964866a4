"""Multiple-choice questions from documents: a question with its right answer, then wrong answers to it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, Field, create_model, field_validator

from rowsmith.data.shapes import Document
from rowsmith.engine.asking import Prompt
from rowsmith.engine.axes import Axis
from rowsmith.engine.context import Context
from rowsmith.engine.draft import Draft
from rowsmith.engine.plan import Cell
from rowsmith.llm.structured.output import ListOutput, Output
from rowsmith.llm.values import Message
from rowsmith.prompts.check import check
from rowsmith.prompts.template import Template
from rowsmith.quality.gates import Row
from rowsmith.quality.text import normalised
from rowsmith.recipes.base import BaseRecipe, Language
from rowsmith.recipes.sources import DocumentsConfig

_COUNTS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
OF_THE_ABOVE = re.compile(
    r"\b(?:all|none|both|any|neither) of (?:the )?(?:above|these|those|them|other|others|options|answers)\b"
    r"|\b[a-d] (?:and|or) [a-d]\b|\b(?:alle|keine|beide)(?:s|r)? (?:der )?(?:oben genannten|genannten|antworten)\b"
    r"|\b(?:toutes|aucune|tous|aucun) (?:les |des )?(?:réponses|propositions|deux|ci-dessus)"
    r"|\b(?:todas|ninguna|todos|ninguno) (?:las |de las |los |de los )?(?:anteriores|respuestas|opciones)\b"
    r"|\b(?:tutte|nessuna) (?:le |delle )?(?:precedenti|risposte|opzioni)\b"
    r"|\b(?:todas|nenhuma) (?:as |das )?(?:anteriores|alternativas|opções)\b"
    r"|以上(?:都|皆|全|のすべて|すべて)|(?:所有|全部)选项",
    re.IGNORECASE,
)
"""Answers that speak of the other answers, in the languages that are asked for most."""


class MCQDatasetConfig(DocumentsConfig):
    """Questions, so many for each document and language.

    Templates of `prompts` must have `{num_samples}`, `{language_name}` and `{document}`; that of `distractor_prompt`
    must have `{language_name}`, `{question}` and `{correct_answer}`, and may have `{document}`.

    Attributes:
        distractor_prompt: a template of your own for the wrong answers; it may have `{num_incorrect_answers}`, a word.
        num_incorrect_answers: wrong answers of a question.
        allow_all_of_the_above: let answers such as "all of the above" and "none of these" pass.
    """

    num_samples_per_prompt: int = Field(default=3, ge=1)
    distractor_prompt: str | None = None
    num_incorrect_answers: int = Field(default=3, ge=1, le=9)
    allow_all_of_the_above: bool = False

    mandatory: ClassVar[frozenset[str]] = frozenset({"num_samples", "language_name", "document"})
    distractor_available: ClassVar[frozenset[str]] = frozenset({"document", "num_incorrect_answers"})
    distractor_mandatory: ClassVar[frozenset[str]] = frozenset({"language_name", "question", "correct_answer"})
    default_prompts: ClassVar[tuple[str, ...]] = (
        "Read this document:\n\n{document}\n\n"
        "Write {num_samples} questions in {language_name} about what it says, each with its right answer in a few "
        "words. Ask about different things; start from easy facts and go on to what takes thought. Each question "
        "must be understood and answered by someone who has learnt the subject but has not got the document before "
        "them, and must have only one right answer.",
    )
    default_prompts_with_context: ClassVar[tuple[str, ...]] = (
        default_prompts[0].replace("Read this document:", "This is about a document:\n\n{context}\n\nThe document:"),
    )
    default_distractor_prompt: ClassVar[str] = (
        "This is a question of a multiple-choice test, with its right answer:\n\n"
        "Question: {question}\nRight answer: {correct_answer}\n\n"
        "Write {num_incorrect_answers} wrong answers in {language_name}. They must be wrong, but tempting to someone "
        "who knows the subject only half; of the same kind, length and style as the right answer; and all different. "
        'Write no answer such as "all of the above" or "none of these".'
    )

    @field_validator("distractor_prompt")
    @classmethod
    def _distractor_prompt_fits(cls, text: str | None) -> str | None:
        if text is not None:
            check(
                Template(text),
                mandatory=cls.distractor_mandatory,
                available=cls.distractor_available,
                where="distractor_prompt",
            )
        return text

    @property
    def templates(self) -> tuple[Template, ...]:
        if self.prompts is None and self.context_column is not None:
            return tuple(Template(text) for text in self.default_prompts_with_context)
        return super().templates


class QuestionEntry(BaseModel):
    """What a model writes first."""

    question: str = Field(description="the question")
    correct_answer: str = Field(description="the right answer, in a few words")


class Distractors(BaseModel):
    """What a model writes next: fields `incorrect_answer_1`, `incorrect_answer_2` and so on."""

    def all(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(self.model_dump().values())


def _compared(entry: QuestionEntry) -> Row:
    return {"question": entry.question, "correct_answer": entry.correct_answer}


def distractors(count: int) -> Output[Distractors]:
    """What an answer with so many wrong answers must fit."""
    told = ("a wrong answer", "another wrong answer", "a third wrong answer")
    fields: dict[str, Any] = {
        f"incorrect_answer_{place + 1}": (str, Field(description=told[min(place, 2)] if place < 3 else "one more"))
        for place in range(count)
    }
    return Output(create_model("Distractors", __base__=Distractors, **fields))


class MCQ(BaseRecipe[MCQDatasetConfig]):
    """One cell is one document, one template with its placeholders' values, and one language."""

    name: ClassVar[str] = "mcq"
    roles: ClassVar[tuple[str, ...]] = ("question", "distractor")
    text_fields: ClassVar[tuple[str, ...]] = ("question", "correct_answer")
    growing_fields: ClassVar[frozenset[str]] = BaseRecipe.growing_fields | MCQDatasetConfig.source_fields
    questions: ClassVar[ListOutput[QuestionEntry]] = ListOutput(QuestionEntry)

    def __init__(self, config: MCQDatasetConfig) -> None:
        self._distractors = distractors(config.num_incorrect_answers)
        self._distractor = Template(config.distractor_prompt or config.default_distractor_prompt)
        super().__init__(config)

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

        async def row(draft: Draft[QuestionEntry]) -> Row:
            entry = draft.entry
            values = {
                "question": entry.question,
                "correct_answer": entry.correct_answer,
                "language_name": language.name,
                "language": language.code,
                "document": document.text,
                "num_incorrect_answers": _COUNTS[self.config.num_incorrect_answers - 1],
            }
            prompt = Prompt((Message.user(self._distractor.render(values)),), values)
            wrong = await draft.ask(
                "distractor", prompt, self._distractors, lambda answers: self._fault(entry.correct_answer, answers)
            )
            return {
                "source_document": document.text,
                "question": entry.question,
                "correct_answer": entry.correct_answer,
                **wrong.model_dump(),
                "language": language.code,
                "model_id": draft.model("question"),
                "mcq_source": "synthetic",
                "metadata": metadata,
            }

        await context.collect("question", self.prompt(cell), self.questions, row, _compared)

    def _fault(self, correct: str, answers: Distractors) -> str | None:
        return fault(correct, answers, of_the_above=self.config.allow_all_of_the_above)


def fault(correct: str, answers: Distractors, *, of_the_above: bool = False) -> str | None:
    """What is wrong with wrong answers, or None: none may be empty, the right one, or another again.

    Args:
        correct: the right answer.
        answers: the wrong ones.
        of_the_above: whether one may speak of the others, as in "all of the above".
    """
    taken = {normalised(correct): "the right answer"}
    for number, answer in enumerate(answers.all(), start=1):
        plain = normalised(answer)
        if not plain:
            return f"incorrect_answer_{number} is empty"
        if plain in taken:
            return f"incorrect_answer_{number} ({answer!r}) is the same as {taken[plain]}"
        if not of_the_above and OF_THE_ABOVE.search(plain):
            return f"incorrect_answer_{number} ({answer!r}) speaks of the other answers instead of being one"
        taken[plain] = f"incorrect_answer_{number}"
    return None
