"""JSON Schemas in the form of OpenAI's strict mode."""

from __future__ import annotations

import copy
from enum import Enum
from types import GenericAlias
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, create_model

from rowsmith.llm.providers.openai_schema import CONSTRAINTS, strict


class Mood(Enum):
    GOOD = "good"
    BAD = "bad"


class Author(BaseModel):
    name: str = Field(description="Full name", min_length=2, max_length=40)
    title: str | None = None


class Review(BaseModel):
    """A review."""

    text: str = Field(pattern=r"^\S", max_length=500)
    stars: int = Field(ge=1, le=5)
    mood: Mood = Mood.GOOD
    author: Author = Field(description="Who wrote it")
    tags: list[str] = Field(default_factory=list, max_length=3)


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    good: bool


class Owner(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


class Node(BaseModel):
    value: int
    children: list[Node] = []


def converted(model: type[BaseModel], *, constraints: bool = True) -> dict[str, Any]:
    made = strict(model.model_json_schema(), constraints=constraints)
    assert made is not None
    return made


def test_every_object_is_closed_and_requires_all_it_has() -> None:
    made = converted(Review)
    assert made["additionalProperties"] is False
    assert made["required"] == ["text", "stars", "mood", "author", "tags"]
    assert made["$defs"]["Author"]["required"] == ["name", "title"]
    assert made["$defs"]["Author"]["additionalProperties"] is False


def test_titles_and_defaults_go_but_a_field_called_title_stays() -> None:
    made = converted(Review)
    assert "title" not in made
    assert "default" not in made["properties"]["tags"]
    assert made["$defs"]["Author"]["properties"]["title"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}


def test_constraints_that_are_enforced_are_sent() -> None:
    made = converted(Review)
    assert made["properties"]["text"] == {"type": "string", "pattern": r"^\S", "maxLength": 500}
    assert made["properties"]["stars"] == {"type": "integer", "minimum": 1, "maximum": 5}
    assert made["properties"]["tags"] == {"type": "array", "items": {"type": "string"}, "maxItems": 3}


def test_constraints_that_may_not_be_sent_are_told_in_the_description() -> None:
    made = converted(Review, constraints=False)
    assert made["properties"]["stars"] == {"type": "integer", "description": "(minimum: 1, maximum: 5)"}
    assert made["$defs"]["Author"]["properties"]["name"] == {
        "type": "string",
        "description": "Full name (minLength: 2, maxLength: 40)",
    }


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({"type": "string", "format": "uuid"}, {"type": "string", "format": "uuid"}),
        ({"type": "string", "format": "uri"}, {"type": "string", "description": "(format: uri)"}),
        ({"type": "string", "pattern": "(?=a)b"}, {"type": "string", "description": "(pattern: (?=a)b)"}),
        (
            {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
            {"type": "array", "items": {"type": "string"}, "description": "(uniqueItems: True)"},
        ),
        ({"type": ["string", "null"], "examples": ["x"], "deprecated": True}, {"type": ["string", "null"]}),
        ({"const": "a", "type": "string", "default": "a"}, {"type": "string", "const": "a"}),
        (
            {"enum": ["a", 1, None, True]},
            {"type": ["string", "integer", "null", "boolean"], "enum": ["a", 1, None, True]},
        ),
        ({"const": 1.5}, {"type": "number", "const": 1.5}),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
    ],
)
def test_keywords_are_kept_told_or_dropped(given: dict[str, Any], made: dict[str, Any]) -> None:
    result = strict({"type": "object", "properties": {"x": given}})
    assert result is not None
    assert result["properties"]["x"] == made


def test_a_reference_stands_alone_or_inside_any_of() -> None:
    made = converted(Review)
    assert made["properties"]["mood"] == {"$ref": "#/$defs/Mood"}
    assert made["properties"]["author"] == {"anyOf": [{"$ref": "#/$defs/Author"}], "description": "Who wrote it"}


