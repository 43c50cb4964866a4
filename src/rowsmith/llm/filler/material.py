"""The sentence material: seven languages, one JSON file each beside this one."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

import orjson

_CODES: Final = {
    **dict.fromkeys(("en", "eng", "english", "anglais", "englisch"), "en"),
    **dict.fromkeys(("fr", "fra", "french", "français", "francais"), "fr"),
    **dict.fromkeys(("de", "deu", "german", "deutsch"), "de"),
    **dict.fromkeys(("es", "spa", "spanish", "español", "espanol", "castellano"), "es"),
    **dict.fromkeys(("it", "ita", "italian", "italiano"), "it"),
    **dict.fromkeys(("pt", "por", "portuguese", "português", "portugues"), "pt"),
    **dict.fromkeys(("nl", "nld", "dutch", "nederlands", "flemish"), "nl"),
}


@lru_cache(maxsize=256)
def language_of(code: str, name: str) -> tuple[str, str]:
    """The code of the material to write with, and the mark that a language without material is named by."""
    for given in (code, name):
        known = _CODES.get(given.strip().lower()) or _CODES.get(given.strip().lower().replace("_", "-").split("-")[0])
        if known:
            return known, ""
    return "en", f"[{name or code}] " if name or code else ""


def capital(text: str) -> str:
    """The text with its first letter large and the rest as it is."""
    return text[:1].upper() + text[1:]


class Words:
    """The sentence material of one language, with the sentences that can be made beforehand.

    Attributes:
        lists: the material as its file has it, by name.
        judged: per sense, every `subject predicate` sentence, grouped by subject; capitalised and not.
    """

    __slots__ = ("close", "judged", "lists", "predicates", "sep", "subjects")

    def __init__(self, code: str) -> None:
        raw: dict[str, Any] = orjson.loads(files(__package__).joinpath(f"words/{code}.json").read_bytes())
        self.sep: str = raw["sep"]
        self.lists: dict[str, list[str]] = {k: v for k, v in raw.items() if isinstance(v, list)}
        self.lists["persona_line"] = raw["persona"]
        self.lists["extras"] = [raw["extras"]]
        self.close: dict[str, list[str]] = raw["close"]
        self.subjects = len(raw["subjects"])
        self.predicates = len(raw["positive"])
        self.judged = {
            sense: (
                [f"{capital(subject)} {predicate}." for subject in raw["subjects"] for predicate in raw[sense]],
                [f"{subject} {predicate}." for subject in raw["subjects"] for predicate in raw[sense]],
            )
            for sense in ("positive", "negative", "neutral")
        }


@lru_cache(maxsize=16)
def words_of(code: str) -> Words:
    """The material of a language that has some: its ISO 639-1 code."""
    return Words(code)
