"""What must be known of a Pydantic model to read an answer of it: found once per model."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from pydantic import AliasChoices, BaseModel, RootModel, ValidationError
from pydantic.fields import FieldInfo

from rowsmith.llm.structured.mend import mend, requoted, tidy
from rowsmith.llm.structured.scan import Piece, members, pieces, region_at

M = TypeVar("M", bound=BaseModel)

_SYNTAX = ("json_invalid", "string_unicode")
_SHOWN_ERRORS = 3
_SHOWN_CHARACTERS = 80
_MOST_MENDING = 131_072
"""Characters of one answer that may go through `mend`, all entries together."""


class NotJSONError(ValueError):
    """A text is not JSON, and could not be made so."""


class UnfitError(ValueError):
    """A text is JSON, and not what the model asks for."""


class Patience:
    """How many more characters of one answer may be mended: a bound on the time one answer can take."""

    def __init__(self) -> None:
        self._left = _MOST_MENDING

    def mend(self, text: str) -> str | None:
        self._left -= len(text)
        return mend(text) if self._left >= 0 else None


class Shape(Generic[M]):
    """A Pydantic model, as a reader of answers sees it.

    Attributes:
        model: the model.
        schema: its JSON Schema.
        names: the names its fields can have in JSON.
        text_field: the name of its field if it has exactly one required field, and that is a string; else None.
        flat: True if no field of it holds objects.
    """

    def __init__(self, model: type[M], refine: Callable[[dict[str, Any]], Mapping[str, Any]] | None = None) -> None:
        self.model = model
        written = model.model_json_schema()
        self.schema: Mapping[str, Any] = written if refine is None else refine(written)
        fields = {} if issubclass(model, RootModel) else model.model_fields
        self.names = frozenset(name for key, field in fields.items() for name in _names(key, field))
        required = [(key, field) for key, field in fields.items() if field.is_required()]
        self.text_field = (
            next(iter(_names(*required[0])), None) if len(required) == 1 and required[0][1].annotation is str else None
        )
        self.flat = all(_is_plain(part, self.schema) for part in self.schema.get("properties", {"": {}}).values())
        self.has_floats = _has_numbers(self.schema)
        self._validate = model.__pydantic_validator__.validate_json

    def read(self, text: str, patience: Patience) -> M:
        """One object of the model from its text, mended where need be.

        Raises:
            NotJSONError: it is not JSON.
            UnfitError: it is JSON that does not fit.
        """
        try:
            return self._strictly(text)
        except ValidationError as error:
            if not is_syntax(error):
                return self._loosely(text, error)
            syntax = error
        for repair in (tidy, requoted, patience.mend):
            repaired = repair(text)
            if repaired is None or repaired == text:
                continue
            try:
                return self._strictly(repaired)
            except ValidationError as error:
                if not is_syntax(error):
                    return self._loosely(repaired, error)
        raise NotJSONError(describe(syntax))

    def _strictly(self, text: str) -> M:
        value: M = self._validate(text)
        if self.has_floats:
            require_finite(value)
        return value

    def _loosely(self, text: str, error: ValidationError) -> M:
        """The same content in another wrapping: a plain string for the one field, or a bracket around the object."""
        inner = self._unwrapped(text)
        if inner is not None:
            try:
                return self._strictly(inner)
            except ValidationError as inner_error:
                error = inner_error
        raise UnfitError(describe(error))

    def _unwrapped(self, text: str) -> str | None:
        if text.startswith('"') and self.text_field is not None:
            return f"{{{json.dumps(self.text_field)}:{text}}}"
        inside: Piece | None = None
        region = region_at(text, Piece(0, len(text), complete=True))
        if region is not None and text[0] == "{":
            found = members(text, region)
            if len(found) == 1 and found[0].key not in self.names:
                inside = found[0].value
        elif region is not None:
            elements = pieces(text, region)
            inside = elements[0] if len(elements) == 1 else None
        return text[inside.start : inside.end] if inside is not None and text[inside.start] == "{" else None


def is_syntax(error: ValidationError) -> bool:
    """Did Pydantic find that a text is not JSON at all?"""
    if error.error_count() != 1:
        return False
    return error.errors(include_url=False, include_context=False)[0]["type"] in _SYNTAX


def describe(error: ValidationError) -> str:
    """The first few problems in one line: the path, what is wrong, the value received."""
    problems = error.errors(include_url=False, include_context=False)
    lines = []
    for problem in problems[:_SHOWN_ERRORS]:
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"]).lstrip(".")
        line = f"{path}: {problem['msg']}" if path else str(problem["msg"])
        if problem["type"] not in ("missing", *_SYNTAX):
            line += f" (received {shortened(repr(problem['input']))})"
        lines.append(line)
    if len(problems) > _SHOWN_ERRORS:
        lines.append(f"and {len(problems) - _SHOWN_ERRORS} more")
    return "; ".join(lines)


def shortened(text: str, limit: int = _SHOWN_CHARACTERS) -> str:
    """One line of at most `limit` characters."""
    text = text if len(text) <= 4 * limit else text[: 4 * limit]
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def require_finite(value: BaseModel) -> None:
    """Refuse NaN and infinities: JSON has none, so a row could not be written with one.

    Raises:
        ValidationError: naming the place.
    """
    for path, number in _floats(value.__dict__, ()):
        if not math.isfinite(number):
            raise ValidationError.from_exception_data(
                type(value).__name__, [{"type": "finite_number", "loc": path, "input": number}]
            )


def _floats(value: Any, path: tuple[int | str, ...]) -> Iterator[tuple[tuple[int | str, ...], float]]:
    if isinstance(value, float):
        yield path, value
    elif isinstance(value, BaseModel):
        yield from _floats(value.__dict__, path)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _floats(item, (*path, str(key)))
    elif isinstance(value, list | tuple | set | frozenset):
        for index, item in enumerate(value):
            yield from _floats(item, (*path, index))


def _names(key: str, field: FieldInfo) -> Iterable[str]:
    alias = field.validation_alias or field.alias
    if isinstance(alias, AliasChoices):
        return [choice for choice in alias.choices if isinstance(choice, str)]
    return [alias] if isinstance(alias, str) else [key]


def _is_plain(part: Any, root: Mapping[str, Any], depth: int = 0) -> bool:
    """Can this part of a schema hold no object, at any depth?"""
    if not isinstance(part, dict) or depth > 8:
        return False
    if "$ref" in part:
        return _is_plain(root.get("$defs", {}).get(part["$ref"].rsplit("/", 1)[-1]), root, depth + 1)
    for several in ("anyOf", "oneOf", "allOf"):
        if several in part:
            return all(_is_plain(one, root, depth + 1) for one in part[several])
    if "enum" in part or "const" in part:
        return True
    if part.get("type") == "array":
        return _is_plain(part.get("items"), root, depth + 1)
    return part.get("type") in ("string", "integer", "number", "boolean", "null")


def _has_numbers(part: Any) -> bool:
    if isinstance(part, dict):
        return part.get("type") == "number" or any(map(_has_numbers, part.values()))
    return isinstance(part, list) and any(map(_has_numbers, part))
