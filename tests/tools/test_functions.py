"""Python functions as tools: what their schema says is what a call takes."""

from __future__ import annotations

import datetime as dt
import functools
import inspect
import json
import socket
from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from rowsmith.errors import ConfigError
from rowsmith.tools.docstrings import documented
from rowsmith.tools.functions import Arguments, FunctionTool


class Unit(Enum):
    CELSIUS = "celsius"
    KELVIN = "kelvin"


class Spot(BaseModel):
    """A place on a map."""

    name: str
    north: float = 0.0
    parts: list[Spot] = []


def forecast(
    city: Annotated[str, Field(min_length=2, description="the city's name")],
    day: dt.date,
    unit: Unit = Unit.CELSIUS,
    *,
    detail: Literal["short", "long"] = "short",
    spots: list[Spot] | None = None,
    tags: dict[str, int] | None = None,
) -> str:
    """The forecast of a city,
    for one day.

    More is said here.

    Args:
        city: not taken, since the annotation says it.
        day (dt.date): the day, in the
            city's own time.
        unit: of the temperatures: `celsius` or `kelvin`.

    Returns:
        A sentence.
    """
    return f"{city} {day} {unit} {detail} {spots} {tags}"


def test_a_signature_and_a_docstring_become_a_tool() -> None:
    tool = FunctionTool.of(forecast).tool
    assert (tool.name, tool.description) == ("forecast", "The forecast of a city, for one day.")
    properties = tool.parameters["properties"]
    assert list(properties) == ["city", "day", "unit", "detail", "spots", "tags"]
    assert tool.parameters["required"] == ["city", "day"]
    assert tool.parameters["additionalProperties"] is False
    assert properties["city"] == {"type": "string", "minLength": 2, "description": "the city's name"}
    assert properties["day"] == {
        "type": "string",
        "format": "date",
        "description": "the day, in the city's own time.",
    }
    assert properties["unit"]["description"] == "of the temperatures: `celsius` or `kelvin`."
    assert properties["detail"] == {"type": "string", "enum": ["short", "long"], "default": "short"}
    spot = tool.parameters["$defs"]["Spot"]
    assert spot["properties"]["parts"]["items"] == {"$ref": "#/$defs/Spot"}
    assert '"title"' not in json.dumps(tool.parameters["properties"])
    assert tool.fault({"city": "Rome", "day": "2026-01-02", "spots": [{"name": "a", "parts": [{"name": "b"}]}]}) is None
    assert tool.fault({"city": "Rome", "day": "2026-01-02", "spots": [{"nam": "a"}]}) is not None


def test_arguments_become_what_the_annotations_say() -> None:
    read = Arguments.of(forecast).read(
        '{"city": "Rome", "day": "2026-01-02", "unit": "kelvin", "spots": [{"name": "a"}]}'
    )
    taken = inspect.signature(forecast).bind(*read[0], **read[1]).arguments
    assert taken["day"] == dt.date(2026, 1, 2)
    assert taken["unit"] is Unit.KELVIN
    assert taken["spots"] == [Spot(name="a")]


def test_a_function_without_parameters_is_a_tool() -> None:
    def now() -> str:
        return ""

    tool = FunctionTool.of(now).tool
    assert tool.fault({}) is None
    assert tool.fault({"x": 1}) is not None
    assert tool.description == ""


def test_a_method_of_an_object_and_a_decorated_function_are_tools() -> None:
    class Shop:
        def stock(self, item: str) -> int:
            """How many there are."""
            return len(item)

    @functools.wraps(forecast)
    def wrapped(*args: Any, **kwargs: Any) -> str:
        return forecast(*args, **kwargs)

    assert list(FunctionTool.of(Shop().stock).tool.parameters["properties"]) == ["item"]
    assert FunctionTool.of(wrapped).tool == FunctionTool.of(forecast).tool


