"""`chatml`: a conversation as one text in ChatML, for trainers that do not apply a chat template themselves.

https://github.com/openai/openai-python/blob/release-v0.28.0/chatml.md
"""

from __future__ import annotations

from rowsmith.data.formats import Format
from rowsmith.data.formats.conversation import Message, conversation
from rowsmith.data.formats.markup import require_free_of
from rowsmith.data.lines import Row

MARKS = ("<|im_start|>", "<|im_end|>")


def chatml(found: list[Message]) -> Row:
    r"""`{"text": "<|im_start|>user\n...<|im_end|>\n<|im_start|>assistant\n...<|im_end|>\n"}`."""
    require_free_of(MARKS, found)
    return {"text": "".join(f"<|im_start|>{one['role']}\n{one['content']}<|im_end|>\n" for one in found)}


FORMAT = Format(chatml, reads=conversation)
