"""What the formats for labelled tokens and spans share."""

from __future__ import annotations

import re
from typing import NamedTuple

from rowsmith.data.formats.misfit import lacking, list_of, text_of
from rowsmith.data.lines import Row
from rowsmith.errors import ConfigError

_TAG = re.compile(r"O|[BI]-\S+")


class Span(NamedTuple):
    """A labelled piece of a text; offsets count Unicode code points."""

    start: int
    end: int
    label: str


def tokens_and_tags(row: Row) -> tuple[list[str], list[str]]:
    """The tokens of a row and their BIO tags.

    Raises:
        ConfigError: it lacks them, there is not a tag for each token, or one is no BIO tag.
    """
    absent = [name for name in ("tokens", "tags") if row.get(name) is None]
    if absent:
        raise lacking(row, absent)
    tokens, tags = list_of(row, "tokens"), list_of(row, "tags")
    if len(tokens) != len(tags):
        raise ConfigError(f"it has {len(tokens)} tokens and {len(tags)} tags")
    for token, tag in zip(tokens, tags, strict=True):
        if not isinstance(token, str) or not isinstance(tag, str) or not _TAG.fullmatch(tag):
            raise ConfigError(f"its token {token!r} has the tag {tag!r}; tags are O, B-LABEL and I-LABEL")
    return [str(token) for token in tokens], [str(tag) for tag in tags]


def spans_of(row: Row) -> tuple[str, list[Span]]:
    """The text of a row and its entities, in their order in the text.

    Raises:
        ConfigError: it lacks them, or one does not stand where it says.
    """
    absent = [name for name in ("text", "entities") if row.get(name) is None]
    if absent:
        raise lacking(row, absent)
    text = text_of(row, "text")
    spans = []
    for entity in list_of(row, "entities"):
        match entity:
            case {"start": int(start), "end": int(end), "label": str(label), **rest} if 0 <= start < end <= len(text):
                surface = rest.get("text", text[start:end])
            case _:
                raise ConfigError(f"its entity {entity!r} has no start, end and label that fit its text")
        if surface != text[start:end]:
            raise ConfigError(f"its entity {surface!r} does not stand at {start}:{end}; that is {text[start:end]!r}")
        spans.append(Span(start, end, label))
    return text, sorted(spans)
