"""An answer's model from a small schema of fields, as YAML has it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import ceil, floor
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, Field, GetJsonSchemaHandler, create_model, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from rowsmith.config import Config
from rowsmith.errors import ConfigError
from rowsmith.prompts.template import NAME

_TYPES = ("str", "int", "float", "bool", "enum", "list", "object")
_OTHER_NAMES = {
    "text": "str",
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "dict": "object",
}
_BOUNDED = {"str": "characters", "int": "numbers", "float": "numbers", "list": "items"}


class FieldSpec(Config):
    """One field.

    A bare text is its type if it names one, else its description: `age: int`, `text: the review`. A bare list has the
    values that it may have: `level: [low, high]`.

    Attributes:
        type: `str`, `int`, `float`, `bool`, `enum`, `list` or `object`; told from the rest if not given, else `str`.
        description: what the field holds, in words for the model.
        choices: the values that it may have.
        min: the least number, characters or items.
        max: the most.
        pattern: a regular expression that a text must match.
        items: what a list holds; texts if not given.
        fields: what an object holds.
        optional: the field may be left out, and is null then.
    """

    type: Literal["str", "int", "float", "bool", "enum", "list", "object"] = "str"
    description: str | None = None
    choices: list[str | int | float | bool] | None = Field(default=None, min_length=1)
    min: float | None = None
    max: float | None = None
    pattern: str | None = None
    items: FieldSpec | None = None
    fields: dict[str, FieldSpec] | None = Field(default=None, min_length=1)
    optional: bool = False

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        choices = {"type": "array", "items": {"type": ["string", "number", "boolean"]}, "minItems": 1}
        return {"anyOf": [{"type": "string"}, choices, handler(core)]}

    @model_validator(mode="before")
    @classmethod
    def _in_full(cls, given: Any) -> Any:
        if isinstance(given, str):
            name = _OTHER_NAMES.get(given, given)
            return {"type": name} if name in _TYPES else {"type": "str", "description": given}
        if isinstance(given, list | tuple):
            return {"type": "enum", "choices": list(given)}
        if not isinstance(given, Mapping):
            return given
        kind = given.get("type")
        if kind is None:
            told = (("choices", "enum"), ("items", "list"), ("fields", "object"))
            kind = next((meant for name, meant in told if given.get(name) is not None), "str")
        return {**given, "type": _OTHER_NAMES.get(kind, kind) if isinstance(kind, str) else kind}

    @model_validator(mode="after")
    def _fits_its_type(self) -> FieldSpec:
        wanted = {"choices": ("enum", "str", "int", "float"), "items": ("list",), "fields": ("object",)}
        wanted |= {"pattern": ("str",), "min": tuple(_BOUNDED), "max": tuple(_BOUNDED)}
        for name, kinds in wanted.items():
            if getattr(self, name) is not None and self.type not in kinds:
                raise ValueError(
                    f"{name} is for a field of the type {' or '.join(kinds)}, and this is one of {self.type}"
                )
        for name, kind in (("choices", "enum"), ("fields", "object")):
            if self.type == kind and getattr(self, name) is None:
                raise ValueError(f"a field of the type {kind} needs {name}")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min={self.min:g} is more than max={self.max:g}")
        if self.type in ("str", "list") and any(
            bound is not None and (bound < 0 or bound % 1) for bound in (self.min, self.max)
        ):
            raise ValueError(f"min and max of a {self.type} count its {_BOUNDED[self.type]}: whole numbers, 0 or more")
        if self.choices is not None and len({repr(choice) for choice in self._choices()}) < len(self.choices):
            raise ValueError("a choice stands twice")
        return self

    def annotation(self, name: str) -> Any:
        """The type annotation that says the same; `name` is the field's."""
        kind = self._kind(name)
        return kind | None if self.optional else kind

    def _kind(self, name: str) -> Any:
        if self.choices is not None:
            return Literal[tuple(self._choices())]
        if self.type == "object":
            return model_of(self.fields or {}, name)
        if self.type == "bool":
            return bool
        if self.type == "list":
            item = (self.items or FieldSpec(type="str")).annotation(name)
            items: Any = list.__class_getitem__(item)
            return Annotated[items, Field(min_length=_whole(self.min), max_length=_whole(self.max))]
        if self.type == "str":
            return Annotated[str, Field(min_length=_whole(self.min), max_length=_whole(self.max), pattern=self.pattern)]
        if self.type == "int":
            low, high = self.min, self.max
            return Annotated[
                int,
                Field(ge=None if low is None else ceil(low), le=None if high is None else floor(high)),
            ]
        return Annotated[float, Field(ge=self.min, le=self.max, allow_inf_nan=False)]

    def _choices(self) -> list[Any]:
        cast_to = {"str": str, "int": int, "float": float}.get(self.type)
        return [choice if cast_to is None else cast_to(choice) for choice in self.choices or ()]


def model_of(fields: Mapping[str, FieldSpec], name: str) -> type[BaseModel]:
    """A Pydantic model with these fields.

    Args:
        fields: the fields by name.
        name: the model's.

    Raises:
        ConfigError: a name is none, or a field's pattern cannot be used.
    """
    made: dict[str, Any] = {}
    for place, (field, spec) in enumerate(fields.items()):
        if not re.fullmatch(NAME, field):
            raise ConfigError(f"{field!r} cannot be a field's name: letters, digits and _ make one")
        default: Any = None if spec.optional else ...
        # An attribute may not have every name that a field may: `copy`, `json`, `model_id`.
        made[f"field_{place}"] = (spec.annotation(field), Field(default, description=spec.description, alias=field))
    words = "".join(part.capitalize() for part in name.split("_") if part) or "Entry"
    try:
        return cast("type[BaseModel]", create_model(words, **made))
    except Exception as exc:
        raise ConfigError(f"the fields of {name!r} make no model: {exc}") from exc


def specs_of(given: Mapping[Any, Any]) -> dict[str, FieldSpec]:
    """The fields of a small schema.

    Raises:
        ConfigError: what is wrong with which field.
    """
    if not given:
        raise ConfigError("there are no fields; write at least one, such as {text: the text itself}")
    specs = {}
    for name, spec in given.items():
        try:
            specs[str(name)] = spec if isinstance(spec, FieldSpec) else FieldSpec.model_validate(spec)
        except ConfigError as exc:
            raise ConfigError(f"field {name!r}: {str(exc).removeprefix('FieldSpec: ')}") from None
    return specs


def _whole(bound: float | None) -> int | None:
    return None if bound is None else int(bound)
