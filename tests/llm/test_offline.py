"""The offline provider: the same for the same request, and carrying what was asked for."""

from __future__ import annotations

import asyncio
import re
from types import MappingProxyType
from typing import Annotated, Any, Literal

import orjson
import pytest
from pydantic import BaseModel, Field

from rowsmith.errors import ConfigError
from rowsmith.llm.filler.text import Writer
from rowsmith.llm.provider import Provider
from rowsmith.llm.providers.offline import OfflineProvider
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Finish, Message, OutputSchema, Request

from .offline_client import Entry, ask, texts

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


def test_entries_may_have_hints_of_their_own() -> None:
    each = [{"topic": "Optics", "place": 1}, {"topic": "Heat", "place": 2}]
    schema = OutputSchema(
        "placed",
        {
            "type": "object",
            "properties": {
                "entries": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"place": {"type": "integer"}, "text": {"type": "string"}},
                        "required": ["place", "text"],
                    },
                }
            },
            "required": ["entries"],
        },
    )
    request = Request((Message.user("x"),), schema, hints={"num_samples": 2, "each_entry": each})
    provider = OfflineProvider()
    answered = asyncio.run(provider.complete(provider.encode(request), Transport()))
    entries = orjson.loads(answered.text)["entries"]
    assert [entry["place"] for entry in entries] == [1, 2]
    assert ["Optics" in entry["text"] for entry in entries] == [True, False]
    assert ["Heat" in entry["text"] for entry in entries] == [False, True]
