"""Rows made of rows: a prompt over some columns of each, whose answer stands beside them."""

from __future__ import annotations

import json
import re
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar, overload

import orjson
from pydantic import BaseModel, Field, WithJsonSchema, field_validator, model_validator

from rowsmith.data.readers import Source
from rowsmith.data.shapes import Row as SourceRow
from rowsmith.engine.asking import Prompt
from rowsmith.engine.axes import Axis
from rowsmith.engine.context import Context
from rowsmith.engine.draft import Draft
from rowsmith.engine.plan import Cell
from rowsmith.errors import ConfigError, SourceError, TemplateError, did_you_mean
from rowsmith.llm.structured.output import ListOutput
from rowsmith.llm.values import Message
from rowsmith.prompts.check import check
from rowsmith.prompts.template import NAME
from rowsmith.quality.config import code_of
from rowsmith.quality.gates import Filter, Gate, Rejection, Row
from rowsmith.recipes.base import BaseRecipe, Language
from rowsmith.recipes.fields import FieldSpec
from rowsmith.recipes.outputs import RESERVED, RowFacts, in_words, output_model, sources_of
from rowsmith.recipes.sources import SourceConfig
from rowsmith.references import load

_TAKEN = RESERVED | {"pipeline_source"}
_FILLED = frozenset({"num_samples", "language", "language_name"})
SKIPPED = "skip_function"
Columns = list[str] | dict[str, str]
SkipFunction = Annotated[Callable[[Mapping[str, Any]], bool] | str, WithJsonSchema({"type": "string"})]
"""`(row) -> bool`, True for a row that is left out; or where such a function is."""


class GenericPipelineDatasetConfig(SourceConfig):
    """Rows, so many for each row of the source, each template and each language.

    Templates must have `{num_samples}`, at least one input column by its name, and with several languages `{language}`
    or `{language_name}`, which are the same here; every input column must stand in one of them.

    Attributes:
        input_columns: columns of the source that prompts are made of; they stand in the rows, too. A mapping from
            column to name renames them, for prompts and rows: `{"Review Text": "review"}`.
        forward_columns: columns that stand in the rows only; a mapping from column to name renames them.
        output_columns: what the model writes: names of texts; or a mapping of fields, see `FieldSpec`; or a Pydantic
            model; or `module:Class`, `file.py:Class`. `generated_text` if not given.
        prompts: the templates.
        skip_function: `(row) -> bool` over all columns of a row, True for one that is left out; or `module:name`,
            `file.py:name`. Of `sample_count` rows, those that are left out are some.
    """

    input_columns: Columns = Field(min_length=1)
    forward_columns: Columns | None = None
    output_columns: type[BaseModel] | list[str] | dict[str, FieldSpec] | str | None = Field(
        default=None, validate_default=True
    )
    prompts: list[str] = Field(min_length=1)
    num_samples_per_prompt: int = Field(default=1, ge=1)
    skip_function: SkipFunction | None = None

    mandatory: ClassVar[frozenset[str]] = frozenset({"num_samples"})

    @field_validator("input_columns", "forward_columns")
    @classmethod
    def _columns_have_names(cls, columns: Columns | None) -> Columns | None:
        names = list(columns.values()) if isinstance(columns, Mapping) else list(columns or ())
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise ValueError(f"{twice[0]!r} stands twice")
        if taken := sorted(_TAKEN.intersection(names)):
            raise ValueError(
                f"every row has {', '.join(sorted(_TAKEN))} of its own: give the column another name, such as "
                f"{{{taken[0]!r}: 'source_{taken[0]}'}}"
            )
        return columns

    @field_validator("input_columns")
    @classmethod
    def _inputs_can_be_placeholders(cls, columns: Columns) -> Columns:
        for column, name in _renamed(columns).items():
            if not re.fullmatch(NAME, name) or name in _FILLED:
                raise ValueError(
                    f"{name!r} cannot be a placeholder: give the column another name, such as {{{column!r}: 'input_1'}}"
                )
        return columns

    @field_validator("output_columns", mode="before")
    @classmethod
    def _output_is_a_model(cls, given: Any) -> type[BaseModel]:
        if given is None:
            given = ["generated_text"]
        if isinstance(given, Sequence) and not isinstance(given, str):
            if twice := [name for name, count in Counter(map(str, given)).items() if count > 1]:
                raise ValueError(f"{twice[0]!r} stands twice")
            given = {str(name): FieldSpec(type="str") for name in given}
        return output_model(given)

    @field_validator("skip_function", mode="before")
    @classmethod
    def _skip_is_a_function(cls, given: Any) -> Any:
        found = load(given) if isinstance(given, str) else given
        if found is not None and not callable(found):
            raise ConfigError(f"must be a function (row) -> bool; {given!r} is none")
        return found

    @model_validator(mode="after")
    def _prompts_fit(self) -> GenericPipelineDatasetConfig:
        inputs = set(self.inputs.values())
        check(
            self.templates,
            mandatory=self.mandatory,
            available=_FILLED | inputs,
            values=self.expansion.placeholders,
        )
        used: set[str] = set()
        for place, template in enumerate(self.templates):
            named = inputs & template.mandatory
            used |= named
            if not named:
                listing = ", ".join(f"{{{name}}}" for name in sorted(inputs))
                raise TemplateError(f"prompts[{place}] has none of the input columns: {listing}")
            if len(self.languages) > 1 and not {"language", "language_name"} & template.mandatory:
                raise TemplateError(
                    f"prompts[{place}] lacks {{language}}, and there are {len(self.languages)} languages"
                )
        if unused := sorted(inputs - used):
            raise TemplateError(
                f"no template uses {{{unused[0]}}}. Write it in one, or name the column in forward_columns instead"
            )
        return self

    @model_validator(mode="after")
    def _names_differ(self) -> GenericPipelineDatasetConfig:
        inputs, forwarded, made = self.inputs.values(), self.forwarded.values(), RowFacts(self.model).fields
        for one, other, words in (
            (inputs, forwarded, "input_columns and forward_columns"),
            (inputs, made, "input_columns and output_columns"),
            (forwarded, made, "forward_columns and output_columns"),
        ):
            if clash := sorted(set(one) & set(other)):
                raise ValueError(
                    f"{words} both have {clash[0]!r}, which a row can have once. Give one of them another name"
                )
        if "pipeline_source" in made:
            raise ValueError("output_columns has 'pipeline_source', which every row has of its own")
        return self

    @property
    def model(self) -> type[BaseModel]:
        """The model of an entry."""
        assert isinstance(self.output_columns, type)  # made so when it is validated
        return self.output_columns

    @property
    def inputs(self) -> Mapping[str, str]:
        """Column → name of what prompts are made of."""
        return _renamed(self.input_columns)

    @property
    def forwarded(self) -> Mapping[str, str]:
        """Column → name of what only stands in rows."""
        return _renamed(self.forward_columns)


