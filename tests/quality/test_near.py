"""The index of signatures: what it finds, what it forgets, and what it takes."""

from __future__ import annotations

import random
import tracemalloc
from array import array
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowsmith.quality.minhash import LANES, Signature, shingles
from rowsmith.quality.near import BANDS, NearIndex, band_bytes, most_different

THRESHOLDS = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


def are_alike(one: Signature, other: Signature, threshold: float) -> bool:
    """The definition, byte by byte."""
    width, kept = LANES // BANDS, band_bytes(threshold)
    shared = any(one[at : at + kept] == other[at : at + kept] for at in range(0, LANES, width))
    return shared and sum(map(int.__ne__, one, other)) <= most_different(threshold)


def related(drawn: random.Random, count: int) -> list[Signature]:
    """Signatures of a few families, whose members differ in anything from no byte to all."""
    families = [drawn.randbytes(LANES) for _ in range(3)]
    made = []
    for _ in range(count):
        signature = bytearray(drawn.choice(families))
        for place in drawn.sample(range(LANES), drawn.choice([0, 1, 5, 10, 20, 30, 50, LANES])):
            signature[place] = drawn.randrange(256)
        made.append(bytes(signature))
    return made


def owners(found: Iterable[tuple[int, int]]) -> list[int]:
    return sorted(owner for owner, _ in found)


# --- the structure ----------------------------------------------------------------------------------------------------


@given(st.integers(), st.sampled_from(THRESHOLDS))
def test_at_any_time_just_those_are_found_that_are_alike_and_were_not_removed(seed: int, threshold: float) -> None:
    drawn = random.Random(seed)
    index, there = NearIndex(threshold), dict[int, tuple[Signature, int]]()
    for cell, signature in enumerate(related(drawn, 40)):
        expected = sorted(owner for kept, owner in there.values() if are_alike(signature, kept, threshold))
        assert owners(index.alike(signature)) == expected
        handle = index.add(signature, cell + 1000, cell)
        assert handle not in there
        there[handle] = signature, cell
        if drawn.random() < 0.4:
            gone = drawn.choice(list(there))
            index.remove(gone)
            del there[gone]
        assert len(index) == len(there)
    for handle, (signature, cell) in there.items():
        assert index.find(signature, cell) == handle
        assert index.find(signature, 9999) is None
        assert index.mark(handle) == cell + 1000


@given(st.integers(), st.sampled_from(THRESHOLDS))
def test_the_order_in_which_rows_came_makes_no_difference(seed: int, threshold: float) -> None:
    drawn = random.Random(seed)
    rows = list(enumerate(related(drawn, 30)))
    found = []
    for _ in range(2):
        drawn.shuffle(rows)
        index = NearIndex(threshold)
        for cell, signature in rows:
            index.add(signature, 0, cell)
        found.append({cell: owners(index.alike(signature)) for cell, signature in rows})
    assert found[0] == found[1]


@pytest.mark.parametrize("expected", [0, 5000])
def test_more_rows_than_expected_are_found_like_the_others(expected: int) -> None:
    drawn = random.Random(1)
    index, signatures = NearIndex(0.8, expected), [drawn.randbytes(LANES) for _ in range(5000)]
    for cell, signature in enumerate(signatures):
        index.add(signature, cell, cell)
    assert [owners(index.alike(signature)) for signature in signatures] == [[cell] for cell in range(5000)]


@pytest.mark.parametrize("expected", [0, 5000])
def test_rows_that_are_loaded_are_found_like_those_that_were_added(expected: int) -> None:
    drawn = random.Random(1)
    signatures = related(drawn, 5000)
    loaded, added = NearIndex(0.8, expected), NearIndex(0.8, expected)
    loaded.load_many(
        (b"".join(signatures[at : at + 700]), array("Q", numbers), array("I", numbers))
        for at in range(0, 5000, 700)
        if (numbers := range(at, min(at + 700, 5000)))
    )
    for cell, signature in enumerate(signatures):
        added.add(signature, cell, cell)
    for index in (loaded, added):
        index.remove(index.find(signatures[4], 4) or 0)
        index.add(signatures[0], 0, 7000)
    assert len(loaded) == len(added) == 5000
    for signature in signatures[::50]:
        assert owners(loaded.alike(signature)) == owners(added.alike(signature))


def test_an_index_into_which_nothing_is_loaded_is_as_any_other() -> None:
    index = NearIndex(0.8)
    index.load_many([])
    signature = index.signature(["some text"])
    assert index.alike(signature) == []
    index.add(signature, 1, 2)
    assert owners(index.alike(signature)) == [2]


def test_rows_take_the_memory_of_the_arrays_and_no_objects_of_their_own() -> None:
    drawn = random.Random(2)
    signatures = [drawn.randbytes(LANES) for _ in range(6000)]
    index = NearIndex(0.8, len(signatures))
    tracemalloc.start()
    for cell, signature in enumerate(signatures):
        index.alike(signature)
        index.add(signature, cell, cell)
    taken, _ = tracemalloc.get_traced_memory()
    for _ in range(3):
        for cell, signature in enumerate(signatures[:2000]):
            index.remove(index.find(signature, cell) or 0)
        for cell, signature in enumerate(signatures[:2000]):
            index.add(signature, cell, cell)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < 100_000
    assert after < taken + 10_000
    assert index.add(signatures[0], 0, 0) == len(signatures) + 1, "entries that were given up were used again"


