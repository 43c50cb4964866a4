"""Texts as they are compared."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowsmith.quality.text import comparable, mark, normalised


@given(st.text())
def test_a_text_that_is_normalised_stays_as_it_is(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hello, world", "hello,  WORLD!"),
        ("A line\nand another", "a line and another"),
        ("“Quoted”", '"quoted"'),
        ("Straße", "STRASSE"),
        ("café", unicodedata.normalize("NFD", "Café")),
        ("full width", "\uff46\uff55\uff4c\uff4c \uff57\uff49\uff44\uff54\uff48"),
    ],
)
def test_case_spacing_composition_and_signs_at_the_ends_make_no_difference(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)
    assert mark(comparable({"text": one}, ["text"])) == mark(comparable({"text": other}, ["text"]))


@pytest.mark.parametrize(("one", "other"), [("a b", "ab"), ("don't", "dont"), ("3.5", "35"), ("?!", "..."), ("", ".")])
def test_words_and_signs_within_make_a_difference(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)


def test_a_mark_is_a_number_of_63_bits_made_of_the_named_fields() -> None:
    row = {"question": "Who?", "answer": "She", "id": "1"}
    number = mark(comparable(row, ["question", "answer"]))
    assert 0 <= number < 1 << 63
    assert mark(comparable({**row, "id": "2"}, ["question", "answer"])) == number
    assert mark(comparable({**row, "answer": "He"}, ["question", "answer"])) != number


def test_words_do_not_pass_from_one_field_to_the_next() -> None:
    assert mark(comparable({"a": "x y", "b": "z"}, ["a", "b"])) != mark(comparable({"a": "x", "b": "y z"}, ["a", "b"]))


def test_half_a_surrogate_pair_has_a_mark_too() -> None:
    assert mark(comparable({"text": "\ud800"}, ["text"])) != mark(comparable({"text": "\ud801"}, ["text"]))
