"""`squad`: extractive question answering in the shape of SQuAD 2.0, as Hugging Face's `squad_v2` has it.

https://huggingface.co/datasets/rajpurkar/squad_v2
"""

from __future__ import annotations

from rowsmith.data.choosing import spelled
from rowsmith.data.formats import Format
from rowsmith.data.formats.misfit import lacking, text_of
from rowsmith.data.lines import Row
from rowsmith.errors import ConfigError


def squad(row: Row) -> Row:
    """`id`, `title`, `context`, `question`, `answers: {text, answer_start}`: empty lists where there is no answer.

    Offsets count Unicode code points, as in the row. An answer must be a span of its context.
    """
    absent = [name for name in ("id", "context", "question") if row.get(name) is None]
    impossible = row.get("is_impossible") is True
    if not impossible and row.get("answer") is None:
        absent.append("answer")
    if absent:
        raise lacking(row, absent)
    context = text_of(row, "context")
    texts: list[str] = []
    starts: list[int] = []
    if not impossible:
        answer, start = text_of(row, "answer"), row.get("answer_start")
        if not isinstance(start, int):
            raise ConfigError("its answer is not a span of its context (there is no answer_start): SQuAD is extractive")
        if start < 0 or not context.startswith(answer, start):
            raise ConfigError(f"its answer {answer[:60]!r} does not stand at character {start} of its context")
        texts, starts = [answer], [start]
    return {
        "id": spelled(row["id"]),
        "title": str(row.get("title") or ""),
        "context": context,
        "question": text_of(row, "question"),
        "answers": {"text": texts, "answer_start": starts},
    }


FORMAT = Format(squad)
