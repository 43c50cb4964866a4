"""Models by the names of real services, answered by a scripted server."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rowsmith.testing import ScriptedServer


@pytest.fixture
def services(
    scripted_server: Callable[..., ScriptedServer], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., ScriptedServer]:
    """Starts a scripted server that stands for `openai/…`: takes what `ScriptedServer` takes."""

    def start(*args: object, **options: object) -> ScriptedServer:
        server = scripted_server(*args, **options)
        monkeypatch.setenv("OPENAI_API_KEY", "a-key")
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        return server

    return start
