"""What kinds have in common whose rows are texts written to a given label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, Field, model_validator

from rowsmith.engine.axes import Axis
from rowsmith.engine.plan import Rows
from rowsmith.recipes.base import BaseRecipe, DatasetConfig


class LabelledConfig(DatasetConfig):
    """Rows that can be counted by their label.

    Attributes:
        rows_per_label: the number of rows of each label, instead of what the prompts come to.
    """

    rows_per_label: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _one_target(self) -> LabelledConfig:
        if self.target_rows is not None and self.rows_per_label is not None:
            raise ValueError(
                f"target_rows={self.target_rows} and rows_per_label={self.rows_per_label} both say how many rows; "
                "give one of them"
            )
        return self


class TextEntry(BaseModel):
    """What a model writes."""

    text: str = Field(description="the text itself, without its class, a number or a heading")


L = TypeVar("L", bound=LabelledConfig)


class LabelledRecipe(BaseRecipe[L]):
    """Labels are the fastest axis, and every language has as many rows of each."""

    def labels(self) -> Sequence[Any]:
        """The values of the axis `label`."""
        raise NotImplementedError

    def inner_axes(self) -> Sequence[Axis]:
        return (Axis("label", self.labels(), stratum=True),)

    @property
    def rows(self) -> Rows:
        per_label = self.config.rows_per_label
        if per_label is None:
            return super().rows
        return Rows(per_cell=self.config.num_samples_per_prompt, target=per_label, per="label")
