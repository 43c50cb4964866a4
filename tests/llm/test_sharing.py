"""Wrappers around providers: what may be given, and who is asked in which order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowsmith import ConfigError, Fallback, OfflineProvider, Spread
from rowsmith.llm.sharing import MOST_PARTS, Choice, choose, first, leaves, replaceable, turns

A, B, C, D = (OfflineProvider(f"offline-{name}") for name in "abcd")


def names(choice: Choice, seat: int = 0) -> str:
    return "".join(turn.provider.model_id[-1] for turn in turns(choice, lambda spread: spread.at(seat)))


def test_a_fallback_asks_its_members_in_their_order_and_wrappers_compose() -> None:
    assert names(Fallback([A, B, C])) == "abc"
    assert names(Fallback([Fallback([A, B]), C])) == "abc"
    assert [names(Fallback([Spread([A, B]), C]), seat) for seat in (0, 1)] == ["ac", "bc"]
    assert [names(Spread([Fallback([A, C]), Fallback([B, C])]), seat) for seat in (0, 1)] == ["ac", "bc"]
    assert [provider.model_id[-1] for provider in leaves(Spread([Fallback([A, C]), Fallback([B, C])]))] == list("acb")
    assert first(Fallback([Spread([B, A]), C])) is B
    assert replaceable(Fallback([Spread([A, B]), C])) == [A, B]
    assert replaceable(Spread([Fallback([A, C]), B])) == [A]


def test_a_refusal_is_taken_on_only_where_that_was_asked_for() -> None:
    choice = Fallback([Fallback([A, B], on_refusal=True), C])
    assert [turn.on_refusal for turn in turns(choice, lambda spread: spread.at(0))] == [True, True, False]


def test_a_spread_of_spreads_is_one_spread_with_the_same_parts() -> None:
    spread = Spread([Spread([A, B], weights=[3, 1]), C], weights=[2, 1])
    assert spread.members == (A, B, C)
    assert spread.parts == (3, 1, 2)


@pytest.mark.parametrize(
    ("weights", "parts"),
    [
        ([3, 1], (3, 1)),
        ([0.75, 0.25], (3, 1)),
        ([50, 50], (1, 1)),
        ([1, 99], (1, 99)),
        ([0.333, 0.667], (1, 2)),
        ([70, 20, 10], (7, 2, 1)),
    ],
)
def test_weights_become_the_fewest_whole_parts(weights: list[float], parts: tuple[int, ...]) -> None:
    assert Spread([A, B, C][: len(weights)], weights=weights).parts == parts


@given(st.lists(st.floats(0.05, 1.0), min_size=2, max_size=4))
def test_every_member_has_its_share_to_a_hundredth(weights: list[float]) -> None:
    spread = Spread([A, B, C, D][: len(weights)], weights=weights)
    assert spread.seats <= MOST_PARTS
    for part, weight in zip(spread.parts, weights, strict=True):
        assert abs(part / spread.seats - weight / sum(weights)) < 1 / MOST_PARTS


WRONG: dict[str, tuple[Any, str]] = {
    "no member": (lambda: Fallback([]), "Fallback needs at least two models, got 0"),
    "one member": (lambda: Spread([A]), "Spread needs at least two models, got 1; one alone is named without Spread"),
    "no list": (lambda: Fallback("offline"), r"Fallback takes a list of models"),
    "twice": (lambda: Spread([A, A]), r"offline/offline-a stands twice in a Spread: .*weights=\[3, 1\]"),
    "twice, written": (lambda: Spread(["offline", "offline"]), "stands twice in a Spread"),
    "twice, nested": (lambda: Fallback([A, Fallback([B, A])]), "offline/offline-a stands twice in a Fallback"),
    "twice, deeper": (lambda: Fallback([Spread([A, B]), B]), "offline/offline-b stands twice in a Fallback"),
    "first twice": (lambda: Spread([Spread([A, B]), Fallback([A, C])]), "offline/offline-a stands twice in a Spread"),
    "a negative weight": (lambda: Spread([A, B], weights=[1, -1]), "a weight must be a number above 0, got -1"),
    "no weight": (lambda: Spread([A, B], weights=[1, 0]), "above 0, got 0"),
    "an endless weight": (lambda: Spread([A, B], weights=[1, float("nan")]), "above 0, got nan"),
    "true as a weight": (lambda: Spread([A, B], weights=[1, True]), "above 0, got True"),
    "too few weights": (lambda: Spread([A, B], weights=[1]), r"one number for each of the 2 models, got \[1\]"),
    "too small a weight": (lambda: Spread([A, B], weights=[1, 500]), "at least 1/100 of all weights"),
    "a misspelt model": (lambda: Fallback([A, "ofline"]), "Did you mean 'offline'"),
    "a misspelt key": (lambda: choose({"fallback": [A, B], "on_refusals": True}), "Did you mean 'on_refusal'"),
    "another key": (lambda: choose({"spread": [A, B], "weights": [1, 2]}), "A spread has no 'weights'"),
    "no list in YAML": (lambda: choose({"spread": "offline"}), "spread must be a list of models"),
    "no truth": (lambda: choose({"fallback": [A, B], "on_refusal": "yes"}), "on_refusal must be true or false"),
    "a weight in words": (lambda: choose({"spread": [A, {"model": "offline", "weight": "3"}]}), "got '3'"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_fit_is_refused(what: str) -> None:
    make, message = WRONG[what]
    with pytest.raises(ConfigError, match=message):
        make()


def test_wrappers_are_written_as_mappings() -> None:
    fallback = choose({"fallback": [A, {"model": "offline/offline-b"}], "on_refusal": True})
    assert isinstance(fallback, Fallback)
    assert fallback.on_refusal
    assert names(fallback) == "ab"
    spread = choose({"spread": [{"model": "offline/offline-a", "weight": 3}, {"fallback": ["offline/offline-b", C]}]})
    assert isinstance(spread, Spread)
    assert spread.parts == (3, 1)
    assert [names(spread, seat) for seat in range(4)] == ["a", "a", "a", "bc"]
    weighted = choose({"spread": [{"fallback": [A, B], "weight": 2}, C]})
    assert isinstance(weighted, Spread)
    assert weighted.parts == (2, 1)
    assert choose(spread) is spread


def test_a_wrapper_shows_what_it_is_made_of() -> None:
    assert repr(Spread([A, B], weights=[6, 2])) == f"Spread([{A!r}, {B!r}], weights=[3, 1])"
    assert repr(Fallback([A, B], on_refusal=True)) == f"Fallback([{A!r}, {B!r}], on_refusal=True)"
