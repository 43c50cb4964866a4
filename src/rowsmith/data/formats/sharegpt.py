"""`sharegpt`: conversations of `from` and `value`, as FastChat, Axolotl, Unsloth and LLaMA-Factory take them."""

from __future__ import annotations

from rowsmith.data.formats import Format
from rowsmith.data.formats.conversation import Message, conversation
from rowsmith.data.lines import Row

NAMES = {"system": "system", "developer": "system", "user": "human", "assistant": "gpt"}


def sharegpt(found: list[Message]) -> Row:
    """`{"conversations": [{"from": "human", "value": ...}, {"from": "gpt", "value": ...}]}`."""
    return {"conversations": [{"from": NAMES[one["role"]], "value": one["content"]} for one in found]}


FORMAT = Format(sharegpt, reads=conversation)
