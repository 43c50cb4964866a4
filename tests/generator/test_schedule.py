"""How examples are dealt out to topics, cells and calls."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from rowsmith.engine.axes import Axis
from rowsmith.engine.plan import Plan, Rows
from rowsmith.generator.schedule import STRATEGIES, counts_of, portioned
from rowsmith.topics.topic import Topic

PATHS = st.lists(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=4).map(lambda path: Topic(("root", *path))),
    min_size=1,
    max_size=30,
    unique=True,
)


@given(PATHS, st.integers(1, 300), st.sampled_from(STRATEGIES), st.integers(0, 5))
def test_the_counts_add_up_and_are_as_even_as_the_strategy_says(
    topics: list[Topic], count: int, strategy: str, seed: int
) -> None:
    counts = counts_of(topics, count, strategy, seed)  # type: ignore[arg-type]  # drawn from the strategies
    assert sum(counts.values()) == count
    assert counts == counts_of(topics, count, strategy, seed)  # type: ignore[arg-type]  # as above
    every = [counts.get(topic, 0) for topic in topics]
    if strategy == "sequential":
        assert max(every) - min(every) <= 1
    if strategy == "balanced":
        depth = 1
        while len(topics) > 1 and len({topic.path[: depth + 1] for topic in topics}) == 1:
            depth += 1
        branches: Counter[tuple[str, ...]] = Counter()
        for topic, number in zip(topics, every, strict=True):
            branches[topic.path[: depth + 1]] += number
        assert max(branches.values()) - min(branches.values()) <= 1


@given(st.lists(st.integers(1, 70), min_size=1, max_size=60), st.integers(1, 30))
def test_portions_are_whole_calls_of_bounded_size_and_leave_nothing_out(numbers: list[int], batch_size: int) -> None:
    counts = {Topic((str(place),)): number for place, number in enumerate(numbers)}
    portions = portioned(counts, batch_size)
    made: Counter[Topic] = Counter()
    for portion in portions:
        slots = portion.slots()
        assert len(slots) == portion.rows <= 2 * max(20, 4 * batch_size) + batch_size
        made.update(slot.topic for slot in slots)
    assert made == counts
    assert all(portion.rows % batch_size == 0 for portion in portions[:-1])
    assert len({portions.fingerprint(place) for place in range(len(portions))}) == len(portions)


def test_a_topic_with_many_examples_is_made_side_by_side() -> None:
    portions = portioned({Topic(("only",)): 1000}, 5)
    assert len(portions) == 50


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20), st.integers(1, 3))
def test_a_plan_may_want_another_number_of_rows_of_every_cell(each: list[int], models: int) -> None:
    identities = [str(number).encode() for number in range(models)]
    plan = Plan([Axis("portion", range(len(each)))], Rows(per_cell=0, each=each), models=identities)
    wants = [plan.cell(number).want for number in range(len(plan))]
    assert wants == [want for want in each for _ in range(models)]
    assert plan.total_rows == sum(wants)
