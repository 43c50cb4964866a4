"""The plan: which cells a run has, as a number line. `len(plan)` and `plan.cell(i)` cost the same at any size."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

from rowsmith.engine.axes import Axis, Remembering
from rowsmith.engine.numberline import balanced, coordinates
from rowsmith.errors import ConfigError, did_you_mean


class Cell(NamedTuple):
    """One point of a plan: the unit of work, of failure and of resume.

    Attributes:
        number: its place on the number line of this plan.
        key: a 63-bit number made of its values; the same cell of a longer plan has the same key.
        values: one value per axis, by the axis' name.
        want: how many rows it is to make.
        model: which of the run's models answers, as a position in the list of models.
        dealt: what prompts are dealt out by: its row among the cells of its model, where a row has one cell of each
            stratum (label, language); its place in the row; and after how many of these the fastest of them is through.
    """

    number: int
    key: int
    values: Mapping[str, Any]
    want: int
    model: int
    dealt: tuple[int, int, int] = (0, 0, 1)

    @property
    def name(self) -> str:
        """The key as 16 hexadecimal digits: what rows and reports call the cell."""
        return f"{self.key:016x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """How many rows a plan makes.

    Attributes:
        per_cell: rows that one cell makes on a full pass over the product (`num_samples_per_prompt`).
        target: the number of rows in all, or per value of `per`; None for one full pass.
        per: the axis each of whose values gets `target` rows; None if `target` is the total.
        each: rows of every prompt by its place, where they differ; `per_cell` is then 0, and there is no target.
    """

    per_cell: int
    target: int | None = None
    per: str | None = None
    each: Sequence[int] | None = None


class Plan:
    """The product of the axes as a number line.

    The line has passes: each walks the product once, the last axis fastest, so that any prefix is spread over the fast
    axes (labels, languages, models). A target that is no whole number of passes ends in a part of a pass, walked in
    the balanced order, so that the counts of the values of every axis differ by one row at most for each of its cells.

    Args:
        axes: the prompt's axes, slowest first.
        rows: how many rows are wanted.
        models: the identities of the models; every prompt goes to every model.
        sample: that many distinct points of the axes, spread evenly, instead of all.
        seed: of the sampling.
    """

    def __init__(
        self,
        axes: Sequence[Axis],
        rows: Rows,
        *,
        models: Sequence[bytes] = (b"",),
        sample: int | None = None,
        seed: int = 0,
        deals: bool = True,
    ) -> None:
        self.axes = tuple(axes)
        self.rows = rows
        self.seed = seed
        self.sample = sample
        self._models = tuple(models)
        self._sizes = tuple(len(axis) for axis in self.axes)
        self._product = prod(self._sizes)
        self._prompts = self._sampled(sample)
        self._hands = len(models)
        self._pass = self._prompts * self._hands
        self._spreads = [axis.spread(seed) for axis in self.axes]
        self._deals = deals
        self._strata = [(axis.stratum, len(axis)) for axis in self.axes]
        self._stratum = prod(len(axis) for axis in self.axes if axis.stratum) if sample is None else 1
        self._per_place = self._place_of(rows.per)
        self._passes, self._rest, self._tail = self._targets()
        self._length = self._passes * self._pass + self._tail
        self._named = [(at, axis.name, axis.values) for at, axis in enumerate(self.axes)]
        self._points = Remembering(lambda prompt: self._point(self._places(prompt)))

    def __len__(self) -> int:
        return self._length

    @property
    def total_rows(self) -> int:
        """The number of rows the whole plan makes."""
        return self._passes * self._pass * self.rows.per_cell + self._rest

    def cell(self, index: int) -> Cell:
        """The index-th cell.

        Raises:
            IndexError: outside 0 to len - 1.
        """
        if not 0 <= index < self._length:
            raise IndexError(f"cell {index} is outside 0 to {self._length - 1}")
        turn, at = divmod(index, self._pass)
        if turn < self._passes:
            prompt, hand = divmod(at, self._hands)
            point, each = self._points[prompt], self.rows.each
            want = self.rows.per_cell if each is None else each[prompt]
        else:
            tail, hand, prompt, want = self._tail_cell(at)
            point = self._point(tail)
        places, identity = point
        values = {name: values[places[at]] for at, name, values in self._named}
        dealt = self._place_in_dealing(turn, prompt, places) if self._deals else (0, 0, 1)
        source = b"%b%b%b" % (identity, self._models[hand], turn.to_bytes(4, "big"))
        key = int.from_bytes(hashlib.blake2b(source, digest_size=8).digest(), "big") >> 1
        return Cell(index, key, values, want, hand, dealt)

    def shard(self, number: int, of: int) -> range:
        """The indices of one of `of` near-equal, contiguous parts of the line."""
        if not 0 <= number < of:
            raise ConfigError(f"shard {number} of {of} does not exist; the first is 0, the last {of - 1}")
        return range(len(self) * number // of, len(self) * (number + 1) // of)

    def spread(self, count: int) -> list[int]:
        """Indices of `count` cells spread evenly over the line, for a sample (all of them if there are fewer)."""
        count = min(count, len(self))
        if self.sample is not None or self._passes == 0:
            return [len(self) * i // count for i in range(count)]
        sizes = (*self._sizes, self._hands)
        order = []
        for rank in range(min(count, self._pass)):
            *places, hand = balanced(rank, sizes)
            prompt = 0
            for spread, size, place in zip(self._spreads, self._sizes, places, strict=True):
                prompt = prompt * size + spread[place]
            order.append(prompt * self._hands + hand)
        return order

    def fingerprint(self) -> bytes:
        """What the line is made of; two plans with one fingerprint have the same cells at the same places."""
        digest = hashlib.blake2b(digest_size=16)
        for axis in self.axes:
            digest.update(axis.digest())
        for model in self._models:
            digest.update(model.ljust(8, b"\0"))
        rows = self.rows
        digest.update(repr((rows.per_cell, rows.target, rows.per, self.sample, self.seed)).encode())
        return digest.digest()

    def _sampled(self, sample: int | None) -> int:
        if sample is None:
            return self._product
        if sample > self._product:
            raise ConfigError(
                f"{sample} distinct prompts were asked for, but templates, placeholders and the other axes "
                f"make only {self._product}. Lower num_random_samples, or set combinatorial=True for all of them."
            )
        return sample

    def _place_of(self, name: str | None) -> int | None:
        names = [axis.name for axis in self.axes]
        if name is None:
            return None
        if name not in names:
            raise ConfigError(f"the plan has no axis {name!r} to count rows by. {did_you_mean(name, names)}")
        if self.sample is not None:
            raise ConfigError(f"rows per {name} cannot be promised for a random sample; set combinatorial=True")
        return names.index(name)

    def _targets(self) -> tuple[int, int, int]:
        """(full passes, rows of the part of a pass after them, cells of that part)."""
        target, per_cell, each = self.rows.target, self.rows.per_cell, self.rows.each
        if each is not None:
            return 1, sum(each) * self._hands, 0
        if target is None:
            return 1, 0, 0
        strata = 1 if self._per_place is None else self._sizes[self._per_place]
        width = self._pass // strata
        passes, rest = divmod(target, width * per_cell)
        return passes, rest * strata, min(rest, width) * strata

    def _tail_cell(self, at: int) -> tuple[Sequence[int], int, int, int]:
        """Places, model, place among its model's and rows of a cell in the part of a pass that ends the line."""
        if self._per_place is None:
            width, rest, rank, value, strata = self._pass, self._rest, at, 0, 1
            if self.sample is not None:
                prompt, hand = balanced(rank, (self._prompts, self._hands))
                places: Sequence[int] = self._places(prompt)
            else:
                *places, hand = balanced(rank, (*self._sizes, self._hands))
        else:
            strata = self._sizes[self._per_place]
            width, rest = self._pass // strata, self._rest // strata
            rank, value = divmod(at, strata)
            others = [size for place, size in enumerate(self._sizes) if place != self._per_place]
            *kept, hand = balanced(rank, (*others, self._hands))
            places = [*kept[: self._per_place], value, *kept[self._per_place :]]
        base, more = divmod(rest, width)
        # Of as many cells in a row as there are models, the balanced order gives one to each.
        return places, hand, rank // self._hands * strata + value, base + (rank < more)

    def _place_in_dealing(self, turn: int, prompt: int, places: Sequence[int]) -> tuple[int, int, int]:
        """What a cell is dealt out by."""
        if turn >= self._passes:
            return *divmod(turn * self._prompts + prompt, self._stratum), self._stratum
        if self.sample is not None:
            return turn * self._prompts + prompt, 0, 1
        row, within, fastest = turn, 0, 1
        for (stratum, size), place in zip(self._strata, places, strict=True):
            if stratum:
                within, fastest = within * size + place, size
            else:
                row = row * size + place
        return row, within, fastest

    def _places(self, prompt: int) -> Sequence[int]:
        if self.sample is None:
            return coordinates(prompt, self._sizes)
        ranks = balanced(prompt, self._sizes)
        return [spread[rank] for spread, rank in zip(self._spreads, ranks, strict=True)]

    def _point(self, places: Sequence[int]) -> tuple[Sequence[int], bytes]:
        """A point of the axes: its places, and the identities of the values there, one after the other."""
        return places, b"".join([axis.identity(place) for axis, place in zip(self.axes, places, strict=True)])
