"""Answers that must quote: pieces of a text that was just written, or of a document that was shown.

A recipe says so in the hint `quotes`, a list of rules: `field` is filled from the words of `of`, which is a field
beside it or another hint. A text becomes a phrase. A list becomes one object with a word in `text`, and with the rule's
`label`; or stays empty where the rule's `label` is null. A rule with a `value` gives the field that value.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rowsmith.llm.filler.seeds import STEP, mix

RULES: Final = "quotes"
"""The hint that holds the rules."""

_WORD: Final = re.compile(r"\w+(?:['’]\w+)*")
_BEGINNING: Final = re.compile(r"(?:^|[.!?:]\s+)$")
_SENTENCE: Final = re.compile(r"[^.!?。\n]+")


def quoted(value: Any, hints: Mapping[str, Any], seed: int) -> Any:
    """A filled value with its quotes put in.

    Args:
        value: as the schema was filled.
        hints: with the rules, and the texts that they name.
        seed: which pieces are taken.
    """
    rules: Sequence[Mapping[str, Any]] = hints.get(RULES) or ()
    if isinstance(value, list):
        return [quoted(part, hints, mix(seed + STEP * place)) for place, part in enumerate(value)]
    if not isinstance(value, dict):
        return value
    made = {name: quoted(part, hints, mix(seed + STEP * place)) for place, (name, part) in enumerate(value.items())}
    for rule in rules:
        if "value" in rule:
            made |= {rule["field"]: rule["value"]} if rule["field"] in made else {}
            continue
        source = made.get(rule["of"], hints.get(rule["of"]))
        if rule["field"] in made and isinstance(source, str):
            made[rule["field"]] = _quote(made[rule["field"]], rule, source, seed)
    return made


def _quote(before: Any, rule: Mapping[str, Any], source: str, seed: int) -> Any:
    if not isinstance(before, list):
        return _phrase(source, seed)
    label = rule.get("label")
    word = None if label is None else _word(source, seed)
    return [] if word is None else [{"text": word, "label": label}]


def _word(text: str, seed: int) -> str | None:
    """A word that stands in the text once; a name before others."""
    counts = Counter(_WORD.findall(text))
    once = [word for word, count in counts.items() if count == 1 and len(word) > 2 and text.count(word) == 1]
    choice = [word for word in once if word[0].isupper() and not _BEGINNING.search(text, 0, text.index(word))] or once
    return choice[mix(seed) % len(choice)] if choice else None


def _phrase(text: str, seed: int) -> str:
    """Some words of one sentence, as they stand there."""
    sentences: list[str] = [part for part in _SENTENCE.findall(text) if _WORD.search(part)]
    if not sentences:
        return text.strip()
    sentence = sentences[mix(seed) % len(sentences)]
    words: list[re.Match[str]] = list(_WORD.finditer(sentence))
    first = mix(seed + 1) % max(1, len(words) - 2)
    last = min(len(words) - 1, first + 1 + mix(seed + 2) % 4)
    return sentence[words[first].start() : words[last].end()]
