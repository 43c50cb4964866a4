"""The words that ask once more: what exists already, and what was refused and why."""

from __future__ import annotations

from collections.abc import Sequence

from rowsmith.llm.values import Message

_SHOWN = 20
_LONGEST = 200
_LONGEST_ANSWER = 2000


def differ_note(existing: Sequence[str], refused: Sequence[tuple[str, str]]) -> str:
    """What to add to a prompt that is asked again.

    Args:
        existing: texts that were accepted and must not come again.
        refused: (reason, text) of what was refused.
    """
    parts = []
    if existing:
        parts.append("These exist already; write something clearly different:")
        parts.extend(f"- {_short(text)}" for text in existing[-_SHOWN:])
    if refused:
        parts.append("These were refused; avoid what is said of each:")
        parts.extend(f"- {_short(text)} ({reason})" if text else f"- {reason}" for reason, text in refused[-_SHOWN:])
    return "\n".join(parts)


def with_note(messages: Sequence[Message], note: str) -> tuple[Message, ...]:
    """The conversation with a note at the end of its last turn, which is the user's."""
    if not note:
        return tuple(messages)
    last = messages[-1]
    return (*messages[:-1], Message(last.role, f"{last.content}\n\n{note}"))


def corrected(messages: Sequence[Message], answer: str, correction: str) -> tuple[Message, ...]:
    """The conversation with the answer that could not be used, and what was wrong with it.

    A long answer is shown by its beginning: a model that ran on would be charged for reading it all again.
    """
    shown = answer if len(answer) <= _LONGEST_ANSWER else f"{answer[:_LONGEST_ANSWER]}…"
    said = (Message.assistant(shown),) if shown.strip() else ()
    return (*messages, *said, Message.user(correction))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
