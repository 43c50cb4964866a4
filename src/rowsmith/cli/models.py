"""What to say where no model was named: what could be, on this machine."""

from __future__ import annotations

import asyncio

from rowsmith.errors import ConfigError
from rowsmith.llm.discovery import offers
from rowsmith.llm.transport import Transport

EXAMPLE = "openai/gpt-5-mini"
OFFLINE = "offline  (no model: placeholder text, to try things out)"


def at_hand() -> list[str]:
    """One line for each model that could be named: those with a key or a server here, then the offline provider."""
    return [*asyncio.run(_found()), OFFLINE]


def no_model_named(file: str) -> ConfigError:
    """The error for a file without models.

    Args:
        file: the file, as the user wrote it.
    """
    found = at_hand()
    first = found[0].split()[0]
    named = EXAMPLE if first == "offline" or "<" in first else first
    offered = "\n".join(f"  {text}" for text in found)
    return ConfigError(
        f"no model is named, and none is used unasked. Write in {file}:\n"
        f"  llms: [{named}]\n"
        f"or give it here:\n"
        f"  rowsmith run {file} --llm {named}\n"
        f"At hand on this machine:\n{offered}"
    )


async def _found() -> list[str]:
    async with Transport() as transport:
        return await offers(transport)
