"""A schema as a graph of nodes, each of which fills one place of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from rowsmith.llm.filler.pattern import UnfillableError
from rowsmith.llm.filler.seeds import MASK, STEP, mix
from rowsmith.llm.filler.text import Writer
from rowsmith.llm.filler.values import Maker

DEEP: Final = 5
"""Levels of objects and arrays after which only what must be there is filled, and what has no levels of its own: a
recursive schema has to end."""
_ENTRIES: Final = 3
"""Items of an open array of entries where no hint says how many."""


class Node:
    """One place of a schema. `height` is how many levels its smallest value needs; infinite: it has none."""

    __slots__ = ("height",)

    def __init__(self) -> None:
        self.height = math.inf

    def measure(self) -> float:
        """The height, told from the heights of the nodes below as far as they are known."""
        raise NotImplementedError

    @property
    def flat(self) -> bool:
        """Whether no value of it has levels of its own."""
        return False

    def fill(self, writer: Writer, seed: int, depth: int) -> Any:
        """A valid value; the same for the same writer, seed and depth."""
        raise NotImplementedError


class Leaf(Node):
    """A value without parts."""

    __slots__ = ("make",)

    def __init__(self, make: Maker) -> None:
        super().__init__()
        self.make = make

    def measure(self) -> float:
        return 0

    @property
    def flat(self) -> bool:
        return True

    def fill(self, writer: Writer, seed: int, depth: int) -> Any:  # noqa: ARG002 - the depth is for what has parts
        return self.make(writer, seed)


class Later(Node):
    """Stands for a node that is still being read: the way back of a recursive schema."""

    __slots__ = ("target",)

    def __init__(self) -> None:
        super().__init__()
        self.target: Node | None = None

    def measure(self) -> float:
        return self.target.height if self.target is not None and self.target is not self else math.inf

    def fill(self, writer: Writer, seed: int, depth: int) -> Any:
        assert self.target is not None
        return self.target.fill(writer, seed, depth)


class Choice(Node):
    """One of several branches. `null` is taken once in eight, so that optional values are mostly there."""

    __slots__ = ("branches", "null")

    def __init__(self, branches: Sequence[Node], null: Node | None) -> None:
        super().__init__()
        self.branches = branches
        self.null = null

    def measure(self) -> float:
        return 0 if self.null is not None else min(branch.height for branch in self.branches)

    @property
    def flat(self) -> bool:
        return all(isinstance(branch, Leaf) for branch in self.branches)

    def fill(self, writer: Writer, seed: int, depth: int) -> Any:
        number = mix(seed)
        if depth >= DEEP:
            shortest = min(self.branches, key=lambda branch: branch.height)
            if self.null is not None and (not shortest.flat or number & 7 == 0):
                return None
            return shortest.fill(writer, number, depth)
        if self.null is not None and number & 7 == 0:
            return None
        branch = self.branches[(number >> 3) % len(self.branches)]
        if branch.height == math.inf:
            branch = min(self.branches, key=lambda other: other.height)
        return branch.fill(writer, number, depth)


class Array(Node):
    """An array: first the items that have places of their own, then as many like `item` as are wanted."""

    __slots__ = ("entries", "item", "least", "most", "prefix", "unique")

    def __init__(self, schema: Mapping[str, Any], prefix: Sequence[Node], item: Node | None, *, entries: bool) -> None:
        super().__init__()
        self.prefix = prefix
        self.item = item
        self.least = int(schema.get("minItems", 0))
        self.most: int | None = schema.get("maxItems")
        self.unique = bool(schema.get("uniqueItems"))
        self.entries = entries
        if self.most is not None and self.most < self.least:
            raise UnfillableError(f"no array has at least {self.least} and at most {self.most} items")

    def measure(self) -> float:
        needed = [node.height for node in self.prefix[: self.least]]
        if self.least > len(self.prefix):
            needed.append(math.inf if self.item is None else self.item.height)
        return 1 + max(needed) if needed else 0

    def _length(self, writer: Writer, seed: int, depth: int) -> int:
        if self.item is None:
            wanted = len(self.prefix)
        elif self.entries:
            wanted = max(self.least, 1 if self.least else _ENTRIES) if writer.count is None else writer.count
        else:
            wanted = max(len(self.prefix), 1) + seed % (3 if depth < 2 else 2)
        endless = self.item is not None and self.item.height == math.inf
        flat = self.item is not None and self.item.flat and not self.prefix
        if endless or (depth >= DEEP and not flat):
            wanted = len(self.prefix) if depth < DEEP else 0
        most = wanted if self.most is None else min(wanted, self.most)
        return max(self.least, most)

    def fill(self, writer: Writer, seed: int, depth: int) -> list[Any]:
        base = mix(seed)
        length = self._length(writer, base, depth)
        values: list[Any] = []
        for node in self.prefix[:length]:
            base = (base + STEP) & MASK
            values.append(node.fill(writer, base, depth + 1))
        item = self.item
        if item is None or length <= len(values):
            return values
        if self.entries and writer.each:
            return values + self._of_their_own(item, writer, base, depth, length - len(values))
        if length == 1:
            return [item.fill(writer, base, depth + 1)]
        return self._distinct(item, writer, base, depth, values, length)

    def _of_their_own(self, item: Node, writer: Writer, base: int, depth: int, count: int) -> list[Any]:
        """Entries that each have hints of their own; a field that a hint is named like has the hint's value."""
        values = []
        for place in range(count):
            base = (base + STEP) & MASK
            author, own = writer.each[place % len(writer.each)]
            value = item.fill(author, base, depth + 1)
            if isinstance(value, dict):
                value |= {name: told for name, told in own.items() if name in value}
            values.append(value)
        return values

    def _distinct(self, item: Node, writer: Writer, base: int, depth: int, values: list[Any], length: int) -> list[Any]:
        """Items up to the length, none twice as far as the schema has so many values."""
        seen = {_identity(value) for value in values}
        tries = 4 if not self.unique else 500
        while len(values) < length:
            for _ in range(tries):
                base = (base + STEP) & MASK
                value = item.fill(writer, base, depth + 1)
                if (identity := _identity(value)) not in seen:
                    break
            else:
                if self.unique:
                    if len(values) >= self.least:
                        return values
                    raise UnfillableError(f"{self.least} different items were asked for, {len(values)} were found")
            seen.add(identity)
            values.append(value)
        return values


