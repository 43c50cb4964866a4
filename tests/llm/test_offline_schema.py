"""The offline provider fills any schema that Pydantic writes with valid values."""

from __future__ import annotations

import enum
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, Union
from uuid import UUID

import jsonschema
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import AnyUrl, BaseModel, Field, HttpUrl, IPvAnyAddress, Json, TypeAdapter, create_model

from rowsmith.errors import BadRequestError

from .offline_client import Entries, ask


class Colour(enum.Enum):
    RED = "red"
    DEEP_BLUE = "deep blue"


class Size(enum.IntEnum):
    S = 1
    L = 3


class Tree(BaseModel):
    value: int
    left: Tree | None = None
    children: list[Tree] = []


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: Annotated[int, Field(ge=1, le=9)]


class Dog(BaseModel):
    kind: Literal["dog"]
    friends: list[Dog | Cat] = []


NAMES = [
    "text",
    "title",
    "question",
    "correct_answer",
    "label",
    "score",
    "age",
    "email",
    "created",
    "x",
    "tags",
    "code",
]
PATTERNS = [r"^[A-Z]{2}-\d{4}$", r"[a-z]+", r"^(yes|no|maybe)$", r"^\d{3}(-\d{2})?$", r"^[^\s@]+@[^\s@]+\.[a-z]{2,3}$"]


def bounded_ints() -> st.SearchStrategy[Any]:
    low = st.integers(-(10**6), 10**6)
    return st.one_of(
        st.builds(lambda a, span: Annotated[int, Field(ge=a, le=a + span)], low, st.integers(0, 50)),
        st.builds(lambda a: Annotated[int, Field(gt=a)], low),
        st.builds(lambda a: Annotated[int, Field(lt=a)], low),
        st.builds(lambda a, step: Annotated[int, Field(ge=a, multiple_of=step)], low, st.integers(1, 30)),
    )


def bounded_floats() -> st.SearchStrategy[Any]:
    low = st.floats(-1e9, 1e9)
    return st.one_of(
        st.builds(lambda a, span: Annotated[float, Field(ge=a, le=a + span)], low, st.floats(0, 1e3)),
        st.builds(lambda a: Annotated[float, Field(gt=a)], low),
        st.builds(lambda a: Annotated[float, Field(lt=a)], low),
        st.builds(lambda step: Annotated[float, Field(gt=0, multiple_of=step)], st.sampled_from([0.1, 0.25, 3.0])),
    )


def bounded_strings() -> st.SearchStrategy[Any]:
    return st.builds(
        lambda low, span: Annotated[str, Field(min_length=low, max_length=low + span)],
        st.integers(0, 400),
        st.integers(0, 300),
    )


# Pydantic says in the schema which keys a dict may have from 2.10 on; nobody can keep to what is not said.
KEYS: Any = Literal["p", "q", "r"] if "propertyNames" in TypeAdapter(dict[Literal["p"], int]).json_schema() else str
hashable = st.one_of(
    st.sampled_from([str, int, date, Colour, Size, UUID, Literal["a", "b", 3]]), bounded_ints(), bounded_strings()
)
leaves = st.one_of(
    hashable,
    st.sampled_from([bool, float, None, Decimal, datetime, time, timedelta, HttpUrl, AnyUrl, IPvAnyAddress, bytes]),
    st.sampled_from([Tree, Cat, Dog, Any, Json[list[int]], Annotated[Cat | Dog, Field(discriminator="kind")]]),
    bounded_floats(),
    st.sampled_from(PATTERNS).map(lambda pattern: Annotated[str, Field(pattern=pattern)]),
)


def of(generic: Any, *arguments: Any) -> Any:
    """A type made at run time, such as `of(list, int)`."""
    return generic[arguments if len(arguments) > 1 else arguments[0]]


