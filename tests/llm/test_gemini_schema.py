"""Schemas as Gemini takes them: only documented keywords, circles that end, and what is lost is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from rowsmith.llm.providers.gemini_schema import openapi, subset
from rowsmith.llm.providers.offline import answer

DOCUMENTED = frozenset(
    {
        "$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum", "items", "prefixItems",
        "minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties", "additionalProperties",
        "required", "propertyOrdering",
    }
)  # fmt: skip
"""https://ai.google.dev/api/generate-content#GenerationConfig, `responseJsonSchema`."""

OPENAPI = frozenset(
    {
        "type", "format", "title", "description", "nullable", "enum", "maxItems", "minItems", "properties",
        "required", "minProperties", "maxProperties", "minLength", "maxLength", "pattern", "example", "anyOf",
        "propertyOrdering", "default", "items", "minimum", "maximum",
    }
)  # fmt: skip
"""https://ai.google.dev/api/caching#Schema."""


class Tone(Enum):
    DRY = "dry"
    WARM = "warm"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(9, ge=0, lt=10)


class Dog(BaseModel):
    kind: Literal["dog"]
    weight: float | None = Field(None, gt=0.5)


class Everything(BaseModel):
    """All that a model may hold."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=3, max_length=9, pattern="a+", description="The text.")
    tone: Tone = Field(description="How it sounds.")
    level: Literal[1, 2, 3]
    sure: Literal[True]
    at: datetime
    mail: str = Field(json_schema_extra={"format": "email"})
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    pair: tuple[int, str]
    scores: dict[str, float]
    tags: list[str] = Field(default_factory=list, min_length=1, max_length=5)
    anything: Any = None


class Node(BaseModel):
    name: str
    children: list[Node]


class Tree(BaseModel):
    root: Node


class Left(BaseModel):
    right: Right
    plain: str


class Right(BaseModel):
    left: Left | None
    leaf: Cat


def nodes(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Every schema within a schema."""
    if isinstance(schema, list):
        for inner in schema:
            yield from nodes(inner)
    if isinstance(schema, Mapping):
        yield schema
        for name, inner in schema.items():
            if name in ("properties", "$defs"):
                yield from (node for part in inner.values() for node in nodes(part))
            elif name in ("items", "prefixItems", "anyOf", "additionalProperties"):
                yield from nodes(inner)


def test_only_documented_keywords_are_sent() -> None:
    made = subset(Everything.model_json_schema())
    for node in nodes(made):
        assert node.keys() <= DOCUMENTED
        if "$ref" in node:
            assert node.keys() == {"$ref"}


