"""Text that reads like text, put together from sentence material of seven languages by a seed and a cell's values.

A text of one language and label is one of more than 10^12. A language without material is written in English behind a
mark that names it, such as `[Japanese]`: what is missing is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from rowsmith.llm.filler.document import Source, source_of
from rowsmith.llm.filler.kinds import PROSE, sense_of
from rowsmith.llm.filler.material import capital, language_of, words_of
from rowsmith.llm.filler.seeds import draw, mix

# What a hint is for, by its name. A name that is not here is carried in the text as one more thing that was asked for.
_PURPOSES: Final = {
    name: purpose
    for purpose, names in (
        ("topic", "topic subject theme title keyword category domain product subtopic concept skill event service"),
        ("persona", "persona audience speaker role author profession"),
        ("length", "length size num_words word_count text_length"),
        ("document", "document source_document text source source_text context passage article content"),
        (
            "",
            "label label_name label_description labels_listing labels quantity scale_listing score language "
            "language_name num_samples count id",
        ),
        ("", "num_rows model model_id prompt template seed question answer correct_answer instructions format"),
    )
    for name in names.split()
}
EACH: Final = "each_entry"
"""The hint that holds the hints of single entries."""
_LONGEST_HINT: Final = 160
"""A longer value is source text, whatever its name."""

_SHORT: Final = ("short", "brief", "court", "kurz", "cort", "breve", "curt", "kort", "one sentence", "tiny", "concise")
_LONG: Final = ("long", "detail", "lang", "largo", "lungo", "extensive", "depth", "ausführlich", "uitgebreid")
_BASE36: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


class Writer:
    """Writes by the hints of one request: same hints, kind and seed, same text.

    Args:
        hints: a cell's values by name. `language`, `language_name`, `label_name`, `label_description`, `num_samples`
            and `document` are known; names such as `topic`, `persona` and `length` steer the text; every other short
            text is mentioned in it. `each_entry` is a list of further hints, one mapping for each entry of a list.

    Attributes:
        each: for each entry of a list, who writes it and the hints that are its own; empty where all are alike.
    """

    __slots__ = (
        "count",
        "each",
        "extras",
        "label",
        "length",
        "mark",
        "persona",
        "sense",
        "source",
        "topic",
        "values",
        "words",
    )

    def __init__(self, hints: Mapping[str, Any]) -> None:
        values: dict[str, str] = {}
        self.values = values
        self.topic = self.persona = ""
        self.length = 1
        self.source: Source | None = None
        extras: list[str] = []
        for name, value in hints.items():
            if type(value) is not str or not value:
                continue
            values[name] = value
            purpose = _PURPOSES.get(name, "extra")
            if purpose == "document" or (purpose and len(value) > _LONGEST_HINT):
                self.source = source_of(value)
            elif purpose == "topic" and not self.topic:
                self.topic = value
            elif purpose == "persona" and not self.persona:
                self.persona = value
            elif purpose == "length":
                self.length = _length(value)
            elif purpose:
                extras.append(value)
        self.extras = ", ".join(extras)
        code, self.mark = language_of(values.get("language", ""), values.get("language_name", ""))
        self.words = words_of(code)
        name, meaning = values.get("label_name", values.get("label", "")), values.get("label_description", "")
        self.sense = sense_of(name, meaning)
        self.label = (name.replace("_", " "), meaning.strip(" .") or name) if self.sense == "custom" else None
        count = hints.get("num_samples")
        self.count: int | None = count if type(count) is int and count >= 0 else None
        own: list[Mapping[str, Any]] = hints.get(EACH) or []
        self.each = [(Writer({**hints, EACH: None, **more}), more) for more in own]

    def write(self, kind: str, seed: int) -> str:
        """A text of a kind that `kind_of` tells."""
        text = _MAKERS[kind](self, seed)
        return self.mark + text if self.mark and kind in PROSE else text

    def short(self, seed: int, longest: int) -> str:
        """A word, with a number behind it where there is room: for properties too short for a sentence."""
        things = self.words.lists["things"]
        word = max(things[mix(seed) % len(things)].split(), key=len)
        if longest < 8:
            return word[:longest]
        tail, rest = "", mix(seed + 1)
        while len(tail) < 4:
            rest, digit = divmod(rest, 36)
            tail += _BASE36[digit]
        return f"{word[: longest - 5]} {tail}"


@lru_cache(maxsize=256)
def _length(value: str) -> int:
    low = value.lower()
    if any(word in low for word in _SHORT):
        return 0
    return 2 if any(word in low for word in _LONG) else 1


def _setting(w: Writer, d: tuple[int, ...]) -> str:
    """The opening sentence: when, who and where; with the topic where there is one. Uses the first four numbers."""
    words = w.words
    lists = words.lists
    when, names, places = lists["when"], lists["names"], lists["places"]
    name, place = names[d[2] % len(names)], places[d[3] % len(places)]
    if w.topic:
        scenes = lists["topic_settings"]
        scene = scenes[d[1] % len(scenes)].format(name=name, place=place, topic=w.topic)
    else:
        scenes = lists["settings"]
        scene = scenes[d[1] % len(scenes)].format(name=name, place=place)
    return f"{when[d[0] % len(when)]}{words.sep}{scene}."


def _text(w: Writer, seed: int) -> str:
    if w.source is not None:
        return _document_text(w, seed, w.source)
    sense = w.sense
    if sense in ("spam", "urgent", "calm"):
        return _message(w, seed)
    if sense not in ("positive", "negative"):
        sense = "neutral"
    words = w.words
    lists = words.lists
    d = draw(seed)
    judged, lower = words.judged[sense]
    width, subjects = words.predicates, words.subjects
    subject, predicate = d[4] % subjects, d[5] % width
    facts = lists["facts"]
    fact = facts[d[6] % len(facts)].format(n=5 + d[7] % 180, m=2 + d[8] % 88)
    parts = [_setting(w, d), judged[subject * width + predicate]]
    if w.length:
        links, close, names, places = lists["links"], words.close[sense], lists["names"], lists["places"]
        # Another subject and another predicate than the first sentence's: no text says a thing twice.
        subject = (subject + 1 + d[9] % (subjects - 1)) % subjects
        predicate = (predicate + 1 + d[10] % (width - 1)) % width
        parts.append(links[d[11] % len(links)] + lower[subject * width + predicate])
        parts.append(fact)
        if w.length > 1:
            parts.extend(_more(w, seed, sense))
        closer = close[d[12] % len(close)]
        if "{" in closer:
            closer = closer.format(name=names[d[2] % len(names)], place=places[d[3] % len(places)])
        parts.append(closer)
    else:
        parts.append(fact)
    return _framed(w, d, parts)


def _more(w: Writer, seed: int, sense: str) -> list[str]:
    """Three more judgements and another scene, for a long text."""
    words = w.words
    d = draw(mix(seed))
    judged = words.judged[sense][0]
    sentences = [judged[d[at] % len(judged)] for at in (5, 6, 7)]
    return [*sentences[:1], _setting(w, d), *sentences[1:]]


def _framed(w: Writer, d: tuple[int, ...], parts: list[str]) -> str:
    lists = w.words.lists
    if w.label is not None:
        lines = lists["custom"]
        parts.insert(-1, lines[d[13] % len(lines)].format(label=w.label[d[14] & 1]))
    if w.persona:
        lines = lists["persona_line"]
        parts.insert(0, lines[d[15] % len(lines)].format(persona=w.persona))
    if w.extras:
        parts.append(lists["extras"][0].format(extras=w.extras))
    return " ".join(parts)


def _message(w: Writer, seed: int) -> str:
    """A spam, urgent or calm message: two sentences of the sense and a closing one, all to the same person."""
    lists = w.words.lists
    lines, close, names, places = lists[w.sense], w.words.close[w.sense], lists["names"], lists["places"]
    d = draw(seed)
    name = names[d[0] % len(names)]
    first = d[1] % len(lines)
    second = (first + 1 + d[2] % (len(lines) - 1)) % len(lines)
    parts = [
        lines[line].format(name=name, place=places[at % len(places)], n=11 + n % 979, m=2 + m % 58)
        for line, at, n, m in ((first, d[3], d[4], d[5]), (second, d[6], d[7], d[8]))
    ]
    if w.topic:
        parts.insert(0, _setting(w, (d[9], d[10], d[0], d[3])))
    parts.append(close[d[11] % len(close)].format(name=name, place=places[d[12] % len(places)], m=2 + d[5] % 58))
    return _framed(w, d, parts)


def _document_text(w: Writer, seed: int, source: Source) -> str:
    lists = w.words.lists
    d = draw(seed)
    leads, links = lists["doc_leads"], lists["doc_links"]
    a, b = source.pair(d[4], d[5], lists["things"])
    parts = [_setting(w, d), leads[d[6] % len(leads)] + source.sentence(d[7], a)]
    parts.append(links[d[8] % len(links)].format(a=a, b=b))
    return _framed(w, d, [capital(part) for part in parts])


def _question(w: Writer, seed: int) -> str:
    lists = w.words.lists
    d = draw(seed)
    things, asked = lists["things"], lists["questions"]
    if w.source is not None:
        a, b = w.source.pair(d[4], d[5], things)
        asked = lists["doc_questions"]
        return capital(asked[d[6] % len(asked)].format(a=a, b=b))
    topic = w.topic or things[d[4] % len(things)]
    question = capital(asked[d[5] % len(asked)].format(topic=topic, other=things[d[6] % len(things)]))
    if w.sense in ("positive", "negative"):
        judged = w.words.judged[w.sense][0]
        return _framed(w, d, [_setting(w, d), judged[d[7] % len(judged)], question])
    return _framed(w, d, [_setting(w, d), question])


def _answer(w: Writer, seed: int) -> str:
    if w.source is None:
        return _text(w, seed)
    lists = w.words.lists
    d = draw(seed)
    a, b = w.source.pair(d[0], d[1], lists["things"])
    leads, links = lists["doc_leads"], lists["doc_links"]
    link = links[d[3] % len(links)].format(a=a, b=b)
    return f"{capital(leads[d[2] % len(leads)] + w.source.sentence(d[4], a))} {capital(link)}"


def _wrong(w: Writer, seed: int) -> str:
    lists = w.words.lists
    d = draw(seed)
    things, lines, names, places = lists["things"], lists["wrong"], lists["names"], lists["places"]
    a, b = (
        (things[d[0] % len(things)], things[(d[0] + 1 + d[1] % (len(things) - 1)) % len(things)])
        if w.source is None
        else w.source.pair(d[0], d[1], things)
    )
    name, place = names[d[3] % len(names)], places[d[4] % len(places)]
    line = lines[d[2] % len(lines)].format(a=a, b=b, name=name, place=place, n=11 + d[5] % 979, m=2 + d[6] % 58)
    return capital(line)


def _named(kind: str) -> Callable[[Writer, int], str]:
    """Titles and instructions: one line about a topic, a person and a place."""

    def make(w: Writer, seed: int) -> str:
        lists = w.words.lists
        d = draw(seed)
        lines, things, names, places = lists[kind], lists["things"], lists["names"], lists["places"]
        topic = w.topic or f"{things[d[1] % len(things)]} {lists['aspects'][d[2] % len(lists['aspects'])]}"
        line = lines[d[0] % len(lines)].format(
            topic=topic,
            other=things[d[3] % len(things)],
            name=names[d[4] % len(names)],
            place=places[d[5] % len(places)],
            n=11 + d[6] % 979,
            m=2 + d[7] % 58,
        )
        return _framed(w, d, [capital(line)]) if kind == "instructions" else capital(line)

    return make


def _topic(w: Writer, seed: int) -> str:
    lists = w.words.lists
    d = draw(seed)
    things, aspects, places = lists["things"], lists["aspects"], lists["places"]
    tail = f"{things[d[0] % len(things)]} {aspects[d[1] % len(aspects)]} ({places[d[2] % len(places)]})"
    return f"{w.topic}: {tail}" if w.topic else tail


def _subtopic(w: Writer, seed: int) -> str:
    """As a topic, of which there are some 20,000; two things instead of one make it a million, for large trees."""
    if w.topic:
        return _topic(w, seed)
    d = draw(seed)
    things = w.words.lists["things"]
    return f"{things[(d[0] + 1 + d[3] % (len(things) - 1)) % len(things)]} & {_topic(w, seed)}"


def _persona(w: Writer, seed: int) -> str:
    lists = w.words.lists
    d = draw(seed)
    name, place = lists["names"][d[1] % len(lists["names"])], lists["places"][d[2] % len(lists["places"])]
    role = lists["personas"][d[0] % len(lists["personas"])]
    topic = w.topic or lists["things"][d[4] % len(lists["things"])]
    return f"{name}, {role} ({place}, {20 + d[3] % 70}; {topic})"


def _label(w: Writer, seed: int) -> str:
    return w.values.get("label_name") or w.values.get("label") or ("positive", "negative", "neutral")[mix(seed) % 3]


def _language_name(w: Writer, _: int) -> str:
    return w.values.get("language_name") or w.values.get("language") or "English"


def _listed(*names: str, joint: str = " ") -> Callable[[Writer, int], str]:
    def make(w: Writer, seed: int) -> str:
        d = draw(seed)
        lists = w.words.lists
        return joint.join(lists[name][d[at] % len(lists[name])] for at, name in enumerate(names))

    return make


def _email(_: Writer, seed: int) -> str:
    d = draw(seed)
    names = words_of("en").lists["names"]
    name, host = names[d[0] % len(names)].lower(), ("com", "org", "net")[d[1] % 3]
    return f"{name}.{d[2] % 10000:04d}{d[3] % 10000:04d}@example.{host}"


def _url(_: Writer, seed: int) -> str:
    d = draw(seed)
    things = words_of("en").lists["things"]
    slug = things[d[0] % len(things)].replace(" ", "-").replace("é", "e")
    return f"https://example.com/{slug}/{d[1]:04x}{d[2]:04x}{d[3]:04x}"


def _phone(_: Writer, seed: int) -> str:
    d = draw(seed)
    return f"+1 555 {d[0] % 900 + 100} {d[1] % 10000:04d}"


def _date(_: Writer, seed: int) -> str:
    d = draw(seed)
    return f"{2000 + d[0] % 25}-{1 + d[1] % 12:02d}-{1 + d[2] % 28:02d}"


def _code(w: Writer, seed: int) -> str:
    d = draw(seed)
    things = words_of("en").lists["things"]
    name = things[d[0] % len(things)].replace(" ", "_").replace("é", "e")
    low, factor, note = d[1], d[2], w.topic.replace('"', "'").replace("\\", "/") or name.replace("_", " ")
    return (
        f'def {name}(values: list[int]) -> int:\n    """{note}."""\n'
        f"    return sum(value * {factor} for value in values if value > {low})\n"
    )


_MAKERS: Final[dict[str, Callable[[Writer, int], str]]] = {
    "text": _text,
    "question": _question,
    "answer": _answer,
    "wrong": _wrong,
    "title": _named("titles"),
    "instruction": _named("instructions"),
    "topic": _topic,
    "subtopic": _subtopic,
    "persona": _persona,
    "label": _label,
    "language": _language_name,
    "person": _listed("names", "surnames"),
    "first_name": _listed("names"),
    "last_name": _listed("surnames"),
    "place": _listed("places"),
    "company": _listed("surnames", "surnames", joint=" & "),
    "email": _email,
    "url": _url,
    "phone": _phone,
    "date": _date,
    "id": lambda _, seed: f"{mix(seed):016x}",
    "code": _code,
}
