"""Texts with a label: for text classification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import BaseModel, Field, field_validator, model_validator

from rowsmith.config import Config
from rowsmith.engine.axes import Axis
from rowsmith.engine.context import Context, Draft
from rowsmith.engine.plan import Cell, Rows
from rowsmith.llm.structured.output import ListOutput
from rowsmith.quality.gates import Row
from rowsmith.recipes.base import BaseRecipe, DatasetConfig


class Label(Config):
    """A class of the classification.

    Attributes:
        name: what the rows say.
        description: what a text of this class is like, in words for the model.
    """

    name: str = Field(min_length=1)
    description: str = Field(min_length=1)


class ClassificationDatasetConfig(DatasetConfig):
    """Texts, so many for each class and language.

    Templates must have `{num_samples}`, `{language_name}`, `{label_name}` and `{label_description}`; they may have
    `{labels_listing}`, a list of all classes with their descriptions.

    Attributes:
        classes: at least two, each with a name of its own.
        rows_per_label: the number of rows of each class, instead of what the prompts come to.
    """

    classes: list[Label] = Field(min_length=2)
    rows_per_label: int | None = Field(default=None, ge=1)

    mandatory: ClassVar[frozenset[str]] = frozenset({"num_samples", "language_name", "label_name", "label_description"})
    available: ClassVar[frozenset[str]] = frozenset({"labels_listing"})
    default_prompts: ClassVar[tuple[str, ...]] = (
        "I need examples to train a text classifier with these classes:\n{labels_listing}\n\n"
        'Write {num_samples} texts in {language_name} of the class "{label_name}": {label_description}.\n'
        "Make them as different from each other as real texts by different people are: vary the situation, the "
        "length, the tone and the words they begin with. Each must belong to this class and to no other. "
        "Never name the class or say that the text is an example.",
    )

    @field_validator("classes")
    @classmethod
    def _names_are_unique(cls, classes: list[Label]) -> list[Label]:
        seen: dict[str, str] = {}
        for label in classes:
            folded = label.name.strip().casefold()
            if folded in seen:
                raise ValueError(f"the class {label.name!r} stands twice; each needs a name of its own")
            seen[folded] = label.name
        return classes

    @model_validator(mode="after")
    def _one_target(self) -> ClassificationDatasetConfig:
        if self.target_rows is not None and self.rows_per_label is not None:
            raise ValueError(
                f"target_rows={self.target_rows} and rows_per_label={self.rows_per_label} both say how many rows; "
                "give one of them"
            )
        return self


class TextEntry(BaseModel):
    """What a model writes."""

    text: str = Field(description="the text itself, without its class, a number or a heading")


class Classification(BaseRecipe[ClassificationDatasetConfig]):
    """One cell is one template with its placeholders' values, one language and one class."""

    name: ClassVar[str] = "classification"
    growing_fields: ClassVar[frozenset[str]] = BaseRecipe.growing_fields | {"classes", "rows_per_label"}
    entries: ClassVar[ListOutput[TextEntry]] = ListOutput(TextEntry)

    def __init__(self, config: ClassificationDatasetConfig) -> None:
        self._listing = "\n".join(f"- {label.name}: {label.description}" for label in config.classes)
        super().__init__(config)

    def inner_axes(self) -> Sequence[Axis]:
        return (Axis("label", self.config.classes, stratum=True),)

    @property
    def rows(self) -> Rows:
        per_label = self.config.rows_per_label
        if per_label is None:
            return super().rows
        return Rows(per_cell=self.config.num_samples_per_prompt, target=per_label, per="label")

    @property
    def growing_values(self) -> Mapping[str, str]:
        return {"labels_listing": self._listing}

    def values(self, cell: Cell) -> Mapping[str, object]:
        label: Label = cell.values["label"]
        return {"label_name": label.name, "label_description": label.description, "labels_listing": self._listing}

    def group(self, cell: Cell) -> Mapping[str, str]:
        return {"label": cell.values["label"].name, **super().group(cell)}

    async def make(self, cell: Cell, context: Context) -> None:
        label, language = cell.values["label"].name, cell.values["language"].code
        model_id, metadata = context.model("writer"), self.metadata(cell, context)

        def row(draft: Draft[TextEntry]) -> Row:
            return {
                "text": draft.entry.text,
                "label": label,
                "language": language,
                "model_id": model_id,
                "label_source": "synthetic",
                "metadata": metadata,
            }

        await context.collect("writer", self.prompt(cell), self.entries, row)
