"""The JSON Schema of calls to tools, made of the tools' own; and what a model wrote, as the tool has it.

A tool's schema is written for itself: its references lead to its own root, and optional properties may be left out.
Within the schema of an answer its definitions stand beside all others, under names of their own. Where a service's
strict mode requires every property, a model is to be able to leave one out all the same, so an optional property may be
null here; such a null is taken away again before the arguments are checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from itertools import chain, count
from typing import Any

from rowsmith.tools.tool import Tool

_SCHEMAS_BY_NAME = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_VALUES = ("enum", "const", "default", "examples", "required", "dependentRequired", "description", "title")
_OF_THE_ROOT = ("$defs", "definitions", "$schema", "$id", "$comment")
_UNIONS = ("anyOf", "oneOf", "allOf")
_NULL = {"type": "null"}


class CallSchema:
    """What calls to some tools look like.

    Args:
        tools: at least one.
    """

    def __init__(self, tools: Sequence[Tool]) -> None:
        calls = []
        self._definitions: dict[str, Any] = {}
        for tool in tools:
            arguments, definitions = embedded(tool, self._definitions)
            self._definitions |= definitions
            calls.append(
                {
                    "type": "object",
                    "properties": {"name": {"type": "string", "const": tool.name}, "arguments": arguments},
                    "required": ["name", "arguments"],
                    "additionalProperties": False,
                }
            )
        self._call: dict[str, Any] = calls[0] if len(calls) == 1 else {"anyOf": calls}

    def put_into(self, schema: dict[str, Any], name: str) -> dict[str, Any]:
        """A schema whose definition of that name is a call to one of the tools; unchanged if it has none.

        Args:
            schema: as Pydantic writes it.
            name: the definition's.
        """
        definitions = schema.get("$defs", {})
        if name not in definitions:
            return schema
        return {**schema, "$defs": {**definitions, name: self._call, **self._definitions}}


def embedded(tool: Tool, taken: Container[str] = ()) -> tuple[dict[str, Any], dict[str, Any]]:
    """The schema of a tool's arguments as a part of another: (the schema, the definitions that it refers to).

    Args:
        tool: the tool.
        taken: names that other definitions have.
    """
    parameters = dict(tool.parameters)
    own = {
        f"#/{kind}/{_pointer(name)}": part
        for kind in ("$defs", "definitions")
        for name, part in parameters.get(kind, {}).items()
    }
    root = _free_name(f"{tool.name}_arguments", taken)
    names: dict[str, str] = {}
    for pointer in own:
        names[pointer] = _free_name(f"{tool.name}_{pointer.rpartition('/')[2]}", taken, root, *names.values())
    at_root = False

    def led(reference: str) -> str:
        nonlocal at_root
        for pointer, name in names.items():
            if reference == pointer or reference.startswith(f"{pointer}/"):
                return f"#/$defs/{name}{reference.removeprefix(pointer)}"
        if not reference.startswith("#"):
            return reference
        at_root = True
        return f"#/$defs/{root}{reference[1:]}"

    definitions = {names[pointer]: _adapted(part, led) for pointer, part in own.items()}
    whole = {"type": "object", **{key: part for key, part in parameters.items() if key not in _OF_THE_ROOT}}
    if not whole.keys() & {"$ref", "additionalProperties", *_UNIONS}:
        whole.setdefault("properties", {})
    arguments: dict[str, Any] = _adapted(whole, led)
    if "$ref" in arguments:
        del arguments["type"]
    if at_root:
        definitions[root] = arguments
        arguments = {"$ref": f"#/$defs/{root}"}
    return arguments, definitions


def without_added_nulls(parameters: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments without the nulls that only `embedded` allows: of optional properties that may not be null themselves.

    Args:
        parameters: the tool's own schema.
        arguments: as a model wrote them.
    """
    return _Cleaner(parameters).object(arguments, [parameters])


