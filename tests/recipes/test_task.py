"""Rows of a kind of the user's own: the model of an entry is theirs, and every row is one of its."""

from __future__ import annotations

import json
from collections import Counter
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, computed_field, field_validator

from rowsmith import Axis, ConfigChangedError, ConfigError, OpenAIProvider, Task, TaskDataset, TemplateError
from rowsmith.engine.options import Options
from rowsmith.llm.retry import RetryPolicy
from rowsmith.testing import BadJSON, CutOff, Empty, RateLimited, ScriptedServer, ServerError, WrongSchema


class Ticket(BaseModel):
    text: str = Field(description="what the customer wrote")
    urgency: Literal["low", "medium", "high"]


class Mood(Enum):
    GOOD = "good"
    BAD = "bad"


class Person(BaseModel):
    name: str
    age: int = Field(ge=18, le=99)


class Letter(BaseModel):
    """Nested models, lists, enums, unions, defaults, what is computed and what stays out of rows."""

    thinking: str = Field(exclude=True)
    body: str
    mood: Mood
    sender: Person
    others: list[Person] = Field(min_length=1, max_length=3)
    amount: int | Literal["unknown"]
    answered: bool = False
    note: str | None = None

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no computed fields
    @property
    def words(self) -> int:
        return len(self.body.split())


QUICK = Options(policy=RetryPolicy(first=0.001, longest=0.01))
PRODUCTS = Axis("product", values=["billing", "login", "export"], prompt="The ticket is about {value}.")


def task(**fields: Any) -> Task:
    given: dict[str, Any] = {
        "description": "You write realistic support tickets.",
        "output": Ticket,
        "num_samples_per_prompt": 2,
        **fields,
    }
    return Task(**given)


def dataset(folder: Path, **fields: Any) -> TaskDataset:
    return TaskDataset(task(**fields), output_file=folder / "rows.jsonl")


# --- rows -------------------------------------------------------------------------------------------------------------


def test_thousands_of_rows_are_valid_under_the_users_model_and_balanced_over_every_axis(tmp_path: Path) -> None:
    moods = Axis("mood", values=["good", "bad"], weights=[3, 1])
    made = dataset(tmp_path, output=Letter, axes=[PRODUCTS, moods], target_rows=3001, languages={"en": "E", "fr": "F"})
    rows = made.generate("offline").to_list()
    assert len(rows) == made.get_num_expected_rows() == 3001
    for row in rows:
        written = {name: value for name, value in row.items() if name in Letter.model_fields}
        letter = Letter.model_validate({"thinking": "", **written})
        assert letter.words == row["words"]
        assert "thinking" not in row
        assert row["mood"] == row["metadata"]["axes"]["mood"]
    moods_made = Counter(row["mood"] for row in rows)
    assert 0 <= moods_made["good"] - 3 * moods_made["bad"] <= 5
    products = Counter(row["metadata"]["axes"]["product"] for row in rows)
    assert max(products.values()) - min(products.values()) <= 8
    assert len({row["id"] for row in rows}) == len({row["body"] for row in rows}) == 3001


def test_a_full_pass_has_exactly_as_many_rows_of_each_value(tmp_path: Path) -> None:
    rows = dataset(tmp_path, axes=[PRODUCTS, Axis("tone", values=["dry", "warm"])]).generate("offline").to_list()
    pairs = Counter((row["metadata"]["axes"]["product"], row["metadata"]["axes"]["tone"]) for row in rows)
    assert set(pairs.values()) == {2}
    assert len(pairs) == 6


def entries(*made: dict[str, Any]) -> str:
    return json.dumps({"entries": list(made)})


def answering(*answers: str) -> Any:
    given = iter(answers)
    return lambda call: next(given)


def provider(server: ScriptedServer, **more: Any) -> OpenAIProvider:
    return OpenAIProvider("m", api_base=server.base_url, api_key="k", **more)


class Checked(Ticket):
    @field_validator("text")
    @classmethod
    def _is_long(cls, text: str) -> str:
        if len(text) < 10:
            raise ValueError("the text needs 10 characters at least")
        return text


