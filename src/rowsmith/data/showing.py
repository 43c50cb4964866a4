"""Rows as pages to read: a conversation as one, entities marked in their text, a preference side by side."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from typing import Any

from rowsmith.data.choosing import spelled
from rowsmith.data.layout import Line, Span, beside, broken, harmless, on_one_line, plain
from rowsmith.data.lines import Lines, Row, as_row

WIDTH = 100
"""Columns of a page that is not shown on a terminal of known width."""
LONGEST = 1_500
"""Characters of a text that are shown, unless all is asked for."""
_SHORT = 60
_INDENT = "  "


class Page:
    """Rows to read. Its text, on a console and by `print`, is plain; `lines` has names of styles for what it shows.

    Args:
        rows: the dataset's lines.
        places: of those that are shown.
        found: how many there are of their kind.
        full: show whole texts, and also `metadata`, the schemas of tools, and a question and an answer that stand in
            the messages as well.
    """

    def __init__(self, rows: Lines, places: Sequence[int], *, found: int, full: bool = False) -> None:
        self._rows = rows
        self._places = places
        self._found = found
        self._of = len(rows)
        self._full = full

    def __len__(self) -> int:
        return len(self._places)

    def lines(self, width: int | None = WIDTH) -> Iterator[Line]:
        """The page line by line, each as texts with their styles.

        Args:
            width: columns; None breaks no line.
        """
        for place in self._places:
            row = as_row(self._rows, place, self._rows.line(place))
            head = f"row {place + 1:,}"
            name = f" · {on_one_line(spelled(row['id']))}" if row.get("id") is not None else ""
            yield [(f"── {head}{name} ", "title"), ("─" * 8, "dim")]
            yield from _Shown(row, width, full=self._full).lines()
            yield []

    @property
    def summary(self) -> str:
        """How many rows are shown, and of how many."""
        if self._found == self._of:
            return f"{len(self):,} of {self._of:,} rows"
        return f"{len(self):,} of {self._found:,} rows that fit, among {self._of:,}"

    def __str__(self) -> str:
        return f"{plain(self.lines())}\n{self.summary}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


class _Shown:
    """One row, laid out."""

    def __init__(self, row: Row, width: int | None, *, full: bool) -> None:
        self._row = {name: value for name, value in row.items() if name != "id" and (full or name != "metadata")}
        self._width = width
        self._full = full

    def lines(self) -> Iterator[Line]:
        yield from self._body()
        yield from self._rest()

    def _body(self) -> Iterator[Line]:
        match self._row:
            case {"messages": [*messages]} if all(isinstance(one, dict) and "role" in one for one in messages):
                del self._row["messages"]
                yield from self._conversation(messages)
            case {"chosen": chosen, "rejected": rejected}:
                yield from self._preference(chosen, rejected)
            case {"question": str(question), "correct_answer": str(right)}:
                yield from self._multiple_choice(question, right)
            case {"question": str(question), "context": str(context), "answer": str(answer)}:
                for name in ("question", "context", "answer"):
                    del self._row[name]
                yield from self._named("question", [(question, "")])
                yield from self._named("answer", [(answer, "right")])
                yield from self._named("context", self._marked(context, answer, self._row.pop("answer_start", None)))
            case {"text": str(text), "entities": [*entities]}:
                for name in ("text", "entities", "tokens", "tags"):
                    self._row.pop(name, None)
                yield from self._text(_with_entities(text, entities))
            case {"text": str(text)}:
                del self._row["text"]
                yield from self._text([(text, "")])

    def _conversation(self, messages: list[Any]) -> Iterator[Line]:
        if not self._full:
            said = [message.get("content") for message in messages]
            for name in ("question", "answer"):
                if self._row.get(name) in said:
                    self._row.pop(name, None)
            if tools := _names(self._row.get("tools")):
                self._row["tools"] = ", ".join(tools)
        for message in messages:
            role = str(message.get("role"))
            named = f" {on_one_line(spelled(message['name']))}" if message.get("name") else ""
            yield [(f"{on_one_line(role)}{named}:", role if role in ("user", "assistant") else "name")]
            calls = message.get("tool_calls") or ()
            if message.get("content") is not None or not calls:
                yield from self._text([(spelled(message.get("content")), "")])
            for call in calls:
                yield from self._text(_called(call))

    def _preference(self, chosen: Any, rejected: Any) -> Iterator[Line]:
        asked = "prompt" if "prompt" in self._row else "question"
        if asked in self._row:
            yield from self._named(asked, [(self._as_text(self._row.pop(asked)), "")])
        sides = []
        for name, value, style in (("chosen", chosen, "right"), ("rejected", rejected, "wrong")):
            del self._row[name]
            score = self._row.pop(f"{name}_score", None)
            title = name if score is None else f"{name} ({on_one_line(spelled(score))})"
            sides.append((title, self._as_text(value), style))
        if self._width is None or self._width < 60:
            for name, text, style in sides:
                yield [(f"{name}:", style)]
                yield from self._text([(text, "")])
            return
        half = (self._width - len(_INDENT) - 3) // 2
        left, right = ([[(name, style)], *broken(self._cut([(text, "")]), half)] for name, text, style in sides)
        yield from ([(_INDENT, ""), *line] for line in beside(left, right, half))

    def _multiple_choice(self, question: str, right: str) -> Iterator[Line]:
        yield from self._named("question", [(question, "")])
        del self._row["question"], self._row["correct_answer"]
        names = [name for name in self._row if name.startswith("incorrect_answer")]
        values = [self._row.pop(name) for name in names]
        wrong = [one for value in values for one in (value if isinstance(value, list) else [value])]
        for mark, answer, style in (("✓", right, "right"), *(("✗", spelled(one), "") for one in wrong)):
            yield from self._text([(f"{mark} ", style), (answer, style)])

    def _rest(self) -> Iterator[Line]:
        short = {}
        for name, value in self._row.items():
            text = harmless(spelled(value))
            if len(text) <= _SHORT and "\n" not in text:
                short[name] = text
            else:
                yield from self._named(name, [(spelled(value), "")])
        if short:
            spans: Line = []
            for name, text in short.items():
                spans += [(" · " if spans else "", "dim"), (f"{on_one_line(name)} ", "name"), (text, "")]
            yield from broken(spans, self._width)

    def _named(self, name: str, spans: Line) -> Iterator[Line]:
        yield [(f"{on_one_line(name)}:", "name")]
        yield from self._text(spans)

    def _text(self, spans: Line) -> Iterator[Line]:
        yield from broken(self._cut(spans), self._width, _INDENT)

    def _cut(self, spans: Line) -> Iterator[Span]:
        left = None if self._full else LONGEST
        for text, style in spans:
            if left is None or len(text) <= left:
                yield harmless(text), style
                left = None if left is None else left - len(text)
            else:
                rest = sum(len(one) for one, _ in spans) - LONGEST
                yield harmless(text[:left]), style
                yield f"… ({rest:,} more characters)", "dim"
                return

    def _marked(self, text: str, piece: str, start: Any) -> Line:
        if not isinstance(start, int) or start < 0 or not piece or not text.startswith(piece, start):
            return [(text, "")]
        return [(text[:start], ""), (f"[{piece}]", "right"), (text[start + len(piece) :], "")]

    def _as_text(self, value: Any) -> str:
        if isinstance(value, list) and all(isinstance(one, dict) and "content" in one for one in value):
            return "\n".join(spelled(one["content"]) for one in value)
        return spelled(value)


def _names(tools: Any) -> list[str]:
    """Of tools that are given as OpenAI's schemas; none where one of them is something else."""
    names = []
    for tool in tools if isinstance(tools, list) else ():
        match tool:
            case {"function": {"name": str(name)}}:
                names.append(name)
            case _:
                return []
    return names


def _called(call: Any) -> Line:
    """A call of a tool as `→ name {arguments}`."""
    match call:
        case {"function": {"name": str(name), "arguments": arguments}}:
            return [("→ ", "dim"), (name, "name"), (f" {spelled(arguments)}", "")]
    return [(spelled(call), "")]


def _with_entities(text: str, entities: list[Any]) -> Line:
    """The text with each entity as `[Paris](LOC)`; those that overlap one before are left out."""
    spans: Line = []
    at = 0
    for entity in sorted((one for one in entities if _is_span(one, len(text))), key=lambda one: one["start"]):
        start, end = entity["start"], entity["end"]
        if start < at:
            continue
        spans += [(text[at:start], ""), (f"[{text[start:end]}]({entity.get('label')})", "entity")]
        at = end
    return [*spans, (text[at:], "")]


def _is_span(entity: Any, length: int) -> bool:
    match entity:
        case {"start": int(start), "end": int(end)}:
            return 0 <= start < end <= length
    return False
