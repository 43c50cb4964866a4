"""`messages`: conversations as OpenAI's fine-tuning and TRL's SFTTrainer take them, with the tools that they call.

https://platform.openai.com/docs/guides/supervised-fine-tuning
https://huggingface.co/docs/trl/dataset_formats
"""

from __future__ import annotations

import json
from typing import Any, Literal

from rowsmith.data.formats import Format
from rowsmith.data.formats.calling import Calling, calling
from rowsmith.data.lines import Row
from rowsmith.errors import ConfigError


def messages(found: Calling, *, arguments: Literal["text", "object"] = "text") -> Row:
    """`{"messages": [{"role": "user", "content": ...}, {"role": "assistant", "content": ...}], "tools": [...]}`.

    Args:
        found: the conversation.
        arguments: of calls: `text` is JSON in a text, as OpenAI has it; `object` is what TRL and the chat templates of
            most models expect.
    """
    told = found.messages if arguments == "text" else [_with_objects(message) for message in found.messages]
    return {"messages": told, "tools": found.tools} if found.tools else {"messages": told}


def _with_objects(message: dict[str, Any]) -> dict[str, Any]:
    if "tool_calls" not in message:
        return message
    calls = []
    for call in message["tool_calls"]:
        function = call["function"]
        try:
            calls.append({**call, "function": {**function, "arguments": json.loads(function["arguments"])}})
        except ValueError:
            raise ConfigError(f"the arguments of its call of {function['name']} are no JSON") from None
    return {**message, "tool_calls": calls}


FORMAT = Format(messages, reads=calling)