def test_a_tagged_union_becomes_any_of() -> None:
    assert converted(Owner)["properties"]["pet"] == {"anyOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]}


def test_a_model_that_holds_itself_has_an_object_at_the_root() -> None:
    assert "$ref" in Node.model_json_schema()
    made = converted(Node)
    assert made["type"] == "object"
    assert made["properties"]["children"] == {"type": "array", "items": {"$ref": "#/$defs/Node"}}
    assert made["$defs"]["Node"]["additionalProperties"] is False


class FreeKeys(BaseModel):
    scores: dict[str, int]


class Anything(BaseModel):
    value: Any


class Pair(BaseModel):
    pair: tuple[int, str]


@pytest.mark.parametrize(
    "schema",
    [
        FreeKeys.model_json_schema(),
        Anything.model_json_schema(),
        Pair.model_json_schema(),
        {"type": "array", "items": {"type": "string"}},
        {"anyOf": [{"type": "object", "properties": {}}]},
        {"type": "object"},
        {"type": "object", "properties": {}, "additionalProperties": True},
        {"type": "object", "properties": {"x": {"type": "array"}}},
        {"type": "object", "properties": {"x": {"allOf": [{"type": "string"}, {"minLength": 1}]}}},
        {"type": "object", "properties": {"x": {"not": {"type": "null"}}}},
        {"type": "object", "properties": {"x": True}},
        {"type": "object", "properties": {"x": {"$ref": "#/$defs/F"}}, "$defs": {"F": {"type": "object"}}},
    ],
)
def test_what_strict_mode_has_no_words_for_is_none(schema: dict[str, Any]) -> None:
    assert strict(schema) is None


def wide(properties: int) -> dict[str, Any]:
    return {"type": "object", "properties": {f"p{number:04}": {"type": "string"} for number in range(properties)}}


def deep(levels: int) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        made = {"type": "object", "properties": {"inner": made}}
    return made


def choice(values: int, length: int = 5) -> dict[str, Any]:
    names = [f"{number:0{length}}" for number in range(values)]
    return {"type": "object", "properties": {"x": {"type": "string", "enum": names}}}


@pytest.mark.parametrize(
    ("largest", "too_large"),
    [
        (wide(5_000), wide(5_001)),
        (deep(10), deep(11)),
        (choice(1_000), choice(1_001)),
        (choice(300, 50), choice(300, 51)),
        (choice(200, 599), choice(200, 601)),
    ],
)
def test_what_is_larger_than_the_service_takes_is_none(largest: dict[str, Any], too_large: dict[str, Any]) -> None:
    assert strict(largest) is not None
    assert strict(too_large) is None


LEAVES: st.SearchStrategy[tuple[Any, st.SearchStrategy[Any]]] = st.sampled_from(
    [
        (str, st.text(max_size=5)),
        (int, st.integers(-9, 9)),
        (bool, st.booleans()),
        (Mood, st.sampled_from(["good", "bad"])),
        (Literal["a", 1], st.sampled_from(["a", 1])),
        (Annotated[str, Field(min_length=1, max_length=5, description="d")], st.text(min_size=1, max_size=5)),
        (Annotated[int, Field(ge=0, lt=7)], st.integers(0, 6)),
        (Author, st.just({"name": "Ann", "title": None})),
    ]
)
KINDS = st.recursive(
    LEAVES,
    lambda inner: (
        inner.map(lambda kind: (GenericAlias(list, (kind[0],)), st.lists(kind[1], max_size=2)))
        | inner.map(lambda kind: (kind[0] | None, kind[1] | st.none()))
    ),
    max_leaves=3,
)


def objects(schema: Any) -> list[dict[str, Any]]:
    """All objects of a schema, wherever they stand."""
    if isinstance(schema, list):
        return [found for inner in schema for found in objects(inner)]
    if not isinstance(schema, dict):
        return []
    own = [schema] if schema.get("type") == "object" else []
    return own + [found for inner in schema.values() for found in objects(inner)]


@settings(max_examples=60)
@given(st.data(), st.lists(KINDS, min_size=1, max_size=4), st.booleans())
def test_a_whole_answer_of_a_model_fits_its_strict_schema(
    data: st.DataObject, kinds: list[tuple[Any, st.SearchStrategy[Any]]], constraints: bool
) -> None:
    fields: dict[str, Any] = {f"f{number}": (kind, None) for number, (kind, _) in enumerate(kinds)}
    schema = create_model("Made", **fields).model_json_schema()
    before = copy.deepcopy(schema)
    made = strict(schema, constraints=constraints)
    assert schema == before
    assert made is not None
    for found in objects(made):
        assert found["additionalProperties"] is False
        assert found["required"] == list(found["properties"])
    assert constraints or not any(f'"{name}"' in str(made).replace("'", '"') for name in CONSTRAINTS)
    answer = {f"f{number}": data.draw(values) for number, (_, values) in enumerate(kinds)}
    jsonschema.validate(answer, made)
