"""The user's own model of an answer, and what rows of it have: their fields, and which of them are texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, get_args

from pydantic import BaseModel, PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError

from rowsmith.config import shown
from rowsmith.errors import ConfigError, did_you_mean
from rowsmith.llm.structured.shape import describe
from rowsmith.prompts.outline import outline
from rowsmith.recipes.fields import model_of, specs_of
from rowsmith.references import load, source_of

RESERVED = frozenset({"id", "language", "model_id", "metadata"})
"""Fields that every row has besides those of the output."""


def output_model(given: Any, name: str = "Entry") -> type[BaseModel]:
    """The model that is meant by a Pydantic model, a small schema of fields, or `module:Class`.

    Raises:
        ConfigError: it is none of these, or rows cannot be made of it.
    """
    if isinstance(given, str):
        given = load(given)
    if isinstance(given, Mapping):
        given = model_of(specs_of(given), name)
    if not isinstance(given, type) or not issubclass(given, BaseModel):
        raise ConfigError(
            "must be a Pydantic model (the class), a mapping of fields such as {text: the text itself}, or "
            f"'module:Class'; got {shown(given)}"
        )
    facts = RowFacts(given)
    if clash := sorted(RESERVED & facts.fields.keys()):
        raise ConfigError(
            f"{given.__name__} has a field {clash[0]!r}, and every row has {', '.join(sorted(RESERVED))} already. "
            f"Rename it, or give it another name in rows: Field(alias='{given.__name__.lower()}_{clash[0]}')"
        )
    return given


def in_words(model: type[BaseModel]) -> str:
    """The fields of an entry with their descriptions, for a system message: not every model sees the schema."""
    return f"Each entry has these fields:\n{outline(model.model_json_schema())}"


class RowFacts:
    """What is known of the rows that a model's entries make.

    Args:
        model: of an entry.

    Attributes:
        fields: the JSON Schema of each field as it stands in a row, computed ones included, by its name there.

    Raises:
        ConfigError: the model has no fields, or no JSON Schema.
    """

    def __init__(self, model: type[BaseModel]) -> None:
        self._model = model
        try:
            schema = model.model_json_schema(mode="serialization")
            asked = model.model_json_schema()
        except (PydanticUserError, PydanticSchemaGenerationError) as exc:
            raise ConfigError(f"{model.__name__} has no JSON Schema, so no model can be asked for it: {exc}") from None
        self._definitions: Mapping[str, Any] = schema.get("$defs", {})
        fields = self._resolved(schema).get("properties", {})
        self.fields: Mapping[str, Any] = {name: self._resolved(part) for name, part in fields.items()}
        if not self.fields or not (asked.get("properties") or asked.get("$ref")):
            raise ConfigError(f"{model.__name__} has no fields that a model could write")

    def texts(self, without: Sequence[str] = ()) -> tuple[str, ...]:
        """The fields that are free text and always there: what rows are compared by.

        Args:
            without: fields that are not to be among them.
        """
        return tuple(name for name, part in self.fields.items() if name not in without and _is_free_text(part))

    def must_have_texts(self, names: Sequence[str]) -> None:
        """Refuse names of fields that rows do not have, or that are no texts.

        Raises:
            ConfigError: which.
        """
        for name in names:
            if name not in self.fields:
                raise ConfigError(f"{self._model.__name__} has no field {name!r}. {did_you_mean(name, self.fields)}")
            if not _may_be_text(self.fields[name]):
                raise ConfigError(f"the field {name!r} of {self._model.__name__} is no text")

    def must_take(self, name: str, text: str) -> None:
        """Refuse a value, as text, that a field cannot have.

        Raises:
            ConfigError: why not.
        """
        field = next(
            (
                one
                for key, one in self._model.model_fields.items()
                if (one.serialization_alias or one.alias or key) == name
            ),
            None,
        )
        if field is None:
            return
        kind: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
        candidates = [text, *_other_readings(text)]
        for candidate in candidates:
            try:
                adapter.validate_python(candidate)
            except ValidationError as exc:
                error = exc
            else:
                return
        raise ConfigError(f"{text!r} is no value of the field {name!r} of {self._model.__name__}: {describe(error)}")

    def _resolved(self, part: Mapping[str, Any]) -> Mapping[str, Any]:
        if "$ref" not in part:
            return part
        rest = {key: value for key, value in part.items() if key != "$ref"}
        return {**self._resolved(self._definitions[part["$ref"].rsplit("/", 1)[-1]]), **rest}


def same(value: Any, text: str) -> bool:
    """Whether a row's value is the one that a text says: `3` is `"3"`, `true` is `"true"`."""
    if isinstance(value, bool):
        return text.casefold() == str(value).casefold()
    return str(value) == text


def sources_of(model: type[BaseModel]) -> dict[str, str]:
    """The text of a model and of all the models in it: its validators decide what a row is, and no schema has them."""
    found: dict[str, str] = {}
    waiting: list[Any] = [model]
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            if kind.__qualname__ in found:
                continue
            found[kind.__qualname__] = source_of(kind)
            waiting += [field.annotation for field in kind.model_fields.values()]
            waiting += [base for base in kind.__bases__ if base is not BaseModel and issubclass(base, BaseModel)]
        waiting += [part for part in get_args(kind) if not isinstance(part, str)]
    return {name: text for name, text in sorted(found.items()) if text}


def _other_readings(text: str) -> Iterator[Any]:
    """What a text may stand for where a strict field takes no text."""
    for number in (int, float):
        try:
            yield number(text)
        except ValueError:
            continue
    if text.casefold() in ("true", "false"):
        yield text.casefold() == "true"


def _may_be_text(part: Mapping[str, Any]) -> bool:
    if any(_may_be_text(one) for one in (*part.get("anyOf", ()), *part.get("oneOf", ()))):
        return True
    return part.get("type") == "string"


def _is_free_text(part: Mapping[str, Any]) -> bool:
    fixed = {"enum", "const", "format", "default", "readOnly", "contentMediaType"}
    return part.get("type") == "string" and not fixed & part.keys()
