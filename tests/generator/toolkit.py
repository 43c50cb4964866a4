"""Tools of many kinds, and what the tests ask of rows that call them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from rowsmith import DataSetGenerator


def schema(
    name: str, properties: Mapping[str, Any], required: Iterable[str] | None = None, **more: Any
) -> dict[str, Any]:
    """A tool in OpenAI's form; all of its properties are required, unless others are said to be."""
    needed = list(properties if required is None else required)
    parameters = {"type": "object", "properties": dict(properties), "required": needed, **more}
    return {"type": "function", "function": {"name": name, "description": f"Does {name}.", "parameters": parameters}}


TEXT = {"type": "string"}
WEATHER = schema("get_weather", {"city": TEXT, "unit": {"enum": ["C", "F"], "default": "C"}}, ["city"])
ADD = schema("add", {"a": {"type": "number"}, "b": {"type": "integer", "minimum": 3, "maximum": 9}})
BOOK = schema(
    "book",
    {
        "guests": {"type": "array", "items": {"$ref": "#/$defs/Guest"}, "minItems": 1, "maxItems": 3},
        "date": {"type": "string", "format": "date"},
    },
    **{
        "$defs": {
            "Guest": {
                "type": "object",
                "properties": {"name": {"type": "string", "minLength": 1}, "age": {"type": ["integer", "null"]}},
                "required": ["name"],
                "additionalProperties": False,
            }
        }
    },
)
TREE = schema(
    "tree",
    {"node": {"$ref": "#/definitions/Node"}},
    definitions={
        "Node": {
            "type": "object",
            "properties": {"value": TEXT, "children": {"type": "array", "items": {"$ref": "#/definitions/Node"}}},
            "required": ["value"],
        }
    },
)
EITHER = schema(
    "either",
    {
        "where": {
            "oneOf": [
                {"type": "string", "format": "uuid"},
                {
                    "type": "object",
                    "properties": {"lat": {"type": "number"}, "lon": {"type": "number"}},
                    "required": ["lat", "lon"],
                },
            ]
        }
    },
)
TOOLS = [
    WEATHER,
    ADD,
    BOOK,
    TREE,
    EITHER,
    schema("no_arguments", {}),
    schema("of_itself", {"text": TEXT, "inner": {"$ref": "#"}}, ["text"]),
    schema("part_number", {"code": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"}}),
    schema("free", {"options": {"type": "object", "additionalProperties": {"type": "string"}}}, []),
    schema("anything", {"value": {}}, []),
    schema("nullable", {"note": {"type": ["string", "null"]}, "level": {"type": "integer", "minimum": 1}}, []),
]

MANY = [
    schema(f"tool_{number}", {"text": TEXT, "level": {"type": "integer"}, "kind": {"enum": ["a", "b"]}}, ["text"])
    for number in range(40)
]
"""As many as a large MCP server has."""


def generator(tools: Any = TOOLS, **settings: Any) -> DataSetGenerator:
    given = {
        "instructions": "Be brief.",
        "model_name": "offline",
        "conversation_type": "tool_calling",
        "tools": tools,
        **settings,
    }
    return DataSetGenerator(**given)


def calls_of(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The calls of a row: each tool's name, and the arguments."""
    for message in row["messages"]:
        for call in message.get("tool_calls") or ():
            assert call["type"] == "function"
            yield call["function"]["name"], json.loads(call["function"]["arguments"])


def require_valid(rows: Iterable[Mapping[str, Any]], tools: Iterable[Mapping[str, Any]]) -> int:
    """Hold every call against its tool's schema, and every result against its call; how many calls there are."""
    validators = {
        tool["function"]["name"]: Draft202012Validator(tool["function"]["parameters"], format_checker=FormatChecker())
        for tool in tools
    }
    count = 0
    for row in rows:
        for name, arguments in calls_of(row):
            validators[name].validate(arguments)
            count += 1
        require_in_turn(row["messages"])
    return count


def require_in_turn(messages: list[dict[str, Any]]) -> None:
    """After a request come rounds of calls, each with a result of every call in order, and last the answer."""
    waiting = [message for message in messages if message["role"] != "system"]
    assert waiting.pop(0)["role"] == "user"
    ids: list[str] = []
    while waiting[0].get("tool_calls"):
        calls = waiting.pop(0)["tool_calls"]
        for call in calls:
            result = waiting.pop(0)
            assert (result["role"], result["tool_call_id"]) == ("tool", call["id"])
            assert result["name"] == call["function"]["name"]
            assert isinstance(result["content"], str)
        ids += [call["id"] for call in calls]
    assert ids
    assert len(set(ids)) == len(ids)
    (answer,) = waiting
    assert answer["role"] == "assistant"
    assert answer["content"].strip()
