"""`harmony`: a conversation as one text in the harmony response format of the gpt-oss models.

https://github.com/openai/harmony/blob/main/docs/format.md
"""

from __future__ import annotations

from typing import Literal

from rowsmith.data.formats import Format
from rowsmith.data.formats.conversation import Message, conversation
from rowsmith.data.formats.markup import require_free_of
from rowsmith.data.lines import Row
from rowsmith.errors import ConfigError

MARKS = tuple(f"<|{name}|>" for name in ("start", "end", "message", "channel", "constrain", "return", "call"))


def harmony(
    found: list[Message], *, reasoning: Literal["low", "medium", "high"] = "medium", date: str | None = None
) -> Row:
    """`{"text": "<|start|>system<|message|>...<|return|>"}`.

    The system prompt is what harmony calls the developer's instructions. Answers are in the `final` channel; the last
    ends with `<|return|>`, as targets of training do.

    Args:
        found: the conversation.
        reasoning: the effort that the system message states.
        date: the current date that it states, such as `2026-01-31`; none if not given.
    """
    require_free_of(MARKS, found)
    if found[-1]["role"] != "assistant":
        raise ConfigError("its last turn is not the assistant's")
    today = f"Current date: {date}\n" if date else ""
    parts = [
        "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\n"
        f"Knowledge cutoff: 2024-06\n{today}\nReasoning: {reasoning}\n\n"
        "# Valid channels: analysis, commentary, final. Channel must be included for every message.<|end|>"
    ]
    for place, message in enumerate(found):
        content = message["content"]
        match message["role"]:
            case "assistant":
                end = "<|return|>" if place == len(found) - 1 else "<|end|>"
                parts.append(f"<|start|>assistant<|channel|>final<|message|>{content}{end}")
            case "user":
                parts.append(f"<|start|>user<|message|>{content}<|end|>")
            case _:
                parts.append(f"<|start|>developer<|message|># Instructions\n\n{content}<|end|>")
    return {"text": "".join(parts)}


FORMAT = Format(harmony, reads=conversation)
