"""Texts with labelled pieces in them: named entities and the like, for token classification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import BaseModel, Field, field_validator

from rowsmith.engine.context import Context
from rowsmith.engine.draft import Draft
from rowsmith.engine.plan import Cell
from rowsmith.llm.structured.output import ListOutput
from rowsmith.quality.gates import Rejection, Row
from rowsmith.recipes.base import BaseRecipe
from rowsmith.recipes.label_sets import Label
from rowsmith.recipes.labelled import LabelledConfig, LabelledRecipe
from rowsmith.recipes.spans import Mention, MisplacedError, locate, tagged

NOTHING = Label(name="nothing", description="a text of the same kind in which there is nothing to be marked")
"""What a text is written to that has no entity."""


class TokenLabelsDatasetConfig(LabelledConfig):
    """Texts in which pieces are marked, so many for each label and language.

    Each text is written to have at least one piece of its cell's label, besides those of others: so every label is
    there as often. Templates must have `{num_samples}`, `{language_name}`, `{label_name}` and `{label_description}`;
    they may have `{labels_listing}`.

    Attributes:
        labels: what is marked; each with a name of its own.
        overlaps: a marked piece may cover a part of another; then tags are those of the longer one.
        negatives: texts with nothing to be marked too, as many as of each label.
        rows_per_label: the number of rows of each label, instead of what the prompts come to.
    """

    labels: list[Label] = Field(min_length=1)
    overlaps: bool = False
    negatives: bool = False

    mandatory: ClassVar[frozenset[str]] = frozenset({"num_samples", "language_name", "label_name", "label_description"})
    available: ClassVar[frozenset[str]] = frozenset({"labels_listing"})
    default_prompts: ClassVar[tuple[str, ...]] = (
        "I need texts to train a model that marks pieces of text with these labels:\n{labels_listing}\n\n"
        'Write {num_samples} texts in {language_name}, each with at least one piece labelled "{label_name}": '
        "{label_description}.\n"
        "With each text, name every piece of it that has one of the labels, in the very characters and in the order in "
        "which they stand there; a piece that stands there twice is named twice. Leave out articles and signs around a "
        "piece. Make the texts as different from each other as real texts by different people are: vary the kind of "
        "text, the situation, the length and the pieces themselves.",
    )

    @field_validator("labels")
    @classmethod
    def _names_fit(cls, labels: list[Label]) -> list[Label]:
        seen: set[str] = set()
        for label in labels:
            folded = label.name.casefold()
            if folded in seen:
                raise ValueError(f"the label {label.name!r} stands twice; each needs a name of its own")
            if label.name != label.name.strip() or any(sign.isspace() for sign in label.name):
                raise ValueError(f"the label {label.name!r} must have no blanks, for it becomes a tag such as B-PER")
            seen.add(folded)
        return labels

    @field_validator("labels")
    @classmethod
    def _nothing_is_free(cls, labels: list[Label]) -> list[Label]:
        if any(label.name.casefold() == NOTHING.name for label in labels):
            raise ValueError(f"a label cannot be called {NOTHING.name!r}: texts without entities are called so")
        return labels


class EntityEntry(BaseModel):
    """A marked piece."""

    text: str = Field(description="the piece, in the very characters of the text")
    label: str = Field(description="its label")


class MarkedEntry(BaseModel):
    """What a model writes."""

    text: str = Field(description="the text itself, without marks, a number or a heading")
    entities: list[EntityEntry] = Field(description="the pieces that have a label, in their order; may be empty")


class TokenLabels(LabelledRecipe[TokenLabelsDatasetConfig]):
    """One cell is one template with its placeholders' values, one language and one label that must be there."""

    name: ClassVar[str] = "token_labels"
    growing_fields: ClassVar[frozenset[str]] = BaseRecipe.growing_fields | {"labels", "rows_per_label", "negatives"}
    entries: ClassVar[ListOutput[MarkedEntry]] = ListOutput(MarkedEntry)

    def __init__(self, config: TokenLabelsDatasetConfig) -> None:
        self._listing = "\n".join(f"- {label.name}: {label.description}" for label in config.labels)
        self._names = {label.name.casefold(): label.name for label in config.labels}
        super().__init__(config)

    def labels(self) -> Sequence[Label]:
        return [*self.config.labels, *([NOTHING] if self.config.negatives else [])]

    @property
    def growing_values(self) -> Mapping[str, str]:
        return {"labels_listing": self._listing}

    def values(self, cell: Cell) -> Mapping[str, object]:
        label: Label = cell.values["label"]
        marked = None if label is NOTHING else label.name
        return {
            "label_name": label.name,
            "label_description": label.description,
            "labels_listing": self._listing,
            "quotes": [{"field": "entities", "of": "text", "label": marked}],
        }

    def group(self, cell: Cell) -> Mapping[str, str]:
        return {"label": cell.values["label"].name, **super().group(cell)}

    async def make(self, cell: Cell, context: Context) -> None:
        wanted, language = cell.values["label"].name, cell.values["language"].code
        metadata = self.metadata(cell, context)

        def row(draft: Draft[MarkedEntry]) -> Row | Rejection:
            entry = draft.entry
            try:
                mentions = [self._mention(entity) for entity in entry.entities]
                spans = locate(entry.text, mentions, overlaps=self.config.overlaps)
                _must_have(wanted, {span.label for span in spans})
            except MisplacedError as error:
                return Rejection("entities", str(error))
            words, tags = tagged(entry.text, spans)
            return {
                "text": entry.text,
                "entities": [
                    {"start": start, "end": end, "label": label, "text": entry.text[start:end]}
                    for start, end, label in spans
                ],
                "tokens": words,
                "tags": tags,
                "language": language,
                "model_id": draft.model("writer"),
                "label_source": "synthetic",
                "metadata": metadata,
            }

        await context.collect("writer", self.prompt(cell), self.entries, row)

    def _mention(self, entity: EntityEntry) -> Mention:
        name = self._names.get(entity.label.strip().casefold())
        if name is None:
            raise MisplacedError(
                f"there is no label {entity.label!r}; the labels are {', '.join(self._names.values())}"
            )
        return Mention(entity.text.strip(), name)


def _must_have(wanted: str, found: set[str]) -> None:
    """Refuse a text that is not what its cell was to be.

    Raises:
        MisplacedError: it lacks the label, or has one where it should have none.
    """
    if wanted == NOTHING.name:
        if found:
            raise MisplacedError(f"the text should have nothing to be marked, and has {', '.join(sorted(found))}")
    elif wanted not in found:
        raise MisplacedError(f"no piece is labelled {wanted}")