def test_each_keyword_has_its_form() -> None:
    made = subset(Everything.model_json_schema())
    fields = made["properties"]
    assert fields["text"] == {
        "type": "string",
        "description": "The text. (minLength: 3, maxLength: 9, pattern: a+)",
    }
    assert fields["tone"] == {"anyOf": [{"$ref": "#/$defs/Tone"}], "description": "How it sounds."}
    assert made["$defs"]["Tone"] == {"type": "string", "enum": ["dry", "warm"]}
    assert fields["level"] == {"type": "integer", "enum": [1, 2, 3]}
    assert fields["sure"] == {"type": "boolean", "description": "(one of: [true])"}
    assert fields["at"] == {"type": "string", "format": "date-time"}
    assert fields["mail"] == {"type": "string", "description": "(format: email)"}
    assert fields["pet"] == {"anyOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]}
    assert fields["pair"] == {
        "type": "array",
        "minItems": 2,
        "maxItems": 2,
        "prefixItems": [{"type": "integer"}, {"type": "string"}],
    }
    assert fields["scores"] == {"type": "object", "additionalProperties": {"type": "number"}}
    assert fields["tags"] == {"type": "array", "minItems": 1, "maxItems": 5, "items": {"type": "string"}}
    assert fields["anything"] == {}
    assert made["additionalProperties"] is False
    assert made["description"] == "All that a model may hold."
    cat, dog = made["$defs"]["Cat"], made["$defs"]["Dog"]
    assert cat["properties"]["kind"] == {"type": "string", "enum": ["cat"]}
    assert cat["properties"]["lives"] == {"type": "integer", "minimum": 0, "maximum": 9}
    assert cat["required"] == ["kind"]
    assert dog["properties"]["weight"] == {
        "anyOf": [{"type": "number", "description": "(exclusiveMinimum: 0.5)"}, {"type": "null"}]
    }


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({"enum": ["a", None]}, {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null"}]}),
        ({"enum": ["a", 1]}, {"enum": ["a", 1]}),
        ({"enum": [1, 2.5]}, {"type": "number", "enum": [1, 2.5]}),
        ({"const": None}, {"type": "null", "description": "(one of: [null])"}),
        ({"enum": [{"a": 1}]}, {"description": '(one of: [{"a": 1}])'}),
        ({"type": "number", "enum": [1, 2]}, {"type": "number", "enum": [1, 2]}),
        ({"allOf": [{"type": "string"}], "description": "d"}, {"type": "string", "description": "d"}),
        ({"type": "string", "not": {"const": "x"}}, {"type": "string", "description": '(not: {"const": "x"})'}),
        (
            {"type": "array", "uniqueItems": True, "items": True},
            {"type": "array", "description": "(uniqueItems: true)"},
        ),
    ],
)
def test_a_value_is_said_as_far_as_it_can_be(given: dict[str, Any], made: dict[str, Any]) -> None:
    assert subset({"type": "object", "properties": {"a": given}})["properties"]["a"] == made


def test_a_property_that_leads_back_to_its_own_object_is_not_required() -> None:
    tree = subset(Tree.model_json_schema())
    assert tree["required"] == ["root"]
    assert tree["$defs"]["Node"]["required"] == ["name"]
    assert tree["$defs"]["Node"]["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    both = subset(Left.model_json_schema())["$defs"]
    assert both["Left"]["required"] == ["plain"]
    assert both["Right"]["required"] == ["leaf"]


def test_a_reference_at_the_root_is_followed() -> None:
    schema = Node.model_json_schema()
    assert "$ref" in schema
    made = subset(schema)
    assert made["type"] == "object"
    assert made["required"] == ["name", "children"]
    assert made["$defs"]["Node"]["required"] == ["name"]


@pytest.mark.parametrize(("most", "sent"), [(50, True), (51, False)])
def test_long_lists_are_only_told(most: int, sent: bool) -> None:
    lists = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": most}
    made = subset({"type": "object", "properties": {"a": lists, "b": lists}})["properties"]["a"]
    assert ("maxItems" in made) is sent
    assert ("minItems" in made) is sent
    assert (made.get("description") == f"(minItems: 1, maxItems: {most})") is not sent


def test_the_schema_that_is_given_is_not_changed() -> None:
    schema = Everything.model_json_schema()
    subset(schema)
    assert schema == Everything.model_json_schema()


@pytest.mark.parametrize("model", [Everything, Tree, Node, Left, Cat])
@given(question=st.binary(min_size=1, max_size=8))
def test_what_fits_the_model_fits_what_is_sent(model: type[BaseModel], question: bytes) -> None:
    filled = model.model_validate_json(answer(question, model.model_json_schema(), {}))
    jsonschema.validate(filled.model_dump(mode="json", exclude_none=True), subset(model.model_json_schema()))


# The older form


class Page(BaseModel):
    title: str = Field(description="The title.")
    tone: Tone = Field(description="How it sounds.")
    note: str | None = None
    level: Literal[1, 2]
    at: datetime
    cats: list[Cat] = Field(max_length=3)


def test_the_older_form_says_the_same_in_its_own_words() -> None:
    made = openapi(subset(Page.model_json_schema()))
    assert made == {
        "type": "OBJECT",
        "properties": {
            "title": {"type": "STRING", "description": "The title."},
            "tone": {"type": "STRING", "enum": ["dry", "warm"], "description": "How it sounds."},
            "note": {"type": "STRING", "nullable": True},
            "level": {"type": "INTEGER", "description": "(one of: [1, 2])"},
            "at": {"type": "STRING", "format": "date-time"},
            "cats": {
                "type": "ARRAY",
                "maxItems": 3,
                "items": {
                    "type": "OBJECT",
                    "properties": {
                        "kind": {"type": "STRING", "enum": ["cat"]},
                        "lives": {"type": "INTEGER", "minimum": 0, "maximum": 9},
                    },
                    "propertyOrdering": ["kind", "lives"],
                    "required": ["kind"],
                },
            },
        },
        "propertyOrdering": ["title", "tone", "note", "level", "at", "cats"],
        "required": ["title", "tone", "level", "at", "cats"],
    }


@pytest.mark.parametrize(
    "field",
    [
        {"type": "object", "additionalProperties": {"type": "number"}},
        {"type": "array", "prefixItems": [{"type": "integer"}], "items": {"type": "integer"}},
        {"type": "array"},
        {"type": ["integer", "string"]},
        {"type": "null"},
        {"$ref": "#/$defs/Nowhere"},
        {},
    ],
)
def test_what_the_older_form_has_no_words_for_is_none(field: dict[str, Any]) -> None:
    assert openapi({"type": "object", "properties": {"a": field}}) is None
    assert openapi({"type": "object", "properties": {"a": {"type": ["string", "null"]}}}) is not None


def test_recursion_has_no_words_in_the_older_form() -> None:
    assert openapi(subset(Tree.model_json_schema())) is None
    assert openapi(subset(Left.model_json_schema())) is None


def test_the_older_form_has_only_its_own_fields() -> None:
    def fields(schema: Any) -> Iterator[str]:
        for name, inner in schema.items():
            yield name
            for part in inner.values() if name == "properties" else inner if name == "anyOf" else [inner]:
                if isinstance(part, dict):
                    yield from fields(part)

    made = openapi(subset(Page.model_json_schema()))
    assert made is not None
    assert set(fields(made)) <= OPENAPI
