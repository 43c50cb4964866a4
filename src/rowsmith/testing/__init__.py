"""A scripted model server, for the tests of Rowsmith and of those who use it.

    from rowsmith.testing import RateLimited, ScriptedServer

    with ScriptedServer(faults=[RateLimited(retry_after=1), None]) as server:
        provider = OpenAIProvider(model_id="any", api_key="any", api_base=server.base_url)

Names are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rowsmith.testing.batches.script import BatchFailure, BatchScript, Item, ItemEnd
    from rowsmith.testing.calls import Call, Reply
    from rowsmith.testing.faults import (
        BadJSON,
        BadRequest,
        CutOff,
        Duplicates,
        Empty,
        Fault,
        Garbage,
        Hang,
        HtmlPage,
        QuotaUsedUp,
        RateLimited,
        Refusal,
        Reset,
        ServerError,
        Slow,
        UnknownModel,
        UnsupportedParameter,
        UnsupportedSchema,
        WrongKey,
        WrongSchema,
    )
    from rowsmith.testing.gatekeeper import Rate
    from rowsmith.testing.server import ScriptedServer
    from rowsmith.testing.vector_faults import FewerVectors, NotNumbers, OtherSize, Zeros

__all__ = [
    "BadJSON",
    "BadRequest",
    "BatchFailure",
    "BatchScript",
    "Call",
    "CutOff",
    "Duplicates",
    "Empty",
    "Fault",
    "FewerVectors",
    "Garbage",
    "Hang",
    "HtmlPage",
    "Item",
    "ItemEnd",
    "NotNumbers",
    "OtherSize",
    "QuotaUsedUp",
    "Rate",
    "RateLimited",
    "Refusal",
    "Reply",
    "Reset",
    "ScriptedServer",
    "ServerError",
    "Slow",
    "UnknownModel",
    "UnsupportedParameter",
    "UnsupportedSchema",
    "WrongKey",
    "WrongSchema",
    "Zeros",
]

_HOMES = {
    "BatchFailure": "batches.script",
    "BatchScript": "batches.script",
    "Call": "calls",
    "Item": "batches.script",
    "ItemEnd": "batches.script",
    "Rate": "gatekeeper",
    "Reply": "calls",
    "ScriptedServer": "server",
    **dict.fromkeys(("FewerVectors", "NotNumbers", "OtherSize", "Zeros"), "vector_faults"),
}
"""The module of each name; the faults are in `faults` where nothing else is said."""


def __dir__() -> list[str]:
    return list(__all__)


if not TYPE_CHECKING:  # a checker that saw it would take any misspelt name for a real one

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES.get(name, 'faults')}"), name)
        globals()[name] = value
        return value
