"""Axes of a plan: named sequences of values, each value with an identity that outlives its position."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod
from typing import Any, Protocol, TypeVar, overload, runtime_checkable

import orjson
from pydantic import BaseModel

from rowsmith.engine.numberline import Permutation, balanced, coordinates
from rowsmith.errors import ConfigError

_REMEMBERED = 4096
"""What is kept per axis or plan: enough for every short one, bounded for a source of a million documents."""

T = TypeVar("T")


@runtime_checkable
class Fingerprinted(Protocol):
    """Values that know their identities without being built: a source of a million documents."""

    def fingerprint(self, position: int) -> bytes:
        """Eight bytes that stay the same for the same value, wherever it stands."""


@runtime_checkable
class Spreadable(Protocol):
    """Values with a balanced order of their own, for sampling."""

    def spread(self, seed: int) -> Sequence[int]:
        """A permutation of the positions, each prefix of which is spread evenly."""


def identity(value: Any) -> bytes:
    """Eight bytes that stand for a value: blake2b of its canonical JSON."""
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS, default=_plain)
    return hashlib.blake2b(text, digest_size=8).digest()


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"a value of an axis must be JSON-ready, got {type(value).__name__}")


class Remembering(dict[int, T]):
    """What is found by a number, each when it is first asked for; the first few thousand are kept.

    Args:
        find: finds it; the same for the same number.
    """

    __slots__ = ("_find",)

    def __init__(self, find: Callable[[int], T]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, position: int) -> T:
        found = self._find(position)
        if len(self) < _REMEMBERED:
            self[position] = found
        return found


class Axis:
    """One dimension of variation.

    Args:
        name: the axis' name: `label`, `language`, `document`, ….
        values: its values, at least one; read by position, so they may lie on disk.
        stratum: True if a dealt-out or cut-short plan must stay even over this axis.
    """

    __slots__ = ("_digest", "identity", "name", "stratum", "values")

    def __init__(self, name: str, values: Sequence[Any], *, stratum: bool = False) -> None:
        if len(values) == 0:
            raise ValueError(f"axis {name!r} has no values")
        self.name = name
        self.values = values
        self.stratum = stratum
        self._digest = b""
        # Asked once: an isinstance check of a protocol takes ten microseconds.
        find = values.fingerprint if isinstance(values, Fingerprinted) else self._identity_at
        self.identity: Callable[[int], bytes] = Remembering(find).__getitem__
        """The identity of the value at a position."""
        self._must_differ()

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        return f"Axis({self.name!r}, {len(self)} values)"

    def _must_differ(self) -> None:
        """A value that stands twice would make two cells of one key; sources of many values see to it themselves."""
        if len(self) > _REMEMBERED:
            return
        first: dict[bytes, int] = {}
        for position in range(len(self)):
            known = first.setdefault(self.identity(position), position)
            if known != position:
                raise ConfigError(f"{self.name} number {position + 1} is the same as number {known + 1}; give it once")

    def _identity_at(self, position: int) -> bytes:
        return identity(self.values[position])

    def digest(self) -> bytes:
        """The identity of the whole axis: its name and the identities of its values in order."""
        if not self._digest:
            digest = hashlib.blake2b(f"{self.name}\0{len(self)}\0".encode(), digest_size=16)
            for position in range(len(self)):
                digest.update(self.identity(position))
            self._digest = digest.digest()
        return self._digest

    def spread(self, seed: int) -> Sequence[int]:
        """A seeded permutation of the positions, for sampling."""
        if isinstance(self.values, Spreadable):
            return self.values.spread(seed)
        return Permutation(len(self), seed, self.name)


@dataclass(frozen=True, slots=True)
class Variation:
    """One prompt to send: which template, and the values of its optional placeholders."""

    template: int
    placeholders: Mapping[str, str]


class Variations(Sequence[Variation]):
    """All variations of all templates, none of them built: a sum of products.

    Args:
        parts: for each template, its optional placeholders with their values.
        identities: the identity of each template's text.
    """

    def __init__(self, parts: Sequence[Mapping[str, Sequence[str]]], identities: Sequence[bytes]) -> None:
        self._names = [tuple(part) for part in parts]
        self._values = [tuple(tuple(values) for values in part.values()) for part in parts]
        self._sizes = [tuple(len(values) for values in part) for part in self._values]
        self._counts = [prod(sizes) for sizes in self._sizes]
        self._ends = list(accumulate(self._counts))
        self._identities = list(identities)
        self._built: dict[int, Variation] = {}

    def __len__(self) -> int:
        return self._ends[-1]

    @overload
    def __getitem__(self, index: int) -> Variation: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Variation]: ...
    def __getitem__(self, index: int | slice) -> Variation | Sequence[Variation]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        built = self._built.get(index)
        if built is None:
            template, places = self._place(index)
            chosen = zip(self._names[template], self._values[template], places, strict=True)
            built = Variation(template, {name: values[place] for name, values, place in chosen})
            if len(self._built) < _REMEMBERED:
                self._built[index] = built
        return built

    def fingerprint(self, position: int) -> bytes:
        """The identity of a variation: its template's text and its placeholders' values, not their positions."""
        variation = self[position]
        return identity([self._identities[variation.template].hex(), dict(sorted(variation.placeholders.items()))])

    def spread(self, seed: int) -> Sequence[int]:
        """Templates in turn, and within each its placeholders in the balanced order."""
        return _VariationSpread(self._sizes, self._counts, seed)

    def _place(self, index: int) -> tuple[int, tuple[int, ...]]:
        if not 0 <= index < len(self):
            raise IndexError(f"variation {index} is outside 0 to {len(self) - 1}")
        template = bisect_right(self._ends, index)
        first = self._ends[template] - self._counts[template]
        return template, coordinates(index - first, self._sizes[template])


class _VariationSpread(Sequence[int]):
    """Round robin over parts of unequal size: who has nothing left sits out the later turns."""

    def __init__(self, sizes: Sequence[tuple[int, ...]], counts: Sequence[int], seed: int) -> None:
        self._sizes = sizes
        self._first = [end - count for end, count in zip(accumulate(counts), counts, strict=True)]
        self._length = sum(counts)
        self._shuffles = [
            [Permutation(size, seed, f"{part}.{axis}") for axis, size in enumerate(axes)]
            for part, axes in enumerate(sizes)
        ]
        self._levels: list[tuple[int, int, list[int]]] = []
        order = Permutation(len(counts), seed, "templates")
        parts = [order[i] for i in range(len(counts))]
        start = turn = 0
        for count in sorted(set(counts)):
            active = [part for part in parts if counts[part] >= count]
            self._levels.append((start, turn, active))
            start += (count - turn) * len(active)
            turn = count

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < self._length:
            raise IndexError(f"rank {index} is outside 0 to {self._length - 1}")
        level = bisect_right(self._levels, index, key=lambda entry: entry[0]) - 1
        start, turn, active = self._levels[level]
        turns, seat = divmod(index - start, len(active))
        part = active[seat]
        position = 0
        sizes = self._sizes[part]
        for size, place, shuffle in zip(sizes, balanced(turn + turns, sizes), self._shuffles[part], strict=True):
            position = position * size + shuffle[place]
        return self._first[part] + position
