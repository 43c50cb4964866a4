"""Asks the offline provider one question."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import BaseModel

from rowsmith.llm.providers.offline import OfflineProvider
from rowsmith.llm.values import Completion, Message, OutputSchema, Request


class Entry(BaseModel):
    text: str


class Entries(BaseModel):
    entries: list[Entry]


def ask(
    schema: type[BaseModel] | dict[str, Any] | None = Entries,
    *,
    seed: int = 0,
    prompt: str = "Write.",
    provider: OfflineProvider | None = None,
    **hints: Any,
) -> Completion:
    provider = provider or OfflineProvider()
    written = schema if isinstance(schema, dict) or schema is None else schema.model_json_schema()
    request = Request(
        messages=(Message.user(prompt),),
        schema=None if written is None else OutputSchema("answer", written),
        hints=hints,
        seed=seed,
    )
    return asyncio.run(provider.complete(provider.encode(request), None))  # type: ignore[arg-type]  # it takes no transport


def texts(**asked: Any) -> list[str]:
    return [entry.text for entry in Entries.model_validate_json(ask(**asked).text).entries]