def test_a_default_that_json_cannot_hold_is_left_out_of_the_schema() -> None:
    def tool(x: int = 3, y: Any = socket.AF_INET, z: Any = object()) -> int:  # noqa: B008
        return x

    properties = FunctionTool.of(tool).tool.parameters["properties"]
    assert properties["x"]["default"] == 3
    assert "default" not in properties["z"]


def _refused() -> dict[str, tuple[Any, str]]:
    def spread(*numbers: int) -> int:
        return sum(numbers)

    def named(**numbers: int) -> int:
        return len(numbers)

    def first(number: int, /) -> int:
        return number

    def bare(number) -> int:  # type: ignore[no-untyped-def]
        return int(number)

    def opened(connection: socket.socket) -> int:
        return connection.fileno()

    def called(back: Callable[[int], int]) -> int:
        return back(5)

    def unknown(number: Unheard) -> int:  # type: ignore[name-defined]  # noqa: F821
        return int(number)

    def a_name_that_is_far_too_long_for_any_of_the_services_that_take_tools_and_calls(x: int) -> int:
        return x

    class Callable_:  # noqa: N801
        def __call__(self, x: int) -> int:
            return x

    return {
        "a lambda": (lambda x: x, "a lambda has no name that a model could call"),
        "a partial": (functools.partial(first, 1), "a partial has no name"),
        "an object": (Callable_(), "a Callable_ has no name"),
        "a class": (Spot, "the class Spot is no tool"),
        "a builtin": (print, "'print' is no tool: "),
        "*args": (spread, r"\*numbers: .*cannot be given by a name of its own"),
        "**kwargs": (named, r"\*\*numbers: .*cannot be given by a name of its own"),
        "positional": (first, "number: .*cannot be given by a name of its own"),
        "no annotation": (bare, "parameter 'number' has no annotation; write `number: str`"),
        "no type of Pydantic's": (opened, "an annotation is none that Pydantic knows: .*socket"),
        "no schema": (called, "an annotation has no JSON Schema"),
        "an unknown name": (unknown, "an annotation cannot be looked up: name 'Unheard' is not defined"),
        "a long name": (a_name_that_is_far_too_long_for_any_of_the_services_that_take_tools_and_calls, "1 to 64"),
    }


@pytest.mark.parametrize("what", _refused())
def test_what_is_no_tool_is_refused_with_the_reason(what: str) -> None:
    function, words = _refused()[what]
    with pytest.raises(ConfigError, match=words):
        FunctionTool.of(function)


def test_a_function_that_holds_what_cannot_be_sent_is_refused_when_it_is_packed() -> None:
    pytest.importorskip("cloudpickle")
    with socket.socket() as connection:

        def tool(x: int) -> int:
            return x + connection.fileno()

        with pytest.raises(ConfigError, match=r"'tool' cannot be sent to another process: .* Put it into a module"):
            FunctionTool.of(tool).packed()


# --- docstrings -------------------------------------------------------------------------------------------------------

GOOGLE = """Ring a bell.

    Args:
        times (int, optional): how often:
            at least once
        loud: whether it is
            loud.

            Really.
        *rest: ignored
        no description here
    Raises:
        ValueError: times: too few
    """
NUMPY = """Ring a bell.

    Parameters
    ----------
    times : int, optional
        how often:
        at least once
    loud, soft
        whether it is loud.

    Returns
    -------
    times : int
        not this
    """
SPHINX = """Ring a bell.

    :param int times: how often:
        at least once
    :param loud: whether it is loud.
    :type loud: bool
    :returns: nothing
    :raises ValueError: times: too few
    """


@pytest.mark.parametrize(
    ("docstring", "parameters"),
    [
        (
            GOOGLE,
            {
                "times": "how often: at least once",
                "loud": "whether it is loud. Really.",
                "rest": "ignored no description here",
            },
        ),
        (NUMPY, {"times": "how often: at least once", "loud": "whether it is loud.", "soft": "whether it is loud."}),
        (SPHINX, {"times": "how often: at least once", "loud": "whether it is loud."}),
        ("Ring a bell.", {}),
        ("Ring a bell.\nArgs:\n", {}),
        ("Ring a bell.\n:param x: y", {"x": "y"}),
    ],
)
def test_a_docstring_is_read_in_three_styles(docstring: str, parameters: dict[str, str]) -> None:
    assert documented(docstring) == ("Ring a bell.", parameters)


