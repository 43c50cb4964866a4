"""What can be had from an answer that is not, as a whole, what was asked for.

The rules: an entry is kept if it is all there and fits; it is never completed, shortened or made up. So an answer that
breaks off gives its complete entries, and one bad entry costs itself alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pydantic import BaseModel

from rowsmith.llm.structured.mend import requoted
from rowsmith.llm.structured.outcome import BadEntry, ListReading, Outcome, Reading
from rowsmith.llm.structured.scan import (
    Piece,
    Region,
    is_cut,
    members,
    pieces,
    region_at,
    regions,
    without_thinking,
)
from rowsmith.llm.structured.shape import NotJSONError, Patience, Shape, UnfitError, shortened
from rowsmith.llm.values import Completion, Finish

M = TypeVar("M", bound=BaseModel)

ENTRIES = "entries"
_DEEPEST_WRAPPING = 3
_LONGEST = 32_000_000
_BETWEEN_ENTRIES = re.compile(r'\}\s*,?\s*(?=\{\s*")')
_BETWEEN_REGIONS = re.compile(r"[\s,;]*(?:```\w*[\s,;]*)*")
_RUNS_ON = re.compile(r'[^{}\[\]]*"\s*[:}\]]')
_REFUSAL = re.compile(
    r"(?:(?:i['’]?m|i am) (?:really |very |so )?sorry|sorry,|i (?:can(?:no|['’])t|won['’]t|am unable|['’]m unable)"
    r"|i['’]m (?:unable|not able)|i must decline|as an ai\b|i apologi[sz]e)",
    re.IGNORECASE,
)

CUT_OFF = "The answer broke off before it was complete."
CUT_OFF_THINKING = "The answer broke off while the model was still reasoning, before it said anything."
CUT_OFF_AT_ONCE = "The limit of tokens was used up before the answer began."
EMPTY = "The answer is empty."
NO_ENTRIES = "The answer has no entries."
BROKEN_QUOTES = 'This is not JSON: a quote inside a text must be written \\".'
NO_JSON = "There is no JSON in the answer"


def refused(completion: Completion) -> str:
    """The detail of a refusal: what the model or the service said."""
    return shortened(completion.text, 300) or "The answer was refused, and no reason given."


def _nothing_to_read(completion: Completion) -> tuple[str, tuple[Outcome, str] | None]:
    """The answer's text without reasoning, and the outcome if there is nothing in the text to look for JSON in."""
    if completion.finish is Finish.REFUSED:
        return "", (Outcome.REFUSED, refused(completion))
    text, thinking = without_thinking(completion.text)
    text = _once_decoded(text)
    if thinking:
        return "", (Outcome.CUT_OFF, CUT_OFF_THINKING)
    if not text:
        at_limit = completion.finish is Finish.LENGTH
        return "", (Outcome.CUT_OFF, CUT_OFF_AT_ONCE) if at_limit else (Outcome.EMPTY, EMPTY)
    if len(text) > _LONGEST:
        return "", (Outcome.INVALID, f"The answer is too long to read: {len(text):,} characters.")
    return text, None


def _without_json(completion: Completion, text: str) -> tuple[Outcome, str]:
    if completion.finish is Finish.LENGTH:
        return Outcome.CUT_OFF, CUT_OFF
    if text.strip("`").strip().lower() in ("", "json", "null", "none"):
        return Outcome.EMPTY, EMPTY
    if _REFUSAL.match(text):
        return Outcome.REFUSED, shortened(text, 300)
    return Outcome.INVALID, f"{NO_JSON}: {shortened(text)}"


def _once_decoded(text: str) -> str:
    """The JSON inside a string, where an answer is JSON written into a JSON string."""
    if text.startswith('"') and text.endswith('"') and ("{" in text or "[" in text):
        try:
            inner = json.loads(text)
        except ValueError:
            return text
        if isinstance(inner, str) and inner.lstrip()[:1] in ("{", "["):
            return inner.strip()
    return text


def _whole_end(text: str, region: Region) -> int:
    """Where a region ends, or would end if a broken quote had not ended it early (or never)."""
    if region.closed and not _RUNS_ON.match(text, region.end):
        return region.end
    return max(text.rfind("}"), text.rfind("]")) + 1


def _is_cut(completion: Completion, text: str, last: Region) -> bool:
    return not last.closed and (completion.finish is Finish.LENGTH or is_cut(text, last))


