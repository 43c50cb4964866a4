"""A JSON Schema as Gemini takes it, in the two forms that its `generationConfig` has for one.

`subset` keeps what `responseJsonSchema` is documented to support, `openapi` says the same in the older `responseSchema`
(https://ai.google.dev/api/generate-content#GenerationConfig, https://ai.google.dev/api/caching#Schema). What a schema
loses here is told in its descriptions, and the answer is validated against the whole of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

_PLAIN = ("minItems", "maxItems", "minimum", "maximum")
_FORMATS = frozenset({"date-time", "date", "time"})
_ONLY_TOLD = (
    "minLength",
    "maxLength",
    "pattern",
    "multipleOf",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "contains",
    "minContains",
    "maxContains",
    "propertyNames",
    "patternProperties",
    "allOf",
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
)
_MOST_ITEMS = 100
"""The most that the `maxItems` of one schema may be together.

Above some number that no page names (near 1,000 for some models, far less for others) the service answers a bare 400:
https://github.com/googleapis/python-genai/issues/2170, https://github.com/vercel/ai/issues/21192.
"""


def subset(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema in the keywords that `responseJsonSchema` knows.

    A property that leads back to its own object is not required any more: the service unrolls circles a few times and
    refuses those that never end. Titles, defaults and examples are dropped; a constraint that is not enforced is
    written into the description.

    Args:
        schema: as Pydantic writes it; it is not changed.
    """
    root = dict(schema)
    definitions: Mapping[str, Any] = schema.get("$defs") or {}
    reference = root.get("$ref")
    if isinstance(reference, str) and _target(reference) in definitions:
        root = {**definitions[_target(reference)], "$defs": definitions}
    writer = _Writer(definitions, bounded=sum(_bounds(root)) <= _MOST_ITEMS)
    made = writer.schema(root, None)
    if definitions:
        made["$defs"] = {name: writer.schema(inner, name) for name, inner in definitions.items()}
    return made