GOOD = {"text": "The export is broken again.", "urgency": "high"}


@pytest.mark.parametrize(
    ("fields", "bad", "reason"),
    [
        ({"output": Checked}, {"text": "Too short", "urgency": "low"}, "10 characters at least"),
        ({"check": lambda row: "say please" if "!" in row["text"] else None}, {**GOOD, "text": "Now!"}, "say please"),
        ({"axes": [Axis("urgency", values=["high"])]}, {**GOOD, "urgency": "low"}, "urgency must be 'high'"),
        (
            {"examples": [Ticket(text="Help me", urgency="low")]},
            {"text": " help  ME", "urgency": "high"},
            "the examples",
        ),
        ({}, {"text": "No urgency."}, "urgency"),
    ],
    ids=["validator", "check", "axis", "example", "schema"],
)
def test_what_is_refused_is_asked_for_again_with_the_reason(
    tmp_path: Path, fields: dict[str, Any], bad: dict[str, Any], reason: str
) -> None:
    with ScriptedServer(answering(entries(bad), entries(GOOD))) as server:
        made = dataset(tmp_path, num_samples_per_prompt=1, **fields).generate(provider(server))
        assert [row["text"] for row in made] == [GOOD["text"]]
        first, second = (call.prompt for call in server.calls)
        assert reason not in first
        assert reason in second


def test_a_check_that_says_neither_none_nor_why_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="returned True"):
        dataset(tmp_path, check=lambda row: len(row["text"]) > 3).generate("offline")


def test_an_edited_check_reads_the_stored_answers_anew(tmp_path: Path) -> None:
    dataset(tmp_path, check=lambda row: None).generate("offline")
    again = dataset(tmp_path, check=lambda row: "no" if row["urgency"] == "low" else None).generate("offline")
    assert {row["urgency"] for row in again} <= {"medium", "high"}
    assert again.report is not None
    assert again.report.replayed > 0


def test_faults_of_the_service_cost_no_row(tmp_path: Path) -> None:
    chances = {BadJSON(): 0.1, CutOff(): 0.1, Empty(): 0.05, WrongSchema(): 0.1, ServerError(): 0.1}
    chances[RateLimited(retry_after=0)] = 0.1
    with ScriptedServer(chances=chances) as server:
        made = dataset(tmp_path, axes=[PRODUCTS], target_rows=150, max_rounds=12)
        made.generate(provider(server), options=QUICK)
        assert len(made) == 150
        assert made.report is not None
        assert sum(made.report.rejected.values()) > 5
    for row in made:
        Ticket.model_validate({name: row[name] for name in Ticket.model_fields})


def test_a_row_has_the_names_that_the_model_gives_its_fields(tmp_path: Path) -> None:
    class Named(BaseModel):
        id: str = Field(alias="ticket_id")
        said: str = Field(alias="the text")

    rows = dataset(tmp_path, output=Named).generate("offline").to_list()
    assert list(rows[0]) == ["id", "ticket_id", "the text", "language", "model_id", "metadata"]


def test_entries_without_texts_are_compared_as_a_whole(tmp_path: Path) -> None:
    class Point(BaseModel):
        x: int
        y: int

    rows = dataset(tmp_path, output=Point, num_samples_per_prompt=20, max_rounds=9).generate("offline").to_list()
    assert len({(row["x"], row["y"]) for row in rows}) == len(rows) == 20
    with pytest.raises(ConfigError, match="gates measure texts"):
        dataset(tmp_path, output=Point, gates={"min_length": 3})


# --- prompts ----------------------------------------------------------------------------------------------------------


