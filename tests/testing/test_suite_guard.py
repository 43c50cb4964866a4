"""The suite itself: it cannot reach the network, and sees nothing of this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

import network_guard
from rowsmith.testing import ScriptedServer


@pytest.fixture
def tried() -> Iterator[list[str]]:
    """What this test tried, which is meant to be refused and does not count against it."""
    attempts = network_guard.attempts
    yield attempts
    attempts.clear()


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("2001:db8::1", 80, 0, 0)], ids=["IPv4", "IPv6"])
def test_a_socket_cannot_connect_to_another_machine(address: tuple[str, int], tried: list[str]) -> None:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family) as sock, pytest.raises(network_guard.NetworkForbiddenError, match="loopback"):
        sock.connect(address)
    assert tried == [f"socket.connect {address[0]!r}"]


@pytest.mark.usefixtures("tried")
def test_a_name_is_not_even_looked_up() -> None:
    with pytest.raises(network_guard.NetworkForbiddenError, match=r"example\.com"):
        urllib.request.urlopen("http://example.com/")


def test_a_name_that_cannot_exist_fails_as_it_would(tried: list[str]) -> None:
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("api.invalid", 443)
    assert tried == []


@pytest.mark.usefixtures("tried")
async def test_aiohttp_is_kept_in_too() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(network_guard.NetworkForbiddenError):
            await session.get("http://192.0.2.1/")


def test_a_process_that_a_test_starts_is_kept_in_too() -> None:
    code = "import socket; socket.socket().connect(('192.0.2.1', 80))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "NetworkForbiddenError" in done.stderr


def test_loopback_is_open(scripted_server: Callable[..., ScriptedServer]) -> None:
    server = scripted_server()
    with urllib.request.urlopen(server.url.replace("127.0.0.1", "localhost") + "/api/tags") as reply:
        assert reply.status == 200


def test_nothing_of_this_machine_is_seen(tmp_path: Path) -> None:
    home = Path.home()
    assert home.parent == tmp_path.parent
    assert list(home.iterdir()) == []
    assert Path.cwd() == tmp_path
    assert not [name for name in os.environ if name.endswith(("_API_KEY", "_TOKEN", "_BASE_URL"))]
    assert all(os.environ[name].startswith(str(home)) for name in os.environ if name.startswith("XDG_"))
