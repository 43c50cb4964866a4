"""The gates, and the configuration they come from."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from rowsmith.errors import ConfigError
from rowsmith.quality.config import GatesConfig, code_of
from rowsmith.quality.gates import Blocklist, Filter, Gate, Length, NotEmpty, Rejection


def reason(gate: Gate, *texts: str, **values: Any) -> str | None:
    """Why a row with these texts is rejected, or None."""
    row = dict(zip(("text", "other"), texts, strict=False))
    verdict = gate.check(row, values)
    if isinstance(verdict, Rejection):
        assert verdict.gate == gate.name
        return verdict.reason
    assert verdict is row
    return None


@pytest.mark.parametrize("empty", ["", " ", "\n\t", "\u3000"])
def test_a_row_with_a_field_without_text_is_rejected(empty: str) -> None:
    assert reason(NotEmpty(["text", "other"]), "a", "b") is None
    assert reason(NotEmpty(["text", "other"]), "a", empty) == "other is empty"


def test_lengths_are_in_characters_and_both_bounds_are_allowed() -> None:
    gate = Length(["text"], 2, 4)
    assert [reason(gate, "é" * size) is None for size in range(1, 6)] == [False, True, True, True, False]
    assert reason(gate, "a") == "text has 1 characters; at least 2 are asked for"
    assert reason(gate, "abcde") == "text has 5 characters; at most 4 are allowed"
    assert reason(Length(["text"], 2), "a" * 10_000) is None


@pytest.mark.parametrize(
    ("phrase", "text", "blocked"),
    [
        ("cat", "The CAT sat.", True),
        ("cat", "concatenate", False),
        ("cat", "cats", False),
        ("as an AI", "Well, as an\n  AI model", True),
        ("  as  an AI ", "As an AI, I", True),
        ("C++", "I like C++.", True),
        ("a.b", "axb", False),
        ("naïve", "NAÏVE?", True),
        ("坏", "这很坏的", True),
        ("bad", "这bad的", True),
        ("สวย", "คนสวยมาก", True),
        ("добрый", "недобрый", False),
    ],
)
def test_blocked_phrases_are_whole_words_in_any_case_and_spacing(phrase: str, text: str, blocked: bool) -> None:
    assert (reason(Blocklist(["text"], ["unrelated", phrase]), text) is not None) == blocked


def test_the_longest_of_the_phrases_that_stand_at_one_place_is_named() -> None:
    gate = Blocklist(["text", "other"], ["language", "language  model"])
    assert reason(gate, "fine", "a Language\nModel") == "other contains 'Language Model'"


def test_a_filter_is_given_content_topic_and_the_whole_row() -> None:
    given: list[Any] = []

    def short_enough(content: str, topic: str, metadata: dict[str, Any]) -> tuple[bool, str]:
        given.append((content, topic, metadata))
        return len(content) < 3, "too long"

    gate = Filter(short_enough, "text")
    assert gate.name == "short_enough"
    assert reason(gate, "ab", topic="sea") is None
    assert reason(gate, "abc", topic="sea") == "too long"
    assert given[0] == ("ab", "sea", {"text": "ab"})


@pytest.mark.parametrize(
    ("row", "values", "topic"),
    [
        ({"topic": "a", "label": "b"}, {"topic": "c"}, "a"),
        ({"label": "b"}, {"topic": "c"}, "c"),
        ({"label": "b"}, {}, "b"),
        ({}, {}, ""),
    ],
)
def test_the_topic_is_the_rows_or_the_cells_or_else_the_label(
    row: dict[str, str], values: dict[str, str], topic: str
) -> None:
    gate = Filter(lambda content, given, metadata: (False, f"given {given!r}"), "text")
    assert gate.check({"text": "", **row}, values) == Rejection("<lambda>", f"given {topic!r}")


def test_a_filter_may_return_no_reason() -> None:
    assert reason(Filter(lambda content, topic, metadata: False, "text"), "a") == "refused by the filter"
    assert reason(Filter(lambda content, topic, metadata: True, "text"), "a") is None


# --- configuration ----------------------------------------------------------------------------------------------------


def test_only_the_gates_that_were_asked_for_are_built_cheap_ones_first() -> None:
    def mine(content: str, topic: str, metadata: Any) -> bool:
        return True

    def names(config: GatesConfig) -> list[str]:
        return [gate.name for gate in config.build(["text"])]

    assert names(GatesConfig()) == ["empty"]
    everything = GatesConfig(min_length=1, blocklist=["x"], filters=[mine])
    assert names(everything) == ["empty", "length", "blocklist", "mine"]
    assert names(GatesConfig(max_length=5)) == ["empty", "length"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"min_length": 5, "max_length": 4}, "min_length=5 is more than max_length=4"),
        ({"blocklist": ["x", " "]}, "an empty phrase"),
        ({"near_duplicates": 0.4}, "near_duplicates=0.4 must be at least 0.5"),
        ({"near_duplicates": 1.1}, "near_duplicates: .*1"),
        ({"near_duplicates": 0.8, "duplicates": "allow"}, "duplicates='allow'"),
        ({"near_duplicate": 0.8}, "Did you mean 'near_duplicates'"),
    ],
)
def test_what_cannot_be_meant_is_an_error(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GatesConfig(**fields)


def test_what_gates_depend_on_names_how_signatures_are_made_only_where_there_are_some() -> None:
    assert "signatures" not in GatesConfig().describe()
    described = GatesConfig(near_duplicates=0.8).describe()
    assert described["near_duplicates"] == 0.8
    assert len(described["signatures"]) == 8


def test_an_edited_filter_is_another_one_and_the_same_is_the_same_in_every_process() -> None:
    one = "def f(c, t, m): return c not in {'a', 'bb', 'ccc'} and (lambda x: x in {'q', 'r', 's'})(c)"
    other = one.replace("'r'", "'z'")
    program = "import sys; from rowsmith.quality.config import code_of; exec(sys.argv[1]); print(code_of(f))"

    def found(code: str, seed: str) -> str:
        command = [sys.executable, "-c", program, code]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env={"PYTHONHASHSEED": seed})
        return done.stdout.strip()

    assert {found(one, seed) for seed in ("1", "2", "3")} == {found(one, "4")}
    assert found(other, "1") != found(one, "1")


def test_a_callable_object_is_known_by_the_code_of_its_call() -> None:
    class Longer:
        def __call__(self, content: str, topic: str, metadata: Any) -> bool:
            return len(content) > 3

    assert code_of(Longer()).startswith(f"{Longer.__qualname__}:")
    assert code_of(len) == "len"
