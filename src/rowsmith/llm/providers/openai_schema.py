"""A JSON Schema as OpenAI's strict mode takes it.

The rules are those of OpenAI's guide (Structured Outputs, "Supported schemas"): the root is an object, every object
names its properties, requires them all and allows no others, `anyOf` is the only composition, and of the keywords that
constrain a value those in `CONSTRAINTS` are obeyed. A schema has at most 5,000 properties, 10 levels of objects, 1,000
values in all its enumerations and 120,000 characters in names and values. What a schema loses here is not lost: the
answer is validated against the whole of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

CONSTRAINTS = (
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minItems",
    "maxItems",
)
"""Keywords that strict mode enforces. The guide's list lacks the two lengths; the service accepts and enforces them."""

_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})
_ONLY_TOLD = (
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "contains",
    "minContains",
    "maxContains",
    "propertyNames",
)
_INEXPRESSIBLE = ("allOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "patternProperties")
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
_MOST_PROPERTIES = 5_000
_MOST_LEVELS = 10
_MOST_VALUES = 1_000
_MOST_CHARACTERS = 120_000
_LONGEST_ENUM = (250, 15_000)
"""Texts that an enumeration may have whatever their length, and characters that more of them may have together."""
_LOOKAROUNDS = ("(?=", "(?!", "(?<=", "(?<!")


class _NotStrictError(Exception):
    """The schema says what strict mode has no words for."""


def strict(schema: Mapping[str, Any], *, constraints: bool = True) -> dict[str, Any] | None:
    """The schema in the form of strict mode, or None where it cannot be said there.

    Not sayable are a root other than an object, objects with free keys, values of any type, tuples, and conditions, and
    what is larger than the service takes.
    Defaults, titles and annotations are dropped; a constraint that is not enforced is written into the description.

    Args:
        schema: as Pydantic writes it; it is not changed.
        constraints: whether `CONSTRAINTS` are sent. Fine-tuned models and some other services refuse them.
    """
    root = dict(schema)
    reference = root.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/$defs/"):
        # A model that refers to itself is only a reference at the root, which must be the object itself.
        root = dict(schema.get("$defs", {}).get(reference.removeprefix("#/$defs/"), {})) | {"$defs": schema["$defs"]}
    if root.get("type") != "object":
        return None
    try:
        made = _schema(root, constraints)
        if "$defs" in root:
            made["$defs"] = {name: _schema(inner, constraints) for name, inner in root["$defs"].items()}
    except _NotStrictError:
        return None
    return made if _is_taken(made) else None


def _schema(schema: Any, constraints: bool) -> dict[str, Any]:
    if not isinstance(schema, Mapping) or any(keyword in schema for keyword in _INEXPRESSIBLE):
        raise _NotStrictError
    made: dict[str, Any] = {}
    told = [str(schema["description"])] if schema.get("description") else []
    notes = [f"{name}: {schema[name]}" for name in _ONLY_TOLD if name in schema]
    for name in CONSTRAINTS:
        if name in schema:
            if constraints and _enforced(name, schema[name]):
                made[name] = schema[name]
            else:
                notes.append(f"{name}: {schema[name]}")
    if notes:
        told.append(f"({', '.join(notes)})")
    described = {"description": " ".join(told)} if told else {}
    return _form(schema, constraints) | made | described


def _form(schema: Mapping[str, Any], constraints: bool) -> dict[str, Any]:
    """The keywords that give a value its shape."""
    if "$ref" in schema:
        reference = {"$ref": schema["$ref"]}
        # Nothing may stand beside a reference, but a description may stand beside an `anyOf`.
        return {"anyOf": [reference]} if schema.keys() & {"description", *CONSTRAINTS, *_ONLY_TOLD} else reference
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return {"anyOf": [_schema(choice, constraints) for choice in choices]}
    shape = {name: schema[name] for name in ("type", "enum", "const") if name in schema}
    if not shape:
        raise _NotStrictError
    if "type" not in shape:
        # The service wants a type everywhere; Pydantic writes none for a `Literal` of several.
        shape = {"type": _type_of(schema), **shape}
    types = shape["type"] if isinstance(shape["type"], list) else [shape["type"]]
    if "object" in types:
        properties = schema.get("properties")
        if schema.get("additionalProperties") or not isinstance(properties, Mapping):
            raise _NotStrictError
        shape["properties"] = {name: _schema(inner, constraints) for name, inner in properties.items()}
        shape["required"] = list(properties)
        shape["additionalProperties"] = False
    if "array" in types:
        if "prefixItems" in schema or "items" not in schema:
            raise _NotStrictError
        shape["items"] = _schema(schema["items"], constraints)
    return shape


def _enforced(name: str, value: object) -> bool:
    if name == "format":
        return value in _FORMATS
    return name != "pattern" or not any(token in str(value) for token in _LOOKAROUNDS)


def _type_of(schema: Mapping[str, Any]) -> str | list[str]:
    """The type of the values that a schema enumerates."""
    values = schema["enum"] if "enum" in schema else [schema["const"]]
    types = list(dict.fromkeys(_TYPES.get(type(value), "") for value in values))
    if not types or "" in types:
        raise _NotStrictError
    return types[0] if len(types) == 1 else types


def _is_taken(made: Mapping[str, Any]) -> bool:
    """Whether a schema is within the limits of the service."""
    parts = list(_parts(made, 0))
    names = [name for part, _ in parts for name in part.get("properties", ())]
    enums = [
        part["enum"] if "enum" in part else [part["const"]] for part, _ in parts if {"enum", "const"} & part.keys()
    ]
    texts = [[value for value in values if isinstance(value, str)] for values in enums]
    few, most = _LONGEST_ENUM
    return (
        len(names) <= _MOST_PROPERTIES
        and max(level for _, level in parts) <= _MOST_LEVELS
        and sum(map(len, enums)) <= _MOST_VALUES
        and sum(map(len, (*names, *made.get("$defs", ())))) + sum(len(text) for values in texts for text in values)
        <= _MOST_CHARACTERS
        and all(len(values) <= few or sum(map(len, values)) <= most for values in texts)
    )


def _parts(schema: Mapping[str, Any], level: int) -> Iterator[tuple[Mapping[str, Any], int]]:
    """Every schema within a schema, itself included, with how many objects it lies in; definitions count as roots."""
    yield schema, level
    deeper = level + 1 if "properties" in schema else level
    for inner in (*schema.get("properties", {}).values(), *schema.get("anyOf", ())):
        yield from _parts(inner, deeper)
    if "items" in schema:
        yield from _parts(schema["items"], deeper)
    for inner in schema.get("$defs", {}).values():
        yield from _parts(inner, 0)