def _inside_string(text: str, parts: list[Region], names: Collection[str]) -> str:
    """The list itself, where an answer has it as a string: `{"entries": "[...]"}`."""
    if len(parts) == 1 and text[parts[0].start] == "{":
        inside = members(text, parts[0])
        if len(inside) == 1 and inside[0].key not in names:
            value = text[inside[0].value.start : inside[0].value.end]
            return decoded if (decoded := _once_decoded(value)) != value else text
    return text


# --- one object ---------------------------------------------------------------------------------------------------


def recover_one(shape: Shape[M], completion: Completion) -> Reading[M]:
    """The one object of an answer: the last complete part of the text that fits."""
    text, nothing = _nothing_to_read(completion)
    if nothing is not None:
        return Reading(None, *nothing)
    found = regions(text)
    patience = Patience()
    problem = ""
    if found and _is_cut(completion, text, found[-1]):
        return Reading(None, Outcome.CUT_OFF, CUT_OFF)
    for region in reversed(found):
        part = text[region.start : _whole_end(text, region)]
        try:
            return Reading(shape.read(part, patience), Outcome.OK)
        except (NotJSONError, UnfitError) as error:
            problem = problem or (str(error) if part[1:-1].strip() else EMPTY)
    if found and not found[-1].closed and not found[-1].in_string:
        return Reading(None, Outcome.CUT_OFF, CUT_OFF)
    if not found:
        try:
            return Reading(shape.read(text.strip("`").removeprefix("json").strip(), patience), Outcome.OK)
        except (NotJSONError, UnfitError):
            return Reading(None, *_without_json(completion, text))
    return Reading(None, Outcome.EMPTY if problem == EMPTY else Outcome.INVALID, problem)


# --- a list of entries ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Found(Generic[M]):
    """What one part of an answer gave."""

    good: list[M] = field(default_factory=list)
    bad: list[BadEntry] = field(default_factory=list)
    cut: bool = False
    broken: bool = False
    """At least one bad entry is not even JSON: another way to divide the text may do better."""
    end: int = 0
    """The place behind the last entry that was looked at."""


def recover_list(shape: Shape[M], completion: Completion) -> ListReading[M]:
    """The entries of an answer, each on its own."""
    text, nothing = _nothing_to_read(completion)
    if nothing is not None:
        return ListReading([], [], *nothing)
    parts = regions(text)
    if not parts:
        return ListReading([], [], *_without_json(completion, text))
    inner = _inside_string(text, parts, shape.names)
    if inner is not text:
        text, parts = inner, regions(inner)
    found = _Search(shape, completion, text).search(parts)
    if found.cut:
        return ListReading(found.good, found.bad, Outcome.CUT_OFF, CUT_OFF)
    if found.good:
        return ListReading(found.good, found.bad)
    if found.bad:
        return ListReading([], found.bad, Outcome.INVALID, found.bad[0].error)
    return ListReading([], [], Outcome.EMPTY, NO_ENTRIES)