@pytest.mark.parametrize("docstring", [None, "", "   \n\n  "])
def test_no_docstring_says_nothing(docstring: str | None) -> None:
    assert documented(docstring) == ("", {})


@given(st.text(alphabet="ab:*-()\n \t", max_size=80))
def test_any_text_is_read_as_a_docstring(text: str) -> None:
    told = documented(text)
    assert "\n" not in told.summary
    assert all(text and "\n" not in text for text in told.parameters.values())


# --- schemas beside what Pydantic takes -------------------------------------------------------------------------------

ANNOTATIONS: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(-(2**40), 2**40),
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(max_size=5),
    bool: st.booleans(),
    list[int]: st.lists(st.integers(-9, 9), max_size=3),
    dict[str, bool]: st.dictionaries(st.text(max_size=3), st.booleans(), max_size=3),
    int | None: st.none() | st.integers(-9, 9),
    Literal["a", "b"]: st.sampled_from(["a", "b"]),
    Unit: st.sampled_from(["celsius", "kelvin"]),
    dt.date: st.dates().map(str),
    Spot: st.fixed_dictionaries({"name": st.text(max_size=3)}, optional={"north": st.integers(-9, 9)}),
    tuple[int, str]: st.tuples(st.integers(-9, 9), st.text(max_size=3)).map(list),
    Annotated[int, Field(ge=0, le=9)]: st.integers(0, 9),
    list[Spot | None]: st.lists(st.none() | st.fixed_dictionaries({"name": st.text(max_size=3)}), max_size=2),
}


def function_of(parameters: list[tuple[Any, bool]]) -> Any:
    """A function with parameters `p0`, `p1`, … of these annotations; with a default where True."""

    def made(**given_arguments: Any) -> dict[str, Any]:
        return given_arguments

    kinds = [
        inspect.Parameter(
            f"p{place}",
            inspect.Parameter.KEYWORD_ONLY,
            default=None if optional else inspect.Parameter.empty,
            annotation=annotation,
        )
        for place, (annotation, optional) in enumerate(parameters)
    ]
    made.__signature__ = inspect.Signature(kinds)  # type: ignore[attr-defined]
    made.__annotations__ = {one.name: one.annotation for one in kinds}
    return made


@given(
    st.lists(st.tuples(st.sampled_from(list(ANNOTATIONS)), st.booleans()), max_size=4),
    st.data(),
)
def test_what_the_schema_takes_the_function_takes(parameters: list[tuple[Any, bool]], data: st.DataObject) -> None:
    function = function_of(parameters)
    tool = FunctionTool.of(function).tool
    arguments = {
        f"p{place}": data.draw(ANNOTATIONS[annotation])
        for place, (annotation, optional) in enumerate(parameters)
        if not optional or data.draw(st.booleans())
    }
    assert tool.fault(arguments) is None
    args, kwargs = Arguments.of(function).read(json.dumps(arguments))
    assert args == ()
    assert set(kwargs) == {f"p{place}" for place in range(len(parameters))}


@given(
    st.lists(st.sampled_from([int, str, bool, list[int], Spot, Unit]), min_size=1, max_size=3),
    st.dictionaries(
        st.sampled_from(["p0", "p1", "p2", "p3"]),
        st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3) | st.lists(st.integers(-3, 3), max_size=2),
        max_size=4,
    ),
)
def test_what_the_function_refuses_the_schema_refuses(annotations: list[Any], arguments: dict[str, Any]) -> None:
    function = function_of([(annotation, False) for annotation in annotations])
    tool = FunctionTool.of(function).tool
    try:
        Arguments.of(function).read(json.dumps(arguments))
    except ValidationError:
        assert tool.fault(arguments) is not None
