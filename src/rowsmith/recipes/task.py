"""Any task of the user's own: a description, the model of an entry, and the axes along which prompts vary."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, Field, ValidationError, ValidationInfo, WithJsonSchema, field_validator, model_validator
from pydantic_core import to_jsonable_python

from rowsmith.engine.asking import Prompt
from rowsmith.engine.axes import Axis as PlanAxis
from rowsmith.engine.axes import Variation
from rowsmith.engine.context import Context
from rowsmith.engine.draft import Draft
from rowsmith.engine.plan import Cell, Plan
from rowsmith.errors import ConfigError, TemplateError, did_you_mean
from rowsmith.llm.structured.output import ListOutput
from rowsmith.llm.structured.shape import describe
from rowsmith.llm.values import Message
from rowsmith.prompts.check import check
from rowsmith.prompts.template import Template
from rowsmith.quality.config import code_of
from rowsmith.quality.gates import Filter, Gate, Rejection, Row
from rowsmith.quality.text import comparable
from rowsmith.recipes.base import BaseRecipe, DatasetConfig, Language
from rowsmith.recipes.fields import FieldSpec
from rowsmith.recipes.outputs import RESERVED, RowFacts, in_words, output_model, same, sources_of
from rowsmith.recipes.task_axes import Axis, AxisValue
from rowsmith.references import load

CheckFunction = Annotated[Callable[[Row], str | None] | str, WithJsonSchema({"type": "string"})]
"""`(row) -> None`, or the reason against the row; or where such a function is."""
_BUILT_IN = frozenset({"language_name", "language", "axes"})
_EXAMPLES = "\n\nExamples of entries, for what they should be like. Never repeat one of them:\n{examples}"


class Task(DatasetConfig):
    """What rows of the user's own kind are: everything but where they go.

    The prompt is put together of two messages. The system message is the same for all cells, so that services can keep
    it in their caches: `system_prompt`, if there is one, the description, the fields of the output with their
    descriptions, and the examples. The user message is `prompts`: how many entries, in which language, and what each
    axis says. Templates of your own must have `{num_samples}`, with several languages `{language_name}`, and either
    `{axes}`, which is what all axes say, one a line, or the value of each axis by its name.

    Attributes:
        description: what the model is and does: "You write realistic support tickets for a software company."
        output: the model of an entry: a Pydantic model; or a mapping of fields, see `FieldSpec`; or `module:Class` or
            `file.py:Class`. A row has its fields, besides `id`, `language`, `model_id` and `metadata`. A field with
            `exclude=True` is written by the model and stands in no row: room to think.
        axes: what varies from prompt to prompt; every combination of their values is a prompt.
        examples: entries to go by, instances of the output or mappings; no row is one of them.
        check: a function of yours, `(row) -> None`, or the reason against the row as text, which the model is told when
            it is asked again; or where it is: `module:name`, `file.py:name`.
        text_fields: the fields by which rows are duplicates and gates measure texts; all free texts that are always
            there if not given, and all fields where there are none.
        output_file: may be given here or to `TaskDataset`.
    """

    description: str = Field(min_length=1)
    output: type[BaseModel] | dict[str, FieldSpec] | str
    axes: list[Axis] = Field(default_factory=list)
    examples: list[Any] = Field(default_factory=list)
    check: CheckFunction | None = None
    text_fields: list[str] | None = Field(default=None, min_length=1)
    output_file: str = ""

    mandatory: ClassVar[frozenset[str]] = frozenset({"num_samples"})
    default_prompts: ClassVar[tuple[str, ...]] = (
        "Write {num_samples} new entries. Their texts are in {language_name}.\n{axes}\n"
        "Make the entries as different from each other as real ones are: vary the situation, the length, the tone and "
        "the words they begin with. They know nothing of these instructions and never mention them.",
    )

    @field_validator("output", mode="before")
    @classmethod
    def _output_is_a_model(cls, given: Any) -> type[BaseModel]:
        return output_model(given)

    @field_validator("axes")
    @classmethod
    def _axes_differ(cls, axes: list[Axis]) -> list[Axis]:
        seen: dict[str, str] = {}
        for axis in axes:
            first = seen.setdefault(axis.name.casefold(), axis.name)
            if first is not axis.name:
                raise ValueError(f"two axes are named {axis.name!r}; each needs a name of its own")
        return axes

    @field_validator("examples")
    @classmethod
    def _examples_are_entries(cls, examples: list[Any], info: ValidationInfo) -> list[Any]:
        model = info.data.get("output")
        return examples if model is None else [_example(model, one, number) for number, one in enumerate(examples)]

    @field_validator("check", mode="before")
    @classmethod
    def _check_is_a_function(cls, given: Any) -> Any:
        found = load(given) if isinstance(given, str) else given
        if found is not None and not callable(found):
            raise ConfigError(f"must be a function (row) -> None or the reason against it; {given!r} is none")
        return found

    @model_validator(mode="after")
    def _prompts_fit(self) -> Task:
        names = {axis.name for axis in self.axes}
        mandatory = {"num_samples", *(["language_name"] if len(self.languages) > 1 else [])}
        available = _BUILT_IN | names
        check(self.templates, mandatory=mandatory, available=available, values=self.expansion.placeholders)
        for place, template in enumerate(self.templates):
            if unused := [] if "axes" in template.mandatory else sorted(names - template.mandatory):
                listing = ", ".join(f"{{{name}}}" for name in unused)
                raise TemplateError(
                    f"prompts[{place}] says nothing of {listing}. Add {'it' if len(unused) == 1 else 'them'}, or "
                    "{axes}, which is what all axes say"
                )
        return self

    @model_validator(mode="after")
    def _fields_fit(self) -> Task:
        facts = RowFacts(self.model)
        if self.text_fields is not None:
            facts.must_have_texts(self.text_fields)
        elif not facts.texts() and (self.gates.min_length or self.gates.max_length or self.gates.blocklist):
            raise ValueError(f"gates measure texts, and {self.model.__name__} has none; name them in text_fields")
        for axis in self.axes:
            if axis.name in facts.fields and axis.values is not None:
                for value in axis.values:
                    facts.must_take(axis.name, value)
        return self

    @property
    def model(self) -> type[BaseModel]:
        """The model of an entry."""
        assert isinstance(self.output, type)  # made so when it is validated
        return self.output

    def prompt_for(self, cell: int | Mapping[str, str] = 0) -> str:
        """The whole prompt of a cell, as it is sent. No model is asked.

        Args:
            cell: its number on the plan, or the values of its axes by name (`language` by its code); what is not
                named has its first value. Generated values that are not known yet have a placeholder.

        Raises:
            ConfigError: there is no such cell, axis or value.
        """
        return TaskRecipe(self).prompt_text(cell)


TaskDatasetConfig = Task
"""The configuration under the name that those of all kinds have."""


class TaskRecipe(BaseRecipe[Task]):
    """One cell is one value of each axis, one template with its placeholders' values, and one language.

    Args:
        config: the task.
        stored: the values of the generated axes that there are, by axis.
    """

    name: ClassVar[str] = "task"
    roles: ClassVar[tuple[str, ...]] = ("writer", "axis")
    check_fields: ClassVar[frozenset[str]] = BaseRecipe.check_fields | {"check", "models", "text_fields"}

    def __init__(self, config: Task, stored: Mapping[str, Sequence[str]] | None = None) -> None:
        self.stored = stored or {}
        self._parts = {axis.name: axis.part for axis in config.axes}
        self._facts = RowFacts(config.model)
        self._pinned = [axis.name for axis in config.axes if axis.name in self._facts.fields]
        self._entries = ListOutput(config.model)
        self._system = _system_message(config)
        super().__init__(config)

    @property
    def needed_roles(self) -> tuple[str, ...]:
        return self.roles if any(axis.written for axis in self.config.axes) else self.roles[:1]

    @cached_property
    def text_fields(self) -> tuple[str, ...]:
        given = tuple(self.config.text_fields or ())
        return given or self._facts.texts(self._pinned) or tuple(self._facts.fields)

    @cached_property
    def _examples(self) -> set[tuple[str, ...]]:
        """The examples by their texts: a copy with another label is a copy."""
        return {tuple(comparable(_dumped(example), self.text_fields)) for example in self.config.examples}

    @property
    def gates(self) -> Sequence[Gate]:
        measured = tuple(self.config.text_fields or ()) or self._facts.texts()
        if measured:
            return self.config.gates.build(measured)
        return [Filter(function, self.text_fields[0]) for function in self.config.gates.filters]

    def outer_axes(self) -> Sequence[PlanAxis]:
        return [axis.plan_axis(self.stored.get(axis.name, ())) for axis in self.config.axes]

    def describe(self) -> Mapping[str, Any]:
        config = self.config
        out = {"output", "axes", "examples", "check", "gates", "text_fields", *self.free_fields}
        described = config.model_dump(mode="json", exclude=out)
        # What there is of an axis stands in the plan; here is what its prompt says, and how values were asked for.
        return {
            **described,
            "axes": {axis.name: [axis.prompt, axis.written and axis.written.prompt] for axis in config.axes},
            "examples": [_dumped(example) for example in config.examples],
            "gates": config.gates.describe(),
            "text_fields": list(self.text_fields),
            "check": None if config.check is None else code_of(config.check),  # type: ignore[arg-type]  # loaded
            "models": sources_of(config.model),
        }

    def group(self, cell: Cell) -> Mapping[str, str]:
        return {**self._texts(cell), **super().group(cell)}

    def values(self, cell: Cell) -> Mapping[str, object]:
        return self._texts(cell)

    def prompt(self, cell: Cell) -> Callable[[int], Prompt]:
        variation: Variation = cell.values["variation"]
        language: Language = cell.values["language"]
        template = self._templates[variation.template]
        hints = {
            "language_name": language.name,
            "language": language.code,
            **self.values(cell),
            **variation.placeholders,
        }
        said = "\n".join(
            part.render({"value": value.text, "description": value.description})
            for part, value in ((part, cell.values[name]) for name, part in self._parts.items())
        )

        def ask_for(count: int) -> Prompt:
            told = {**hints, "num_samples": count}
            text = template.render({**told, "axes": said})
            return Prompt((self._system, Message.user(text)), told)

        return ask_for

    async def make(self, cell: Cell, context: Context) -> None:
        language: Language = cell.values["language"]
        model_id, texts = context.model("writer"), self._texts(cell)
        metadata = {**self.metadata(cell, context), "axes": texts}

        def row(draft: Draft[BaseModel]) -> Row | Rejection:
            fields = _dumped(draft.entry)
            if clash := sorted(RESERVED & fields.keys()):
                return Rejection("answer", f"there is no field {clash[0]!r}")
            for name in self._pinned:
                if not same(fields[name], texts[name]):
                    return Rejection("axis", f"{name} must be {texts[name]!r}, and is {fields[name]!r}")
            if tuple(comparable(fields, self.text_fields)) in self._examples:
                return Rejection("example", "it is one of the examples")
            made = {**fields, "language": language.code, "model_id": model_id, "metadata": metadata}
            return self._checked(made)

        await context.collect("writer", self.prompt(cell), self._entries, row)

    def prompt_text(self, cell: int | Mapping[str, str]) -> str:
        """The prompt of a cell; see `Task.prompt_for`."""
        found = self._cell(cell)
        messages = self.prompt(found)(found.want).messages
        return "\n\n".join(f"[{message.role}]\n{message.content}" for message in messages)

    def _checked(self, row: Row) -> Row | Rejection:
        if self.config.check is None:
            return row
        reason = self.config.check(row)  # type: ignore[operator]  # loaded
        if reason is not None and not isinstance(reason, str):
            raise ConfigError(
                f"check must return None for a good row, or the reason against it as text; it returned {reason!r}"
            )
        return row if reason is None else Rejection("check", reason or "refused by the check")

    def _texts(self, cell: Cell) -> dict[str, str]:
        return {name: cell.values[name].text for name in self._parts}

    def _cell(self, wanted: int | Mapping[str, str]) -> Cell:
        plan = Plan(self.axes, self.rows, sample=self.sample, seed=self.seed)
        if isinstance(wanted, int):
            if not 0 <= wanted < len(plan):
                raise ConfigError(
                    f"the plan has {len(plan):,} cells, from 0 to {len(plan) - 1:,}, and no cell {wanted}"
                )
            return plan.cell(wanted)
        names = [*self._parts, "language"]
        for name in wanted:
            if name not in names:
                raise ConfigError(f"there is no axis {name!r}. {did_you_mean(name, names)}")
        first = plan.cell(0)
        given = {axis.name for axis in self.config.axes if axis.values is not None}
        values = {axis.name: _value_of(axis, wanted.get(axis.name), axis.name in given) for axis in self.axes}
        return first._replace(values=values)


def _value_of(axis: PlanAxis, wanted: str | None, given: bool) -> Any:
    """The value that is meant; of an axis whose values are not `given` in the task, any text will do."""
    if wanted is None:
        return axis.values[0]
    if not given and axis.name != "language":
        return AxisValue(wanted)
    known = {one.code if isinstance(one, Language) else one.text: one for one in axis.values}
    if wanted not in known:
        raise ConfigError(f"{axis.name} has no value {wanted!r}. {did_you_mean(wanted, known)}")
    return known[wanted]


def _system_message(config: Task) -> Message:
    """What is the same for every cell; the most lasting first."""
    text = f"{config.description.strip()}\n\n{in_words(config.model)}"
    if config.examples:
        lines = "\n".join(json.dumps(_asked(example), ensure_ascii=False) for example in config.examples)
        text += Template(_EXAMPLES).render({"examples": lines})
    return Message.system(f"{config.system_prompt}\n\n{text}" if config.system_prompt else text)


def _example(model: type[BaseModel], given: Any, number: int) -> BaseModel:
    if isinstance(given, model):
        return given
    if isinstance(given, BaseModel) or not isinstance(given, Mapping):
        raise ValueError(f"examples[{number}] must be a {model.__name__} or a mapping of its fields")
    try:
        return model.model_validate(dict(given))
    except ValidationError as exc:
        raise ValueError(f"examples[{number}] is no {model.__name__}: {describe(exc)}") from None


def _dumped(entry: BaseModel) -> dict[str, Any]:
    """An entry's fields as they stand in a row."""
    return entry.model_dump(mode="json", by_alias=True)


def _asked(entry: BaseModel) -> dict[str, Any]:
    """An entry as a model is to write it: without what is computed, with what stands in no row."""
    names = {key: field.validation_alias or field.alias for key, field in type(entry).model_fields.items()}
    return {
        name if isinstance(name, str) else key: to_jsonable_python(getattr(entry, key), by_alias=True)
        for key, name in names.items()
    }
