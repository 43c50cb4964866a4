"""Tools and the arguments of their calls: full JSON Schema, nothing fetched, faults in a few words."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import rowsmith
from rowsmith.errors import ConfigError
from rowsmith.tools.tool import Tool

WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "minLength": 2, "pattern": "^[A-Z]"},
        "days": {"type": "integer", "minimum": 1, "maximum": 14},
        "unit": {"enum": ["celsius", "fahrenheit"]},
        "from": {"type": "string", "format": "date"},
        "at": {"type": "string", "format": "date-time"},
        "places": {"type": "array", "items": {"$ref": "#/$defs/place"}, "maxItems": 2, "uniqueItems": True},
        "either": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    },
    "required": ["city"],
    "additionalProperties": False,
    "$defs": {"place": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
}

FAULTS: list[tuple[Any, str]] = [
    ({}, "arguments: 'city' is required (received: an empty mapping)"),
    ([], "arguments: must be of type object (received: [])"),
    ('{"city": "Rome"}', 'arguments: must be of type object (received: \'{"city": "Rome"}\')'),
    ({"city": 5}, "city: must be of type string (received: 5)"),
    ({"city": "R"}, "city: must have at least 2 characters (received: 'R')"),
    ({"city": "rome"}, "city: must match '^[A-Z]' (received: 'rome')"),
    ({"city": "Rome", "days": "3"}, "days: must be of type integer (received: '3')"),
    ({"city": "Rome", "days": True}, "days: must be of type integer (received: True)"),
    ({"city": "Rome", "days": 15}, "days: must be at most 14 (received: 15)"),
    ({"city": "Rome", "unit": "kelvin"}, "unit: must be one of 'celsius', 'fahrenheit' (received: 'kelvin')"),
    ({"city": "Rome", "from": "tomorrow"}, "from: must be a date (received: 'tomorrow')"),
    ({"city": "Rome", "at": "2026-02-30T10:00:00Z"}, "at: must be a date-time (received: '2026-02-30T10:00:00Z')"),
    ({"city": "Rome", "at": "2026-02-03T10:00:00"}, "at: must be a date-time (received: '2026-02-03T10:00:00')"),
    ({"city": "Rome", "places": [{"name": "a"}, {"nam": "b"}]}, "places[1]: 'name' is required"),
    ({"city": "Rome", "places": [{"name": "a"}] * 2}, "places: must have no item twice"),
    ({"city": "Rome", "either": "x"}, "either: must be of type integer or must be of type null (received: 'x')"),
    ({"town": "Rome", "city": "Rome"}, "arguments: 'town' is not a parameter"),
    ({"city": "Rome", "dais": 3}, "arguments: 'dais' is not a parameter. Did you mean 'days'?"),
]


def tool(parameters: Any = WEATHER, name: str = "weather") -> Tool:
    return Tool(name, "The weather.", parameters)


@pytest.mark.parametrize(("arguments", "words"), FAULTS)
def test_a_fault_says_where_it_is_what_is_asked_and_what_was_there(arguments: Any, words: str) -> None:
    fault = tool().fault(arguments)
    assert fault is not None
    assert fault.startswith(words)
    assert len(fault) < 400


@pytest.mark.parametrize(
    "arguments",
    [
        {"city": "Rome"},
        {"city": "Rome", "days": 3, "unit": "celsius", "from": "2026-02-28", "either": None},
        {"city": "Rome", "at": "2026-02-28T23:59:60Z", "places": [{"name": "a"}, {"name": "b"}]},
        {"city": "Rome", "at": "2026-02-28t10:00:00.123456789+02:00"},
    ],
)
def test_what_fits_has_no_fault(arguments: Any) -> None:
    assert tool().fault(arguments) is None


def test_a_fault_is_short_however_large_the_arguments_are() -> None:
    huge = {"city": "Rome", "days": {"x" * 10_000: ["y" * 10_000] * 1000}}
    assert len(tool().fault(huge) or "") < 400
    assert len(tool({"type": "object", "maxProperties": 0}).fault(huge) or "") < 400
    assert len(tool({"type": "object", "not": {}}).fault(huge) or "") < 400


def test_openai_s_form_is_a_copy_of_its_own() -> None:
    made = tool()
    told = made.openai()
    assert told == {
        "type": "function",
        "function": {"name": "weather", "description": "The weather.", "parameters": WEATHER},
    }
    told["function"]["parameters"]["properties"].clear()
    assert made.openai()["function"]["parameters"] == WEATHER


def test_the_schema_that_was_given_may_change_afterwards() -> None:
    given_schema = copy.deepcopy(WEATHER)
    made = tool(given_schema)
    given_schema["required"] = []
    assert made.fault({}) is not None
    assert made.parameters["required"] == ["city"]


def test_copies_are_equal_and_check_alike() -> None:
    made = tool()
    for twin in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert twin == made
        assert hash(twin) == hash(made)
        assert twin.fault({}) == made.fault({})
    assert rowsmith.Tool is Tool


@pytest.mark.parametrize("name", ["", "a b", "a.b", "é", "x" * 65, "a\n", 5])
def test_a_name_that_openai_refuses_is_refused(name: Any) -> None:
    with pytest.raises(ConfigError, match="1 to 64 letters, digits, _ and -"):
        tool(name=name)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ([], "must be a JSON Schema such as"),
        ({"type": "string"}, "whose 'type' is 'object' (received: 'string')"),
        ({"properties": {}}, "whose 'type' is 'object' (received: None)"),
        ({"type": "object", "properties": {"x": {"type": "int"}}}, "no valid JSON Schema: properties.x.type"),
        ({"type": "object", "required": "x"}, "no valid JSON Schema: required: must be of type array"),
        ({"type": "object", "properties": {"x": {"pattern": "("}}}, "properties.x.pattern: must be a regex"),
        ({"type": "object", "default": float("nan")}, "are no JSON"),
        ({"type": "object", "default": object()}, "are no JSON"),
        ({"type": "object", "$ref": "#/$defs/none"}, "leads nowhere: '#/$defs/none'"),
        ({"type": "object", "properties": {"x": {"$ref": "https://example.com/x.json"}}}, "Nothing is fetched"),
        ({"type": "object", "allOf": [{"anyOf": [{"$ref": "other.json"}]}]}, "leads nowhere: 'other.json'"),
        ({"type": "object", "$ref": "#/odd/a", "odd": {"a": {"$ref": "#/odd/b"}}}, "leads nowhere: '#/odd/b'"),
        ({"type": "object", "allOf": [{"$ref": "#"}]}, "refer to themselves without an end"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_when_the_tool_is_made(parameters: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        tool(parameters)
    assert words in str(caught.value)
    assert "'weather'" in str(caught.value)


def test_what_is_no_reference_may_look_like_one() -> None:
    shown = {"const": {"$ref": "nowhere"}}
    made = tool({"type": "object", "properties": {"x": shown, "$ref": {"type": "string"}}})
    assert made.fault({"x": {"$ref": "nowhere"}, "$ref": "y"}) is None
    assert made.fault({"$ref": 5}) is not None


def test_a_tree_is_checked_to_its_leaves_and_one_too_deep_is_a_fault() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "additionalProperties": False}
    made = tool({**node, "$defs": {"node": node}})
    chain: dict[str, Any] = {"wrong": 1}
    for _ in range(20):
        chain = {"next": chain}
    assert (made.fault(chain) or "").startswith("next.next.next")
    for _ in range(5000):
        chain = {"next": chain}
    assert made.fault(chain) == "arguments: too deeply nested to be checked"


def test_another_draft_is_followed_where_the_schema_names_it() -> None:
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {"pair": {"type": "array", "items": [{"type": "string"}, {"type": "integer"}]}},
    }
    made = tool(schema)
    assert made.fault({"pair": ["a", 1]}) is None
    assert made.fault({"pair": ["a", "b"]}) == "pair[1]: must be of type integer (received: 'b')"


# --- beside jsonschema ------------------------------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | st.text("ab1", max_size=3)
NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)
TYPES = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])
LEAVES = st.one_of(
    st.builds(lambda one: {"type": one}, TYPES),
    st.builds(lambda some: {"type": some}, st.lists(TYPES, min_size=1, max_size=3, unique=True)),
    st.builds(lambda some: {"enum": some}, st.lists(SCALARS, min_size=1, max_size=3)),
    st.builds(lambda one: {"const": one}, VALUES),
    st.builds(lambda low, high: {"minimum": low, "exclusiveMaximum": high}, st.integers(-3, 3), st.integers(-3, 3)),
    st.builds(lambda low, high: {"minLength": low, "maxLength": high}, st.integers(0, 2), st.integers(0, 3)),
    st.just({"pattern": "^a"}),
    st.just({"multipleOf": 2}),
    st.just({"uniqueItems": True}),
    st.just({"$ref": "#"}),
    st.just({"$ref": "#/$defs/d"}),
    st.booleans(),
)


def _combined(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(
            lambda properties, required, more: {
                "properties": properties,
                "required": required,
                "additionalProperties": more,
            },
            st.dictionaries(NAMES, inner, max_size=3),
            st.lists(NAMES, max_size=2, unique=True),
            inner,
        ),
        st.builds(lambda items: {"items": items, "minItems": 1}, inner),
        st.builds(lambda first, rest: {"prefixItems": [first], "items": rest}, inner, inner),
        st.builds(lambda some: {"anyOf": some}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda some: {"oneOf": some}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda one: {"not": one}, inner),
        st.builds(lambda one, two: {"if": one, "then": two, "else": False}, inner, inner),
        st.builds(lambda one: {"patternProperties": {"^[ab]": one}, "unevaluatedProperties": False}, inner),
        st.builds(lambda one: {"propertyNames": one, "dependentRequired": {"a": ["b"]}}, inner),
    )


SCHEMAS = st.builds(
    lambda properties, required, inner: {
        "type": "object",
        "properties": properties,
        "required": required,
        "$defs": {"d": inner},
    },
    st.dictionaries(NAMES, st.recursive(LEAVES, _combined, max_leaves=6), max_size=3),
    st.lists(NAMES, max_size=2, unique=True),
    LEAVES.filter(lambda leaf: leaf != {"$ref": "#/$defs/d"}),
)


@given(schema=SCHEMAS, arguments=st.dictionaries(NAMES, VALUES, max_size=3) | VALUES)
def test_arguments_are_at_fault_exactly_where_jsonschema_says_so(schema: Any, arguments: Any) -> None:
    json.dumps(schema)
    fault = tool(schema).fault(arguments)
    assert (fault is None) == Draft202012Validator(schema).is_valid(arguments)
    assert fault is None or (fault.strip() and len(fault) < 400)
