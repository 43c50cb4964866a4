"""Schemas of tools as parts of one schema, and arguments as their tool has them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from rowsmith.generator.tool_calling.call_schema import CallSchema, allows_null, embedded, without_added_nulls
from rowsmith.tools.tool import Tool

TEXT = {"type": "string"}
POINT = {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": "number"}}, "required": ["x"]}


def tool(name: str, properties: dict[str, Any], required: Iterable[str] = (), **more: Any) -> Tool:
    parameters = {"type": "object", "properties": properties, "required": list(required), **more}
    return Tool(name, "", parameters)


def defs(**named: Any) -> dict[str, Any]:
    return {"$defs": named}


def answer_schema(*tools: Tool) -> dict[str, Any]:
    written = {"$ref": "#/$defs/Call", "$defs": {"Call": {"type": "object"}}}
    return CallSchema(tools).put_into(written, "Call")


def fits(schema: dict[str, Any], name: str, arguments: Any) -> bool:
    return Draft202012Validator(schema).is_valid({"name": name, "arguments": arguments})


def test_definitions_of_one_name_do_not_meet() -> None:
    first = tool("a", {"it": {"$ref": "#/$defs/b_It"}}, ("it",), **defs(b_It=TEXT))
    second = tool("a_b", {"it": {"$ref": "#/$defs/It"}}, ("it",), **defs(It={"type": "integer"}))
    third = tool("c", {"it": {"$ref": "#/definitions/I t"}}, ("it",), definitions={"I t": {"type": "boolean"}})
    schema = answer_schema(first, second, third)
    assert len(schema["$defs"]) == 4
    for name, good in (("a", "text"), ("a_b", 3), ("c", True)):
        assert [fits(schema, name, {"it": value}) for value in ("text", 3, True)] == [
            value is good or value == good for value in ("text", 3, True)
        ]


@pytest.mark.parametrize(
    ("reference", "good", "bad"),
    [
        ("#", {"next": {"next": {}}}, {"next": 3}),
        ("#/properties/size", {"next": 3}, {"next": "text"}),
        ("#/$defs/a~1b", {"next": "text"}, {"next": 3}),
        ("#/$defs/deep/properties/x", {"next": 1.5}, {"next": "text"}),
    ],
)
def test_references_lead_where_they_led(reference: str, good: Any, bad: Any) -> None:
    properties = {"next": {"$ref": reference}, "size": {"type": "integer"}}
    schema = answer_schema(tool("t", properties, **defs(**{"a/b": TEXT, "deep": POINT})))
    assert fits(schema, "t", good)
    assert not fits(schema, "t", bad)


def test_what_only_looks_like_a_reference_is_left_alone() -> None:
    odd = tool("odd", {"$ref": TEXT, "enum": {"enum": [{"$ref": "#/x"}]}}, ("$ref", "enum"))
    arguments, _ = embedded(odd)
    assert arguments["properties"] == {"$ref": TEXT, "enum": {"enum": [{"$ref": "#/x"}]}}


def test_the_tools_own_schema_is_not_changed() -> None:
    given = tool("t", {"a": {"type": "object", "properties": {"b": TEXT}}})
    before = given.openai()
    embedded(given)
    assert given.openai() == before


@pytest.mark.parametrize(
    ("schema", "allowed"),
    [
        ({"type": "string"}, False),
        ({"type": ["string", "null"]}, True),
        ({"type": "null"}, True),
        ({}, True),
        (True, True),
        (False, False),
        ({"enum": ["a", None]}, True),
        ({"enum": ["a"]}, False),
        ({"const": None}, True),
        ({"const": 1}, False),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, True),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, False),
        ({"allOf": [{}, {"type": "string"}]}, False),
        ({"$ref": "#/$defs/Some"}, True),
        ({"$ref": "#/$defs/Text"}, False),
        ({"$ref": "#/$defs/Round"}, False),
    ],
)
def test_whether_a_value_may_be_null(schema: Any, allowed: bool) -> None:
    definitions = {"Some": {"type": ["object", "null"]}, "Text": TEXT, "Round": {"$ref": "#/$defs/Round"}}
    assert allows_null(schema, {"$defs": definitions}) == allowed
    if schema != {"$ref": "#/$defs/Round"} and isinstance(schema, dict):
        assert Draft202012Validator({**schema, "$defs": definitions}).is_valid(None) == allowed


def test_nulls_go_where_the_tool_has_none_and_stay_where_it_has() -> None:
    properties = {
        "needed": {"type": ["string", "null"]},
        "plain": TEXT,
        "free": {},
        "nullable": {"type": ["integer", "null"]},
        "point": {"anyOf": [{"$ref": "#/$defs/Point"}, {"type": "null"}]},
        "points": {"type": "array", "items": {"$ref": "#/$defs/Point"}},
        "by_name": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Point"}},
        "either": {"oneOf": [POINT, {"type": "object", "properties": {"y": {"type": ["number", "null"]}}}]},
    }
    given = tool("t", properties, ("needed",), **defs(Point=POINT))
    cleaned = without_added_nulls(
        given.parameters,
        {
            "needed": None,
            "plain": None,
            "free": None,
            "nullable": None,
            "point": {"x": 1, "y": None},
            "points": [{"x": 1, "y": None}, {"x": None}],
            "by_name": {"a": {"x": 1, "y": None}},
            "either": {"x": 1, "y": None},
            "unknown": None,
        },
    )
    assert cleaned == {
        "needed": None,
        "free": None,
        "nullable": None,
        "point": {"x": 1},
        "points": [{"x": 1}, {"x": None}],
        "by_name": {"a": {"x": 1}},
        "either": {"x": 1, "y": None},
        "unknown": None,
    }
    schema = answer_schema(given)
    assert fits(schema, "t", {"needed": None, "plain": None, "point": {"x": 1, "y": None}})
    assert not fits(schema, "t", {"needed": 3})