def test_the_prompt_is_shown_without_a_call_and_is_the_one_that_is_sent(tmp_path: Path) -> None:
    made = task(
        system_prompt="Be careful.",
        axes=[PRODUCTS, Axis("tone", values={"dry": "no joke in it"})],
        examples=[{"text": "Charged twice!", "urgency": "high"}],
    )
    shown = made.prompt_for({"product": "login"})
    for part in (
        "[system]\nBe careful.\n\nYou write realistic support tickets.\n\n",
        '- text (text): what the customer wrote\n- urgency ("low", "medium" or "high")',
        '{"text": "Charged twice!", "urgency": "high"}',
        "[user]\nWrite 2 new entries. Their texts are in English.\nThe ticket is about login.\n"
        "tone: dry (no joke in it)\n",
    ):
        assert part in shown
    assert shown == made.prompt_for(1)
    with ScriptedServer() as server:
        TaskDataset(made, tmp_path / "rows.jsonl").generate(provider(server))
        sent = {"\n\n".join(f"[{m.role}]\n{m.content}" for m in call.asked.messages) for call in server.calls}
    assert sent == {made.prompt_for(number) for number in range(3)}


def test_the_system_message_is_the_same_for_every_cell() -> None:
    made = task(axes=[PRODUCTS], languages={"en": "English", "de": "German"})
    shown = [made.prompt_for(number).split("[user]") for number in range(6)]
    assert len({system for system, _ in shown}) == 1
    assert len({user for _, user in shown}) == 6


def test_the_fields_of_nested_models_are_described_to_the_model() -> None:
    shown = task(output=Letter).prompt_for()
    assert '- mood ("good" or "bad")\n- sender (object)\n  - name (text)\n  - age (whole number, at least 18' in shown
    assert "- others (list of object, at least 1 of them, at most 3 of them)\n  - name (text)" in shown
    assert '- amount (whole number or "unknown")\n- answered (true or false, may be left out)' in shown
    assert "- words" not in shown


def test_examples_show_what_stays_out_of_rows_and_nothing_computed() -> None:
    letter = {"thinking": "First I think.", "body": "Dear all", "mood": "bad", "amount": 1}
    people = {"sender": {"name": "A", "age": 20}, "others": [{"name": "B", "age": 30}]}
    shown = task(output=Letter, examples=[letter | people]).prompt_for()
    line = next(line for line in shown.splitlines() if line.startswith("{"))
    assert json.loads(line)["thinking"] == "First I think."
    assert "words" not in json.loads(line)


