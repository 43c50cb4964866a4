"""Fills a JSON Schema, as Pydantic writes it, with valid values.

A schema is read once into a graph of nodes and kept (`filler_of`); filling walks the graph with a seed and a writer.
Keywords that no Pydantic model gives rise to (`not`, `if`, `contains`, `dependentSchemas`, ...) are refused rather than
ignored: a value that only looks valid would be worse than an error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import orjson

from rowsmith.llm.filler.kinds import kind_of
from rowsmith.llm.filler.merge import ANNOTATIONS, merged
from rowsmith.llm.filler.nodes import DEEP, Array, Choice, Later, Leaf, Node, Record
from rowsmith.llm.filler.pattern import Pattern, UnfillableError
from rowsmith.llm.filler.seeds import mix
from rowsmith.llm.filler.text import Writer
from rowsmith.llm.filler.values import Maker, integer, number, string

__all__ = ["Filler", "UnfillableError", "filler_of"]

_REFUSED: Final = frozenset(
    {
        "not",
        "if",
        "contains",
        "dependentSchemas",
        "dependentRequired",
        "unevaluatedProperties",
        "unevaluatedItems",
        "$dynamicRef",
    }
)


class _Reader:
    """Reads one schema into nodes. Nodes are kept by schema and name, which also ends the reading of recursion."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.root = schema
        self.nodes: dict[tuple[bytes, str, bool], Node] = {}
        self.all: list[Node] = []

    def read(self) -> Node:
        root = self.node(self.root, "", entries=True)
        changed = True
        while changed:
            changed = False
            for node in self.all:
                height = node.measure()
                if height < node.height:
                    node.height, changed = height, True
        if root.height == math.inf:
            raise UnfillableError("the schema asks for a value without an end")
        return root

    def node(self, schema: Any, name: str, *, entries: bool = False) -> Node:
        schema = _as_mapping(schema)
        key = (orjson.dumps(schema, option=orjson.OPT_SORT_KEYS), name, entries)
        if key in self.nodes:
            return self.nodes[key]
        later = Later()
        self.nodes[key] = later
        self.all.append(later)
        built = self._built(schema, name, entries=entries)
        later.target = self.nodes[key] = built
        self.all.append(built)
        return built

    def _resolved(self, reference: str) -> Mapping[str, Any]:
        found: Any = self.root
        if not reference.startswith("#"):
            raise UnfillableError(f"the reference {reference!r} leads out of the schema")
        for part in reference[1:].strip("/").split("/") if reference != "#" else ():
            part = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, Mapping) or part not in found:
                raise UnfillableError(f"the reference {reference!r} leads nowhere")
            found = found[part]
        return _as_mapping(found)

    def _built(self, schema: Mapping[str, Any], name: str, *, entries: bool) -> Node:
        if refused := _REFUSED.intersection(schema):
            raise UnfillableError(f"the offline provider cannot fill {', '.join(sorted(refused))!s}")
        if "$ref" in schema:
            rest = {k: v for k, v in schema.items() if k != "$ref"}
            target = self._resolved(schema["$ref"])
            plain = not rest.keys() - ANNOTATIONS
            return self.node(target if plain else merged(target, rest), name, entries=entries)
        if "allOf" in schema:
            whole: Mapping[str, Any] = {k: v for k, v in schema.items() if k != "allOf"}
            for part in schema["allOf"]:
                part = _as_mapping(part)
                while "$ref" in part:
                    part = merged(self._resolved(part["$ref"]), {k: v for k, v in part.items() if k != "$ref"})
                whole = merged(whole, part)
            return self.node(whole, name, entries=entries)
        for word in ("anyOf", "oneOf"):
            if word in schema:
                rest = {k: v for k, v in schema.items() if k != word and k not in ANNOTATIONS}
                branches = [merged(rest, _as_mapping(b)) if rest else b for b in schema[word]]
                return self._choice(branches, name, entries=entries)
        if "const" in schema:
            return _fixed([schema["const"]], name)
        if "enum" in schema:
            return _fixed(schema["enum"], name)
        kind = schema.get("type") or _implied_type(schema)
        if isinstance(kind, list):
            return self._choice([{**schema, "type": one} for one in kind], name, entries=entries)
        return self._typed(kind, schema, name, entries=entries)

    def _choice(self, branches: Sequence[Any], name: str, *, entries: bool) -> Node:
        null: Node | None = None
        nodes: list[Node] = []
        trouble = "an empty list of alternatives"
        before: Any = None
        for branch in branches:
            before, previous = branch, before
            if isinstance(branch, Mapping) and branch.get("type") == "null":
                null = Leaf(lambda *_: None)
                continue
            if branch == {"type": "string"} and isinstance(previous, Mapping) and previous.get("type") == "number":
                continue  # a Decimal is written like this, and not every string is one
            try:
                nodes.append(self.node(branch, name, entries=entries))
            except UnfillableError as error:
                trouble = str(error)
        if not nodes:
            if null is None:
                raise UnfillableError(trouble)
            self.all.append(null)
            return null
        return Choice(nodes, null) if null is not None or len(nodes) > 1 else nodes[0]

    def _typed(self, kind: str, schema: Mapping[str, Any], name: str, *, entries: bool) -> Node:
        if kind == "object":
            return self._record(schema, top=entries)
        if kind == "array":
            return self._array(schema, name, entries=entries)
        if kind == "string":
            if schema.get("contentMediaType") == "application/json":
                inner = self.node(schema.get("contentSchema", {}), name)
                return Leaf(lambda w, seed: orjson.dumps(inner.fill(w, seed, DEEP - 1)).decode())
            return Leaf(string(schema, name))
        if kind == "integer":
            return Leaf(integer(schema, name))
        if kind == "number":
            return Leaf(number(schema, name))
        if kind == "boolean":
            return _fixed([True, False], name)
        if kind == "null":
            return _fixed([None], name)
        raise UnfillableError(f"the type {kind!r} is unknown")

    def _array(self, schema: Mapping[str, Any], name: str, *, entries: bool) -> Node:
        prefix = [self.node(part, name) for part in schema.get("prefixItems", ())]
        items = schema.get("items", not prefix)
        item: Node | None = None
        if items is not False:
            try:
                item = self.node(items, name)
            except UnfillableError:
                if int(schema.get("minItems", 0)) > len(prefix):
                    raise
        return Array(schema, prefix, item, entries=entries)

    def _record(self, schema: Mapping[str, Any], *, top: bool) -> Node:
        properties: Mapping[str, Any] = schema.get("properties", {})
        arrays = {name for name, part in properties.items() if _is_array(part)}
        needed = set(schema.get("required", ()))
        required: list[tuple[str, Node]] = []
        optional: list[tuple[str, Node]] = []
        for name, part in properties.items():
            lists = top and name in arrays and (arrays == properties.keys() or self._of_records(part))
            try:
                node = self.node(part, name, entries=lists)
            except UnfillableError:
                if name in needed:
                    raise
                continue
            (required if name in needed else optional).append((name, node))
        required.extend((name, self.node({}, name)) for name in sorted(needed - properties.keys()))
        extra, key = self._extra(schema)
        return Record(schema, required, optional, extra, key)

    def _of_records(self, schema: Mapping[str, Any]) -> bool:
        items = schema.get("items", {})
        while isinstance(items, Mapping) and "$ref" in items:
            items = self._resolved(items["$ref"])
        return isinstance(items, Mapping) and ("properties" in items or "oneOf" in items or "anyOf" in items)

    def _extra(self, schema: Mapping[str, Any]) -> tuple[Node | None, Maker]:
        """What further properties hold, and how their names are made: digits fit every key type of Pydantic's dicts."""
        if patterns := schema.get("patternProperties"):
            pattern, part = next(iter(patterns.items()))
            source = Pattern(pattern)
            return self.node(part, ""), lambda _, seed: source.fill(seed)
        more = schema.get("additionalProperties", "properties" not in schema)
        if more is False:
            return None, _digits
        names = schema.get("propertyNames")
        if not names:
            return self.node(more, ""), _digits
        keys = self.node({"type": "string", **names} if not {"$ref", "enum"} & names.keys() else names, "name")
        return self.node(more, ""), lambda w, seed: keys.fill(w, seed, 0)


