"""What a property of a schema is meant to hold, told from its name and description; and what a label means."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from typing import Final

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_TOKEN = re.compile(r"[^\W_]+")

# The first row that shares a word with the property's name wins; so `product_name` is a topic and not a person.
_KINDS: Final[tuple[tuple[str, frozenset[str]], ...]] = tuple(
    (kind, frozenset(words.split()))
    for kind, words in (
        ("wrong", "incorrect wrong distractor distractors false"),
        ("question", "question questions query queries faq"),
        ("answer", "answer answers response responses reply replies solution completion output chosen rejected"),
        ("title", "title titles headline headlines heading headings subject"),
        ("language", "language lang locale"),
        ("label", "label labels class category categories sentiment classification"),
        ("email", "email emails mail"),
        ("url", "url urls uri link links href website homepage"),
        ("phone", "phone telephone mobile fax"),
        ("place", "city cities place places town location country address destination"),
        ("company", "company companies organization organisation employer brand vendor"),
        ("subtopic", "subtopic subtopics subtopicname"),
        ("topic", "topic topics theme themes keyword keywords tag tags entity concept concepts"),
        ("topic", "term product item object field domain aspect aspects"),
        ("persona", "persona personas role roles profile audience character occupation profession job"),
        ("instruction", "instruction instructions prompt prompts task tasks exercise request"),
        ("code", "code snippet program function"),
        ("first_name", "firstname forename first"),
        ("last_name", "lastname surname family"),
        ("date", "date birthday dob deadline"),
        ("id", "id ids uuid identifier slug hash key"),
        ("text", "text texts review reviews comment comments content body message messages description summary story"),
        ("person", "name names author authors person people user username speaker customer contact"),
    )
)

PROSE: Final = frozenset(
    {"wrong", "question", "answer", "title", "topic", "subtopic", "persona", "instruction", "text"}
)
"""The kinds that are written in the language asked for."""


def tokens(text: str) -> list[str]:
    """The lower-case words of a name: `fullName`, `full_name` and `full-name` are all `full`, `name`."""
    return [word.lower() for word in _TOKEN.findall(_CAMEL.sub(" ", text).replace("_", " "))]


def kind_of(name: str, description: str = "") -> str:
    """The kind of text a property wants: by its name, else by its description, else plain text."""
    for source in (name, description):
        words = frozenset(tokens(source))
        for kind, known in _KINDS:
            if words & known:
                return kind
    return "text"


_SENSES: Final = {
    word: sense
    for sense, words in (
        (
            "positive",
            "positive positif positiv positivo positiva positief good great happy happiness joy satisfied praise love "
            "like favorable favourable excellent pleased delighted thumbs_up 5_stars 4_stars five_stars four_stars",
        ),
        (
            "negative",
            "negative négatif negatif negativ negativo negativa negatief bad sad sadness angry anger complaint unhappy "
            "unsatisfied dissatisfied unfavorable unfavourable terrible awful disappointed frustrated frustration "
            "1_star 2_stars one_star two_stars",
        ),
        ("neutral", "neutral neutro neutra neutre neutraal objective ordinary 3_stars three_stars"),
        ("spam", "spam scam phishing junk"),
        ("ham", "ham legitimate legit"),
        ("urgent", "urgent urgente dringend urgence critical emergency high_priority"),
        ("calm", "routine low_priority later"),
    )
    for word in words.split()
}
_NEGATORS: Final = frozenset({"not", "non", "no", "nicht", "kein", "un"})
_OPPOSITES: Final = {
    "positive": "negative",
    "negative": "positive",
    "neutral": "custom",
    "spam": "ham",
    "ham": "spam",
    "urgent": "calm",
    "calm": "urgent",
}


def _sense_of_words(words: list[str]) -> str | None:
    pairs = ["_".join(pair) for pair in pairwise(words)]
    found = [_SENSES[word] for word in (*pairs, *words) if word in _SENSES]
    if not found or len(set(found)) > 1:
        return None
    return _OPPOSITES[found[0]] if _NEGATORS.intersection(words) else found[0]


@lru_cache(maxsize=1024)
def sense_of(label: str, description: str) -> str:
    """What a label asks a text to sound like.

    Returns:
        `positive`, `negative`, `neutral`, `spam`, `ham`, `urgent` or `calm` where the words of the label, else those of
        its description, say one of them and no other; `neutral` without a label; else `custom`.
    """
    if not label:
        return "neutral"
    return _sense_of_words(tokens(label)) or _sense_of_words(tokens(description)) or "custom"
