"""The models that answers are read into: what is asked of the service, and how its answer is read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import BaseModel, ValidationError, create_model
from pydantic_core import SchemaValidator

from rowsmith.llm.structured.feedback import AS_JSON
from rowsmith.llm.structured.outcome import ListReading, Outcome, Reading
from rowsmith.llm.structured.recover import ENTRIES, NO_ENTRIES, recover_list, recover_one
from rowsmith.llm.structured.shape import Shape, require_finite
from rowsmith.llm.values import Completion, Finish, Message, OutputSchema, Rung

M = TypeVar("M", bound=BaseModel)
V = TypeVar("V")
Refine = Callable[[dict[str, Any]], Mapping[str, Any]]
"""Makes of the schema that Pydantic writes the narrower one that a service is asked for."""

_LONGEST_NAME = 64
_IN_ONE_OBJECT = "Answer with one JSON object and nothing else"
_IN_ONE_LIST = f'Answer with one JSON object that has all the entries in one list, "{ENTRIES}", and nothing else'
_DESCRIPTION = """

{how}: no explanation, no comments. Write values, not the schema. It must fit this JSON Schema:
```json
{schema}
```"""


class Expected(Protocol[V]):
    """What one answer is to be: an object of a model (`Output`), or free text (`TextOutput`)."""

    @property
    def schema(self) -> OutputSchema | None:
        """What a service is asked for; None for free text."""

    @property
    def again(self) -> str:
        """What is said to a model whose answer could not be used: in which form to answer again."""

    def prompt_for(self, rung: Rung, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """The messages to send on a rung."""

    def read(self, completion: Completion) -> Reading[V]:
        """What the answer says. It never raises for what an answer contains."""


@dataclass(frozen=True, eq=False, slots=True)
class Output(Generic[M]):
    """An answer that is one object of a Pydantic model. Build it once for each model and keep it.

    Attributes:
        model: the model.
        refine: makes the schema narrower than the model, where Pydantic has no words for it; None leaves it.
        schema: what a service is asked for.
    """

    again: ClassVar[str] = AS_JSON

    model: type[M]
    refine: Refine | None = None
    schema: OutputSchema = field(init=False)
    _shape: Shape[M] = field(init=False, repr=False)
    _validator: SchemaValidator = field(init=False, repr=False)
    _description: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        shape = Shape(self.model, self.refine)
        schema = OutputSchema(_clean_name(self.model.__name__), _with_plain_root(shape.schema))
        object.__setattr__(self, "schema", schema)
        object.__setattr__(self, "_shape", shape)
        object.__setattr__(self, "_validator", self.model.__pydantic_validator__)
        object.__setattr__(self, "_description", _describe(schema.json, _IN_ONE_OBJECT))

    def prompt_for(self, rung: Rung, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """The messages to send on a rung: below `schema`, the last user message says what to answer."""
        return messages if rung is Rung.SCHEMA else _with_description(messages, self._description)

    def read(self, completion: Completion) -> Reading[M]:
        """What the answer says. It never raises for what an answer contains."""
        if completion.finish is not Finish.REFUSED:
            try:
                value: M = self._validator.validate_json(completion.text)
                if self._shape.has_floats:
                    require_finite(value)
            except ValidationError:
                return recover_one(self._shape, completion)
            return Reading(value, Outcome.OK)
        return recover_one(self._shape, completion)


@dataclass(frozen=True, eq=False, slots=True)
class ListOutput(Generic[M]):
    """An answer of the form `{"entries": [...]}`, each entry an object of a Pydantic model.

    Build it once for each model and keep it.

    Attributes:
        model: the model of one entry.
        refine: as for `Output`.
        schema: what a service is asked for.
    """

    model: type[M]
    refine: Refine | None = None
    schema: OutputSchema = field(init=False)
    _shape: Shape[M] = field(init=False, repr=False)
    _validator: SchemaValidator = field(init=False, repr=False)
    _description: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        shape = Shape(self.model, self.refine)
        name = _clean_name(f"{self.model.__name__[: _LONGEST_NAME - 5]}_list")
        whole = create_model(name, entries=(list[self.model], ...))  # type: ignore[name-defined]  # a type made here
        written = whole.model_json_schema()
        schema = OutputSchema(name, written if self.refine is None else self.refine(written))
        object.__setattr__(self, "schema", schema)
        object.__setattr__(self, "_shape", shape)
        object.__setattr__(self, "_validator", whole.__pydantic_validator__)
        object.__setattr__(self, "_description", _describe(schema.json, _IN_ONE_LIST))

    def prompt_for(self, rung: Rung, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """The messages to send on a rung: below `schema`, the last user message says what to answer."""
        return messages if rung is Rung.SCHEMA else _with_description(messages, self._description)

    def read(self, completion: Completion) -> ListReading[M]:
        """The entries of the answer, the bad ones apart. It never raises for what an answer contains."""
        if completion.finish is not Finish.REFUSED:
            try:
                entries: list[M] = self._validator.validate_json(completion.text).entries
                if self._shape.has_floats:
                    for entry in entries:
                        require_finite(entry)
            except ValidationError:
                return recover_list(self._shape, completion)
            return ListReading(entries) if entries else ListReading([], [], Outcome.EMPTY, NO_ENTRIES)
        return recover_list(self._shape, completion)


def _with_description(messages: tuple[Message, ...], description: str) -> tuple[Message, ...]:
    for place in range(len(messages) - 1, -1, -1):
        message = messages[place]
        if message.role == "user":
            asking = replace(message, content=message.content + description)
            return (*messages[:place], asking, *messages[place + 1 :])
    return (*messages, Message.user(description.lstrip()))


def _clean_name(name: str) -> str:
    """A name that services accept: letters, digits, `_` and `-`, at most 64."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:_LONGEST_NAME].strip("_") or "answer"


def _describe(schema: Mapping[str, Any], how: str) -> str:
    text = json.dumps(_without_titles(schema), ensure_ascii=False, separators=(", ", ": "))
    return _DESCRIPTION.format(how=how, schema=text)


def _with_plain_root(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema with an object at its root: of a recursive model Pydantic writes a reference there."""
    if "$ref" not in schema:
        return schema
    return {**schema["$defs"][schema["$ref"].rsplit("/", 1)[-1]], "$defs": schema["$defs"]}


def _without_titles(schema: Any) -> Any:
    """The schema without the titles that Pydantic makes of the names: they say nothing and cost tokens."""
    if isinstance(schema, Sequence) and not isinstance(schema, str):
        return [_without_titles(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    slim = {}
    for key, part in schema.items():
        if key in ("properties", "$defs"):
            slim[key] = {name: _without_titles(inner) for name, inner in part.items()}
        elif key in ("default", "enum", "const", "examples"):
            slim[key] = part
        elif key != "title":
            slim[key] = _without_titles(part)
    return slim
