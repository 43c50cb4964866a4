"""A JSON Schema as Anthropic's structured outputs take it.

The rules are those of Anthropic's guide (https://platform.claude.com/docs/en/build-with-claude/structured-outputs,
"JSON Schema limitations" and "Schema complexity limits"): every object names its properties and allows no others,
nothing refers to itself, and of the keywords that constrain a value only a few are known. All others are refused, with
status 400, so they are written into the description here. What a schema loses is not lost: the answer is validated
against the whole of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MOST_UNIONS = 16
"""Properties of several types that one schema may have."""

_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})
_INEXPRESSIBLE = (
    "allOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "patternProperties", "prefixItems",
)  # fmt: skip
_TOLD = (
    "minLength", "maxLength", "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf", "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties", "contains", "minContains",
    "maxContains", "propertyNames",
)  # fmt: skip
"""Keywords that the description tells of where they cannot be said."""

# Characters, classes, groups and small repeats. Not enforced are lookarounds, references, word boundaries and the like.
_SIMPLE_PATTERN = re.compile(
    r"(?:[^\\(){}\[\]]|\\[dwsDWSnrt.^$*+?()\[\]{}|/\\-]|\[\^?(?:[^\\\[\]]|\\[dwsnrt.\\\[\]^/-])+\]|\((?!\?)|\(\?:|\)"
    r"|\{\d{1,2}(?:,(?:\d{1,2})?)?\})*"
)


class _InexpressibleError(Exception):
    """The schema says what structured outputs have no words for."""


def structured(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema in the form of structured outputs, or None where it cannot be said there.

    Not sayable are objects with free keys, values of any type, tuples, conditions, schemas that refer to themselves,
    and more than `MOST_UNIONS` properties of several types. All properties are required: those that are not would come
    last in the answer, and no more than 24 of them are taken. Defaults and titles are dropped.

    Args:
        schema: as Pydantic writes it; it is not changed.
    """
    maker = _Maker(schema.get("$defs", {}))
    try:
        made = maker.schema({name: part for name, part in schema.items() if name != "$defs"}, ())
        if maker.used:
            made["$defs"] = {name: maker.made[name] for name in schema["$defs"] if name in maker.used}
    except _InexpressibleError:
        return None
    return made if maker.unions <= MOST_UNIONS else None


class _Maker:
    """Makes one schema, and the definitions that it comes to refer to."""

    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions
        self.made: dict[str, dict[str, Any]] = {}
        self.used: set[str] = set()
        self.unions = 0

    def schema(self, schema: Any, within: tuple[str, ...]) -> dict[str, Any]:
        """One schema. `within` are the definitions that it is a part of: none of them may be referred to."""
        if not isinstance(schema, Mapping) or any(keyword in schema for keyword in _INEXPRESSIBLE):
            raise _InexpressibleError
        if "$ref" in schema:
            return self._reference(schema, within)
        made: dict[str, Any] = {}
        notes = []
        for name in _TOLD:
            if name in schema:
                kept = _kept(name, schema[name])
                if kept is not None:
                    made[name] = kept
                if kept != schema[name]:
                    notes.append(f"{name}: {schema[name]}")
        told = [str(schema["description"])] if schema.get("description") else []
        if notes:
            told.append(f"({', '.join(notes)})")
        return self._form(schema, within) | made | ({"description": " ".join(told)} if told else {})

    def _reference(self, schema: Mapping[str, Any], within: tuple[str, ...]) -> dict[str, Any]:
        name = str(schema["$ref"]).removeprefix("#/$defs/")
        if name in within or name not in self._definitions:
            raise _InexpressibleError
        definition = self._definitions[name]
        beside = {keyword: part for keyword, part in schema.items() if keyword not in {"$ref", "title", "default"}}
        if beside and isinstance(definition, Mapping):
            # Nothing may stand beside a reference, so a definition that is described where it is used is written there.
            return self.schema({**definition, **beside}, (*within, name))
        if name not in self.made:
            self.made[name] = self.schema(definition, (*within, name))
        self.used.add(name)
        return {"$ref": schema["$ref"]}

    def _form(self, schema: Mapping[str, Any], within: tuple[str, ...]) -> dict[str, Any]:
        """The keywords that give a value its shape."""
        choices = schema.get("anyOf") or schema.get("oneOf")
        if choices:
            self.unions += 1
            return {"anyOf": [self.schema(choice, within) for choice in choices]}
        shape = {name: schema[name] for name in ("type", "enum", "const") if name in schema}
        values = [*schema.get("enum", ()), schema.get("const")]
        if not shape or any(isinstance(value, list | Mapping) for value in values):
            raise _InexpressibleError
        types = schema.get("type")
        self.unions += isinstance(types, list)
        types = types if isinstance(types, list) else [types]
        if "object" in types:
            properties = schema.get("properties")
            if schema.get("additionalProperties") or not isinstance(properties, Mapping):
                raise _InexpressibleError
            shape["properties"] = {name: self.schema(inner, within) for name, inner in properties.items()}
            shape["required"] = list(properties)
            shape["additionalProperties"] = False
        if "array" in types:
            if "items" not in schema:
                raise _InexpressibleError
            shape["items"] = self.schema(schema["items"], within)
        return shape


def _kept(name: str, value: Any) -> Any:
    """What of a constraint is enforced: itself, the most of it that can be said, or None."""
    if name == "minItems" and isinstance(value, int):
        return min(value, 1)
    if name == "format":
        return value if value in _FORMATS else None
    if name == "pattern":
        return value if _SIMPLE_PATTERN.fullmatch(str(value)) else None
    return None
