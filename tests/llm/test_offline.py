"""The offline provider: valid for any schema, the same for the same request, and carrying what was asked for."""

from __future__ import annotations

import asyncio
import enum
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Any, Literal, Union
from uuid import UUID

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import AnyUrl, BaseModel, Field, HttpUrl, IPvAnyAddress, Json, create_model

from rowsmith.errors import BadRequestError, ConfigError
from rowsmith.llm.filler.text import Writer
from rowsmith.llm.provider import Provider
from rowsmith.llm.providers.offline import OfflineProvider
from rowsmith.llm.values import Completion, Finish, Message, OutputSchema, Request

LANGUAGES = {
    "en": "English",
    "fr": "French",
    "de": "German",
    "es": "Spanish",
    "it": "Italian",
    "pt": "Portuguese",
    "nl": "Dutch",
}
STOCK = {
    "en": {"the", "and", "was", "to", "it", "for"},
    "fr": {"le", "de", "à", "et", "était", "pour"},
    "de": {"der", "die", "und", "war", "in", "ich"},
    "es": {"el", "de", "y", "en", "fue", "para"},
    "it": {"il", "di", "e", "era", "a", "per"},
    "pt": {"o", "de", "e", "em", "foi", "para"},
    "nl": {"de", "het", "en", "was", "in", "van"},
}


class Entry(BaseModel):
    text: str


class Entries(BaseModel):
    entries: list[Entry]


def ask(
    schema: type[BaseModel] | dict[str, Any] | None = Entries,
    *,
    seed: int = 0,
    prompt: str = "Write.",
    provider: OfflineProvider | None = None,
    **hints: Any,
) -> Completion:
    provider = provider or OfflineProvider()
    written = schema if isinstance(schema, dict) or schema is None else schema.model_json_schema()
    request = Request(
        messages=(Message.user(prompt),),
        schema=None if written is None else OutputSchema("answer", written),
        hints=hints,
        seed=seed,
    )
    return asyncio.run(provider.complete(provider.encode(request), None))  # type: ignore[arg-type]  # it takes no transport


def texts(**asked: Any) -> list[str]:
    return [entry.text for entry in Entries.model_validate_json(ask(**asked).text).entries]


# --- any schema -------------------------------------------------------------------------------------------------------


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
        inner.map(lambda t: of(Annotated, of(dict, Literal["p", "q", "r"], t), Field(min_length=2))),
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


# --- the same for the same request ------------------------------------------------------------------------------------


def test_the_same_request_gets_the_same_answer_and_another_seed_another_one() -> None:
    assert texts(seed=1) == texts(seed=1)
    assert texts(seed=1) != texts(seed=2)


@pytest.mark.parametrize("change", [{"prompt": "Other."}, {"label_name": "spam"}, {"provider": "offline-b"}], ids=str)
def test_whatever_is_part_of_the_request_changes_the_answer(change: dict[str, Any]) -> None:
    if "provider" in change:
        change = {"provider": OfflineProvider(model_id=change["provider"])}
    assert texts() != texts(**change)


def test_encoding_does_not_depend_on_the_order_of_hints() -> None:
    provider = OfflineProvider()
    first = Request((Message.user("x"),), hints=MappingProxyType({"a": 1, "b": {"y": 2, "x": 1}}))
    second = Request((Message.user("x"),), hints={"b": {"x": 1, "y": 2}, "a": 1})
    assert provider.encode(first) == provider.encode(second)


def test_a_hint_that_is_not_json_is_refused_with_its_type() -> None:
    with pytest.raises(ConfigError, match="serializable: object"):
        ask(None, thing=object())


# --- what was asked for is carried ------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("by_name", [True, False])
def test_the_language_is_written_in(code: str, by_name: bool) -> None:
    hints = {"language_name": LANGUAGES[code]} if by_name else {"language": code}
    words = [text.lower().replace(".", "").replace(",", "").split() for text in texts(num_samples=20, **hints)]
    hits = {other: sum(word in stock for text in words for word in text) for other, stock in STOCK.items()}
    assert max(hits, key=lambda other: hits[other]) == code


def test_an_unknown_language_is_marked_by_its_name() -> None:
    assert all(text.startswith("[Japanese] ") for text in texts(language="ja", language_name="Japanese"))


@pytest.mark.parametrize("code", LANGUAGES)
def test_positive_and_negative_share_no_judgement(code: str) -> None:
    def sentences(label: str) -> set[str]:
        found = texts(num_samples=40, language=code, label_name=label)
        return {sentence for text in found for sentence in text.split(". ")[1:]}

    shared = sentences("positive") & sentences("Negative")
    assert all(any(char.isdigit() for char in sentence) for sentence in shared)


def test_not_spam_is_no_spam() -> None:
    assert not any("!" in text for text in texts(num_samples=30, label_name="not_spam"))
    assert all("!" in text for text in texts(num_samples=30, label_name="spam"))


@pytest.mark.parametrize("code", LANGUAGES)
def test_an_unknown_label_is_woven_in_by_name_or_description(code: str) -> None:
    hints = {"label_name": "billing_issue", "label_description": "Trouble with invoices."}
    found = texts(num_samples=30, language=code, **hints)
    assert all("billing issue" in text or "Trouble with invoices" in text for text in found)


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("label", ["positive", "spam", "urgent", "billing"])
def test_topic_persona_and_open_hints_are_carried(code: str, label: str) -> None:
    hints = {"topic": "{x} solar % panels", "persona": "a nurse", "industry": "banking", "language": code}
    for text in texts(num_samples=10, label_name=label, **hints):
        assert "{x} solar % panels" in text
        assert "a nurse" in text
        assert "banking" in text


