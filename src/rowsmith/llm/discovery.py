"""What a user could name as a model: found for a message, never used unasked."""

from __future__ import annotations

from urllib.parse import urlsplit

import orjson

from rowsmith import settings
from rowsmith.errors import ConfigError, ProviderError
from rowsmith.llm.failures import Caller
from rowsmith.llm.providers import anthropic, gemini, ollama
from rowsmith.llm.providers.services import SERVICES
from rowsmith.llm.transport import Transport

PROBE_SECONDS = 0.3
"""Seconds to wait for an Ollama server to say which models it has."""

_KEYS = {
    anthropic.KEY_VARIABLE: f"anthropic/{anthropic.AnthropicProvider.model_id}",
    **dict.fromkeys(gemini.KEY_VARIABLES, f"gemini/{gemini.GeminiProvider.model_id}"),
    **{
        variable: f"{service.name}/{service.model or '<model>'}"
        for service in SERVICES
        for variable in service.keys
        if not service.own
    },
}
"""What a key gives access to. Keys of servers of one's own are in no list: that they are set says nothing."""
_SHOWN = 5
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


async def offers(transport: Transport) -> list[str]:
    """One line for each model, or service with models, that is at hand: what to write, and why it is offered.

    A line is such as `openai/gpt-5-mini  (OPENAI_API_KEY is set)`; no line holds a key. Nothing outside this machine
    is asked, and no server longer than `PROBE_SECONDS`.
    """
    keys = [f"{model}  ({variable} is set)" for variable, model in _KEYS.items() if settings.lookup(variable)]
    return keys + await _ollama(transport)


async def _ollama(transport: Transport) -> list[str]:
    try:
        base = ollama.base_url()
    except ConfigError as exc:
        return [f"ollama/<model>  (but: {exc})"]
    if urlsplit(base).hostname not in _LOOPBACK:
        return []
    try:
        reply = await transport.get(f"{base}/api/tags", timeout=PROBE_SECONDS, caller=Caller("ollama", ""))
        names = [str(model["name"]) for model in orjson.loads(reply.body)["models"]]
    except (ProviderError, ValueError, KeyError, TypeError):
        # Nobody listens there, or it is not Ollama: either way there is nothing to offer.
        return []
    if not names:
        return [f"ollama/{ollama.OllamaProvider.model_id}  (Ollama runs at {base}, but has no model yet: ollama pull)"]
    lines = [f"ollama/{name}  (Ollama runs at {base})" for name in names[:_SHOWN]]
    return lines if len(names) <= _SHOWN else [*lines, f"ollama/<model>  ({len(names) - _SHOWN} more: ollama list)"]
