"""A model that can quote: what the scripted server's default answer cannot, for it sees no hints."""

from __future__ import annotations

import json
import re
from typing import Any

from rowsmith.llm.filler.quotes import quoted
from rowsmith.llm.filler.seeds import seed_of
from rowsmith.testing import Call
from rowsmith.testing.answers import default_answer

_LABELLED = re.compile(r'at least one (?:piece labelled "(\w+)"|(\w+))')
_SHOWN = re.compile(r"(?:Read this text|The text):\n\n(.*?)(?:\n\nWrite \d|\Z)", re.DOTALL)


def answer(call: Call) -> str:
    """The default answer, with pieces of the text where pieces are asked for, and a judge that approves."""
    text: str = default_answer(call)
    if call.asked.schema is None:
        return text
    last = call.asked.messages[-1].content
    document = _SHOWN.search(last)
    label = _LABELLED.search(last)
    marked = None if label is None else label[1] or label[2]
    rules: list[dict[str, Any]] = [
        {"field": "entities", "of": "text", "label": None if marked == "nothing" else marked},
        {"field": "answer", "of": "document"},
        {"field": "evidence", "of": "document"},
        *({"field": name, "value": True} for name in ("supported", "needs_context")),
        {"field": "answerable", "value": False},
    ]
    hints = {"quotes": rules, **({"document": document[1]} if document else {})}
    return json.dumps(quoted(json.loads(text), hints, seed_of(text.encode())))