def test_templates_of_your_own_name_the_axes(tmp_path: Path) -> None:
    own = ["{num_samples} {{tone}} tickets about {product}.", "{num_samples} {{tone}} ones. {axes}"]
    made = dataset(tmp_path, axes=[PRODUCTS], prompts=own, expansion={"placeholders": {"tone": ["dry", "warm"]}})
    assert made.get_num_expected_rows() == 3 * 4 * 2
    assert "2 dry tickets about billing." in made.prompt_for(0)
    with pytest.raises(TemplateError, match=r"says nothing of \{product\}"):
        task(axes=[PRODUCTS], prompts=["{num_samples} tickets."])
    with pytest.raises(TemplateError, match=r"lacks \{language_name\}"):
        task(prompts=["{num_samples} tickets."], languages={"en": "English", "fr": "French"})


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (3, "from 0 to 2, and no cell 3"),
        ({"produkt": "login"}, "Did you mean 'product'"),
        ({"product": "logon"}, "Did you mean 'login'"),
        ({"language": "fr"}, "Known: en"),
    ],
)
def test_a_cell_that_is_none_is_said_so(cell: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        task(axes=[PRODUCTS]).prompt_for(cell)


# --- configurations ---------------------------------------------------------------------------------------------------


class WithId(BaseModel):
    id: str
    text: str


class Nothing(BaseModel):
    model_config = ConfigDict(extra="allow")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"output": WithId}, "has a field 'id', and every row has id, language, metadata, model_id already"),
        ({"output": Nothing}, "no fields"),
        ({"output": 3}, "must be a Pydantic model"),
        ({"output": "nowhere:Ticket"}, "no module 'nowhere'"),
        ({"output": "nowhere.py:Ticket"}, "no file 'nowhere.py'"),
        ({"output": "rowsmith.errors:Ticket"}, "has no 'Ticket'"),
        ({"output": "rowsmith.errors:ConfigError"}, "must be a Pydantic model"),
        ({"output": "Ticket"}, "'module:name'"),
        ({"output": {}}, "at least one"),
        ({"examples": [{"text": "No urgency."}]}, r"examples\[0\] is no Ticket: urgency"),
        ({"examples": ["text"]}, r"examples\[0\] must be a Ticket"),
        ({"axes": [PRODUCTS, Axis("Product", values=["x"])]}, "two axes are named"),
        ({"axes": [Axis("urgency", values=["low", "urgent"])]}, "'urgent' is no value of the field 'urgency'"),
        ({"axes": [{"name": "product", "value": ["x"]}]}, "Did you mean 'values'"),
        ({"check": "rowsmith.errors:nothing"}, "has no 'nothing'"),
        ({"check": 3}, "must be a function"),
        ({"text_fields": ["txt"]}, "Did you mean 'text'"),
        ({"descripton": "x"}, "Did you mean 'description'"),
    ],
)
def test_a_wrong_task_says_what_would_be_right(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        task(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "a b", "values": ["x"]}, "letters, digits and _"),
        ({"name": "language", "values": ["x"]}, "take another name"),
        ({"name": "a"}, "needs one of values, file, generated; received: none"),
        ({"name": "a", "values": ["x"], "file": "x.txt"}, "received: values and file"),
        ({"name": "a", "values": []}, "at least one value"),
        ({"name": "a", "values": ["x", " X."]}, "' X.' is the same as 'x'"),
        ({"name": "a", "values": ["x"], "weights": [1, 2]}, "one for each of values"),
        ({"name": "a", "values": ["x"], "weights": [0]}, "1 or more"),
        ({"name": "a", "values": ["x"], "prompt": "About it."}, r"\{value\}"),
        ({"name": "a", "values": {"x": "an x"}, "prompt": "About {value}."}, "no {description}"),
        ({"name": "a", "generated": {"amount": 3, "prompt": "Name some."}}, r"\{amount\}"),
        ({"name": "a", "values": ["x"], "column": "c"}, "no file that it could be of"),
    ],
)
def test_a_wrong_axis_says_what_would_be_right(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Axis(**fields)


def test_a_task_without_an_output_file_says_where_to_name_it() -> None:
    with pytest.raises(ConfigError, match=r"output_file='rows\.jsonl'"):
        TaskDataset(task())


def test_more_values_go_on_and_other_ones_do_not(tmp_path: Path) -> None:
    dataset(tmp_path, axes=[PRODUCTS]).generate("offline")
    grown = Axis("product", values=["billing", "login", "export", "import"], prompt="The ticket is about {value}.")
    report = dataset(tmp_path, axes=[grown]).generate("offline").report
    assert report is not None
    assert (report.rows, report.calls) == (8, 1)
    with pytest.raises(ConfigChangedError, match="product"):
        dataset(tmp_path, axes=[Axis("product", values=["billing"], prompt="The ticket is about {value}.")]).generate(
            "offline"
        )
    with pytest.raises(ConfigChangedError, match="axes"):
        dataset(tmp_path, axes=[Axis("product", values=["billing", "login", "export", "import"])]).generate("offline")


def test_values_are_read_from_files(tmp_path: Path) -> None:
    (tmp_path / "tones.txt").write_text("dry\nwarm\n\ndry\n")
    (tmp_path / "products.csv").write_text("product,price\nlogin,3\nbilling,4\n")
    axes = [Axis.from_file("tone", tmp_path / "tones.txt"), Axis.from_file("product", tmp_path / "products.csv")]
    rows = dataset(tmp_path, axes=axes).generate("offline").to_list()
    made = Counter((row["metadata"]["axes"]["tone"], row["metadata"]["axes"]["product"]) for row in rows)
    assert made == {(tone, product): 2 for tone in ("dry", "warm") for product in ("login", "billing")}
    with pytest.raises(ConfigError, match="prize"):
        dataset(tmp_path, axes=[Axis.from_file("product", tmp_path / "products.csv", column="prize")])
