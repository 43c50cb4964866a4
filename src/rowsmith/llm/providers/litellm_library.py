"""The package LiteLLM: imported late and quietly, and its connections closed."""

from __future__ import annotations

import asyncio
import logging
import os
import weakref
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rowsmith.llm.transport import Transport

_QUIET = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION"}
"""No list of prices is fetched at the import, and no `.env` file read into the environment."""

_log = logging.getLogger("rowsmith.llm")


class Library:
    """What is used of LiteLLM. Use `library`, which imports it once.

    Args:
        package: the imported package.
    """

    def __init__(self, package: Any) -> None:
        self._package = package
        self._users: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.WeakSet[Transport]] = (
            weakref.WeakKeyDictionary()
        )
        self.takes_schemas = cache(self._takes_schemas)

    async def ask(self, asked: Mapping[str, Any], **ours: Any) -> Any:
        """One completion, tried once, and logged nowhere."""
        # With a hyphen, as LiteLLM has it.
        return await self._package.acompletion(**asked, **ours, num_retries=0, max_retries=0, **{"no-log": True})

    def missing_keys(self, model: str) -> list[str]:
        """The variables without which LiteLLM thinks a model cannot be asked; none where it does not know."""
        with suppress(Exception):  # it raises for names that it cannot place, as the call itself will
            missing: list[str] = self._package.validate_environment(model)["missing_keys"]
            return missing
        return []

    def close_with(self, transport: Transport) -> None:
        """Close LiteLLM's connections of this event loop with the last of the transports that were named here."""
        users = self._users.setdefault(asyncio.get_running_loop(), weakref.WeakSet())
        if transport in users:
            return
        users.add(transport)

        async def leave() -> None:
            users.discard(transport)
            if not users:
                await self._close()

        transport.on_close(leave)

    async def _close(self) -> None:
        """Close what LiteLLM keeps for this event loop: it keeps clients by their loop, and does not close them."""
        clients: Any = getattr(self._package, "in_memory_llm_clients_cache", None)
        known: dict[str, Any] = getattr(clients, "cache_dict", {})
        mark = getattr(clients, "update_cache_key_with_event_loop", None)
        if mark is None:
            return
        # What it puts behind a name for this loop: the loop's id, or in newer releases a number of its own.
        mine = mark("")
        for name in [name for name in known if name.endswith(mine)]:
            client = known.pop(name)
            close = getattr(client, "close", None) or getattr(client, "aclose", None)
            if close is None:
                continue
            try:
                closing = close()
                if asyncio.iscoroutine(closing):
                    await closing
            except Exception as error:  # of any client of any service; the run is over and its rows are safe
                _log.debug("A connection of LiteLLM's could not be closed: %s", type(error).__name__)

    def _takes_schemas(self, model: str) -> bool | None:
        """Whether a model takes a JSON Schema; None if LiteLLM's list does not know the model."""
        service, _, name = model.partition("/")
        # Of Ollama's models LiteLLM knows nothing by itself, and asks the server at once.
        if service.startswith("ollama") or not {model, name} & self._package.model_cost.keys():
            return None
        return bool(self._package.supports_response_schema(model))


async def library() -> Library:
    """LiteLLM, imported at the first call; other tasks go on meanwhile."""
    return _library() if _library.cache_info().currsize else await asyncio.to_thread(_library)


@cache
def _library() -> Library:
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    import litellm

    litellm.suppress_debug_info = True
    return Library(litellm)
