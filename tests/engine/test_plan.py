"""The plan as a number line."""

from __future__ import annotations

import resource
import time
from collections import Counter
from itertools import product
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowsmith import OfflineProvider, Spread
from rowsmith.engine.axes import Axis, Variations, identity
from rowsmith.engine.models import Models
from rowsmith.engine.plan import Plan, Rows
from rowsmith.errors import ConfigError

shapes = st.lists(st.integers(1, 5), min_size=1, max_size=4)


def axes_of(shape: list[int]) -> list[Axis]:
    return [Axis(f"axis{number}", [f"{number}.{value}" for value in range(size)]) for number, size in enumerate(shape)]


def variations(*parts: dict[str, list[str]]) -> Variations:
    return Variations(parts, [identity(number) for number in range(len(parts))])


@given(shapes, st.integers(1, 3))
def test_cells_are_the_product_each_once(shape: list[int], models: int) -> None:
    plan = Plan(axes_of(shape), Rows(per_cell=5), models=[bytes([model]) for model in range(models)])
    cells = [plan.cell(number) for number in range(len(plan))]
    assert len(cells) == prod(shape) * models
    assert len({(tuple(cell.values.values()), cell.model) for cell in cells}) == len(cells)
    assert len({cell.key for cell in cells}) == len(cells)
    assert plan.total_rows == 5 * len(cells)


@given(shapes, st.integers(1, 400), st.integers(1, 7))
def test_a_target_is_met_exactly_and_evenly(shape: list[int], target: int, per_cell: int) -> None:
    plan = Plan(axes_of(shape), Rows(per_cell=per_cell, target=target))
    cells = [plan.cell(number) for number in range(len(plan))]
    assert sum(cell.want for cell in cells) == target == plan.total_rows
    assert len({cell.key for cell in cells}) == len(cells)
    assert all(1 <= cell.want <= per_cell for cell in cells)


@given(shapes, st.integers(2, 4), st.integers(1, 50))
def test_rows_per_label_are_met_for_each_label(shape: list[int], labels: int, target: int) -> None:
    axes = [*axes_of(shape), Axis("label", list(range(labels)), stratum=True)]
    plan = Plan(axes, Rows(per_cell=3, target=target, per="label"))
    counts: Counter[int] = Counter()
    for number in range(len(plan)):
        counts[plan.cell(number).values["label"]] += plan.cell(number).want
    assert counts == dict.fromkeys(range(labels), target)
    assert plan.total_rows == target * labels


@given(st.integers(1, 60), st.integers(0, 5))
def test_a_higher_target_keeps_every_cell(target: int, seed: int) -> None:
    axes = [Axis("language", ["en", "fr"]), Axis("label", ["a", "b", "c"])]
    short = Plan(axes, Rows(per_cell=2, target=target), seed=seed)
    long = Plan(axes, Rows(per_cell=2, target=target + 17), seed=seed)
    wants = {long.cell(number).key: long.cell(number).want for number in range(len(long))}
    assert all(wants[cell.key] >= cell.want for cell in map(short.cell, range(len(short))))


@given(st.integers(0, 10), st.data())
def test_sampling_draws_distinct_prompts_evenly(seed: int, data: st.DataObject) -> None:
    prompts = variations({"tone": ["dry", "warm", "odd"], "size": ["s", "l"]}, {}, {"tone": ["dry", "warm"]})
    axes = [
        Axis("variation", prompts),
        Axis("language", ["en", "fr"], stratum=True),
        Axis("label", ["a", "b"], stratum=True),
    ]
    count = data.draw(st.integers(1, 9 * 4))
    plan = Plan(axes, Rows(per_cell=1), sample=count, seed=seed)
    cells = [plan.cell(number) for number in range(len(plan))]
    assert len(cells) == len({cell.key for cell in cells}) == count
    for axis in ("language", "label"):
        counts = Counter(dict.fromkeys(axes[1 if axis == "language" else 2].values, 0))
        counts.update(cell.values[axis] for cell in cells)
        assert max(counts.values()) - min(counts.values()) <= 1


def test_sampling_spreads_over_templates_until_one_has_no_more() -> None:
    prompts = variations({"tone": ["dry", "warm", "odd"]}, {}, {"size": ["s", "l"]})
    plan = Plan([Axis("variation", prompts)], Rows(per_cell=1), sample=3, seed=4)
    assert {plan.cell(number).values["variation"].template for number in range(3)} == {0, 1, 2}


def test_asking_for_more_samples_than_there_are_is_refused_with_both_numbers() -> None:
    with pytest.raises(ConfigError, match=r"7 distinct prompts .* only 6"):
        Plan(axes_of([2, 3]), Rows(per_cell=1), sample=7)


def dealt(plan: Plan, spread: Spread) -> Counter[tuple[str, str, str]]:
    """How many cells of each label and language are dealt to each model."""
    models = Models([spread])
    cells = [plan.cell(number) for number in range(len(plan))]
    return Counter(
        (cell.values["label"], cell.values["language"], models.owner(cell, seed=3).model_id) for cell in cells
    )