def test_another_mark_can_be_given_to_a_row() -> None:
    index = NearIndex(0.8)
    handle = index.add(index.signature(["a b"]), 1, 2)
    index.rename(handle, 5)
    assert index.mark(handle) == 5


# --- what is found of texts -------------------------------------------------------------------------------------------


def text_of(drawn: random.Random, words: int) -> list[str]:
    """Words as texts have them: a few of them often."""
    return [f"w{int(3000 ** drawn.random())}x{drawn.randrange(3)}" for _ in range(words)]


def with_exchanged(drawn: random.Random, words: list[str], count: int) -> list[str]:
    changed = list(words)
    for place in drawn.sample(range(len(words)), count):
        changed[place] = f"new{drawn.random()}"
    return changed


def similarity(one: list[str], other: list[str]) -> float:
    a, b = ({*shingles([" ".join(words)])} for words in (one, other))
    return len(a & b) / len(a | b)


@pytest.mark.parametrize("threshold", [0.6, 0.7, 0.8, 0.9])
def test_planted_near_duplicates_are_found_and_others_are_not(threshold: float) -> None:
    """Among 2,000 rows; pairs within 0.07 of the threshold may fall on either side of it."""
    drawn = random.Random(int(threshold * 10))
    index = NearIndex(threshold, 2000)
    rows = [text_of(drawn, drawn.randint(20, 80)) for _ in range(2000)]
    for cell, row in enumerate(rows):
        index.add(index.signature([" ".join(row)]), cell, cell)
    above = below = found = mistaken = 0
    for cell, row in enumerate(rows):
        planted = with_exchanged(drawn, row, drawn.randint(0, len(row) // 4))
        like = similarity(row, planted)
        hits = owners(index.alike(index.signature([" ".join(planted)])))
        assert set(hits) <= {cell}
        if like >= threshold + 0.07:
            above += 1
            found += cell in hits
        elif like <= threshold - 0.07:
            below += 1
            mistaken += cell in hits
    assert above > 100
    assert below > 100
    assert found >= 0.98 * above
    assert mistaken <= 0.01 * below


@pytest.mark.parametrize("threshold", [0.6, 0.7, 0.8, 0.9])
def test_at_the_threshold_half_are_found_and_the_bands_lose_few_of_them(threshold: float) -> None:
    """By the estimate alone half would be; a pair that shares no band is lost besides."""
    drawn, index = random.Random(5), NearIndex(threshold)
    tried = found = 0
    while tried < 300:
        row = text_of(drawn, drawn.randint(30, 80))
        planted = with_exchanged(drawn, row, drawn.randint(1, len(row) // 4))
        if abs(similarity(row, planted) - threshold) > 0.01:
            continue
        handle = index.add(index.signature([" ".join(row)]), 0, 0)
        tried += 1
        found += bool(index.alike(index.signature([" ".join(planted)])))
        index.remove(handle)
    assert 0.35 < found / tried < 0.7


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("Book a flight to Paris", "book a flight to Paris!", True),
        ("Book a flight to Paris", "Book a flight to Rome", False),
        ("What is 3 + 5?", "What is 3 - 5?", False),
        ("Great!", "Great", True),
        ("Great", "Great product", False),
        ("The food was cold and the waiter never came back", "The waiter was cold and the food never came back", False),
        ("今天天气很好,我们一起去公园散步吧", "今天天气很好,我们一起去公园散步吧!", True),
        (
            "今天天气很好,我们一起去公园散步,然后在湖边的咖啡馆喝茶吧",
            "今天天气很好,我们一起去公园散步,然后在湖边的咖啡馆喝酒吧",
            True,
        ),
        ("今天天气很好,我们一起去公园散步吧", "昨天下雨了,所以大家都留在家里看书", False),
        ("この商品はとても使いやすくて気に入っています", "この商品はとても高くて失望しました", False),
    ],
)
def test_short_texts_and_scripts_without_spaces(one: str, other: str, alike: bool) -> None:
    index = NearIndex(0.8)
    index.add(index.signature([one]), 0, 0)
    assert bool(index.alike(index.signature([other]))) == alike


def test_a_higher_threshold_lets_more_through() -> None:
    drawn = random.Random(3)
    row = text_of(drawn, 60)
    others = [" ".join(with_exchanged(drawn, row, count)) for count in range(16)]
    passed = []
    for threshold in THRESHOLDS:
        index = NearIndex(threshold)
        index.add(index.signature([" ".join(row)]), 0, 0)
        passed.append(sum(not index.alike(index.signature([other])) for other in others))
    assert passed == sorted(passed)
    assert passed[-1] == 15


@pytest.mark.parametrize("threshold", [0.5 + step / 100 for step in range(51)])
def test_of_pairs_at_the_threshold_the_bands_let_87_in_100_be_found(threshold: float) -> None:
    kept = band_bytes(threshold)
    assert 1 - (1 - threshold**kept) ** BANDS >= 0.87
    assert kept == LANES // BANDS or 1 - (1 - threshold ** (kept + 1)) ** BANDS < 0.87
