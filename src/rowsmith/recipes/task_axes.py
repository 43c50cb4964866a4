"""The axes of the user's own tasks: what varies from prompt to prompt, and how a prompt speaks of it."""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Self, overload

from pydantic import Field, field_validator, model_validator

from rowsmith.config import Config
from rowsmith.data.readers import Source, open_source
from rowsmith.data.shapes import Document
from rowsmith.engine.axes import Axis as PlanAxis
from rowsmith.errors import ConfigError
from rowsmith.prompts.check import check
from rowsmith.prompts.template import NAME, Template
from rowsmith.quality.text import normalised

RESERVED = frozenset(
    {
        "axes",
        "language",
        "language_name",
        "num_samples",
        "variation",
        "value",
        "values",
        "amount",
        "description",
        "name",
    }
)
"""Names that no axis may have: prompts or plans have them already."""
_SOURCES = ("values", "file", "generated")


class Generated(Config):
    """Values that a model writes before the first row.

    Attributes:
        amount: how many there must be; exactly so many are written.
        prompt: what to ask for them; it must have `{amount}`.
    """

    amount: int = Field(ge=1)
    prompt: str

    @field_validator("prompt")
    @classmethod
    def _prompt_fits(cls, text: str) -> str:
        check(Template(text), mandatory={"amount"}, where="prompt")
        return text


@dataclass(frozen=True, slots=True)
class AxisValue:
    """One value of an axis.

    Attributes:
        text: the value as prompts say it.
        description: more about it; empty where nothing is.
        seat: which one it is of as many as the value's weight is.
        known: False for a value that is still to be written; `text` then says which it is.
    """

    text: str
    description: str = ""
    seat: int = 0
    known: bool = True


