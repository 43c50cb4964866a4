"""What the tests of `llm` share: no key and no `.env` of this machine, and servers on loopback."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

_OURS = ("OPENAI_", "OLLAMA_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment without keys and proxies, an empty current folder, and no question to a real name server."""
    for name in os.environ:
        if name.upper().startswith(_OURS):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    ask = socket.getaddrinfo

    def look_up(host: str | bytes | None, *rest: Any, **named: Any) -> Any:
        if isinstance(host, str) and host.endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return ask(host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
