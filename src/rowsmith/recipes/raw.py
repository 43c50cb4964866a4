"""Free texts: documents of given types about given topics, perhaps after the pattern of texts that there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from rowsmith.data.readers import Source, open_source
from rowsmith.data.shapes import Document
from rowsmith.engine.asking import Prompt
from rowsmith.engine.axes import Axis
from rowsmith.engine.context import Context
from rowsmith.engine.draft import Draft
from rowsmith.engine.plan import Cell
from rowsmith.llm.structured.output import ListOutput
from rowsmith.prompts.check import check
from rowsmith.prompts.template import Template
from rowsmith.quality.copies import Passages
from rowsmith.quality.gates import Rejection, Row
from rowsmith.quality.text import normalised
from rowsmith.recipes.base import BaseRecipe, DatasetConfig, Language

_NOTHING_ELSE = (
    "Make them as different from each other as texts by different people are: vary the angle, the length, the tone and "
    "the words they begin with. Write the texts alone, without notes about them."
)


class RawDatasetConfig(DatasetConfig):
    """Texts, so many for each document type, topic and language; where there are seed texts, for each of these too.

    Templates must have `{num_samples}`, `{language_name}`, `{document_type}` and `{topic}`, and where there are seed
    texts `{seed_text}`.

    Attributes:
        document_types: what the texts are: `["blog post", "e-mail"]`.
        topics: what they are about.
        seed_texts: texts to go by. No passage of one is taken over into a row.
        seed_file: a file with such texts, read like any source; instead of `seed_texts`.
        seed_column: its column of the texts, if it has columns.
        seed_use: `imitate` writes other texts in the manner of a seed text, `continue` goes on where it ends.
    """

    document_types: list[str] = Field(min_length=1)
    topics: list[str] = Field(min_length=1)
    seed_texts: list[str] | None = Field(default=None, min_length=1)
    seed_file: str | None = None
    seed_column: str = "text"
    seed_use: Literal["imitate", "continue"] = "imitate"

    mandatory: ClassVar[frozenset[str]] = frozenset({"num_samples", "language_name", "document_type", "topic"})
    default_prompts: ClassVar[tuple[str, ...]] = (
        "Write {num_samples} texts in {language_name}, each of this type: {document_type}. They are about this topic: "
        "{topic}.\nEach is complete, as it would stand where such texts are published or sent. " + _NOTHING_ELSE,
    )
    seed_prompts: ClassVar[Mapping[str, str]] = {
        "imitate": "This text shows how what I need is written:\n\n{seed_text}\n\n"
        "Write {num_samples} new texts in {language_name}, each of this type: {document_type}. They are about this "
        "topic: {topic}.\nEach is complete, and as the author of the text above might have written it: in that voice, "
        "with as much detail, arranged in that way. Take over no sentence and no fact of it. " + _NOTHING_ELSE,
        "continue": "This is the beginning of a text:\n\n{seed_text}\n\n"
        "Write {num_samples} different continuations in {language_name}. The whole is to be of this type: "
        "{document_type}, and about this topic: {topic}.\nEach continuation begins where the text above ends, keeps "
        "its voice, and repeats nothing of what stands there already. " + _NOTHING_ELSE,
    }

    @field_validator("document_types", "topics")
    @classmethod
    def _names_differ(cls, names: list[str]) -> list[str]:
        seen: dict[str, str] = {}
        for name in names:
            if not name.strip():
                raise ValueError("one of them is empty")
            first = seen.setdefault(normalised(name), name)
            if first is not name:
                raise ValueError(f"{name!r} is the same as {first!r}; give it once")
        return names

    @model_validator(mode="after")
    def _one_source_of_seeds(self) -> RawDatasetConfig:
        if self.seed_texts is not None and self.seed_file is not None:
            raise ValueError("seed_texts and seed_file both say where the seed texts are; give one of them")
        if not self.has_seeds and (extra := {"seed_column", "seed_use"} & self.model_fields_set):
            raise ValueError(f"{' and '.join(sorted(extra))} can be given with seed_texts or seed_file only")
        return self

    @model_validator(mode="after")
    def _prompts_fit(self) -> RawDatasetConfig:
        mandatory = self.mandatory | {"seed_text"} if self.has_seeds else self.mandatory
        check(self.templates, mandatory=mandatory, values=self.expansion.placeholders)
        return self

    @property
    def has_seeds(self) -> bool:
        """Whether there are texts to go by."""
        return self.seed_texts is not None or self.seed_file is not None

    @property
    def templates(self) -> tuple[Template, ...]:
        """The templates that are used."""
        if self.prompts is None and self.has_seeds:
            return (Template(self.seed_prompts[self.seed_use]),)
        return super().templates

    def open_seeds(self) -> Source[Document] | None:
        """The seed texts, no two of them alike; None if there are none.

        Raises:
            SourceError: they cannot be read, lack the column, or all are empty.
        """
        if not self.has_seeds:
            return None
        origin = self.seed_texts if self.seed_file is None else self.seed_file
        return open_source(origin, self.seed_column, distinct=True)


class RawEntry(BaseModel):
    """What a model writes."""

    text: str = Field(description="the whole text")


class Raw(BaseRecipe[RawDatasetConfig]):
    """One cell is one seed text, if there are any, one type, one topic, one template and one language."""

    name: ClassVar[str] = "raw"
    growing_fields: ClassVar[frozenset[str]] = BaseRecipe.growing_fields | {
        "document_types",
        "topics",
        "seed_texts",
        "seed_file",
    }
    entries: ClassVar[ListOutput[RawEntry]] = ListOutput(RawEntry)

    def __init__(self, config: RawDatasetConfig) -> None:
        self._seeds = config.open_seeds()
        super().__init__(config)

    def outer_axes(self) -> Sequence[Axis]:
        seeds = () if self._seeds is None else (Axis("seed", self._seeds),)
        return (*seeds, Axis("document_type", self.config.document_types), Axis("topic", self.config.topics))

    def values(self, cell: Cell) -> Mapping[str, object]:
        about = {name: cell.values[name] for name in ("document_type", "topic")}
        return about if self._seeds is None else {**about, "seed_text": cell.values["seed"].text}

    def group(self, cell: Cell) -> Mapping[str, str]:
        return {**{name: cell.values[name] for name in ("document_type", "topic")}, **super().group(cell)}

    def prompt(self, cell: Cell) -> Callable[[int], Prompt]:
        ask_for = super().prompt(cell)

        def without_seed(count: int) -> Prompt:
            # The offline provider writes what its hints say; a seed text is what must not be written.
            asked = ask_for(count)
            return asked._replace(hints={name: hint for name, hint in asked.hints.items() if name != "seed_text"})

        return without_seed

    async def make(self, cell: Cell, context: Context) -> None:
        language: Language = cell.values["language"]
        model_id, metadata = context.model("writer"), self.metadata(cell, context)
        passages: Passages | None = None
        if self._seeds is not None:
            seed: Document = cell.values["seed"]
            passages, metadata = _passages_of(seed.text), {**metadata, "seed": seed.id}

        def row(draft: Draft[RawEntry]) -> Row | Rejection:
            text = draft.entry.text
            if passages is not None and (passage := passages.in_text(text)) is not None:
                return Rejection("copied", f"a passage of the given text is taken over: {passage[:80]!r}")
            made: dict[str, Any] = {
                "text": text,
                "document_type": cell.values["document_type"],
                "topic": cell.values["topic"],
                "language": language.code,
                "model_id": model_id,
                "metadata": metadata,
            }
            return made

        await context.collect("writer", self.prompt(cell), self.entries, row)


@lru_cache(maxsize=64)
def _passages_of(text: str) -> Passages:
    """The passages of a seed text; cells of the same one follow each other."""
    return Passages(text)
