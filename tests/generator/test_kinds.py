"""The shapes of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from pydantic import BaseModel, Field

from rowsmith import ConfigError, DataSetGenerator
from rowsmith.generator.arithmetic import false_equation, number_in
from rowsmith.testing import ScriptedServer

Services = Callable[..., ScriptedServer]


class Card(BaseModel):
    """A card to learn by."""

    front: str = Field(description="what is asked")
    level: int = Field(ge=1, le=3, description="how hard it is")


def rows(kind: str, **settings: Any) -> list[dict[str, Any]]:
    made = DataSetGenerator(instructions="Explain.", model_name="offline", conversation_type=kind, **settings)
    return made.create_data(6, 3, ["Optics", "Heat", "Sound", "Tides"]).to_list()


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("instruction", {"question", "answer"}),
        ("conversation", {"prompt"}),
        ("chain_of_thought", {"question", "reasoning", "final_answer"}),
        ("structured", {"front", "level"}),
    ],
)
def test_every_kind_has_its_fields_and_messages_in_turn(kind: str, fields: set[str]) -> None:
    settings = {"output_model": Card} if kind == "structured" else {}
    made = rows(kind, **settings)
    assert len(made) == 6
    for row in made:
        assert set(row) == fields | {"id", "topic", "topic_path", "messages", "model_id", "metadata"}
        roles = [message["role"] for message in row["messages"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert all(message["content"].strip() for message in row["messages"])
        assert (len(roles) > 2) == (kind == "conversation")


def test_a_structured_row_is_its_models_and_so_is_the_answer_in_its_messages() -> None:
    for row in rows("structured", output_model=Card):
        said = orjson.loads(row["messages"][-1]["content"])
        assert said == {"front": row["front"], "level": row["level"]}
        Card.model_validate(said)


def test_a_model_that_rows_cannot_be_made_of_is_refused() -> None:
    class Numbers(BaseModel):
        number: int

    class Clash(BaseModel):
        messages: str

    for model, words in ((Numbers, "no field of free text"), (Clash, "'messages'"), (3, "must be a Pydantic model")):
        with pytest.raises(ConfigError, match=words):
            rows("structured", output_model=model)


async def test_sums_are_worked_out_and_numeric_answers_must_be_numbers(services: Services) -> None:
    answers = iter(
        [
            [("How many?", "12 * 3 = 35", "35"), ("How much?", "6 + 6 = 12", "a dozen")],
            [("How many now?", "12 * 3 = 36", "36"), ("How much now?", "6 + 6 = 12", "$12")],
        ]
    )
    services(
        lambda _: orjson.dumps(
            {"entries": [{"question": q, "reasoning": [r], "final_answer": a} for q, r, a in next(answers)]}
        ).decode()
    )
    made = DataSetGenerator(
        instructions="Calculate.", model_name="openai/gpt-4", conversation_type="chain_of_thought", numeric_answers=True
    )
    dataset = await made.create_data_async(2, 2, ["Sums"])
    assert [row["final_answer"] for row in dataset] == ["36", "$12"]
    assert [(row["gate"], row["reason"]) for row in made.rejected] == [
        ("arithmetic", "'12 * 3 = 35' is wrong: it is 36"),
        ("not_a_number", "final_answer must be a number alone, and is 'a dozen'"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "12 * 3 = 36",
        "1,200 + 34 = 1,234 apples",
        "10 / 4 = 2.5",
        "10 / 3 = 3.33",
        "11 / 4 = 2",
        "3 + 4 * 2 = 11",
        "(1 + 2) * 3 = 9",
        "x - 3 = 5",
        "2 + 3 = 5 + 1 = 6",
        "5 - 8 = -3",
        "20% * 5 = 1",
        "7 / 0 = 3",
        "2020-01-15 = a date",
    ],
)
def test_what_is_right_or_no_plain_sum_is_let_through(text: str) -> None:
    assert false_equation(text) == ""


@pytest.mark.parametrize("text", ["12 * 3 = 35", "so 2 + 2 = 5.", "10 / 4 = 2.6", "9 − 4 = 6", "$3 × 4 = $13"])
def test_what_does_not_come_out_is_found(text: str) -> None:
    assert "is wrong" in false_equation(text)


@pytest.mark.parametrize(
    ("text", "number"), [("42", 42), (" $1,200.50 ", 1200.5), ("-3", -3), ("12%", 12), ("12 km", None)]
)
def test_a_number_is_known_by_its_form(text: str, number: float | None) -> None:
    assert number_in(text) == number
