"""What the tests against real programs share."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator, Iterator

import pytest

from rowsmith.llm.transport import Transport
from support import aimock, litellm_proxy
from support.aimock import AIMock
from support.litellm_proxy import LiteLLMProxy
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


@pytest.fixture(scope="session")
def litellm_server(llama_server: LlamaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiteLLMProxy]:
    """One LiteLLM proxy for the whole session, in front of llama.cpp: its start takes longer than all that it is asked.

    At the end it must have tried to reach nothing but this machine.
    """
    if litellm_proxy.interpreter() is None:
        pytest.skip("the LiteLLM proxy needs the package litellm[proxy]: make servers")
    with LiteLLMProxy(
        tmp_path_factory.mktemp("litellm"),
        openai_base=llama_server.base_url,
        anthropic_base=llama_server.root_url,
        model=llama_server.model,
    ) as proxy:
        yield proxy
    assert "tried to reach: []" in proxy.log


@pytest.fixture(scope="session")
def aimock_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AIMock]:
    """One aimock for the whole session."""
    if reason := aimock.lacking():
        pytest.skip(reason)
    with AIMock(tmp_path_factory.mktemp("aimock"), key="sesame-of-the-mock") as server:
        yield server


@pytest.fixture
def aimock_server(aimock_process: AIMock) -> Iterator[AIMock]:
    """An aimock that knows nothing yet."""
    yield aimock_process
    aimock_process.reset()


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with Transport() as opened:
        yield opened
