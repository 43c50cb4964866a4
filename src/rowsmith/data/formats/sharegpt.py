"""`sharegpt`: conversations of `from` and `value`, as FastChat, Axolotl, Unsloth and LLaMA-Factory take them.

Tools are as LLaMA-Factory documents them: a call is a turn of `function_call`, its result one of `observation`, and
`tools` is a JSON text. The two take turns there, so calls that are made at once stand one after the other, each with
its result behind it. https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md
"""

from __future__ import annotations

import json
from typing import Any

from rowsmith.data.formats import Format
from rowsmith.data.formats.calling import Calling, calling
from rowsmith.data.lines import Row
from rowsmith.errors import ConfigError

NAMES = {"system": "system", "developer": "system", "user": "human", "assistant": "gpt"}


def sharegpt(found: Calling) -> Row:
    """`{"conversations": [{"from": "human", "value": ...}, {"from": "gpt", "value": ...}], "tools": "[...]"}`."""
    results = {one["tool_call_id"]: one["content"] for one in found.messages if one["role"] == "tool"}
    turns: list[Row] = []
    for message in found.messages:
        if "tool_calls" in message:
            if message["content"]:
                raise ConfigError("a turn of it has a text beside its calls, which ShareGPT has no place for")
            for call in message["tool_calls"]:
                turns += _called(call, results)
        elif message["role"] != "tool":
            turns.append({"from": NAMES[message["role"]], "value": message["content"]})
    tools = [tool["function"] for tool in found.tools]
    return (
        {"conversations": turns, "tools": json.dumps(tools, ensure_ascii=False)} if tools else {"conversations": turns}
    )


def _called(call: dict[str, Any], results: dict[str, str]) -> list[Row]:
    name, arguments = call["function"]["name"], call["function"]["arguments"]
    if call["id"] not in results:
        raise ConfigError(f"its call of {name} has no result")
    try:
        value = json.dumps({"name": name, "arguments": json.loads(arguments)}, ensure_ascii=False)
    except ValueError:
        raise ConfigError(f"the arguments of its call of {name} are no JSON") from None
    return [{"from": "function_call", "value": value}, {"from": "observation", "value": results[call["id"]]}]


FORMAT = Format(sharegpt, reads=calling)
