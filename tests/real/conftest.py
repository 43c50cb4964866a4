"""What the tests against real programs share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.llama_server import LlamaServer


@pytest.fixture(scope="session")
def llama_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    """One llama.cpp server for the whole session, as it needs a second to start and keeps no state between calls."""
    pytest.importorskip("xllamacpp", reason="the real llama.cpp server needs the package xllamacpp")
    with LlamaServer(tmp_path_factory.mktemp("llama")) as server:
        yield server
