"""What a model is told when its answer could not be used and it is asked again."""

from __future__ import annotations

from typing import Any

from rowsmith.llm.structured.outcome import BadEntry, ListReading, Outcome, Reading
from rowsmith.llm.structured.shape import shortened

_SHOWN_ENTRIES = 3
_SHOWN_CHARACTERS = 300
LONGEST = 1_600
"""Characters of the longest feedback."""

_WHOLE = {
    Outcome.CUT_OFF: "Your last answer broke off before it was complete. Answer again, more briefly.",
    Outcome.EMPTY: "Your last answer was empty. Answer the request in full.",
    Outcome.REFUSED: "Your last answer declined the request. If you can answer it, answer in the form asked for.",
    Outcome.INVALID: "Your last answer could not be used.",
}
AS_JSON = "Answer again with JSON in exactly the form asked for, and nothing else."


def ask_again(reading: Reading[Any] | ListReading[Any], form: str = AS_JSON) -> str:
    """A message for the model that says what was wrong with its answer; at most `LONGEST` characters.

    Args:
        reading: what was read. It is not `ok`, or it is a list with bad entries.
        form: the last line: in which form to answer.
    """
    bad = reading.bad if isinstance(reading, ListReading) else []
    if bad:
        kept = len(reading.entries) if isinstance(reading, ListReading) else 0
        count = "One entry" if len(bad) == 1 else f"{len(bad)} entries"
        lines = [f"{count} of your last answer could not be used{'; the others are kept' if kept else ''}:"]
        lines += [_line(entry) for entry in bad[:_SHOWN_ENTRIES]]
        if len(bad) > _SHOWN_ENTRIES:
            lines.append(f"- and {len(bad) - _SHOWN_ENTRIES} more.")
        if kept:
            lines.append("Write new entries in place of these. Do not repeat the ones that are kept.")
    else:
        lines = [_WHOLE.get(reading.outcome, _WHOLE[Outcome.INVALID])]
        if reading.outcome is Outcome.INVALID and reading.detail:
            lines.append(f"What was wrong: {shortened(reading.detail, _SHOWN_CHARACTERS)}")
    lines.append(form)
    return "\n".join(lines)


def _line(entry: BadEntry) -> str:
    return f"- entry {entry.position + 1}: {shortened(entry.error, _SHOWN_CHARACTERS)}"
