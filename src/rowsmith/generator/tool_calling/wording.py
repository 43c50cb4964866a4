"""The words in which tools, calls and conversations with them are told to models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from rowsmith.tools.tool import Tool

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

FAILS = (
    "This call fails. Write the error message that the tool gives back, and nothing else. Choose a cause that is "
    "likely with these arguments: something is not found, not allowed, out of range, too busy, or does not answer."
)
SUCCEEDS = (
    "Write what the tool gives back, as the tool itself would write it, and nothing else: JSON where it gives data, "
    "with believable values that fit the arguments and all that was given back before. No explanation."
)
ANSWER = (
    "Write the assistant's answer to the user now, from these results and nothing else; of what could not be found "
    "out, because a call failed, it says so. There are no more calls."
)
CALLS = (
    "Write the calls that the assistant makes next. They need what the results told, and there are {rounds} of calls "
    "at least in this conversation."
)
EITHER = (
    "Write what the assistant does next: further calls, if the results show that more is needed, or else its answer to "
    "the user, from the results and nothing else; of what could not be found out, because a call failed, it says so."
)


def number(count: int) -> str:
    """A small number as a word."""
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)


def rounds(count: int) -> str:
    """How many rounds."""
    return f"{number(count)} round{'' if count == 1 else 's'}"


def listed(tools: Sequence[Tool]) -> str:
    """Tools, one a line, as JSON."""
    return "\n".join(one_line(tool.openai()["function"]) for tool in tools)


def how_to_begin(tools: Sequence[Tool], least: int, most: int, parallel: int) -> str:
    """What is told of requests and their first calls.

    Args:
        tools: that may be called.
        least: rounds of calls at least.
        most: rounds at most.
        parallel: calls of one round at most.
    """
    at_once = "one call" if parallel == 1 else f"one call, or up to {number(parallel)} that do not depend on each other"
    if most == 1:
        scope = "One round of calls is all that a request may need."
    else:
        span = rounds(most) if least == most else f"{number(least)} to {rounds(most)}"
        scope = (
            f"A request takes {span} of calls: what a later call needs must come from the results of those before. "
            "Write the first round alone."
        )
    return (
        f"The assistant has these tools, and no others:\n{listed(tools)}\n\n"
        "Write each request as a person would make it, who does not know the tools, with all that the calls must be "
        f"told; then the calls that the assistant makes first, before it knows any result: {at_once}. {scope} "
        "Arguments must fit the tool's schema; an optional one that the request says nothing of is left out, or null. "
        "Different requests should need different tools."
    )


def transcript(messages: Sequence[Mapping[str, Any]]) -> str:
    """A conversation so far, to be read."""
    lines = []
    for message in messages:
        if message["role"] == "tool":
            lines.append(f"Result of {message['name']} ({message['tool_call_id']}):\n{message['content']}")
        elif message["role"] == "user":
            lines.append(f"User: {message['content']}")
        else:
            for call in message["tool_calls"]:
                function = call["function"]
                lines.append(f"Assistant calls {function['name']} ({call['id']}): {function['arguments']}")
    return "\n".join(lines)


def simulation(tool: Tool, arguments: str, before: Sequence[Mapping[str, Any]], *, fails: bool) -> str:
    """The prompt that asks for what a tool gives back.

    Args:
        tool: the tool.
        arguments: of the call, as JSON.
        before: the conversation so far; what tools have given back in it holds.
        fails: whether it is to be an error.
    """
    return (
        f"You stand in for a tool that an assistant calls:\n{listed([tool])}\n\nThis is its conversation so far, of "
        f"which the tool itself knows nothing:\n\n{transcript(before)}\n\nThe tool is called with these arguments:\n"
        f"{arguments}\n\n{FAILS if fails else SUCCEEDS}"
    )


def one_line(value: Any) -> str:
    """A value as JSON."""
    return orjson.dumps(value).decode()
