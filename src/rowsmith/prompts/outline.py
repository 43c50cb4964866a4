"""The fields of a JSON Schema in words: what a model is to write, one line a field."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

_DEEPEST = 4
_TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "null": "null",
    "object": "object",
}
_FORMATS = {"date": "date", "date-time": "date and time", "time": "time", "email": "e-mail address", "uri": "URL"}
_BOUNDS = (
    ("minimum", "at least {}"),
    ("exclusiveMinimum", "more than {}"),
    ("maximum", "at most {}"),
    ("exclusiveMaximum", "less than {}"),
    ("multipleOf", "a multiple of {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("pattern", "matching {}"),
    ("minItems", "at least {} of them"),
    ("maxItems", "at most {} of them"),
)


def outline(schema: Mapping[str, Any]) -> str:
    """The fields of an object's schema, as a list: name, type, bounds and description of each.

    Args:
        schema: a JSON Schema as Pydantic writes it.
    """
    return "\n".join(_lines(_Schema(schema), schema, 0))


class _Schema:
    """A whole schema, to find what its parts refer to."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._definitions: Mapping[str, Any] = root.get("$defs", {})

    def resolved(self, part: Any) -> dict[str, Any]:
        """A part with what it refers to in its place; what stands beside the reference wins."""
        if not isinstance(part, Mapping):
            return {}
        alone = part.get("allOf")
        if isinstance(alone, list) and len(alone) == 1:
            part = {**alone[0], **{key: value for key, value in part.items() if key != "allOf"}}
        if "$ref" not in part:
            return dict(part)
        rest = {key: value for key, value in part.items() if key != "$ref"}
        return {**self.resolved(self._definitions.get(part["$ref"].rsplit("/", 1)[-1], {})), **rest}


def _lines(whole: _Schema, schema: Mapping[str, Any], depth: int) -> Iterator[str]:
    """The lines of an object's fields, and below each those of the fields inside it."""
    resolved = whole.resolved(schema)
    required = set(resolved.get("required", ()))
    for name, part in resolved.get("properties", {}).items():
        field = whole.resolved(part)
        facts = [_kind(whole, field), *_bounds(field), *([] if name in required else ["may be left out"])]
        description = _description(whole, field)
        yield f"{'  ' * depth}- {name} ({', '.join(facts)}){f': {description}' if description else ''}"
        if depth < _DEEPEST:
            for inner in _inside(whole, field):
                yield from _lines(whole, inner, depth + 1)


def _description(whole: _Schema, field: Mapping[str, Any]) -> str:
    """What a field holds, in words; of a list without any, what each item is."""
    said = " ".join(str(field.get("description", "")).split())
    items = whole.resolved(field.get("items", {}))
    each = " ".join(str(items.get("description", "")).split()) if "properties" not in items else ""
    return "; ".join([*([said] if said else []), *([f"each is {each}"] if each else [])])


def _inside(whole: _Schema, field: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The objects that a field holds, itself or in a list, or as one of several forms."""
    if "properties" in field:
        yield field
    for part in (field.get("items"), *field.get("anyOf", ()), *field.get("oneOf", ())):
        if part is not None:
            yield from _inside(whole, whole.resolved(part))


def _kind(whole: _Schema, field: Mapping[str, Any]) -> str:
    if "const" in field:
        return _shown(field["const"])
    if "enum" in field:
        return _either([_shown(value) for value in field["enum"]])
    for several in ("anyOf", "oneOf"):
        if several in field:
            return _either([_with_bounds(whole, whole.resolved(part)) for part in field[several]])
    if field.get("type") == "array":
        items = whole.resolved(field.get("items", {}))
        kind = _with_bounds(whole, items)
        return f"list of {'values' if kind == 'any value' else kind}"
    if field.get("type") == "string" and field.get("format") in _FORMATS:
        return _FORMATS[field["format"]]
    return _TYPES.get(str(field.get("type")), "any value")


def _with_bounds(whole: _Schema, field: Mapping[str, Any]) -> str:
    return " ".join([_kind(whole, field), *(f"of {bound}" for bound in _bounds(field))])


def _bounds(field: Mapping[str, Any]) -> list[str]:
    return [words.format(field[key]) for key, words in _BOUNDS if key in field]


def _either(kinds: list[str]) -> str:
    kinds = list(dict.fromkeys(kinds))
    return kinds[0] if len(kinds) == 1 else f"{', '.join(kinds[:-1])} or {kinds[-1]}"


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
