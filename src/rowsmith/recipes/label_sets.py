"""Sets of labels that a text may have at once: given, or all of some sizes, each built when it is used."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import comb
from typing import NamedTuple, overload

from pydantic import Field

from rowsmith.config import Config
from rowsmith.engine.axes import identity


class Label(Config):
    """A class of the classification.

    Attributes:
        name: what the rows say.
        description: what a text of this class is like, in words for the model.
    """

    name: str = Field(min_length=1)
    description: str = Field(min_length=1)


class LabelSet(NamedTuple):
    """Labels that one text has, in the order of the configuration's classes; maybe none."""

    labels: tuple[Label, ...]

    @property
    def names(self) -> list[str]:
        """Their names."""
        return [label.name for label in self.labels]


class LabelSets(Sequence[LabelSet]):
    """All sets of `least` to `most` of some labels, the small ones first; a number line, as the plan is.

    Args:
        labels: the labels.
        least: the fewest of a set.
        most: the most.
    """

    def __init__(self, labels: Sequence[Label], least: int, most: int) -> None:
        self._labels = tuple(labels)
        self._sizes = range(least, most + 1)
        self._ends = list(accumulate(comb(len(self._labels), size) for size in self._sizes))

    def __len__(self) -> int:
        return self._ends[-1]

    @overload
    def __getitem__(self, index: int) -> LabelSet: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[LabelSet]: ...
    def __getitem__(self, index: int | slice) -> LabelSet | Sequence[LabelSet]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(f"set {index} is outside 0 to {len(self) - 1}")
        turn = next(turn for turn, end in enumerate(self._ends) if index < end)
        rank = index - (self._ends[turn - 1] if turn else 0)
        return LabelSet(
            tuple(self._labels[place] for place in _combination(rank, len(self._labels), self._sizes[turn]))
        )

    def fingerprint(self, position: int) -> bytes:
        """The identity of a set: that of its labels, whatever the order of all classes."""
        return fingerprint(self[position])


class GivenSets(list[LabelSet]):
    """Sets that were given one by one."""

    def fingerprint(self, position: int) -> bytes:
        """As that of `LabelSets`: a set keeps its identity when bounds are put in the place of a list."""
        return fingerprint(self[position])


def fingerprint(labels: LabelSet) -> bytes:
    """Eight bytes for a set of labels."""
    return identity([label.model_dump(mode="json") for label in sorted(labels.labels, key=lambda label: label.name)])


def _combination(rank: int, of: int, size: int) -> list[int]:
    """The rank-th choice of `size` places among `of`, in lexicographic order (the combinatorial number system)."""
    places: list[int] = []
    first = 0
    while size:
        with_first = comb(of - first - 1, size - 1)
        if rank < with_first:
            places.append(first)
            size -= 1
        else:
            rank -= with_first
        first += 1
    return places