@dataclass(frozen=True, slots=True)
class Given:
    """A row of the source.

    Attributes:
        values: its columns.
        id: the value of the id column, or the row's fingerprint.
    """

    values: SourceRow
    id: str


class Givens(Sequence[Given]):
    """The rows of a source that are not left out, read when they are asked for.

    Args:
        source: the rows.
        skip: says which are left out; None if none are.
        id_column: the column of their ids, or None.

    Attributes:
        skipped: how many were left out, by reason.

    Raises:
        SourceError: none is left.
    """

    def __init__(
        self, source: Source[SourceRow], skip: Callable[[Mapping[str, Any]], bool] | None, id_column: str | None
    ) -> None:
        self._source = source
        self._id_column = id_column
        self._kept = array("Q")
        self.skipped = Counter(source.skipped)
        if skip is not None:
            for place, row in enumerate(source):
                if skip(row):
                    self.skipped[SKIPPED] += 1
                else:
                    self._kept.append(place)
            if not self._kept:
                raise SourceError(f"skip_function leaves out all {len(source)} rows of {source.name}")
        self._all = skip is None

    def must_have(self, columns: Sequence[str]) -> None:
        """Refuse columns that the first row lacks.

        Raises:
            SourceError: which.
        """
        first = self[0].values
        for column in columns:
            if column not in first:
                raise SourceError(f"{self._source.name} has no column {column!r}. {did_you_mean(column, first)}")

    def fingerprint(self, position: int) -> bytes:
        """The source's own."""
        return self._source.fingerprint(position if self._all else self._kept[position])

    def __len__(self) -> int:
        return len(self._source) if self._all else len(self._kept)

    @overload
    def __getitem__(self, index: int) -> Given: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Given]: ...
    def __getitem__(self, index: int | slice) -> Given | Sequence[Given]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        place = index if self._all else self._kept[index]
        row = self._source[place]
        if self._id_column is None:
            return Given(row, self._source.fingerprint(place).hex())
        return Given(row, in_prompt(row.get(self._id_column)))