def openapi(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """What `subset` made, as a `responseSchema`; None where that has no words for it.

    It has none for recursion, objects with free keys, tuples, and values of any type.
    """
    try:
        return _in_openapi(schema, schema.get("$defs") or {}, ())
    except _InexpressibleError:
        return None


class _InexpressibleError(Exception):
    """The schema says what a `responseSchema` has no words for."""


class _Writer:
    """Writes schemas in the documented keywords.

    Args:
        definitions: the `$defs`, in which circles are looked for.
        bounded: whether the lengths of lists are sent, or only told.
    """

    def __init__(self, definitions: Mapping[str, Any], *, bounded: bool) -> None:
        self._bounded = bounded
        self._reach = _reach(definitions)

    def schema(self, node: Any, home: str | None) -> dict[str, Any]:
        """One schema.

        Args:
            node: as Pydantic writes it; `True` stands for anything.
            home: the definition it is part of.
        """
        if not isinstance(node, Mapping):
            return {}
        alone = node.get("allOf")
        if isinstance(alone, list) and len(alone) == 1 and isinstance(alone[0], Mapping):
            node = {**alone[0], **{name: value for name, value in node.items() if name != "allOf"}}
        notes = [f"{name}: {_shown(node[name])}" for name in _ONLY_TOLD if name in node]
        made = self._shape(node, home, notes)
        told = [str(node["description"])] if node.get("description") else []
        if notes:
            told.append(f"({', '.join(notes)})")
        if told and "$ref" in made:
            made = {"anyOf": [made]}  # nothing may stand beside a reference
        return made | ({"description": " ".join(told)} if told else {})

    def _shape(self, node: Mapping[str, Any], home: str | None, notes: list[str]) -> dict[str, Any]:
        if "$ref" in node:
            return {"$ref": node["$ref"]}
        choices = node.get("anyOf") or node.get("oneOf")
        if choices:
            return {"anyOf": [self.schema(choice, home) for choice in choices]}
        made = _values(node, notes)
        if "type" in node and "anyOf" not in made:
            made = {"type": node["type"]} | made | {"type": node["type"]}
        made |= self._constraints(node, notes)
        if isinstance(node.get("properties"), Mapping):
            properties = node["properties"]
            made["properties"] = {name: self.schema(inner, home) for name, inner in properties.items()}
            required = [name for name in node.get("required", ()) if not self._circles(properties.get(name), home)]
            if required:
                made["required"] = required
        free = node.get("additionalProperties")
        if free is not None:
            made["additionalProperties"] = self.schema(free, home) if isinstance(free, Mapping) else bool(free)
        if "prefixItems" in node:
            made["prefixItems"] = [self.schema(inner, home) for inner in node["prefixItems"]]
        if isinstance(node.get("items"), Mapping):
            made["items"] = self.schema(node["items"], home)
        return made

    def _constraints(self, node: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name in _PLAIN:
            if name in node:
                if self._bounded or not name.endswith("Items"):
                    made[name] = node[name]
                else:
                    notes.append(f"{name}: {node[name]}")
        for name, inclusive, step in (("exclusiveMinimum", "minimum", 1), ("exclusiveMaximum", "maximum", -1)):
            if name in node:
                if node.get("type") == "integer" and isinstance(node[name], int):
                    made[inclusive] = node[name] + step
                else:
                    notes.append(f"{name}: {node[name]}")
        if "format" in node:
            if node["format"] in _FORMATS:
                made["format"] = node["format"]
            else:
                notes.append(f"format: {node['format']}")
        return made

    def _circles(self, node: Any, home: str | None) -> bool:
        return home is not None and any(name == home or home in self._reach[name] for name in _references(node))


def _values(node: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """`enum` and `const` as an `enum`, which may hold texts and numbers."""
    values = list(node["enum"]) if isinstance(node.get("enum"), list) else [node["const"]] if "const" in node else []
    if not values:
        return {}
    named = [value for value in values if isinstance(value, str | int | float) and not isinstance(value, bool)]
    nullable = None in values
    if len(named) + nullable < len(values) or not named:
        notes.append(f"one of: {_shown(values)}")
        kinds = {bool: "boolean", type(None): "null"}
        types = {kinds.get(type(value), "") for value in values}
        return {"type": types.pop()} if "type" not in node and len(types) == 1 and "" not in types else {}
    kind = "string" if all(isinstance(value, str) for value in named) else _numeric(named)
    listed = {"type": kind, "enum": named} if kind else {"enum": named}
    return {"anyOf": [listed, {"type": "null"}]} if nullable else listed


def _numeric(values: list[Any]) -> str | None:
    if any(isinstance(value, str) for value in values):
        return None
    return "integer" if all(isinstance(value, int) for value in values) else "number"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _target(reference: str) -> str:
    return reference.removeprefix("#/$defs/")


def _references(node: Any) -> Iterator[str]:
    """The definitions that a schema refers to, in whatever depth."""
    if isinstance(node, Mapping):
        if isinstance(node.get("$ref"), str):
            yield _target(node["$ref"])
        for name, inner in node.items():
            if name not in ("$defs", "enum", "const", "default", "examples"):
                yield from _references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _references(inner)


def _reach(definitions: Mapping[str, Any]) -> dict[str, set[str]]:
    """For each definition those that can be come to from it. What is referred to and missing leads nowhere."""
    direct = {name: set(_references(inner)) for name, inner in definitions.items()}
    reach: dict[str, set[str]] = {name: set() for name in set(direct).union(*direct.values())}
    for name in direct:
        waiting = list(direct[name])
        while waiting:
            found = waiting.pop()
            if found not in reach[name]:
                reach[name].add(found)
                waiting.extend(direct.get(found, ()))
    return reach


def _bounds(node: Any) -> Iterator[int]:
    """Every `maxItems` of a schema and its definitions."""
    if isinstance(node, Mapping):
        if isinstance(node.get("maxItems"), int):
            yield node["maxItems"]
        for inner in node.values():
            yield from _bounds(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _bounds(inner)


def _in_openapi(node: Mapping[str, Any], definitions: Mapping[str, Any], within: tuple[str, ...]) -> dict[str, Any]:
    told = {"description": node["description"]} if "description" in node else {}
    if "$ref" in node:
        name = _target(node["$ref"])
        if name in within or name not in definitions:
            raise _InexpressibleError
        return _in_openapi(definitions[name], definitions, (*within, name)) | told
    if "anyOf" in node:
        choices = [choice for choice in node["anyOf"] if choice.get("type") != "null"]
        nullable = {"nullable": True} if len(choices) < len(node["anyOf"]) else {}
        written = [_in_openapi(choice, definitions, within) for choice in choices]
        if not written:
            raise _InexpressibleError
        return (written[0] if len(written) == 1 else {"anyOf": written}) | nullable | told
    types = node["type"] if isinstance(node.get("type"), list) else [node.get("type")]
    kinds = [kind for kind in types if kind != "null"]
    if len(kinds) != 1 or not isinstance(kinds[0], str):
        raise _InexpressibleError
    made: dict[str, Any] = {"type": kinds[0].upper()}
    if len(kinds) < len(types):
        made["nullable"] = True
    made |= {name: node[name] for name in _PLAIN if name in node} | told | _named_values(node, told)
    if kinds[0] == "object":
        properties = node.get("properties")
        if not properties:
            raise _InexpressibleError
        made["properties"] = {name: _in_openapi(inner, definitions, within) for name, inner in properties.items()}
        # Here the properties have no order of their own.
        made["propertyOrdering"] = list(properties)
        if "required" in node:
            made["required"] = node["required"]
    if kinds[0] == "array":
        if "items" not in node or "prefixItems" in node:
            raise _InexpressibleError
        made["items"] = _in_openapi(node["items"], definitions, within)
    return made


def _named_values(node: Mapping[str, Any], told: Mapping[str, str]) -> dict[str, Any]:
    """`enum` and `format` where they are known: only for texts, and only for moments. Others are told."""
    made: dict[str, Any] = {}
    notes = []
    if "enum" in node:
        if all(isinstance(value, str) for value in node["enum"]):
            made["enum"] = node["enum"]
        else:
            notes.append(f"one of: {_shown(node['enum'])}")
    if "format" in node:
        if node["format"] == "date-time":
            made["format"] = node["format"]
        else:
            notes.append(f"format: {node['format']}")
    if notes:
        made["description"] = " ".join((*told.values(), f"({', '.join(notes)})"))
    return made
