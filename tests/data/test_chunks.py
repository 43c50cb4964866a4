"""Long documents in pieces."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowsmith.data.chunks import By, chunks
from rowsmith.errors import ConfigError

UNITS: list[By] = ["characters", "sentences", "paragraphs"]
SIGNS = [
    *(
        "a",
        "b",
        "word",
        " ",
        " ",
        "\n",
        "\n\n",
        "\r\n",
        ". ",
        "! ",
        "?\n",
        "。",
        "字",
        "\u0301",
        "e\u0301",
        "각",
        "\u1112\u1161",
    ),
    *("\U0001f1eb\U0001f1f7", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f44d\U0001f3fd", "\u0939\u093f"),
]
some_text = st.lists(st.sampled_from(SIGNS), max_size=60).map("".join)
sizes = st.integers(1, 40).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1)))


@settings(max_examples=400)
@given(some_text, sizes, st.sampled_from(UNITS))
def test_pieces_are_spans_that_cover_the_text_and_overlap_no_more_than_they_may(
    text: str, size: tuple[int, int], by: By
) -> None:
    most, overlap = size
    found = list(chunks(text, "doc", chunk_size=most, chunk_overlap=overlap, by=by))
    assert [chunk.id for chunk in found] == [f"doc#{number}" for number in range(len(found))]
    assert all(text[chunk.start : chunk.end] == chunk.text for chunk in found)
    assert [chunk.start for chunk in found[:1]] == [0][: len(found)]
    assert [chunk.end for chunk in found[-1:]] == [len(text)][: len(found)]
    assert bool(found) == bool(text)
    for one, other in pairwise(found):
        assert one.start < other.start <= one.end < other.end
        assert one.end - other.start <= overlap


@settings(max_examples=400)
@given(some_text, sizes, st.sampled_from(UNITS))
def test_no_piece_parts_a_character_as_people_see_it(text: str, size: tuple[int, int], by: By) -> None:
    regex = pytest.importorskip("regex")
    ends = {0, *(found.end() for found in regex.finditer(r"\X", text))}
    longest = max((found.end() - found.start() for found in regex.finditer(r"\X", text)), default=0)
    for chunk in chunks(text, chunk_size=size[0], chunk_overlap=size[1], by=by):
        assert {chunk.start, chunk.end} <= ends
        assert len(chunk.text) <= max(size[0], longest)


@settings(max_examples=200)
@given(st.lists(st.sampled_from(["a", "some", "words", " ", "\n", ". "]), max_size=60).map("".join), sizes)
def test_a_word_is_parted_only_where_it_is_longer_than_a_piece(text: str, size: tuple[int, int]) -> None:
    words = [found.span() for found in re.finditer(r"\S+", text)]
    for chunk in chunks(text, chunk_size=size[0], chunk_overlap=size[1], by="characters"):
        for place in (chunk.start, chunk.end):
            inside = [end - start for start, end in words if start < place < end]
            assert all(length > size[0] for length in inside)


def test_sentences_stay_whole_and_the_overlap_is_whole_sentences() -> None:
    text = "First one. Second one! Third one? Dr. Smith wrote e.g. this. 第一句。第二句。"
    assert [chunk.text for chunk in chunks(text, chunk_size=36, chunk_overlap=14)] == [
        "First one. Second one! Third one? ",
        "Dr. Smith wrote e.g. this. 第一句。第二句。",
    ]
    assert [chunk.text for chunk in chunks(text, chunk_size=23, chunk_overlap=12)][:2] == [
        "First one. Second one! ",
        "Second one! Third one? ",
    ]


def test_paragraphs_stay_whole_where_they_fit() -> None:
    text = "One. Two.\n\nThree. Four.\n \nFive is too long for a piece. Six."
    assert [chunk.text for chunk in chunks(text, chunk_size=24, chunk_overlap=0, by="paragraphs")] == [
        "One. Two.\n\n",
        "Three. Four.\n \n",
        "Five is too long for a ",
        "piece. Six.",
    ]


def test_a_short_text_is_one_piece_and_an_empty_one_none() -> None:
    assert [tuple(chunk) for chunk in chunks("short", "a.md")] == [("a.md#0", "short", 0, 5)]
    assert list(chunks("")) == []


def test_a_long_text_takes_time_in_proportion() -> None:
    for text in ("A sentence of some words. " * 40_000, "." * 1_000_000, "\n" * 1_000_000, "x" * 1_000_000):
        found = list(chunks(text))
        assert len(found) > 500
        assert all(len(chunk.text) <= 2_000 for chunk in found)


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (10, 10), (10, -1), (-5, 0)])
def test_sizes_that_cannot_be_are_refused(size: int, overlap: int) -> None:
    with pytest.raises(ConfigError, match=f"chunk_size={size} and chunk_overlap={overlap}"):
        list(chunks("text", chunk_size=size, chunk_overlap=overlap))
