"""Texts with a score: grades that people would use, turned into numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from rowsmith.config import Config
from rowsmith.engine.context import Context
from rowsmith.engine.draft import Draft
from rowsmith.engine.plan import Cell
from rowsmith.llm.structured.output import ListOutput
from rowsmith.quality.gates import Row
from rowsmith.recipes.base import BaseRecipe
from rowsmith.recipes.labelled import LabelledConfig, LabelledRecipe, TextEntry


class Grade(Config):
    """A grade of the scale.

    Attributes:
        name: what the rows say as `label`.
        score: the number that it stands for.
        description: what a text of this grade is like, in words for the model; empty if the name says it.
    """

    name: str = Field(min_length=1)
    score: float = Field(allow_inf_nan=False)
    description: str = ""


def _as_list(grades: Any) -> Any:
    """A mapping of names to scores as a list of grades."""
    return [{"name": name, "score": score} for name, score in grades.items()] if isinstance(grades, Mapping) else grades


def _that_differ(grades: list[Grade]) -> list[Grade]:
    names: dict[str, str] = {}
    scores: dict[float, str] = {}
    for grade in grades:
        if (known := names.setdefault(grade.name.strip().casefold(), grade.name)) is not grade.name:
            raise ValueError(f"the grade {grade.name!r} stands twice (also as {known!r})")
        if (known := scores.setdefault(grade.score, grade.name)) is not grade.name:
            raise ValueError(f"{grade.name!r} and {known!r} have the same score, {grade.score:g}")
    return grades


class _OrMapping:
    """Says in a JSON Schema that `_as_list` takes a mapping too."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        mapping = {"type": "object", "additionalProperties": {"type": "number"}, "minProperties": 2}
        return {"anyOf": [{**handler(core), "minItems": 2}, mapping]}


Grades = Annotated[list[Grade], BeforeValidator(_as_list), AfterValidator(_that_differ), _OrMapping()]
"""A scale from one end to the other; a mapping of names to scores is taken for one."""


class ScoreRange(Config):
    """A scale of numbers at equal distances.

    Attributes:
        low: the lowest score.
        high: the highest.
        steps: how many scores there are, both ends included.
    """

    low: float = Field(default=0.0, allow_inf_nan=False)
    high: float = Field(default=1.0, allow_inf_nan=False)
    steps: int = Field(default=5, ge=2, le=1000)

    @model_validator(mode="after")
    def _rises(self) -> ScoreRange:
        if self.low >= self.high:
            raise ValueError(f"low={self.low} must be below high={self.high}")
        return self

    def grades(self) -> list[Grade]:
        """The scores as grades, each named as it is written."""
        width = self.high - self.low
        digits = max(0, 2 - math.floor(math.log10(width / (self.steps - 1))))
        scores = [round(self.low + width * step / (self.steps - 1), digits) for step in range(self.steps)]
        return [Grade(name=_written(score, digits), score=score) for score in scores]


class RegressionDatasetConfig(LabelledConfig):
    """Texts, so many for each grade and language.

    Templates must have `{num_samples}`, `{language_name}` and `{label_name}`; they may have `{score}`,
    `{label_description}`, `{quantity}` and `{scale_listing}`, a list of all grades.

    Attributes:
        quantity: what is measured, as in "how satisfied the customer is".
        grades: the scale from one end to the other: `{"terrible": 0.0, "poor": 0.25, …}`, or a list of mappings of
            `name`, `score` and `description`; at least two.
        score_range: a scale of numbers in its place.
        rows_per_label: the number of rows of each grade, instead of what the prompts come to.
    """

    quantity: str = Field(min_length=1)
    grades: Grades | None = Field(default=None, min_length=2)
    score_range: ScoreRange | None = None

    mandatory: ClassVar[frozenset[str]] = frozenset({"num_samples", "language_name", "label_name"})
    available: ClassVar[frozenset[str]] = frozenset({"score", "label_description", "quantity", "scale_listing"})
    default_prompts: ClassVar[tuple[str, ...]] = (
        "I need examples to train a model that tells from a text {quantity}, on this scale:\n{scale_listing}\n\n"
        'Write {num_samples} texts in {language_name} for which careful readers would agree on "{label_name}"'
        "{label_description}: not a grade more and not a grade less.\n"
        "Make them as different from each other as real texts by different people are: vary the situation, the "
        "length, the tone and the words they begin with. Never name the grade or a number that stands for it, and "
        "never say that the text is an example.",
    )

    @model_validator(mode="after")
    def _one_scale(self) -> RegressionDatasetConfig:
        if (self.grades is None) == (self.score_range is None):
            both = "both are given" if self.grades is not None else "neither is given"
            raise ValueError(f"the scale is either `grades` or `score_range`; {both}")
        return self

    def scale(self) -> list[Grade]:
        """The grades, as they were given or as the range makes them."""
        return self.grades if self.grades is not None else (self.score_range or ScoreRange()).grades()


class Regression(LabelledRecipe[RegressionDatasetConfig]):
    """One cell is one template with its placeholders' values, one language and one grade."""

    name: ClassVar[str] = "regression"
    growing_fields: ClassVar[frozenset[str]] = BaseRecipe.growing_fields | {"grades", "score_range", "rows_per_label"}
    entries: ClassVar[ListOutput[TextEntry]] = ListOutput(TextEntry)

    def __init__(self, config: RegressionDatasetConfig) -> None:
        self._scale = config.scale()
        self._listing = "\n".join(f"- {grade.name}{meaning(grade)}" for grade in self._scale)
        super().__init__(config)

    def labels(self) -> Sequence[Grade]:
        return self._scale

    @property
    def growing_values(self) -> Mapping[str, str]:
        return {"scale_listing": self._listing}

    def values(self, cell: Cell) -> Mapping[str, object]:
        grade: Grade = cell.values["label"]
        return {
            "label_name": grade.name,
            "label_description": meaning(grade),
            "score": repr(grade.score).removesuffix(".0"),
            "quantity": self.config.quantity,
            "scale_listing": self._listing,
        }

    def group(self, cell: Cell) -> Mapping[str, str]:
        return {"label": cell.values["label"].name, **super().group(cell)}

    async def make(self, cell: Cell, context: Context) -> None:
        grade: Grade = cell.values["label"]
        language = cell.values["language"].code
        metadata = self.metadata(cell, context)

        def row(draft: Draft[TextEntry]) -> Row:
            return {
                "text": draft.entry.text,
                "label": grade.name,
                "score": grade.score,
                "language": language,
                "model_id": draft.model("writer"),
                "label_source": "synthetic",
                "metadata": metadata,
            }

        await context.collect("writer", self.prompt(cell), self.entries, row)


def _written(score: float, digits: int) -> str:
    """A score without the zeros that nobody would write."""
    text = f"{score:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def meaning(grade: Grade) -> str:
    """A grade's description as it follows its name."""
    return f": {grade.description}" if grade.description else ""