def grown(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    low, span = st.integers(0, 4), st.integers(0, 3)
    return st.one_of(
        inner.map(lambda t: of(Union, t, None)),
        st.builds(lambda one, other: of(Union, one, other), inner, inner),
        inner.map(lambda t: of(list, t)),
        st.builds(
            lambda t, n, more: of(Annotated, of(list, t), Field(min_length=n, max_length=n + more)), inner, low, span
        ),
        hashable.map(lambda t: of(set, t)),
        inner.map(lambda t: of(dict, str, t)),
        inner.map(lambda t: of(dict, int, t)),
        inner.map(lambda t: of(Annotated, of(dict, KEYS, t), Field(min_length=2))),
        st.builds(lambda one, other: of(tuple, one, other), inner, inner),
        inner.map(lambda t: of(tuple, t, ...)),
        models(inner),
    )


def models(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    fields = st.dictionaries(st.sampled_from(NAMES), st.tuples(inner, st.booleans()), min_size=1, max_size=5)

    def made(given: dict[str, tuple[Any, bool]]) -> type[BaseModel]:
        declared: dict[str, Any] = {
            name: (kind, ...) if needed else (of(Union, kind, None), None) for name, (kind, needed) in given.items()
        }
        return create_model("Made", **declared)

    return fields.map(made)


random_models = models(st.recursive(leaves, grown, max_leaves=6))


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(model=random_models, seed=st.integers(0, 2**64 - 1), count=st.integers(0, 7))
def test_every_answer_to_a_random_model_is_valid(model: type[BaseModel], seed: int, count: int) -> None:
    answer = ask(model, seed=seed, num_samples=count).text
    model.model_validate_json(answer)
    jsonschema.validate(orjson.loads(answer), model.model_json_schema())


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("model", [Tree, Dog, Cat, Entries], ids=lambda model: model.__name__)
def test_recursive_models_end_and_are_valid(model: type[BaseModel], seed: int) -> None:
    model.model_validate_json(ask(model, seed=seed).text)


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": [{"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}}}, {"required": ["a"]}]},
        {"$ref": "#/$defs/T", "$defs": {"T": {"type": "array", "items": {"$ref": "#/$defs/T"}, "maxItems": 2}}},
        {"type": ["string", "null"], "maxLength": 3},
        {"anyOf": [{"type": "integer"}, {"type": "number"}], "minimum": 5, "maximum": 5},
        {"type": "array", "items": {"enum": ["a", "b", "c"]}, "uniqueItems": True, "minItems": 3},
        {"type": "object", "patternProperties": {"^k[0-9]+$": {"type": "boolean"}}, "minProperties": 2},
        {"type": "object", "propertyNames": {"format": "date"}, "additionalProperties": {"type": "integer"}},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 5e-324 * 2},
        {"const": {"nested": [1, 2]}},
        {"type": "string", "pattern": "^x", "minLength": 20},
        {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
        {},
        {"type": "string", "format": "email", "maxLength": 60},
        {
            "type": "object",
            "properties": {"a": {"allOf": [{"$ref": "#"}]}, "b": {"type": "integer"}},
            "required": ["b"],
        },
    ],
    ids=str,
)
def test_schemas_written_by_hand_are_filled_too(schema: dict[str, Any]) -> None:
    for seed in range(30):
        jsonschema.validate(orjson.loads(ask(schema, seed=seed).text), schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": r"^(?!no).*$"},
        {"type": "string", "minLength": 5, "maxLength": 4},
        {"type": "integer", "minimum": 1, "exclusiveMaximum": 1},
        {"not": {"type": "string"}},
        {"type": "object", "properties": {"me": {"$ref": "#"}}, "required": ["me"]},
        {"type": "array", "items": {"type": "boolean"}, "uniqueItems": True, "minItems": 3},
        {"enum": []},
        {"$ref": "#/$defs/Missing"},
        False,
    ],
    ids=str,
)
def test_a_schema_that_cannot_be_filled_is_a_named_error(schema: Any) -> None:
    with pytest.raises(BadRequestError, match="cannot be filled"):
        ask({"type": "object", "properties": {"a": schema}, "required": ["a"]} if schema is False else schema)


def test_an_optional_property_that_cannot_be_filled_is_left_out() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "(?=x)y"}, "b": {"type": "integer"}}}
    assert list(orjson.loads(ask(schema).text)) == ["b"]
