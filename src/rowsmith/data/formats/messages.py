"""`messages`: conversations as OpenAI's fine-tuning and TRL's SFTTrainer take them.

https://platform.openai.com/docs/guides/supervised-fine-tuning
https://huggingface.co/docs/trl/dataset_formats
"""

from __future__ import annotations

from rowsmith.data.formats import Format
from rowsmith.data.formats.conversation import Message, conversation
from rowsmith.data.lines import Row


def messages(found: list[Message]) -> Row:
    """`{"messages": [{"role": "user", "content": ...}, {"role": "assistant", "content": ...}]}`."""
    return {"messages": found}


FORMAT = Format(messages, reads=conversation)