class _Search(Generic[M]):
    """The entries of one text."""

    def __init__(self, shape: Shape[M], completion: Completion, text: str) -> None:
        self._shape = shape
        self._completion = completion
        self._text = text
        self._patience = Patience()

    def search(self, parts: list[Region]) -> _Found[M]:
        """The last list in the text, joined with those right before it; without a useful list, the text's objects."""
        lists = [(part, where) for part in parts if (where := self._list_in(self._text, part)) is not None]
        own = {part for part, _ in lists}
        cut = parts[-1] not in own and _is_cut(self._completion, self._text, parts[-1])
        useless: _Found[M] | None = None
        last = len(lists)
        while last:
            first = last - 1
            while first and self._adjoin(lists[first - 1][0], lists[first][0]):
                first -= 1
            found = self._joined(self._list(*one) for one in lists[first:last])
            found.cut = found.cut or cut
            if found.good or found.cut:
                return found
            useless = useless or found
            last = first
        objects = self._objects([part for part in parts if part not in own and (part.closed or not cut)])
        objects.cut = cut
        return objects if useless is None or objects.good or objects.cut else useless

    def _adjoin(self, before: Region, after: Region) -> bool:
        return _BETWEEN_REGIONS.fullmatch(self._text, before.end, after.start) is not None

    def _objects(self, parts: list[Region]) -> _Found[M]:
        places = [
            Piece(part.start, _whole_end(self._text, part), complete=True)
            for part in parts
            if self._text[part.start + 1 : part.end - 1].strip()
        ]
        return self._read(self._text, places)

    def _list_in(self, text: str, region: Region, depth: int = 0) -> Region | None:
        """The array that holds the entries of a region, or None if the region is an entry itself."""
        if text[region.start] == "[":
            return region
        inside = members(text, region)
        if not inside and not text[region.start + 1 : region.end - 1].strip():
            return None
        own = [one for one in inside if one.key in self._shape.names]
        named = [one for one in inside if one.key.lower() == ENTRIES]
        if named and (not own or len(inside) == 1):
            candidates = named
        elif own:
            return None
        else:
            candidates = [one for one in inside if text[one.value.start : one.value.start + 1] == "["]
            candidates = candidates if len(candidates) == 1 else inside
        value = region_at(text, candidates[0].value) if len(candidates) == 1 else None
        if value is None or text[value.start] == "[":
            return value
        return self._list_in(text, value, depth + 1) if depth < _DEEPEST_WRAPPING else None

    def _list(self, region: Region, array: Region) -> _Found[M]:
        first = self._elements(self._text, region, array)
        at_limit = self._completion.finish is Finish.LENGTH
        if not first.broken or at_limit or _is_cut(self._completion, self._text, region):
            return first
        best = self._again(self._text[region.start : _whole_end(self._text, region)], array, first)
        if best is first and array.in_string:
            rest = self._text[first.end :].strip(" \n\r\t,")
            first.bad.append(BadEntry(len(first.good) + len(first.bad), rest, BROKEN_QUOTES))
            first.cut = False
        return best

    def _again(self, whole: str, array: Region, first: _Found[M]) -> _Found[M]:
        """Other ways to divide a text whose quotes or brackets are broken; the one with most entries counts."""
        best = first
        for repaired in (requoted(whole), self._patience.mend(whole)):
            parts = regions(repaired) if repaired is not None else []
            if repaired is not None and len(parts) == 1 and (where := self._list_in(repaired, parts[0])) is not None:
                other = self._elements(repaired, parts[0], where)
                best = other if len(other.good) > len(best.good) and not other.broken else best
            if best is not first:
                return best
        if self._shape.flat and array.in_string:
            divided = self._read(whole, self._between(whole))
            best = divided if len(divided.good) > len(best.good) else best
        return best

    @staticmethod
    def _between(whole: str) -> Iterable[Piece]:
        """The entries of a text with broken quotes, divided where one object ends and the next begins.

        It serves for flat entries alone: theirs are the only objects in the list. Inside a string of intact JSON a
        quote has a backslash before it, so no such place is inside one.
        """
        opening = whole.find("[")
        start = whole.find("{", opening + 1)
        if opening < 0 or start < 0:
            return
        for place in _BETWEEN_ENTRIES.finditer(whole, start):
            yield Piece(start, place.start() + 1, complete=True)
            start = place.end()
        closing = whole.rfind("]")
        yield Piece(start, whole.rfind("}", start, closing if closing > start else len(whole)) + 1, complete=True)

    def _elements(self, text: str, region: Region, array: Region) -> _Found[M]:
        places = pieces(text, array)
        found = self._read(text, (place for place in places if place.complete))
        found.cut = not array.closed and not region.closed
        found.broken = found.broken or array.in_string
        return found

    def _read(self, text: str, places: Iterable[Piece]) -> _Found[M]:
        found: _Found[M] = _Found()
        for position, place in enumerate(places):
            found.end = place.end
            raw = text[place.start : place.end]
            try:
                found.good.append(self._shape.read(raw, self._patience))
            except (NotJSONError, UnfitError) as error:
                found.broken = found.broken or isinstance(error, NotJSONError)
                found.bad.append(BadEntry(position, raw, str(error)))
        return found

    @staticmethod
    def _joined(parts: Iterable[_Found[M]]) -> _Found[M]:
        whole: _Found[M] = _Found()
        for part in parts:
            shift = len(whole.good) + len(whole.bad)
            whole.good += part.good
            whole.bad += [BadEntry(one.position + shift, one.raw, one.error) for one in part.bad]
            whole.cut = part.cut
        return whole
