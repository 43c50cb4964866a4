"""The arithmetic under the plan: bijections, and evenness of every prefix."""

from __future__ import annotations

from collections import Counter
from math import prod

from hypothesis import given
from hypothesis import strategies as st

from rowsmith.engine.numberline import Permutation, balanced, coordinates, deal, index_of

sizes_of_axes = st.lists(st.integers(1, 7), min_size=1, max_size=5)


@given(sizes_of_axes)
def test_mixed_radix_is_a_bijection(sizes: list[int]) -> None:
    places = [coordinates(index, sizes) for index in range(prod(sizes))]
    assert len(set(places)) == prod(sizes)
    assert [index_of(place, sizes) for place in places] == list(range(prod(sizes)))


@given(sizes_of_axes)
def test_the_balanced_order_visits_every_point_once(sizes: list[int]) -> None:
    assert len({balanced(rank, sizes) for rank in range(prod(sizes))}) == prod(sizes)


@given(sizes_of_axes)
def test_every_prefix_of_the_balanced_order_is_even_over_each_axis(sizes: list[int]) -> None:
    counts = [Counter(dict.fromkeys(range(size), 0)) for size in sizes]
    for rank in range(prod(sizes)):
        for count, place in zip(counts, balanced(rank, sizes), strict=True):
            count[place] += 1
            assert max(count.values()) - min(count.values()) <= 1


@given(st.integers(1, 500), st.integers(0, 2**40))
def test_a_permutation_has_every_value_once(size: int, seed: int) -> None:
    assert sorted(Permutation(size, seed)) == list(range(size))


def test_permutations_of_different_seeds_differ() -> None:
    orders = {tuple(Permutation(50, seed)) for seed in range(20)}
    assert len(orders) == 20


def test_a_permutation_of_a_billion_costs_nothing() -> None:
    shuffle = Permutation(10**9, 1)
    assert len({shuffle[index] for index in range(0, 10**9, 10**7)}) == 100


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 5), st.integers(0, 100))
def test_dealing_gives_each_stratum_to_each_model_in_turn(labels: int, languages: int, hands: int, seed: int) -> None:
    rows, stratum = 6 * hands, labels * languages
    dealt = [deal(*divmod(index, stratum), labels, hands, seed) for index in range(rows * stratum)]
    for place in range(stratum):
        assert set(Counter(dealt[place::stratum]).values()) == {6}


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 9))
def test_along_one_row_seats_are_even_and_each_label_meets_all_of_them(labels: int, hands: int, seed: int) -> None:
    row = [deal(0, place, labels, hands, seed) for place in range(labels * hands)]
    assert set(Counter(row).values()) == {labels}
    for label in range(labels):
        assert len(set(row[label::labels])) == hands
