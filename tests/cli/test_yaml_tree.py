"""YAML as it is read: text stays text, and every slip has a place."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from rowsmith.datasets.yaml_tree import Fields, fitted, fitted_fields, plain, read
from rowsmith.errors import ConfigError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=80), inner, max_size=4),
    max_leaves=20,
)


class Inner(BaseModel):
    name: str = ""
    number: int = 0


class Model(BaseModel):
    text: str = ""
    maybe: str | None = None
    number: int | None = None
    ratio: float = 0.0
    flag: bool = False
    choice: Literal["on", "off"] = "off"
    texts: list[str] = []
    names: dict[str, str] = {}
    inner: list[Inner] = []
    lists: dict[str, list[str]] = {}
    either: int | str = 0
    anything: Any = None


def of(text: str) -> Any:
    return plain(read(text, "f.yaml"))


def as_model(text: str) -> dict[str, Any]:
    tree = read(text, "f.yaml")
    assert isinstance(tree, Fields)
    return fitted_fields(tree, Model)


@given(JSON)
def test_json_is_read_as_json(value: Any) -> None:
    assert of(json.dumps(value)) == value


@given(st.from_regex(r"[A-Za-z0-9_.+][A-Za-z0-9_.+-]*", fullmatch=True))
def test_what_is_text_in_the_model_is_the_text_as_it_was_written(word: str) -> None:
    if of(f"a: {word}")["a"] is None:  # null is null everywhere
        return
    read_as = as_model(f"text: {word}\ntexts: [{word}]\nnames: {{{word}: {word}}}\ninner: [{{name: {word}}}]")
    assert read_as == {"text": word, "texts": [word], "names": {word: word}, "inner": [{"name": word}]}


@pytest.mark.parametrize("word", ["no", "yes", "on", "off", "y", "n", "NO", "12:30", "2024-05-01", "1_000", "0o8", "="])
def test_words_that_yaml_1_1_takes_for_something_else_are_text(word: str) -> None:
    assert of(f"{{{word}: {word}}}") == {word: word}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("007", 7),
        ("-3", -3),
        ("0x1F", 31),
        ("0o17", 15),
        ("1.50", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("-.inf", float("-inf")),
        ("'7'", "7"),
        ("!!str 7", "7"),
        ("!!int '7'", 7),
        ('"\\ud83d\\ude00"', "😀"),
    ],
)
def test_values_are_those_of_the_core_schema(text: str, value: object) -> None:
    read_as = of(f"a: {text}")["a"]
    assert (type(read_as), read_as) == (type(value), value)


def test_what_is_no_text_in_the_model_is_what_yaml_takes_it_for() -> None:
    text = (
        "number: 7\nratio: 1.50\nflag: true\nchoice: on\nmaybe: 0.10\nlists: {a: [1, 2.50]}\neither: 7\nanything: 1.50"
    )
    assert as_model(text) == {
        "number": 7,
        "ratio": 1.5,
        "flag": True,
        "choice": "on",
        "maybe": "0.10",
        "lists": {"a": ["1", "2.50"]},
        "either": 7,
        "anything": 1.5,
    }
    assert as_model("maybe: null\nnumber: ~") == {"maybe": None, "number": None}


def test_anchors_and_merges_work_and_the_nearer_value_wins() -> None:
    text = "base: &base {a: 1, b: 2}\nmore: &more {b: 3, c: 4}\nall: {<<: [*base, *more], a: 0}\nagain: *base"
    assert of(text)["all"] == {"a": 0, "b": 2, "c": 4}
    assert of(text)["again"] == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "f.yaml:3:1: the key 'a' stands twice; it stood in line 1"),
        ("x:\n  - {no: 1, no: 2}", "f.yaml:2:13: the key 'no' stands twice; it stood in line 2"),
        ("a: b: c", "f.yaml:1:5 is not YAML"),
        ("a: [1,\nb: 2", "f.yaml:2:5 is not YAML"),
        ("a: 'open\nb: 2\n", "that begins in line 1)"),
        ("a: *nowhere", "f.yaml:1:4 is not YAML: found undefined alias 'nowhere'"),
        ("a: &a [*a]", "f.yaml:1:4: the anchor holds itself"),
        ("[a]: 1", "f.yaml:1:1: a key must be text"),
        ("a: !!python/name:os.system x", "there are no values with the tag"),
        ("a: !!int x", "f.yaml:1:4: 'x' is not what its tag"),
        ("a: {<<: 1}", "`<<` takes a mapping"),
        ("---\na: 1\n---\nb: 2", "f.yaml:3:1 is not YAML"),
        ("a: \x07", "f.yaml is not YAML"),
    ],
)
def test_a_slip_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(text, "f.yaml")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("txt: a", "f.yaml:1:1: there is no field 'txt'. Did you mean 'text'?"),
        ("inner:\n  - {name: a}\n  - {nme: b}", "f.yaml:3:6: inner.1 has no field 'nme'. Did you mean 'name'?"),
        ("text: [a]", "f.yaml:1:7: text must be text, but YAML reads a list here"),
        ("lists:\n  a:\n  - b: c", "f.yaml:3:5: lists.a.0 must be text, but YAML reads a mapping here"),
    ],
)
def test_what_does_not_fit_the_model_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        as_model(text)
    assert message in str(error.value)


def test_of_a_long_line_the_place_is_shown() -> None:
    with pytest.raises(ConfigError) as error:
        read("{" + ", ".join(f"name{number}: 1" for number in range(500)) + "} }", "f.json")
    place, shown, mark, *_ = str(error.value).splitlines()
    assert place.startswith("f.json:1:")
    assert len(shown) < 200
    assert shown[mark.index("^")] == "}"


def test_a_value_on_its_own_is_called_by_its_name_alone() -> None:
    with pytest.raises(ConfigError, match=r"^--set x: the key 'a' stands twice"):
        read("{a: 1, a: 2}", "--set x", lines=False)


def test_a_type_that_is_not_known_is_read_as_yaml_has_it() -> None:
    assert fitted(read("[1, {a: 2.50}]", "f.yaml"), object, "x") == [1, {"a": 2.5}]
