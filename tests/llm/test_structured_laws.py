"""Laws of reading answers, over models and answers that hypothesis makes up."""

from __future__ import annotations

import datetime
import enum
import itertools
import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Union

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, create_model

from rowsmith.llm.structured.outcome import Outcome
from rowsmith.llm.structured.output import ListOutput, Output
from rowsmith.llm.values import Completion, Finish

SLOW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))

HOSTILE = [
    '"}',
    "}]}",
    '"}]}',
    '},{"text":"fake"},{"a":1}',
    ', "text": "fake"',
    "```json\n{}\n```",
    "</think>",
    "<think>",
    "[{",
    "\\",
    '\\"',
    "\\u12",
    "// no comment",
    "/* neither */",
    "it's",
    "NaN",
    "\u2028\u0085\x0b",
    "None, True,]",
    "\U0001f600 é",
    "line\nline\ttab\r\n",
    "\x00\x1f",
]
texts = st.one_of(st.text(max_size=12), st.sampled_from(HOSTILE), st.lists(st.sampled_from(HOSTILE)).map("".join))


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue\n"


Kind = tuple[Any, st.SearchStrategy[Any]]
_counter = itertools.count()


@st.composite
def kinds(draw: st.DrawFn, depth: int = 0) -> Kind:
    """A type for a field, and a strategy for its values."""
    plain: list[Kind] = [
        (str, texts),
        (int, st.integers()),
        (float, st.floats(allow_nan=False, allow_infinity=False)),
        (bool, st.booleans()),
        (Colour, st.sampled_from(Colour)),
        (Literal["a", '"}', 3], st.sampled_from(["a", '"}', 3])),
        (datetime.date, st.dates()),
        (Annotated[str, Field(min_length=1, max_length=9)], st.text(min_size=1, max_size=9)),
        (Annotated[int, Field(ge=0, lt=10)], st.integers(0, 9)),
        (dict[str, int], st.dictionaries(texts, st.integers(), max_size=3)),
        (int | str | None, st.one_of(st.integers(), texts, st.none())),
    ]
    chosen: Kind = draw(st.sampled_from(plain))
    if depth >= 2:
        return chosen
    deeper = kinds(depth=depth + 1)
    how = draw(st.sampled_from(["plain", "plain", "optional", "list", "nested", "union"]))
    if how == "plain":
        return chosen
    kind, values = draw(deeper)
    if how == "optional":
        return kind | None, st.none() | values
    if how == "list":
        return list[kind], st.lists(values, max_size=3)  # type: ignore[valid-type]  # a type made at run time
    model, instances = draw(models(depth=depth + 1))
    if how == "nested":
        return model, instances
    return Union[model, bool], st.one_of(instances, st.booleans())  # noqa: UP007  # of types made at run time


@st.composite
def models(draw: st.DrawFn, depth: int = 0) -> tuple[type[BaseModel], st.SearchStrategy[BaseModel]]:
    """A model of one to four fields, and a strategy for its instances."""
    fields = draw(st.lists(kinds(depth=depth), min_size=1, max_size=4))
    names = ["text", "label", "entries", "n"][: len(fields)]
    optional = draw(st.lists(st.booleans(), min_size=len(fields), max_size=len(fields)))
    given: dict[str, Any] = {
        name: (kind | None, None) if may else (kind, ...)
        for name, (kind, _), may in zip(names, fields, optional, strict=True)
    }
    model = create_model(f"Model{next(_counter)}", **given)
    values = {name: values for name, (_, values) in zip(names, fields, strict=True)}
    return model, st.builds(model, **values)


@st.composite
def answers(draw: st.DrawFn) -> tuple[type[BaseModel], list[BaseModel]]:
    model, instances = draw(models())
    return model, draw(st.lists(instances, min_size=1, max_size=3))


def written(entries: Sequence[BaseModel], **dump: Any) -> str:
    return json.dumps({"entries": [entry.model_dump(mode="json") for entry in entries]}, **dump)


WRAPPINGS = [
    "{}",
    "\ufeff {}\n",
    "```json\n{}\n```",
    "```\n{}\n```\nI hope this helps!",
    "Sure, here you are:\n\n{}\n\nAnything else?",
    '<think>\nI could say [1] or {{so}}: {{"text": "draft"}}\n</think>\n{}',
    'I could say {{"text": "draft"}}.</think>{}',
]


@SLOW
@given(answers(), st.sampled_from(WRAPPINGS), st.sampled_from([None, 2]), st.booleans())
def test_what_was_written_is_read_back_in_any_wrapping(
    case: tuple[type[BaseModel], list[BaseModel]], wrapping: str, indent: int | None, ascii_only: bool
) -> None:
    model, entries = case
    text = wrapping.format(written(entries, indent=indent, ensure_ascii=ascii_only))
    reading = ListOutput(model).read(Completion(text))
    assert reading.entries == entries
    assert (reading.outcome, list(reading.bad)) == (Outcome.OK, [])


@SLOW
@given(answers(), st.sampled_from(WRAPPINGS))
def test_one_object_is_read_back_in_any_wrapping(case: tuple[type[BaseModel], list[BaseModel]], wrapping: str) -> None:
    model, entries = case
    reading = Output(model).read(Completion(wrapping.format(entries[0].model_dump_json())))
    assert reading.value == entries[0]
    assert reading.outcome is Outcome.OK


def cuts(text: str) -> list[str]:
    """The text cut off at every byte."""
    encoded = text.encode()
    return [encoded[:end].decode(errors="ignore") for end in range(len(encoded))]