class Generic(BaseRecipe[GenericPipelineDatasetConfig]):
    """One cell is one row of the source, one template with its placeholders' values, and one language."""

    name: ClassVar[str] = "generic"
    growing_fields: ClassVar[frozenset[str]] = (
        BaseRecipe.growing_fields | GenericPipelineDatasetConfig.source_fields | {"skip_function"}
    )
    check_fields: ClassVar[frozenset[str]] = BaseRecipe.check_fields | {"models"}

    def __init__(self, config: GenericPipelineDatasetConfig) -> None:
        self._facts = RowFacts(config.model)
        self._entries = ListOutput(config.model)
        parts = [config.system_prompt] if config.system_prompt else []
        self._system = Message.system("\n\n".join([*parts, in_words(config.model)]))
        super().__init__(config)

    @cached_property
    def givens(self) -> Givens:
        """The rows of the source."""
        config = self.config
        ids = [config.id_column] if config.id_column else []
        columns = [*config.inputs, *config.forwarded, *ids]
        skip: Any = config.skip_function
        # A function of the user's may look at any column; without one, only those that are wanted are read.
        found = Givens(config.open_rows(None if skip else columns), skip, config.id_column)
        found.must_have(columns)
        return found

    @cached_property
    def text_fields(self) -> tuple[str, ...]:
        # The same answer to another row is no duplicate, so the inputs count as well.
        return (*(self._facts.texts() or self._facts.fields), *self.config.inputs.values())

    @property
    def gates(self) -> Sequence[Gate]:
        texts = self._facts.texts()
        if texts:
            return self.config.gates.build(texts)
        return [Filter(function, self.text_fields[0]) for function in self.config.gates.filters]

    def outer_axes(self) -> Sequence[Axis]:
        return (Axis("row", self.givens),)

    def describe(self) -> Mapping[str, Any]:
        skip: Any = self.config.skip_function
        out = {"output_columns", "skip_function", "gates", *self.free_fields}
        return {
            **self.config.model_dump(mode="json", exclude=out),
            "gates": self.config.gates.describe(),
            "skip_function": None if skip is None else code_of(skip),
            "models": sources_of(self.config.model),
        }

    def values(self, cell: Cell) -> Mapping[str, object]:
        row: SourceRow = cell.values["row"].values
        language: Language = cell.values["language"]
        inputs = {name: in_prompt(row[column]) for column, name in self.config.inputs.items()}
        return {**inputs, "language": language.name}

    def prompt(self, cell: Cell) -> Callable[[int], Prompt]:
        ask_for = super().prompt(cell)
        code = cell.values["language"].code

        def with_fields(count: int) -> Prompt:
            asked = ask_for(count)
            return Prompt((self._system, asked.messages[-1]), {**asked.hints, "language": code})

        return with_fields

    async def make(self, cell: Cell, context: Context) -> None:
        given: Given = cell.values["row"]
        language: Language = cell.values["language"]
        model_id = context.model("writer")
        metadata = {**self.metadata(cell, context), "source_id": given.id}
        columns = {**self.config.inputs, **self.config.forwarded}
        before = {name: in_row(given.values[column]) for column, name in columns.items()}

        def row(draft: Draft[BaseModel]) -> Row | Rejection:
            written = draft.entry.model_dump(mode="json", by_alias=True)
            if clash := sorted((_TAKEN | before.keys()) & written.keys()):
                return Rejection("answer", f"there is no field {clash[0]!r}")
            return {
                **before,
                **written,
                "language": language.code,
                "model_id": model_id,
                "pipeline_source": "synthetic",
                "metadata": metadata,
            }

        await context.collect("writer", self.prompt(cell), self._entries, row)


def in_prompt(value: Any) -> str:
    """A value of a source as a prompt says it: texts as they are, nothing as nothing, all else as JSON has it."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def in_row(value: Any) -> Any:
    """A value of a source as a row has it: as it is, but for numbers that are too long for JSON readers."""
    try:
        orjson.dumps(value)
    except TypeError:
        return json.dumps(value, ensure_ascii=False)
    return value


def _renamed(columns: Columns | None) -> dict[str, str]:
    return dict(columns) if isinstance(columns, Mapping) else {column: column for column in columns or ()}