def _digits(_: Writer, seed: int) -> str:
    return str(1 + mix(seed) % 999)


def _as_mapping(schema: Any) -> Mapping[str, Any]:
    if schema is True:
        return {}
    if isinstance(schema, Mapping):
        return schema
    raise UnfillableError("the schema allows no value" if schema is False else f"{schema!r} is not a schema")


def _is_array(schema: Any) -> bool:
    return isinstance(schema, Mapping) and (schema.get("type") == "array" or "items" in schema)


def _implied_type(schema: Mapping[str, Any]) -> str:
    """The type of a schema that names none: by its keywords, else a string, which anything accepts."""
    for kind, words in (
        ("object", ("properties", "additionalProperties", "patternProperties", "required")),
        ("array", ("items", "prefixItems", "minItems")),
        ("number", ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")),
    ):
        if any(word in schema for word in words):
            return kind
    return "string"


def _fixed(values: Sequence[Any], name: str) -> Node:
    """One of given values; the one that a hint of that name asks for where it is among them."""
    if not values:
        raise UnfillableError("an empty enumeration")
    options = list(values)
    if len(options) == 1:
        only = options[0]
        return Leaf(lambda *_: only)
    asked = {str(value).casefold(): value for value in options if isinstance(value, str | int)}
    if not asked:
        return Leaf(lambda _, seed: options[mix(seed) % len(options)])
    kind = kind_of(name) if name else ""
    names = tuple(dict.fromkeys((name, f"{name}_name", *((f"{kind}_name", kind) if kind in _CARRIED else ()))))

    def make(writer: Writer, seed: int) -> Any:
        for hint in names:
            given = writer.values.get(hint)
            if given is not None and given.casefold() in asked:
                return asked[given.casefold()]
        return options[mix(seed) % len(options)]

    return Leaf(make)


_CARRIED: Final = frozenset({"label", "language"})

Filler = Callable[[Writer, int], Any]


@lru_cache(maxsize=256)
def filler_of(schema: bytes) -> Filler:
    """How to fill a schema: a function of a writer and a seed. The last 256 schemas are kept.

    Args:
        schema: the schema as JSON; canonical, so that equal schemas are read once.

    Raises:
        UnfillableError: no value can be made, or a keyword is unknown.
    """
    root = _Reader(orjson.loads(schema)).read()
    return lambda writer, seed: root.fill(writer, seed, 0)
