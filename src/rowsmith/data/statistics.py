"""What a dataset holds: counts, lengths, what is missing and what stands twice."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from rowsmith.data.choosing import spelled
from rowsmith.data.lines import Lines, Row, as_row

GROUPED = ("label", "labels", "entities", "language", "model_id")
"""Fields whose values are counted, however many there are."""
ORIGIN = ("id", "metadata")
"""Fields that do not count when rows are compared: they differ in rows that say the same."""
_MOST_VALUES = 50
_LONGEST_VALUE = 80


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths of a field over the rows: of a text in characters, of a list in items."""

    unit: str
    least: int
    median: int
    mean: float
    most: int

    def __str__(self) -> str:
        return f"{self.least:,} to {self.most:,} {self.unit}, median {self.median:,}, mean {self.mean:,.1f}"


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a dataset holds.

    Attributes:
        rows: how many.
        counts: value → rows for each field with few values, the most frequent first. In `labels` and `entities` each
            label is counted on its own.
        lengths: of the texts and lists in each field.
        missing: field → rows that lack it or have null there, of those fields that other rows have.
        duplicates: rows whose content stood in a row before; `id` and `metadata` do not count.
        repeated_ids: rows with an id that a row before had.
    """

    rows: int
    counts: Mapping[str, Mapping[str, int]]
    lengths: Mapping[str, Lengths]
    missing: Mapping[str, int]
    duplicates: int
    repeated_ids: int

    def __str__(self) -> str:
        found = [f"rows          {self.rows:,}"]
        found.append(f"duplicates    {self.duplicates:,}")
        if self.repeated_ids:
            found.append(f"repeated ids  {self.repeated_ids:,}")
        for name, values in self.counts.items():
            found += ["", f"{name}:"]
            width = max(map(len, values))
            found += [f"  {value:<{width}}  {count:>9,}  {count / self.rows:6.1%}" for value, count in values.items()]
        if self.lengths:
            width = max(map(len, self.lengths))
            found += ["", "lengths:", *(f"  {name:<{width}}  {spread}" for name, spread in self.lengths.items())]
        if self.missing:
            found += ["", "missing:", *(f"  {name}: {count:,} rows" for name, count in self.missing.items())]
        return "\n".join(found)


def statistics_of(lines: Lines) -> Statistics:
    """Read all rows once and count. Memory: 16 bytes a row, and a little for each length and value that occurs."""
    tally = _Tally()
    for place, line in enumerate(lines):
        tally.add(as_row(lines, place, line))
    return tally.result()


class _Repeats:
    """Counts marks that came before, eight bytes for each: they are told apart in the end, one bucket at a time."""

    def __init__(self) -> None:
        self._buckets = [array("Q") for _ in range(256)]

    def add(self, content: bytes) -> None:
        mark = hashlib.blake2b(content, digest_size=8).digest()
        self._buckets[mark[0]].append(int.from_bytes(mark, "big"))

    def count(self) -> int:
        return sum(len(bucket) - len(set(bucket)) for bucket in self._buckets)


class _Tally:
    def __init__(self) -> None:
        self.rows = 0
        self.present: Counter[str] = Counter()
        self.counts: dict[str, Counter[str]] = {}
        self.too_many: set[str] = set()
        self.lengths: dict[str, tuple[str, Counter[int]]] = {}
        self.contents = _Repeats()
        self.ids = _Repeats()

    def add(self, row: Row) -> None:
        self.rows += 1
        content = {name: value for name, value in row.items() if name not in ORIGIN}
        self.contents.add(orjson.dumps(content, default=str, option=orjson.OPT_SORT_KEYS))
        if row.get("id") is not None:
            self.ids.add(spelled(row["id"]).encode())
        for name, value in row.items():
            if value is None:
                self.present.setdefault(name, 0)
                continue
            self.present[name] += 1
            if name in ORIGIN:
                continue
            if isinstance(value, str | list):
                unit = "characters" if isinstance(value, str) else "items"
                self.lengths.setdefault(name, (unit, Counter()))[1][len(value)] += 1
            self._count(name, value)

    def _count(self, name: str, value: Any) -> None:
        if name in self.too_many:
            return
        values = _values(name, value)
        if values is None:
            self.too_many.add(name)
            self.counts.pop(name, None)
            return
        counter = self.counts.setdefault(name, Counter())
        counter.update(values)
        if len(counter) > _MOST_VALUES and name not in GROUPED:
            self.too_many.add(name)
            del self.counts[name]

    def result(self) -> Statistics:
        shown = {
            name: dict(counter.most_common())
            for name, counter in self.counts.items()
            # A field whose every value is another says nothing by counting them.
            if name in GROUPED or len(counter) * 2 <= self.present[name]
        }
        return Statistics(
            rows=self.rows,
            counts=shown,
            lengths={name: _lengths(*found) for name, found in self.lengths.items() if name not in shown},
            missing={name: self.rows - count for name, count in self.present.items() if count < self.rows},
            duplicates=self.contents.count(),
            repeated_ids=self.ids.count(),
        )


def _values(name: str, value: Any) -> Sequence[str] | None:
    """What to count of a value, or None where the field is none of a few values."""
    if isinstance(value, list):
        if name == "labels" and all(isinstance(item, str) for item in value):
            return value
        if name == "entities" and all(isinstance(item, dict) and isinstance(item.get("label"), str) for item in value):
            return [item["label"] for item in value]
        return None
    if isinstance(value, float | dict):
        return None
    text = spelled(value)
    return [text] if len(text) <= _LONGEST_VALUE or name in GROUPED else None


def _lengths(unit: str, counter: Counter[int]) -> Lengths:
    count = counter.total()
    passed, median = 0, 0
    for length in sorted(counter):
        passed += counter[length]
        if passed * 2 >= count:
            median = length
            break
    mean = sum(length * number for length, number in counter.items()) / count
    return Lengths(unit, min(counter), median, mean, max(counter))
