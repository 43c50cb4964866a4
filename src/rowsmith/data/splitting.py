"""Parts of a dataset: how many rows each gets, in all and of each stratum."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import combinations

from rowsmith.errors import ConfigError

_EXACT = 1e-9
"""How far a product of a count and a share may be from a whole number and still be one."""


def checked_shares(shares: Mapping[str, float]) -> dict[str, float]:
    """The shares of the parts, which add up to 1.

    `train` or `test` alone leaves the rest to the other.

    Raises:
        ConfigError: they do not add up to 1, or one is no share.
    """
    given = dict(shares)
    for name, share in given.items():
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            raise ConfigError(f"the share of {name!r} is {share!r}; it must be more than 0 and at most 1, such as 0.8")
    if len(given) == 1 and (alone := next(iter(given))) in ("train", "test") and given[alone] < 1:
        given["test" if alone == "train" else "train"] = 1 - given[alone]
    total = math.fsum(given.values())
    if not given or not math.isclose(total, 1, abs_tol=1e-6):
        stated = ", ".join(f"{name}={share:g}" for name, share in given.items()) or "none"
        raise ConfigError(
            f"the shares of the parts must add up to 1; {stated} come to {total:g}. "
            "Rows that are to be left out can be a part of their own: split(train=0.5, test=0.1, rest=0.4)"
        )
    return given


def sizes(count: int, shares: Sequence[float]) -> list[int]:
    """How many of `count` each part gets: in all exactly `count`, each less than one from its share."""
    exact = [count * share for share in shares]
    whole = [_floor(value) for value in exact]
    nearest = sorted(range(len(exact)), key=lambda part: (whole[part] - exact[part], part))
    for part in nearest[: count - sum(whole)]:
        whole[part] += 1
    return whole


def stratified_sizes(counts: Sequence[int], shares: Sequence[float]) -> list[list[int]]:
    """How many of each stratum each part gets.

    Every number is its exact share rounded down or up. So are the parts' totals; they are those of `sizes` unless the
    strata do not allow it. (It is a controlled rounding of the table: https://doi.org/10.2307/2288111.)

    Args:
        counts: rows of each stratum.
        shares: of each part; they add up to 1.
    """
    total = sum(counts)
    floors = [[_floor(count * share) for share in shares] for count in counts]
    may_rise = [
        [count * share - low > _EXACT for share, low in zip(shares, row, strict=True)]
        for count, row in zip(counts, floors, strict=True)
    ]
    spare = [count - sum(row) for count, row in zip(counts, floors, strict=True)]
    for totals in _totals(total, shares):
        wanted = [whole - sum(row[part] for row in floors) for part, whole in enumerate(totals)]
        raised = _matched(spare, wanted, may_rise)
        if raised is not None:
            return [
                [low + (part in chosen) for part, low in enumerate(row)]
                for row, chosen in zip(floors, raised, strict=True)
            ]
    raise AssertionError("a table with whole row totals can always be rounded")


def _totals(count: int, shares: Sequence[float]) -> list[list[int]]:
    """All ways to round the parts' totals so that they add up, the nearest first."""
    exact = [count * share for share in shares]
    whole = [_floor(value) for value in exact]
    open_parts = [part for part, value in enumerate(exact) if value - whole[part] > _EXACT]
    best = sizes(count, shares)
    found = [best]
    for chosen in combinations(open_parts, count - sum(whole)):
        totals = [value + (part in chosen) for part, value in enumerate(whole)]
        if totals != best:
            found.append(totals)
    return found


def _matched(spare: Sequence[int], wanted: Sequence[int], may: Sequence[Sequence[bool]]) -> list[set[int]] | None:
    """For each stratum the parts that get one more: `spare` of them, and `wanted` for each part; None if none fit.

    A flow found by augmenting paths; the first pass, which gives to the part that still wants most, leaves few to find.
    """
    if min(wanted, default=0) < 0:
        return None
    left = list(wanted)
    given: list[set[int]] = []
    for number, amount in enumerate(spare):
        parts = sorted((part for part in range(len(left)) if may[number][part] and left[part]), key=lambda p: -left[p])
        given.append(set(parts[:amount]))
        for part in given[number]:
            left[part] -= 1
    for number, amount in enumerate(spare):
        while len(given[number]) < amount:
            if not _augmented(number, given, left, may):
                return None
    return given


def _augmented(start: int, given: list[set[int]], left: list[int], may: Sequence[Sequence[bool]]) -> bool:
    """Give one more to a stratum, having others change what they were given if it must be."""
    came: dict[int, tuple[int, int | None]] = {}  # part → (stratum that takes it, part which that gives up)
    waiting: deque[tuple[int, int | None]] = deque([(start, None)])
    while waiting:
        stratum, lost = waiting.popleft()
        for part in range(len(left)):
            if part in came or part in given[stratum] or not may[stratum][part]:
                continue
            came[part] = (stratum, lost)
            if left[part]:
                _apply(part, came, given, left)
                return True
            waiting.extend((other, part) for other, parts in enumerate(given) if part in parts)
    return False


def _apply(part: int, came: Mapping[int, tuple[int, int | None]], given: list[set[int]], left: list[int]) -> None:
    left[part] -= 1
    step: int | None = part
    while step is not None:
        stratum, lost = came[step]
        given[stratum].add(step)
        if lost is not None:
            given[stratum].discard(lost)
        step = lost


def _floor(value: float) -> int:
    """The whole part, where what floating point took from a whole number does not count."""
    return math.floor(value + _EXACT)