def strata(outer: int) -> list[Axis]:
    return [
        Axis("document", [f"document {number}" for number in range(outer)]),
        Axis("language", list("wxyz"), stratum=True),
        Axis("label", ["a", "b"], stratum=True),
    ]


WEIGHTED = Spread([OfflineProvider("offline-one"), OfflineProvider("offline-two")], weights=[3, 1])


def test_dealing_gives_each_label_and_language_its_parts_exactly() -> None:
    found = dealt(Plan(strata(8), Rows(per_cell=1)), WEIGHTED)
    assert len(found) == 16
    assert {count for (*_, model), count in found.items() if model == "offline-one"} == {6}
    assert {count for (*_, model), count in found.items() if model == "offline-two"} == {2}


def test_no_label_belongs_to_one_model_even_if_there_is_one_prompt_of_each_language() -> None:
    found = dealt(Plan(strata(1), Rows(per_cell=1)), WEIGHTED)
    by_label: Counter[tuple[str, str]] = Counter()
    for (label, _, model), count in found.items():
        by_label[label, model] += count
    assert by_label == {
        ("a", "offline-one"): 3,
        ("a", "offline-two"): 1,
        ("b", "offline-one"): 3,
        ("b", "offline-two"): 1,
    }


@given(
    st.integers(1, 9), st.integers(1, 300), st.sampled_from([None, "label"]), st.sampled_from([[1, 1], [3, 1], [2, 5]])
)
def test_whatever_the_target_every_model_has_its_share_to_a_block(
    outer: int, target: int, per: str | None, weights: list[float]
) -> None:
    spread = Spread([OfflineProvider("offline-one"), OfflineProvider("offline-two")], weights=weights)
    plan = Plan(strata(outer), Rows(per_cell=1, target=target, per=per))
    first = sum(count for (*_, model), count in dealt(plan, spread).items() if model == "offline-one")
    off = abs(first - len(plan) * spread.parts[0] / spread.seats)
    assert off <= 2 * spread.seats


@given(st.integers(1, 40))
def test_shards_are_contiguous_and_cover_the_line(of: int) -> None:
    plan = Plan(axes_of([5, 5, 3]), Rows(per_cell=1))
    assert [number for shard in range(of) for number in plan.shard(shard, of)] == list(range(75))


def test_a_sample_for_looking_at_is_spread_over_the_plan() -> None:
    plan = Plan([Axis("language", ["en", "fr"]), Axis("label", ["a", "b"])], Rows(per_cell=5))
    shown = [plan.cell(number).values for number in plan.spread(2)]
    assert {value["language"] for value in shown} == {"en", "fr"}
    assert {value["label"] for value in shown} == {"a", "b"}


def test_a_value_that_stands_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="label number 3 is the same as number 1"):
        Axis("label", ["a", "b", "a"])


@settings(deadline=None)
@given(st.integers(0, 10**9 - 1))
def test_a_billion_cells_take_no_memory_and_no_time(number: int) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    plan = Plan([Axis("document", range(10**6)), Axis("variation", range(1000))], Rows(per_cell=1))
    started = time.perf_counter()
    cell = plan.cell(number)
    took = time.perf_counter() - started
    assert cell.number == number == cell.values["document"] * 1000 + cell.values["variation"]
    assert took < 0.1, "microseconds, with a wide margin for a busy machine"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


def test_the_fingerprint_knows_every_value_and_every_count() -> None:
    def made(label: str = "a", per_cell: int = 1, seed: int = 0, model: bytes = b"m") -> bytes:
        axes = [Axis("label", [label, "b"])]
        return Plan(axes, Rows(per_cell=per_cell), models=[model], seed=seed).fingerprint()

    assert len({made(), made(label="c"), made(per_cell=2), made(seed=1), made(model=b"n")}) == 5
    assert made() == made()


part = st.dictionaries(st.sampled_from("abcd"), st.lists(st.sampled_from("wxyz"), min_size=1, unique=True), max_size=3)


@given(st.lists(part, min_size=1, max_size=4), st.integers(0, 5))
def test_variations_are_each_templates_own_product_and_spreading_visits_each_once(
    parts: list[dict[str, list[str]]], seed: int
) -> None:
    made = variations(*parts)
    expected = [
        (template, dict(zip(values, combination, strict=True)))
        for template, values in enumerate(parts)
        for combination in product(*values.values())
    ]
    assert [(one.template, one.placeholders) for one in made] == expected
    assert sorted(made.spread(seed)) == list(range(len(expected)))


def test_variations_of_ten_to_the_fifteen_are_not_built() -> None:
    many = [str(number) for number in range(1000)]
    made = variations(dict.fromkeys("abcde", many))
    assert len(made) == 10**15
    assert made[10**15 - 1].placeholders == dict.fromkeys("abcde", "999")
    assert len({made.spread(1)[rank] for rank in range(100)}) == 100
