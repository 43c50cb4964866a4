"""What question-answer datasets can be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from rowsmith.data.chunks import By
from rowsmith.prompts.check import check
from rowsmith.prompts.template import Template
from rowsmith.recipes.sources import DocumentsConfig

_EXACT = (
    " Each answer must stand in the text in these very characters, as short as it can be; name the whole sentence "
    "with it as well, in its very characters."
)
_FREE = " Answer each in one to three sentences of your own, by the text alone."


class QADatasetConfig(DocumentsConfig):
    """Questions with their answers about passages of documents, so many for each passage and language.

    Attributes:
        answers: `extractive`: an answer is a piece of its context; `abstractive`: it is in the model's own words.
        num_samples_per_prompt: questions for each passage, style, difficulty and language.
        chunk_size: the most characters of a passage; longer documents are cut into several.
        chunk_overlap: the most characters that a passage has in common with the one before.
        chunk_by: what is kept together: `paragraphs`, `sentences`, or `characters`, which parts between words.
        hops: passages that a question needs together; from 2 on, others of the corpus that go with a passage are shown
            with it, and a question must need all of them.
        unanswerable_share: the share of questions that the context does not answer, 0 to 1. Their answer is empty.
        question_styles: what questions are like, such as "a search query"; each is asked for as often.
        difficulties: how hard they are, such as "needs one inference"; each is asked for as often.
        llm_as_judge: a judge looks at every question with its answer and context: whether the answer is right and
            grounded in the context, and whether the question needs it. What fails is refused and asked for again.
        unanswerable_prompt: a template of your own for questions without an answer; as `prompts`.
        judge_prompt: a template of your own for the judge; must have `{document}` and `{question}`, and may have
            `{answer}`.

    Templates of `prompts` must have `{num_samples}`, `{language_name}` and `{document}`; they may have `{style}` and
    `{difficulty}`.
    """

    answers: Literal["extractive", "abstractive"] = "extractive"
    num_samples_per_prompt: int = Field(default=3, ge=1)
    max_document_length: int = Field(default=10_000_000, ge=1)
    chunk_size: int = Field(default=2_000, ge=50)
    chunk_overlap: int = Field(default=200, ge=0)
    chunk_by: By = "sentences"
    hops: int = Field(default=1, ge=1, le=5)
    unanswerable_share: float = Field(default=0.0, ge=0, le=1)
    question_styles: list[str] | None = Field(default=None, min_length=1)
    difficulties: list[str] | None = Field(default=None, min_length=1)
    llm_as_judge: bool = True
    unanswerable_prompt: str | None = None
    judge_prompt: str | None = None

    mandatory: ClassVar[frozenset[str]] = frozenset({"num_samples", "language_name", "document"})
    available: ClassVar[frozenset[str]] = DocumentsConfig.available | {"style", "difficulty"}
    default_prompts: ClassVar[tuple[str, ...]] = (
        "Read this text:\n\n{document}\n\n"
        "Write {num_samples} questions in {language_name} that it answers, about different things. A question must be "
        "understood by someone who has not got the text before them, and must not be answerable without it: no general "
        "knowledge, nothing that the question gives away.",
    )
    default_unanswerable: ClassVar[str] = (
        "Read this text:\n\n{document}\n\n"
        "Write {num_samples} questions in {language_name} that somebody could well expect this text to answer, and "
        "that it does not answer: they are about its subject and speak of what is in it, but what they ask for is not "
        "said there and cannot be concluded from it."
    )
    default_judge: ClassVar[str] = (
        "A text:\n\n{document}\n\nA question about it: {question}\nThe answer that was given: {answer}\n\n"
        "Judge both by the text alone."
    )

    @field_validator("question_styles", "difficulties")
    @classmethod
    def _values_differ(cls, values: list[str] | None) -> list[str] | None:
        for place, value in enumerate(values or ()):
            if not value.strip() or value in (values or ())[:place]:
                raise ValueError(f"each must be a text of its own; number {place + 1} is {value!r}")
        return values

    @model_validator(mode="after")
    def _parts_fit(self) -> QADatasetConfig:
        if self.chunk_overlap >= self.chunk_size:
            raise ValueError(f"chunk_overlap={self.chunk_overlap} must be less than chunk_size={self.chunk_size}")
        if self.unanswerable_prompt is not None:
            if not self.unanswerable_share:
                raise ValueError("unanswerable_prompt is given, but no such question is wanted: set unanswerable_share")
            template = Template(self.unanswerable_prompt)
            check(template, mandatory=self.mandatory, available=self.available, where="unanswerable_prompt")
        if self.judge_prompt is not None:
            if not self.llm_as_judge:
                raise ValueError("judge_prompt is given, but no judge is asked: leave llm_as_judge on")
            names = frozenset({"document", "question"})
            check(Template(self.judge_prompt), mandatory=names, available={"answer"}, where="judge_prompt")
        return self

    @property
    def templates(self) -> tuple[Template, ...]:
        """The templates that are used; the default one says all that this configuration asks for."""
        if self.prompts is not None:
            return super().templates
        return tuple(Template(self._completed(text, answered=True)) for text in self.default_prompts)

    @property
    def unanswerable(self) -> Template:
        """The template for questions without an answer."""
        return Template(self.unanswerable_prompt or self._completed(self.default_unanswerable, answered=False))

    @property
    def judge(self) -> Template:
        """The judge's template."""
        return Template(self.judge_prompt or self.default_judge)

    def _completed(self, text: str, *, answered: bool) -> str:
        parts: Mapping[str, bool] = {
            " Every question must need all parts of the text together: none can be left out.": self.hops > 1,
            _EXACT: answered and self.answers == "extractive",
            _FREE: answered and self.answers == "abstractive",
            "\nWhat the questions are like: {style}.": self.question_styles is not None,
            "\nHow hard they are: {difficulty}.": self.difficulties is not None,
        }
        if self.context_column is not None:
            text = text.replace("Read this text:", "This is about a text:\n\n{context}\n\nThe text:")
        return text + "".join(part for part, said in parts.items() if said)