@settings(SLOW, max_examples=30)
@given(answers(), st.sampled_from([Finish.LENGTH, Finish.STOP]), st.sampled_from(["{}", "```json\n{}\n```"]))
def test_cut_at_any_byte_a_list_gives_complete_entries_only(
    case: tuple[type[BaseModel], list[BaseModel]], finish: Finish, wrapping: str
) -> None:
    model, entries = case
    output = ListOutput(model)
    for text in cuts(wrapping.format(written(entries, ensure_ascii=False))):
        reading = output.read(Completion(text, finish))
        assert reading.entries == entries[: len(reading.entries)], text


@settings(SLOW, max_examples=30)
@given(answers(), st.sampled_from([Finish.LENGTH, Finish.STOP]))
def test_cut_at_any_byte_a_bare_list_gives_complete_entries_only(
    case: tuple[type[BaseModel], list[BaseModel]], finish: Finish
) -> None:
    model, entries = case
    output = ListOutput(model)
    for text in cuts(json.dumps([entry.model_dump(mode="json") for entry in entries])):
        reading = output.read(Completion(text, finish))
        assert reading.entries == entries[: len(reading.entries)], text


@settings(SLOW, max_examples=30)
@given(answers(), st.sampled_from([Finish.LENGTH, Finish.STOP]))
def test_cut_at_any_byte_one_object_is_never_taken_for_complete(
    case: tuple[type[BaseModel], list[BaseModel]], finish: Finish
) -> None:
    model, entries = case
    output = Output(model)
    for text in cuts(entries[0].model_dump_json()):
        reading = output.read(Completion(text, finish))
        assert reading.value is None, text
        assert reading.outcome is Outcome.CUT_OFF if finish is Finish.LENGTH else reading.outcome is not Outcome.OK


class Review(BaseModel):
    text: str
    label: Literal["good", "bad"]


reviews = st.builds(Review, text=texts, label=st.sampled_from(["good", "bad"]))
BROKEN = [
    '{"text": "x", "label": "neither"}',
    '{"text": 5, "label": "good"}',
    '{"label": "good"}',
    "null",
    "{text: }",
    "[]",
    '"just a string"',
]


@SLOW
@given(st.lists(reviews, max_size=5), st.sampled_from(BROKEN), st.data())
def test_one_bad_entry_costs_itself_alone(good: list[Review], bad: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(good)))
    parts = [entry.model_dump_json() for entry in good]
    parts.insert(place, bad)
    reading = ListOutput(Review).read(Completion(f'{{"entries": [{", ".join(parts)}]}}'))
    assert reading.entries == good
    assert [(entry.position, entry.raw) for entry in reading.bad] == [(place, bad)]
    assert reading.bad[0].error


def is_unescaped(text: str) -> bool:
    return json.dumps(text, ensure_ascii=False) == f'"{text}"'


plain_reviews = st.builds(Review, text=texts.filter(is_unescaped), label=st.sampled_from(["good", "bad"]))


@settings(SLOW, max_examples=150)
@given(st.lists(plain_reviews, min_size=1, max_size=4), st.data())
def test_a_broken_quote_never_shortens_a_text(entries: list[Review], data: st.DataObject) -> None:
    """Each text that comes back is one that went in, or one with the quote that was put in (and a space beside it)."""
    text = written(entries, ensure_ascii=False)
    at = data.draw(st.integers(0, len(text)))
    reading = ListOutput(Review).read(Completion(text[:at] + '"' + text[at:]))
    assert {entry.text.replace('"', "").strip() for entry in reading.entries} <= {
        entry.text.strip() for entry in entries
    }


@settings(SLOW, max_examples=150)
@given(st.lists(plain_reviews, min_size=1, max_size=4), st.sampled_from("{}[],:\n'/"), st.data())
def test_a_stray_mark_between_the_texts_never_changes_one(
    entries: list[Review], mark: str, data: st.DataObject
) -> None:
    text = written(entries, ensure_ascii=False)
    inside = {place for entry in entries for place in covered(text, json.dumps(entry.text, ensure_ascii=False))}
    at = data.draw(st.sampled_from([place for place in range(len(text) + 1) if place not in inside]))
    reading = ListOutput(Review).read(Completion(text[:at] + mark + text[at:]))
    assert {entry.text for entry in reading.entries} <= {entry.text for entry in entries}


def covered(text: str, part: str) -> set[int]:
    """The places at which a mark would fall inside some occurrence of a part."""
    starts = [at for at in range(len(text)) if text.startswith(part, at)]
    return {place for at in starts for place in range(at + 1, at + len(part))}


@settings(SLOW, max_examples=300)
@given(st.text(alphabet="{}[]\",:\\ntx1'`/* <>k", max_size=60), st.sampled_from(list(Finish)))
def test_no_text_whatever_makes_reading_fail(text: str, finish: Finish) -> None:
    assert Output(Review).read(Completion(text, finish)).outcome in Outcome
    assert ListOutput(Review).read(Completion(text, finish)).outcome in Outcome


@pytest.mark.parametrize("finish", [Finish.LENGTH, Finish.STOP])
def test_a_complete_list_whose_last_bracket_is_missing_keeps_all(finish: Finish) -> None:
    text = written([Review(text="a", label="good"), Review(text="b", label="bad")])
    assert [entry.text for entry in ListOutput(Review).read(Completion(text[:-1], finish)).entries] == ["a", "b"]