def _identity(value: Any) -> Any:
    """What makes two items the same: 1, 1.0 and true are, as in a Python set."""
    return value if isinstance(value, str | int | float) or value is None else orjson.dumps(value)


class Record(Node):
    """An object: its properties, and `extra` ones under keys made by `key` where the schema leaves names open."""

    __slots__ = ("extra", "key", "least", "most", "optional", "required")

    def __init__(
        self,
        schema: Mapping[str, Any],
        required: Sequence[tuple[str, Node]],
        optional: Sequence[tuple[str, Node]],
        extra: Node | None,
        key: Maker,
    ) -> None:
        super().__init__()
        self.required = required
        self.optional = optional
        self.extra = extra
        self.key = key
        self.least = int(schema.get("minProperties", 0))
        self.most: int | None = schema.get("maxProperties")

    def measure(self) -> float:
        needed = [node.height for _, node in self.required]
        if self.least > len(self.required) + len(self.optional):
            needed.append(math.inf if self.extra is None else self.extra.height)
        return 1 + max(needed, default=0)

    def fill(self, writer: Writer, seed: int, depth: int) -> dict[str, Any]:
        base = mix(seed)
        below = depth + 1
        values: dict[str, Any] = {}
        for name, node in self.required:
            base = (base + STEP) & MASK
            values[name] = node.fill(writer, base, below)
        for name, node in self.optional:
            base = (base + STEP) & MASK
            if self._wanted(node, len(values), depth):
                values[name] = node.fill(writer, base, below)
        if self.extra is not None:
            self._fill_extra(self.extra, values, writer, base, depth)
        return values

    def _wanted(self, node: Node, filled: int, depth: int) -> bool:
        """An optional property is filled where it can be, and in the depth only where it ends at once."""
        if node.height == math.inf or (self.most is not None and filled >= self.most):
            return False
        return depth < DEEP or node.height == 0 or filled < self.least

    def _fill_extra(self, extra: Node, values: dict[str, Any], writer: Writer, base: int, depth: int) -> None:
        declared = bool(self.required or self.optional)
        too_deep = depth >= DEEP and not extra.flat
        wanted = 0 if declared or too_deep or extra.height == math.inf else 1 + mix(base) % 2
        wanted = max(self.least, wanted if self.most is None else min(wanted, self.most))
        for _ in range(200):
            if len(values) >= wanted:
                return
            base = (base + STEP) & MASK
            name = str(self.key(writer, base))
            if name not in values:
                values[name] = extra.fill(writer, base, depth + 1)
        if len(values) < self.least:
            raise UnfillableError(f"{self.least} properties were asked for, {len(values)} names were found")
