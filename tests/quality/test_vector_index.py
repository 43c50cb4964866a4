"""The index of vectors against brute force in whole numbers: exactly those that are alike, whatever was done before."""

from __future__ import annotations

import random
from array import array
from fractions import Fraction
from typing import Any

import pytest

from rowsmith.llm.vectors import rounded
from rowsmith.quality.vectors import DIGEST, VectorIndex

np = pytest.importorskip("numpy")

SIZE = 12


def vector(drawn: random.Random) -> bytes:
    """One of few directions, with noise: many pairs are just above or below any threshold."""
    direction = random.Random(drawn.randrange(6))
    noise = drawn.choice([0.0, 0.2, 0.4])
    return rounded([direction.gauss(0, 1) + noise * drawn.gauss(0, 1) for _ in range(SIZE)])


def alike(a: bytes, b: bytes, threshold: float) -> bool:
    """In whole numbers and fractions, without a rounding."""
    x, y = memoryview(a).cast("b"), memoryview(b).cast("b")
    product = sum(map(int.__mul__, x, y))
    squares = sum(map(int.__mul__, x, x)) * sum(map(int.__mul__, y, y))
    return product > 0 and product * product >= Fraction(threshold * threshold) * squares


@pytest.mark.parametrize("threshold", [0.5, 0.9, 0.97, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_exactly_what_is_alike_is_found(threshold: float, seed: int) -> None:
    drawn = random.Random(seed)
    index = VectorIndex(threshold)
    rows: dict[int, tuple[bytes, int]] = {}
    met = 0
    for number in range(300):
        if rows and drawn.random() < 0.3:
            handle = drawn.choice(list(rows))
            index.remove(handle)
            del rows[handle]
        one = vector(drawn)
        signature = index.sign(one)
        expected = sorted((cell, handle) for handle, (other, cell) in rows.items() if alike(one, other, threshold))
        assert sorted(index.alike(signature)) == expected
        met += len(expected)
        if index.find(signature, number % 50) is None:
            rows[index.add(signature, number, number % 50)] = (one, number % 50)
        assert len(index) == len(rows)
    assert met > 20, "the test needs rows that are alike"


def test_equal_vectors_are_alike_at_a_threshold_of_1() -> None:
    drawn = random.Random(3)
    for size in (1, 2, 384, 1536):
        index = VectorIndex(1.0)
        for number in range(40):
            signature = index.sign(rounded([drawn.gauss(0, 1) for _ in range(size)]))
            if size > 2:
                assert index.alike(signature) == []
            handle = index.add(signature, number, number)
            assert (number, handle) in index.alike(signature)


def test_the_order_of_a_sum_changes_nothing() -> None:
    """What makes results the same on all machines: every order of adding up gives the same float."""
    drawn = random.Random(1)
    for size in (384, 4096):
        one, other = (np.frombuffer(rounded([drawn.gauss(0, 1) for _ in range(size)]), np.int8) for _ in range(2))
        exact = int(one.astype(np.int64) @ other.astype(np.int64))
        order = list(range(size))
        for _ in range(5):
            drawn.shuffle(order)
            summed = np.float32(0)
            for place in order:
                summed += np.float32(one[place]) * np.float32(other[place])
            assert summed == exact
        assert float(one.astype(np.float32) @ other.astype(np.float32)) == exact


def test_the_index_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rowsmith.quality.vectors._LEAST_ROWS", 4)
    drawn = random.Random(5)
    index = VectorIndex(0.99)
    kept = [index.sign(rounded([drawn.gauss(0, 1) for _ in range(30)])) for _ in range(100)]
    handles = [index.add(one, number, number) for number, one in enumerate(kept)]
    assert [index.alike(one) for one in kept] == [[(number, handle)] for number, handle in enumerate(handles)]
    assert [index.mark(handle) for handle in handles] == list(range(100))


def test_rows_are_found_again_among_stored_vectors_and_those_of_another_model_are_not() -> None:
    drawn = random.Random(2)
    stored = [rounded([drawn.gauss(0, 1) for _ in range(30)]) for _ in range(50)]
    first = VectorIndex(0.9, identity=b"first")
    signatures = b"".join(first.sign(one) for one in stored[:20])
    chunk: Any = (signatures, array("Q", range(100, 120)), array("I", range(20)))
    again = VectorIndex(0.9, identity=b"first", stored=lambda: iter(stored))
    again.load_many([chunk])
    assert len(again) == 20
    for number, one in enumerate(stored):
        expected = [number] if number < 20 else []
        assert [cell for cell, _ in again.alike(again.sign(one))] == expected
        handle = again.find(again.sign(one), number)
        assert (handle is None) == (number >= 20)
        assert handle is None or again.mark(handle) == 100 + number
    other = VectorIndex(0.9, identity=b"second", stored=lambda: iter(stored))
    other.load_many([chunk])
    assert len(other) == 0


def test_a_signature_of_another_kind_is_no_row_here() -> None:
    index = VectorIndex(0.9)
    index.add(index.sign(rounded([1.0, 2.0])), 1, 1)
    assert index.find(b"\0" * 128, 1) is None
    assert len(index.sign(rounded([1.0]))) == DIGEST == index.width