class Axis(Config):
    """One dimension of variation of a task: its values are given, read from a file, or generated first.

    Attributes:
        name: the axis' name. `{name}` is its value in prompts of your own. If the output has a field of this name, the
            field must have the axis' value: rows are balanced over it, and an answer with another value is refused.
        values: the values, or a mapping from each to a description of it.
        prompt: what the prompt says of a value: it must have `{value}` and may have `{description}`.
        weights: how many times as many rows each of `values` gets: whole numbers. 1 for each if not given.
        file: a file with the values, read like any source: `.txt` has one in each line.
        column: the file's column of the values, if it has columns; the axis' name if not given.
        written: what is asked for to have the values generated (`generated` when given).
    """

    name: str
    values: list[str] | dict[str, str] | None = None
    prompt: str | None = None
    weights: list[int] | None = None
    file: str | None = None
    column: str | None = None
    written: Generated | None = Field(default=None, alias="generated")

    def __init__(
        self, name: str | None = None, values: Sequence[Any] | Mapping[str, str] | None = None, /, **given: Any
    ) -> None:
        if name is not None:
            given["name"] = name
        if values is not None:
            given["values"] = values
        super().__init__(**given)

    # As in `Config`: nested in another configuration, the axis is validated by that one's path.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def generated(cls, name: str, *, amount: int, prompt: str, instance_prompt: str | None = None) -> Self:
        """An axis whose values a model writes before the first row.

        They are kept in the run's folder, one a line, in `axes/<name>.txt`. They can be read and edited there; what
        stands in the file is used. No two are alike, and there are exactly `amount`.

        Args:
            name: the axis' name.
            amount: how many values.
            prompt: what to ask for them; it must have `{amount}`.
            instance_prompt: what the prompt of a row says of one of them; it must have `{value}`.
        """
        return cls(name, generated={"amount": amount, "prompt": prompt}, prompt=instance_prompt)

    @classmethod
    def from_file(
        cls, name: str, path: str | os.PathLike[str], *, column: str | None = None, prompt: str | None = None
    ) -> Self:
        """An axis whose values stand in a file.

        Args:
            name: the axis' name.
            path: the file: `.txt` with a value in each line, `.csv`, `.tsv`, `.jsonl`, `.json`, `.parquet`.
            column: the column of the values, if the file has columns; the axis' name if not given.
            prompt: what the prompt says of a value; it must have `{value}`.
        """
        return cls(name, file=os.fspath(path), column=column, prompt=prompt)

    @field_validator("name")
    @classmethod
    def _name_is_one(cls, name: str) -> str:
        if not re.fullmatch(NAME, name):
            raise ValueError("an axis' name is used in prompts: letters, digits and _ make one")
        if name in RESERVED:
            raise ValueError(
                f"an axis cannot be named {name!r}, which prompts use for something else; take another name"
            )
        return name

    @field_validator("values", mode="before")
    @classmethod
    def _numbers_as_text(cls, values: Any) -> Any:
        if isinstance(values, str) or not isinstance(values, Sequence):
            return values
        return [str(one) if isinstance(one, int | float) and not isinstance(one, bool) else one for one in values]

    @field_validator("values")
    @classmethod
    def _values_differ(cls, values: list[str] | dict[str, str] | None) -> list[str] | dict[str, str] | None:
        if values is not None and not values:
            raise ValueError("an axis needs at least one value")
        seen: dict[str, str] = {}
        for value in values or ():
            if not value.strip():
                raise ValueError("an axis has an empty value")
            first = seen.setdefault(normalised(value), value)
            if first is not value:
                raise ValueError(f"{value!r} is the same as {first!r}; give it once (for more rows of it: weights)")
        return values

    @model_validator(mode="after")
    def _has_one_source(self) -> Axis:
        given = [name for name, one in zip(_SOURCES, (self.values, self.file, self.written), strict=True) if one]
        if len(given) != 1:
            raise ValueError(
                f"the axis {self.name!r} needs one of {', '.join(_SOURCES)}; received: {' and '.join(given) or 'none'}"
            )
        if self.column is not None and self.file is None:
            raise ValueError(f"the axis {self.name!r} has a column, and no file that it could be of")
        if self.weights is not None and (
            self.values is None or len(self.weights) != len(self.values) or min(self.weights) < 1
        ):
            raise ValueError(
                f"the axis {self.name!r}: weights are whole numbers of 1 or more, one for each of values; "
                f"got {self.weights}"
            )
        self._prompt_fits()
        return self

    def _prompt_fits(self) -> None:
        described = isinstance(self.values, dict)
        if self.prompt is None:
            return
        template = Template(self.prompt)
        where = "instance_prompt" if self.written else "prompt"
        available = {"description"} if described else set()
        check(template, mandatory={"value"}, available=available, where=f"{where} of the axis {self.name!r}")
        if described and "description" not in template.mandatory:
            raise ConfigError(f"the values of {self.name!r} have descriptions, and its prompt has no {{description}}")

    @property
    def part(self) -> Template:
        """What the prompt says of a value."""
        if self.prompt is not None:
            return Template(self.prompt)
        return Template(
            f"{self.name}: {{value}} ({{description}})" if isinstance(self.values, dict) else f"{self.name}: {{value}}"
        )

    def plan_axis(self, stored: Sequence[str] = ()) -> PlanAxis:
        """The axis of the plan.

        Args:
            stored: the generated values that there are; for those that lack, it has placeholders.

        Raises:
            SourceError: the file cannot be read, or has no values.
        """
        values: Sequence[AxisValue]
        if self.values is not None:
            values = _Weighted(self.values, self.weights)
        elif self.file is not None:
            column = self.name if self.column is None else self.column
            values = _OfFile(open_source(self.file, column, distinct=True))
        else:
            assert self.written is not None
            amount = self.written.amount
            lacking = (
                AxisValue(f"<{self.name} {number} of {amount}>", known=False)
                for number in range(len(stored) + 1, amount + 1)
            )
            values = [*(AxisValue(text) for text in stored), *lacking]
        return PlanAxis(self.name, values)


class _Weighted(Sequence[AxisValue]):
    """Given values, each as often as its weight says; none of them built."""

    def __init__(self, values: Sequence[str] | Mapping[str, str], weights: Sequence[int] | None) -> None:
        self._texts = list(values)
        self._descriptions = dict(values) if isinstance(values, Mapping) else {}
        self._ends = list(accumulate(weights or [1] * len(self._texts)))

    def __len__(self) -> int:
        return self._ends[-1]

    @overload
    def __getitem__(self, index: int) -> AxisValue: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[AxisValue]: ...
    def __getitem__(self, index: int | slice) -> AxisValue | Sequence[AxisValue]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(f"value {index} is outside 0 to {len(self) - 1}")
        place = bisect_right(self._ends, index)
        text = self._texts[place]
        seat = index - (self._ends[place - 1] if place else 0)
        return AxisValue(text, self._descriptions.get(text, ""), seat)


class _OfFile(Sequence[AxisValue]):
    """The values of a file, read when they are asked for."""

    def __init__(self, source: Source[Document]) -> None:
        self._source = source

    def fingerprint(self, position: int) -> bytes:
        """The source's own: no value has to be read for it."""
        return self._source.fingerprint(position)

    def __len__(self) -> int:
        return len(self._source)

    @overload
    def __getitem__(self, index: int) -> AxisValue: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[AxisValue]: ...
    def __getitem__(self, index: int | slice) -> AxisValue | Sequence[AxisValue]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        return AxisValue(self._source[index].text.strip())
