"""Vectors as they are kept: near the ones that came, exact in every sum, and nothing but vectors."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowsmith.llm import vectors

pytest.importorskip("numpy")

numbers = st.floats(-1e6, 1e6, allow_nan=False).filter(lambda value: value == 0 or abs(value) > 1e-6)


def whole(vector: bytes) -> list[int]:
    return list(memoryview(vector).cast("b"))


def cosine(x: list[float], y: list[float]) -> float:
    return (
        math.sumprod(x, y) / math.sqrt(math.sumprod(x, x) * math.sumprod(y, y))
        if hasattr(math, "sumprod")
        else (sum(a * b for a, b in zip(x, y, strict=True)) / math.sqrt(sum(a * a for a in x) * sum(b * b for b in y)))
    )


@given(st.lists(numbers, min_size=1, max_size=300).filter(any), st.floats(1e-3, 1e3))
def test_a_vector_is_whole_numbers_whose_squares_add_up_to_less_than_2_to_24(given: list[float], by: float) -> None:
    kept = whole(vectors.rounded(given))
    assert len(kept) == len(given)
    assert max(map(abs, kept)) <= 127
    assert 0 < sum(number * number for number in kept) < 2**24
    again = whole(vectors.rounded([number * by for number in given]))
    assert max(abs(a - b) for a, b in zip(kept, again, strict=True)) <= 1, "the length says nothing"


@pytest.mark.parametrize("size", [1_000, 4_096, 32_768])
def test_the_longest_vectors_there_are_stay_exact(size: int) -> None:
    for vector in ([1.0] * size, [(-1.0) ** place for place in range(size)]):
        assert sum(number * number for number in whole(vectors.rounded(vector))) < 2**24


@pytest.mark.parametrize("size", [256, 384, 768, 1536, 3072])
def test_similarities_move_by_less_than_two_thousandths(size: int) -> None:
    drawn = random.Random(size)
    moved = []
    for _ in range(60):
        x = [drawn.gauss(0, 1) for _ in range(size)]
        part = drawn.random()
        y = [part * a + (1 - part) * drawn.gauss(0, 1) for a in x]
        kept = [[float(number) for number in whole(vectors.rounded(one))] for one in (x, y)]
        moved.append(abs(cosine(x, y) - cosine(*kept)))
    assert max(moved) < 0.002
    assert sorted(moved)[30] < 0.0005


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ([], "1 to 32,768"),
        ([0.1] * 40_000, "1 to 32,768"),
        ([0.0, 0.0], "nothing but zeros"),
        ([0.1, math.nan], "NaN"),
        ([0.1, math.inf], "infinity"),
        ([0.1, None], "NaN|else than numbers"),
        ([0.1, "much"], "else than numbers"),
        ([[0.1], [0.2]], "a list of"),
        ("text", "else than numbers"),
        (None, "a list of"),
    ],
)
def test_what_is_no_vector_is_told(given: list[float], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        vectors.rounded(given)


@given(st.integers(1, 40), st.integers(0, 5), st.randoms())
def test_what_is_written_is_read(size: int, count: int, drawn: random.Random) -> None:
    made = [bytes(drawn.randrange(256) for _ in range(size)) for _ in range(count)]
    assert vectors.read(vectors.written(made)) == made


@pytest.mark.parametrize(
    "text", ["", "int8 3", "int8 3 AAAA*", "int8 0 AAAA", "int8 2 AAAA", "f16 3 AAAA", "int8 x AAAA"]
)
def test_what_holds_no_vectors_is_not_read(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        vectors.read(text)
