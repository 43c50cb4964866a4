"""Texts with a label, or with several: for text classification."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import ClassVar

from pydantic import Field, field_validator, model_validator

from rowsmith.engine.context import Context
from rowsmith.engine.draft import Draft
from rowsmith.engine.plan import Cell
from rowsmith.errors import did_you_mean
from rowsmith.llm.structured.output import ListOutput
from rowsmith.prompts.template import Template
from rowsmith.quality.gates import Row
from rowsmith.recipes.base import BaseRecipe
from rowsmith.recipes.label_sets import GivenSets, Label, LabelSet, LabelSets
from rowsmith.recipes.labelled import LabelledConfig, LabelledRecipe, TextEntry


class ClassificationDatasetConfig(LabelledConfig):
    """Texts, so many for each class and language.

    Templates must have `{num_samples}`, `{language_name}`, `{label_name}` and `{label_description}`; they may have
    `{labels_listing}`, a list of all classes with their descriptions. Where a text has several labels, `{label_name}`
    is all their names and `{label_description}` a list of their descriptions.

    Attributes:
        classes: at least two, each with a name of its own.
        rows_per_label: the number of rows of each class, instead of what the prompts come to; of each combination
            where a text has several labels.
        multi_label: a text may have several labels, and rows have `labels`, a list, in the place of `label`.
        valid_combinations: the sets of labels that texts are written to, by name; an empty one is a text to which no
            class applies. All sets of `min_labels` to `max_labels` where they are not given.
        min_labels: the fewest labels of a text.
        max_labels: the most; 3 if not given, or all where there are fewer.
    """

    classes: list[Label] = Field(min_length=2)
    multi_label: bool = False
    valid_combinations: list[list[str]] | None = Field(default=None, min_length=1)
    min_labels: int | None = Field(default=None, ge=0)
    max_labels: int | None = Field(default=None, ge=1)

    mandatory: ClassVar[frozenset[str]] = frozenset({"num_samples", "language_name", "label_name", "label_description"})
    available: ClassVar[frozenset[str]] = frozenset({"labels_listing"})
    default_prompts: ClassVar[tuple[str, ...]] = (
        "I need examples to train a text classifier with these classes:\n{labels_listing}\n\n"
        'Write {num_samples} texts in {language_name} of the class "{label_name}": {label_description}.\n'
        "Make them as different from each other as real texts by different people are: vary the situation, the "
        "length, the tone and the words they begin with. Each must belong to this class and to no other. "
        "Never name the class or say that the text is an example.",
    )
    multi_label_prompts: ClassVar[tuple[str, ...]] = (
        "I need examples to train a classifier that gives a text all the classes that apply to it, of these:\n"
        "{labels_listing}\n\n"
        "Write {num_samples} texts in {language_name} to which exactly this applies, {label_name}:\n"
        "{label_description}\n"
        "Each text must show all of it, woven together as in real life, and nothing of the other classes. Make the "
        "texts as different from each other as real texts by different people are: vary the situation, the length, "
        "the tone and the words they begin with. Never name a class or say that the text is an example.",
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
    def _combinations_fit(self) -> ClassificationDatasetConfig:
        bounds = [name for name in ("min_labels", "max_labels") if getattr(self, name) is not None]
        given = [*bounds, *(["valid_combinations"] if self.valid_combinations is not None else [])]
        if given and not self.multi_label:
            raise ValueError(f"{' and '.join(given)} are for texts with several labels: set multi_label=True as well")
        if len(given) > len(bounds) and bounds:
            raise ValueError(f"valid_combinations already says which sets of labels there are: leave {bounds[0]} out")
        _check_combinations(self.valid_combinations or (), [label.name for label in self.classes])
        least, most = self._bounds()
        if not least <= most <= len(self.classes):
            raise ValueError(
                f"a text cannot have {least} to {most} of {len(self.classes)} classes: choose 0 <= min_labels <= "
                "max_labels <= the number of classes"
            )
        return self

    @property
    def templates(self) -> tuple[Template, ...]:
        """The templates that are used."""
        if self.prompts is None and self.multi_label:
            return tuple(Template(text) for text in self.multi_label_prompts)
        return super().templates

    def label_sets(self) -> Sequence[LabelSet]:
        """The sets of labels that texts are written to, where a text may have several."""
        if self.valid_combinations is not None:
            return GivenSets(
                LabelSet(tuple(label for label in self.classes if label.name in names))
                for names in self.valid_combinations
            )
        return LabelSets(self.classes, *self._bounds())

    def _bounds(self) -> tuple[int, int]:
        least = 1 if self.min_labels is None else self.min_labels
        return least, max(least, min(3, len(self.classes))) if self.max_labels is None else self.max_labels


class Classification(LabelledRecipe[ClassificationDatasetConfig]):
    """One cell is one template with its placeholders' values, one language and one class."""

    name: ClassVar[str] = "classification"
    growing_fields: ClassVar[frozenset[str]] = BaseRecipe.growing_fields | {
        "classes",
        "rows_per_label",
        "valid_combinations",
        "min_labels",
        "max_labels",
    }
    entries: ClassVar[ListOutput[TextEntry]] = ListOutput(TextEntry)

    def __init__(self, config: ClassificationDatasetConfig) -> None:
        self._listing = "\n".join(f"- {label.name}: {label.description}" for label in config.classes)
        self._singly = {label.name: self._told(label) for label in config.classes}
        super().__init__(config)

    def labels(self) -> Sequence[Label] | Sequence[LabelSet]:
        return self.config.label_sets() if self.config.multi_label else self.config.classes

    @property
    def growing_values(self) -> Mapping[str, str]:
        return {"labels_listing": self._listing}

    def values(self, cell: Cell) -> Mapping[str, object]:
        value: Label | LabelSet = cell.values["label"]
        return self._singly[value.name] if isinstance(value, Label) else self._told(value)

    def _told(self, value: Label | LabelSet) -> Mapping[str, object]:
        return {**_told(value), "labels_listing": self._listing}

    def group(self, cell: Cell) -> Mapping[str, str]:
        return {"label": _told(cell.values["label"])["label_name"], **super().group(cell)}

    def make(self, cell: Cell, context: Context) -> Awaitable[object]:
        value: Label | LabelSet = cell.values["label"]
        given = {"labels": value.names} if isinstance(value, LabelSet) else {"label": value.name}
        language = cell.values["language"].code
        metadata = self.metadata(cell, context)

        def row(draft: Draft[TextEntry]) -> Row:
            return {
                "text": draft.entry.text,
                **given,
                "language": language,
                "model_id": draft.model("writer"),
                "label_source": "synthetic",
                "metadata": metadata,
            }

        return context.collect("writer", self.prompt(cell), self.entries, row)


def _told(value: Label | LabelSet) -> dict[str, str]:
    """How a prompt speaks of what a text is labelled with."""
    if isinstance(value, Label):
        return {"label_name": value.name, "label_description": value.description}
    if not value.labels:
        return {
            "label_name": "none of the classes",
            "label_description": "- a text of the same kind as the others, to which no class applies",
        }
    return {
        "label_name": " + ".join(value.names),
        "label_description": "\n".join(f"- {label.name}: {label.description}" for label in value.labels),
    }


def _check_combinations(combinations: Sequence[Sequence[str]], names: Sequence[str]) -> None:
    seen: set[frozenset[str]] = set()
    for combination in combinations:
        for name in combination:
            if name not in names:
                raise ValueError(f"valid_combinations: there is no class {name!r}. {did_you_mean(name, names)}")
        kept = frozenset(combination)
        if len(kept) < len(combination):
            raise ValueError(f"valid_combinations: a class stands twice in {list(combination)!r}")
        if kept in seen:
            raise ValueError(f"valid_combinations: {list(combination)!r} stands twice")
        seen.add(kept)
