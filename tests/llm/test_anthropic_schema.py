"""What Anthropic's structured outputs are asked for, and which schemas they cannot say."""

from __future__ import annotations

import copy
from enum import Enum
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, RootModel, create_model

from rowsmith.llm.providers.anthropic_schema import MOST_UNIONS, structured


class Tone(Enum):
    """How it sounds."""

    CALM = "calm"
    LOUD = "loud"


class Part(BaseModel):
    name: str
    weight: float | None = None


class Whole(BaseModel):
    """A whole."""

    tone: Tone = Field(description="the tone of this one")
    kind: Literal["a", "b"]
    parts: Annotated[list[Part], Field(min_length=2, max_length=5)]
    spare: Part
    note: str = Field(default="none", max_length=80, pattern=r"^[a-z ]+$")


class Node(BaseModel):
    children: list[Node] = []


class Cat(BaseModel):
    sort: Literal["cat"]


class Dog(BaseModel):
    sort: Literal["dog"]


class Animal(BaseModel):
    animal: Annotated[Cat | Dog, Field(discriminator="sort")]


def model(**fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = create_model("Made", **fields).model_json_schema()
    return made


def field(schema: dict[str, Any]) -> Any:
    made = structured({"type": "object", "properties": {"a": schema}, "required": ["a"]})
    return None if made is None else made["properties"]["a"]


def test_a_whole_model_is_said_like_this() -> None:
    assert structured(Whole.model_json_schema()) == {
        "type": "object",
        "description": "A whole.",
        "properties": {
            "tone": {"type": "string", "enum": ["calm", "loud"], "description": "the tone of this one"},
            "kind": {"type": "string", "enum": ["a", "b"]},
            "parts": {
                "type": "array",
                "items": {"$ref": "#/$defs/Part"},
                "minItems": 1,
                "description": "(minItems: 2, maxItems: 5)",
            },
            "spare": {"$ref": "#/$defs/Part"},
            "note": {"type": "string", "pattern": "^[a-z ]+$", "description": "(maxLength: 80)"},
        },
        "required": ["tone", "kind", "parts", "spare", "note"],
        "additionalProperties": False,
        "$defs": {
            "Part": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "weight": {"anyOf": [{"type": "number"}, {"type": "null"}]},
                },
                "required": ["name", "weight"],
                "additionalProperties": False,
            }
        },
    }


@pytest.mark.parametrize(
    ("given_", "made"),
    [
        (
            {"type": "integer", "minimum": 1, "maximum": 5},
            {"type": "integer", "description": "(minimum: 1, maximum: 5)"},
        ),
        ({"type": "string", "format": "date"}, {"type": "string", "format": "date"}),
        ({"type": "string", "format": "path"}, {"type": "string", "description": "(format: path)"}),
        ({"type": "string", "pattern": r"^\d{2,4}-[A-Z]+$"}, {"type": "string", "pattern": r"^\d{2,4}-[A-Z]+$"}),
        ({"type": "string", "pattern": r"(?=a)b"}, {"type": "string", "description": "(pattern: (?=a)b)"}),
        ({"type": "string", "pattern": r"\bword"}, {"type": "string", "description": r"(pattern: \bword)"}),
        ({"type": "string", "pattern": r"(a)\1"}, {"type": "string", "description": r"(pattern: (a)\1)"}),
        ({"type": "string", "pattern": "a{1,500}"}, {"type": "string", "description": "(pattern: a{1,500})"}),
        (
            {"type": "array", "items": {"type": "string"}, "minItems": 0},
            {"type": "array", "items": {"type": "string"}, "minItems": 0},
        ),
        ({"const": 3, "title": "T", "default": 3}, {"const": 3}),
        ({"type": ["string", "null"], "description": "D"}, {"type": ["string", "null"], "description": "D"}),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
    ],
)
def test_what_is_not_enforced_is_told(given_: dict[str, Any], made: dict[str, Any]) -> None:
    assert field(given_) == made


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"description": "anything"},
        {"type": "object"},
        {"type": "object", "properties": {}, "additionalProperties": True},
        {"type": "object", "additionalProperties": {"type": "number"}},
        {"type": "array"},
        {"type": "array", "prefixItems": [{"type": "string"}], "items": False},
        {"allOf": [{"type": "string"}]},
        {"not": {"type": "string"}},
        {"enum": [["a"], {"b": 1}]},
        {"$ref": "http://elsewhere.example/schema"},
        {"$ref": "#/$defs/Missing"},
        True,
    ],
)
def test_what_has_no_words_there_is_not_said(schema: Any) -> None:
    assert field(schema) is None


def test_a_model_of_itself_is_not_said() -> None:
    assert structured(Node.model_json_schema()) is None
    assert structured(model(root=(Node, Field(description="the root")))) is None


def test_alternatives_by_a_field_are_said() -> None:
    made = structured(Animal.model_json_schema())
    assert made is not None
    assert made["properties"]["animal"] == {"anyOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]}
    assert made["$defs"].keys() == {"Cat", "Dog"}


def test_a_list_at_the_root_is_said() -> None:
    made = structured(RootModel[list[Part]].model_json_schema())
    assert made is not None
    assert (made["type"], made["items"]) == ("array", {"$ref": "#/$defs/Part"})


def test_more_unions_than_are_taken_are_not_said() -> None:
    fields: dict[str, Any] = {f"f{number}": (int | None, None) for number in range(MOST_UNIONS)}
    assert structured(model(**fields)) is not None
    assert structured(model(**fields, last=(int | str, ...))) is None


def test_the_schema_given_is_not_changed() -> None:
    schema = Whole.model_json_schema()
    before = copy.deepcopy(schema)
    structured(schema)
    assert schema == before


TYPES = st.recursive(
    st.sampled_from([str, int, bool, float, Literal["a", "b"], Tone, Part, int | None]),
    lambda inner: inner.map(lambda kind: list[kind]) | inner.map(lambda kind: kind | None),  # type: ignore[valid-type]  # types made here
    max_leaves=3,
)
KNOWN = {
    "type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf", "$ref", "$defs",
    "description", "format", "pattern", "minItems",
}  # fmt: skip


def keywords(schema: Any) -> set[str]:
    """All keywords of a schema; names of properties and definitions are none."""
    if isinstance(schema, list):
        return set().union(*map(keywords, schema))
    if not isinstance(schema, dict):
        return set()
    found = set(schema)
    for name, part in schema.items():
        if name in ("properties", "$defs"):
            found |= set().union(*map(keywords, part.values()))
        elif name not in ("enum", "const"):
            found |= keywords(part)
    return found


@given(st.dictionaries(st.sampled_from("abcdef"), TYPES, min_size=1, max_size=4))
def test_any_model_is_said_in_known_words_and_takes_what_the_model_takes(kinds: Any) -> None:
    said = structured(model(**{name: (kind, ...) for name, kind in kinds.items()}))
    assert said is not None
    assert keywords(said) <= KNOWN
    jsonschema.Draft202012Validator.check_schema(said)
    examples = {str: "x", int: 1, bool: True, float: 1.5}
    if all(kind in examples for kind in kinds.values()):
        jsonschema.validate({name: examples[kind] for name, kind in kinds.items()}, said)
