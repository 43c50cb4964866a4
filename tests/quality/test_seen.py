"""The table of exact marks."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowsmith.quality.seen import Seen

MARKS = [random.Random(0).getrandbits(63) for _ in range(40)]
STEPS = st.lists(st.tuples(st.sampled_from(["claim", "release"]), st.sampled_from(MARKS), st.integers(0, 5)))


@given(STEPS)
def test_the_table_does_what_a_dict_does(steps: list[tuple[str, int, int]]) -> None:
    seen, model = Seen(), dict[int, int]()
    for step, mark, cell in steps:
        if step == "claim":
            seen.claim(mark, cell)
            model[mark] = cell
        else:
            assert seen.release(mark, cell) == (model.get(mark) == cell)
            if model.get(mark) == cell:
                del model[mark]
        assert [seen.owner(one) for one in MARKS] == [model.get(one) for one in MARKS]


@given(st.lists(st.tuples(st.sampled_from(MARKS), st.integers(0, 5))))
def test_of_many_taken_up_at_once_the_earliest_cell_owns_each(pairs: list[tuple[int, int]]) -> None:
    seen = Seen()
    seen.load_many([mark for mark, _ in pairs], [cell for _, cell in pairs])
    owners = {mark: min(cell for one, cell in pairs if one == mark) for mark, _ in pairs}
    assert [seen.owner(one) for one in MARKS] == [owners.get(one) for one in MARKS]


def test_rows_as_many_as_were_expected_are_all_found_and_take_the_memory_of_the_table_alone() -> None:
    drawn = random.Random(1)
    marks = [drawn.getrandbits(63) for _ in range(100_000)]
    seen = Seen(len(marks))
    tracemalloc.start()
    for cell, mark in enumerate(marks):
        seen.claim(mark, cell)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [seen.owner(mark) for mark in marks] == list(range(len(marks)))
    assert taken < 100_000


def test_room_that_was_given_up_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many marks come and go as would fill the table many times over."""
    monkeypatch.setattr("rowsmith.quality.seen._SLACK", 1000)
    seen, drawn = Seen(10), random.Random(2)
    for number in range(20_000):
        mark = drawn.getrandbits(63)
        seen.claim(mark, number % 100)
        assert seen.release(mark, number % 100)
    seen.claim(7, 1)
    assert seen.owner(7) == 1
