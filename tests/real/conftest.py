"""What the tests against real programs share."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from support.llama_server import LlamaServer


@pytest.fixture(scope="session")
def llama_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    """One llama.cpp server for the whole session: it takes half a second to start and remembers nothing that matters.

    It only looks whether the package is there, for the native code is to be loaded by the server's process alone.
    """
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("the real llama.cpp server needs the package xllamacpp")
    with LlamaServer(tmp_path_factory.mktemp("llama")) as server:
        yield server
