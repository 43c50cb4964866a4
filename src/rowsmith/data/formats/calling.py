"""What the formats share that have a place for tools: a conversation with the calls in it, and the tools."""

from __future__ import annotations

from typing import Any, NamedTuple, Unpack

from rowsmith.data.formats.conversation import (
    ROLES,
    ConversationOptions,
    Message,
    calls_tools,
    checked_messages,
    conversation,
    tools_of,
    with_system,
)
from rowsmith.data.lines import Row
from rowsmith.errors import ConfigError


class Calling(NamedTuple):
    """A conversation and what may be called in it.

    Attributes:
        messages: in OpenAI's chat format.
        tools: in OpenAI's form; none for a conversation without tools.
    """

    messages: list[dict[str, Any]]
    tools: list[Row]


def calling(row: Row, **options: Unpack[ConversationOptions]) -> Calling:
    """A row as a conversation, which may call tools. The arguments are those of `conversation`.

    Raises:
        ConfigError: the row has no answer, or its calls and their results do not belong together.
    """
    found, tools = row.get("messages"), tools_of(row)
    if tools or (isinstance(found, list) and any(map(calls_tools, found))):
        return Calling(with_system(_checked(found), options.get("system")), tools)
    plain: list[Message] = conversation(row, **options)
    return Calling([*plain], [])


def _checked(found: object) -> list[dict[str, Any]]:
    """Messages, calls and results among them, each with what OpenAI's format has for it and nothing else."""
    if not isinstance(found, list) or not found:
        raise ConfigError("its 'messages' is not a list of messages")
    messages: list[dict[str, Any]] = []
    open_calls: list[str] = []
    for number, message in enumerate(found, start=1):
        if not calls_tools(message):
            messages += checked_messages([message], f"messages[{number - 1}:]")
        elif message["role"] == "tool":
            if message.get("tool_call_id") not in open_calls or not isinstance(message.get("content"), str):
                raise ConfigError(f"message {number} of its 'messages' is no result of a call before it")
            open_calls.remove(message["tool_call_id"])
            messages.append(
                {key: message[key] for key in ("role", "tool_call_id", "name", "content") if key in message}
            )
        else:
            calls = [_call(call, number) for call in message["tool_calls"]]
            open_calls = [call["id"] for call in calls]
            messages.append({"role": "assistant", "content": message.get("content"), "tool_calls": calls})
    if messages[-1]["role"] not in ROLES:
        raise ConfigError("its 'messages' do not end with a turn of the assistant")
    return messages


def _call(call: object, number: int) -> dict[str, Any]:
    match call:
        case {"id": str(name), "function": {"name": str(), "arguments": str()} as function}:
            told = {"name": function["name"], "arguments": function["arguments"]}
            return {"id": name, "type": "function", "function": told}
    raise ConfigError(f"message {number} of its 'messages' has a call without id, name and arguments (a JSON text)")