class _Cleaner:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root

    def object(self, value: Mapping[str, Any], schemas: Sequence[Any]) -> dict[str, Any]:
        """An object that fits some schemas, or some of them, without the nulls that none of them knows of."""
        branches = [branch for schema in schemas for branch in self._branches(schema, ())]
        kept: dict[str, Any] = {}
        for name, part in value.items():
            declared = [branch["properties"][name] for branch in branches if name in branch.get("properties", ())]
            needed = any(name in branch.get("required", ()) for branch in branches)
            if part is None and declared and not needed and not any(map(self._allows_null, declared)):
                continue
            others = [branch.get("additionalProperties") for branch in branches]
            kept[name] = self._value(part, declared or others)
        return kept

    def _value(self, value: Any, schemas: Sequence[Any]) -> Any:
        if isinstance(value, Mapping):
            return self.object(value, schemas)
        if isinstance(value, list):
            branches = [branch for schema in schemas for branch in self._branches(schema, ())]
            items = [part for branch in branches for part in (branch.get("items"), *branch.get("prefixItems", ()))]
            return [self._value(item, items) for item in value]
        return value

    def _branches(self, schema: Any, within: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
        """The schema and all that it is put together of."""
        if not isinstance(schema, Mapping):
            return
        yield schema
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference not in within:
            yield from self._branches(_found(self._root, reference), (*within, reference))
        for union in _UNIONS:
            for branch in schema.get(union, ()):
                yield from self._branches(branch, within)

    def _allows_null(self, schema: Any) -> bool:
        return allows_null(schema, self._root)


def allows_null(schema: Any, root: Mapping[str, Any], within: tuple[str, ...] = ()) -> bool:
    """Whether a value may be null, as far as the keywords that name a value's type say.

    Args:
        schema: of the value.
        root: where its references lead.
        within: the references that led here.
    """
    if not isinstance(schema, Mapping):
        return schema is not False
    reference = schema.get("$ref")
    if isinstance(reference, str):
        there = reference not in within and allows_null(_found(root, reference), root, (*within, reference))
        if not there:
            return False
    kind = schema.get("type")
    if kind is not None and kind != "null" and not (isinstance(kind, list) and "null" in kind):
        return False
    if "const" in schema and schema["const"] is not None:
        return False
    if "enum" in schema and None not in schema["enum"]:
        return False
    for union in ("anyOf", "oneOf"):
        if union in schema and not any(allows_null(branch, root, within) for branch in schema[union]):
            return False
    return all(allows_null(branch, root, within) for branch in schema.get("allOf", ()))


def _adapted(node: Any, led: Callable[[str], str]) -> Any:
    """A schema with its references led elsewhere, and its optional properties nullable."""
    if isinstance(node, list):
        return [_adapted(part, led) for part in node]
    if not isinstance(node, Mapping):
        return node
    made: dict[str, Any] = {}
    for key, part in node.items():
        if key in _SCHEMAS_BY_NAME and isinstance(part, Mapping):
            made[key] = {name: _adapted(inner, led) for name, inner in part.items()}
        elif key == "$ref" and isinstance(part, str):
            made[key] = led(part)
        elif key in _VALUES:
            made[key] = part
        else:
            made[key] = _adapted(part, led)
    if "properties" in made:
        needed = node.get("required", ())
        made["properties"] = {
            name: part if name in needed else _nullable(part) for name, part in made["properties"].items()
        }
    return made


def _nullable(schema: Any) -> Any:
    if not isinstance(schema, Mapping) or _nullable_already(schema):
        return schema
    described = {key: schema[key] for key in ("description",) if key in schema}
    return {"anyOf": [{key: part for key, part in schema.items() if key not in described}, _NULL], **described}


def _nullable_already(schema: Mapping[str, Any]) -> bool:
    """As far as can be told without following references, which would do no harm to call nullable twice."""
    return "$ref" not in schema and allows_null(schema, {})


def _found(root: Mapping[str, Any], reference: str) -> Any:
    found: Any = root
    for part in reference.removeprefix("#").strip("/").split("/") if reference not in ("#", "") else ():
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list):
            found = found[int(name)] if name.isdigit() and int(name) < len(found) else None
        else:
            found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _free_name(wanted: str, taken: Container[str], *more: str) -> str:
    """A name of letters, digits, `_` and `-` that no other definition has."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", wanted)
    numbered = (f"{plain}_{number}" for number in count(2))
    return next(name for name in chain((plain,), numbered) if name not in taken and name not in more)


def _pointer(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
