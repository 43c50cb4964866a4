"""Pieces of a text, found where they stand; tokens and BIO tags."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowsmith.recipes.spans import Mention, MisplacedError, Span, locate, tagged, tokens


def found(text: str, *mentions: tuple[str, str], overlaps: bool = False) -> list[tuple[str, str]]:
    spans = locate(text, [Mention(*mention) for mention in mentions], overlaps=overlaps)
    return [(text[span.start : span.end], span.label) for span in spans]


def test_spans_are_in_the_order_of_the_text_whatever_the_order_of_the_mentions() -> None:
    text = "Ada Lovelace met Babbage in London."
    assert found(text, ("London", "LOC"), ("Ada Lovelace", "PER"), ("Babbage", "PER")) == [
        ("Ada Lovelace", "PER"),
        ("Babbage", "PER"),
        ("London", "LOC"),
    ]


def test_a_piece_named_as_often_as_it_stands_there_is_marked_each_time() -> None:
    assert found("Bonn, Bonn!", ("Bonn", "LOC"), ("Bonn", "LOC")) == [("Bonn", "LOC")] * 2


def test_a_piece_is_looked_for_outside_longer_words_and_longer_pieces() -> None:
    assert locate("The user is in the US.", [Mention("US", "LOC")]) == [Span(19, 21, "LOC")]
    assert locate("Islands: Is", [Mention("Is", "X")]) == [Span(9, 11, "X")]
    assert found("York and New York", ("New York", "LOC"), ("York", "LOC")) == [("York", "LOC"), ("New York", "LOC")]


def test_scripts_without_blanks_are_searched_as_they_are() -> None:
    assert found("田中さんは東京に住む。", ("東京", "LOC"), ("田中", "PER")) == [("田中", "PER"), ("東京", "LOC")]


@pytest.mark.parametrize(
    ("text", "mentions", "message"),
    [
        ("in Bonn", [("bonn", "LOC")], "does not stand in the text"),
        ("Bonn is Bonn", [("Bonn", "LOC")], "stands in the text 2 times and was named 1"),
        ("Bonn", [("Bonn", "LOC"), ("Bonn", "LOC")], "1 times and was named 2"),
        ("Paris met Paris", [("Paris", "LOC"), ("Paris", "PER")], "as LOC and as PER"),
        ("New York City", [("New York", "LOC"), ("York City", "LOC")], "overlap"),
        ("x", [(" ", "LOC")], "no text"),
    ],
)
def test_what_cannot_be_placed_is_refused(text: str, mentions: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(MisplacedError, match=message):
        found(text, *mentions)


def test_overlaps_are_kept_by_choice_and_the_longer_has_the_tags() -> None:
    text = "University of Bonn"
    spans = locate(text, [Mention("University of Bonn", "ORG"), Mention("Bonn", "LOC")], overlaps=True)
    assert spans == [Span(0, 18, "ORG"), Span(14, 18, "LOC")]
    assert tagged(text, spans) == (["University", "of", "Bonn"], ["B-ORG", "I-ORG", "I-ORG"])


def test_neighbours_of_one_label_begin_anew_and_tokens_split_at_spans() -> None:
    assert tagged("Paris London", [Span(0, 5, "L"), Span(6, 12, "L")]) == (["Paris", "London"], ["B-L", "B-L"])
    assert tagged("CO2-free", [Span(0, 2, "X")]) == (["CO", "2", "-", "free"], ["B-X", "O", "O", "O"])


def test_tokens_are_words_with_their_apostrophes_and_signs() -> None:
    text = "Don't panic: l’été, 3 €!"
    assert [text[start:end] for start, end in tokens(text)] == ["Don't", "panic", ":", "l’été", ",", "3", "€", "!"]


@given(st.text(max_size=80), st.data())
def test_tokens_cover_the_text_and_tags_spell_the_spans(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=6)))
    spans = [
        Span(start, end, data.draw(st.sampled_from(["A", "B"])))
        for start, end in zip(cuts[::2], cuts[1::2], strict=False)
        if text[start:end].strip() == text[start:end] != ""
    ]
    words, tags = tagged(text, spans)
    assert len(words) == len(tags)
    assert "".join(words) == "".join(text.split())
    joined: list[tuple[str, str]] = []
    for word, tag in zip(words, tags, strict=True):
        if tag.startswith("B-"):
            joined.append((word, tag[2:]))
        elif tag.startswith("I-"):
            assert joined[-1][1] == tag[2:]
            joined[-1] = (joined[-1][0] + word, tag[2:])
    assert joined == [("".join(text[start:end].split()), label) for start, end, label in spans]
