"""What the tests of `llm` share: no key and no `.env` of this machine, and servers on loopback."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_OURS = ("OPENAI_", "OLLAMA_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment without keys and proxies, and an empty current folder."""
    for name in os.environ:
        if name.upper().startswith(_OURS):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
