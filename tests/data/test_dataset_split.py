"""Splits are partitions of exact sizes, shuffles permutations; both are the same for the same seed."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowsmith import ConfigError, Dataset
from rowsmith.data.splitting import sizes, stratified_sizes

SHARES = st.lists(st.integers(1, 30), min_size=1, max_size=6).map(lambda parts: [part / sum(parts) for part in parts])


def labelled(counts: list[int]) -> Dataset:
    return Dataset(
        {"id": f"{label}-{number}", "label": label} for label, count in enumerate(counts) for number in range(count)
    )


def ids(dataset: Dataset) -> list[str]:
    return [row["id"] for row in dataset]


@given(count=st.integers(0, 10_000), shares=SHARES)
def test_sizes_add_up_and_each_is_less_than_one_from_its_share(count: int, shares: list[float]) -> None:
    found = sizes(count, shares)
    assert sum(found) == count
    assert all(abs(size - count * share) < 1 for size, share in zip(found, shares, strict=True))


@given(counts=st.lists(st.integers(0, 60), max_size=8), shares=SHARES)
def test_each_stratum_of_each_part_is_less_than_one_from_its_share(counts: list[int], shares: list[float]) -> None:
    table = stratified_sizes(counts, shares)
    assert [sum(row) for row in table] == counts
    for count, row in zip(counts, table, strict=True):
        assert all(abs(size - count * share) < 1 for size, share in zip(row, shares, strict=True))
    for share, total in zip(shares, map(sum, zip(*table, strict=True)), strict=False):
        assert abs(total - sum(counts) * share) < 1


@pytest.mark.parametrize(("counts", "parts"), [([40, 36], [5, 5, 21, 9, 20]), ([5, 2], [4, 1, 4, 1, 1, 1, 1, 3, 4])])
def test_where_strata_do_not_allow_the_nearest_totals_others_are_found(counts: list[int], parts: list[int]) -> None:
    shares = [part / sum(parts) for part in parts]
    table = stratified_sizes(counts, shares)
    totals = [sum(column) for column in zip(*table, strict=True)]
    assert totals != sizes(sum(counts), shares)
    assert all(abs(total - sum(counts) * share) < 1 for total, share in zip(totals, shares, strict=True))


@settings(max_examples=50)
@given(counts=st.lists(st.integers(0, 25), max_size=4), shares=SHARES, seed=st.integers(0, 9), by=st.booleans())
def test_a_split_is_a_partition(counts: list[int], shares: list[float], seed: int, by: bool) -> None:
    dataset = labelled(counts)
    named = {f"part{number}": share for number, share in enumerate(shares)}
    parts = dataset.split(stratify_by="label" if by else None, seed=seed, shuffle=True, **named)
    assert sorted(one for part in parts.values() for one in ids(part)) == sorted(ids(dataset))
    for name, share in named.items():
        assert abs(len(parts[name]) - len(dataset) * share) < 1
        if by:
            found = Counter(row["label"] for row in parts[name])
            assert all(abs(found[label] - count * share) < 1 for label, count in enumerate(counts))


@given(count=st.integers(0, 200), seed=st.integers())
def test_a_shuffle_is_a_permutation_that_its_seed_repeats(count: int, seed: int) -> None:
    dataset = labelled([count])
    assert sorted(ids(dataset.shuffle(seed))) == sorted(ids(dataset))
    assert ids(dataset.shuffle(seed)) == ids(dataset.shuffle(seed))


def test_another_seed_is_another_order() -> None:
    dataset = labelled([50])
    assert ids(dataset.shuffle(1)) != ids(dataset.shuffle(2)) != ids(dataset)
    one, other = (set(ids(dataset.split(train=0.5, test=0.5, seed=seed)["train"])) for seed in (1, 2))
    assert one != other


def test_unshuffled_the_first_rows_are_the_first_part() -> None:
    parts = labelled([10]).split(train=0.7, test=0.3, shuffle=False)
    assert [len(part) for part in parts.values()] == [7, 3]
    assert ids(parts["train"]) + ids(parts["test"]) == ids(labelled([10]))


def test_the_rest_goes_to_test() -> None:
    assert {name: len(part) for name, part in labelled([10]).split(train=0.8).items()} == {"train": 8, "test": 2}


def test_strata_may_lie_within_a_field_and_be_lists() -> None:
    dataset = Dataset({"metadata": {"of": [number % 2]}, "id": str(number)} for number in range(10))
    parts = dataset.split(train=0.6, test=0.4, stratify_by="metadata.of")
    assert Counter(row["metadata"]["of"][0] for row in parts["train"]) == {0: 3, 1: 3}


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"train": 0.5, "test": 0.4}, "come to 0.9"),
        ({"train": 80, "test": 20}, "more than 0 and at most 1"),
        ({"train": math.nan, "test": 1}, "more than 0"),
        ({"train": 0.0, "test": 1.0}, "more than 0"),
        ({}, "none come to 0"),
        ({"half": 0.5}, "come to 0.5"),
    ],
)
def test_shares_that_do_not_add_up_are_refused(shares: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        labelled([10]).split(stratify_by=None, seed=0, shuffle=True, **shares)


def test_a_row_without_the_stratum_is_named() -> None:
    with pytest.raises(ConfigError, match=r"has no field 'lable' to split by\. Did you mean 'label'"):
        labelled([2]).split(train=0.5, test=0.5, stratify_by="lable")