def test_short_and_long_are_obeyed() -> None:
    short, usual, long = (
        sum(map(len, texts(num_samples=10, length=length))) for length in ("short", "as you like", "very detailed")
    )
    assert short < usual * 0.8
    assert long > usual * 1.2


def test_a_label_property_takes_the_label_asked_for() -> None:
    class Labelled(BaseModel):
        text: str
        sentiment: Literal["positive", "negative", "neutral"]
        label: str
        language: str

    for seed in range(10):
        made = Labelled.model_validate_json(ask(Labelled, seed=seed, label_name="negative", language="fr").text)
        assert (made.sentiment, made.label, made.language) == ("negative", "negative", "fr")


DOCUMENT = (
    "The lighthouse keeper polished the great lantern every evening. Storms from Norway broke several windows in 1903. "
    "Fishermen trusted the signal more than their compasses, and the harbour council paid for new glass."
)


def test_questions_and_answers_come_from_the_document() -> None:
    class Quiz(BaseModel):
        question: str
        correct_answer: str
        incorrect_answers: Annotated[list[str], Field(min_length=3, max_length=3)]

    class Quizzes(BaseModel):
        entries: list[Quiz]

    words = set(re.findall(r"\w{5,}", DOCUMENT.lower()))
    quizzes = Quizzes.model_validate_json(ask(Quizzes, document=DOCUMENT, num_samples=6).text).entries
    assert len({quiz.question for quiz in quizzes}) == 6
    for quiz in quizzes:
        assert quiz.question.endswith("?")
        assert len({quiz.correct_answer, *quiz.incorrect_answers}) == 4
        assert any(sentence in quiz.correct_answer for sentence in DOCUMENT.split(". "))
        assert all(words & set(re.findall(r"\w+", text.lower())) for text in quiz.incorrect_answers)


@pytest.mark.parametrize("document", ["", "a b", "日本語の文章です。" * 9, "x" * 500, "{}{0}{name}" * 60, "one\n\ntwo"])
def test_odd_documents_do_no_harm(document: str) -> None:
    class Quiz(BaseModel):
        question: str
        answer: str
        wrong: str
        text: str

    Quiz.model_validate_json(ask(Quiz, document=document).text)


@pytest.mark.parametrize(
    ("name", "looks"), [("email", "@example."), ("question", "?"), ("url", "https://"), ("code", "def "), ("id", "")]
)
def test_a_property_s_name_tells_what_is_written(name: str, looks: str) -> None:
    schema = {"type": "object", "properties": {name: {"type": "string"}}, "required": [name]}
    assert looks in orjson.loads(ask(schema).text)[name]


def test_a_description_tells_it_where_the_name_does_not() -> None:
    schema = {"type": "object", "properties": {"q": {"type": "string", "description": "A question to a guide"}}}
    assert orjson.loads(ask(schema).text)["q"].endswith("?")


# --- how many, and none twice -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 5, 40])
def test_an_open_list_gets_as_many_entries_as_were_asked_for(count: int) -> None:
    assert len(set(texts(num_samples=count))) == count


def test_the_schema_s_own_bounds_come_before_the_hint() -> None:
    class Few(BaseModel):
        entries: Annotated[list[Entry], Field(max_length=2)]

    assert len(Few.model_validate_json(ask(Few, num_samples=9).text).entries) == 2


def test_lists_inside_an_entry_are_not_entries() -> None:
    class Tagged(BaseModel):
        text: str
        tags: list[str]

    class Many(BaseModel):
        entries: list[Tagged]

    assert all(len(made.tags) <= 3 for made in Many.model_validate_json(ask(Many, num_samples=12).text).entries)


@pytest.mark.parametrize("hints", [{}, {"label_name": "spam"}, {"topic": "bees"}, {"length": "short"}], ids=str)
def test_fifty_thousand_seeds_give_fifty_thousand_texts(hints: dict[str, str]) -> None:
    writer = Writer(hints)
    assert len({writer.write("text", seed) for seed in range(50_000)}) == 50_000


@pytest.mark.parametrize("kind", ["question", "instruction", "answer"])
def test_other_prose_is_distinct_as_well(kind: str) -> None:
    writer = Writer({"language": "de"})
    assert len({writer.write(kind, seed) for seed in range(20_000)}) == 20_000


# --- the provider itself ----------------------------------------------------------------------------------------------


def test_it_is_a_provider_and_never_says_it_is_a_model() -> None:
    provider = OfflineProvider()
    assert isinstance(provider, Provider)
    completion = ask()
    assert completion.model == provider.model_id == provider.name == "offline"
    assert completion.finish is Finish.STOP
    assert completion.usage.input_tokens == 1
    assert completion.usage.output_tokens > 10
    with pytest.raises(ConfigError, match="no model"):
        OfflineProvider(model_id="gpt-5-mini")


def test_without_a_schema_it_answers_in_sentences() -> None:
    text = ask(None, language="it").text
    assert text.count(".") >= 3
    assert "{" not in text


def test_latency_is_waited_for() -> None:
    async def both() -> float:
        loop = asyncio.get_running_loop()
        provider = OfflineProvider(latency=0.05)
        begun = loop.time()
        body = provider.encode(Request((Message.user("x"),)))
        await asyncio.gather(*(provider.complete(body, None) for _ in range(10)))  # type: ignore[arg-type]  # no transport
        return loop.time() - begun

    assert 0.045 <= asyncio.run(both()) < 0.4
