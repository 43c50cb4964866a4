"""How addresses and headers go out."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import pytest

from rowsmith.errors import ConfigError
from rowsmith.llm.transport import Caller, Transport

from .loopback import always, served
from .wire import echo, wire

CALLER = Caller("openai", "gpt-x")
HEADERS = {"Content-Type": "application/json"}
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with Transport() as opened:
        yield opened


async def post(transport: Transport, url: str, body: bytes = b"{}", timeout: float = 5.0) -> bytes:
    return (await transport.post(url, body, HEADERS, timeout=timeout, caller=CALLER)).body


async def get(transport: Transport, url: str) -> bytes:
    return (await transport.get(url, timeout=5.0, caller=CALLER)).body


async def test_a_changed_header_is_sent_as_it_is_now(transport: Transport) -> None:
    headers = {"X-Number": "1"}
    async with wire(echo) as server:
        for number in ("1", "2"):
            headers["X-Number"] = number
            await transport.post(server.url, b"", headers, timeout=5, caller=CALLER)
    assert [b"X-Number: 1" in head for head in server.heads] == [True, False]
    assert b"X-Number: 2" in server.heads[1]


async def test_many_headers_and_addresses_are_not_all_remembered(transport: Transport) -> None:
    async with wire(echo) as server:
        for number in range(600):
            await transport.post(f"{server.url}/{number}", b"", {"N": str(number)}, timeout=5, caller=CALLER)
        assert len(transport._routes) <= 256
    assert server.connections == 1


async def test_ipv6_and_names_are_reached(transport: Transport) -> None:
    async with served(always("by name")) as server:
        assert await post(transport, server.url.replace("127.0.0.1", "localhost")) == b"by name"
    if not socket.has_ipv6:
        return
    async with wire(echo, host="::1") as six:
        assert await post(transport, f"http://[::1]:{six.port}/", b"six") == b"six"
    assert b"Host: [::1]:%d\r\n" % six.port in six.heads[0]


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("", b"/"),
        ("?a=b#c", b"/?a=b"),
        ("/v1/a b/ä%20/%2F?q=ü&x=[1]#part", b"/v1/a%20b/%C3%A4%20/%2F?q=%C3%BC&x=%5B1%5D"),
    ],
)
async def test_the_path_goes_out_encoded(transport: Transport, path: str, sent: bytes) -> None:
    async with wire(echo) as server:
        await post(transport, f"http://127.0.0.1:{server.port}{path}")
    assert server.heads[0].startswith(b"POST " + sent + b" HTTP/1.1\r\n")


@pytest.mark.parametrize("url", ["http://user:a-password@host/", "http://a..b/", "http://h\r\nX: 1/", "http://h:0/"])
async def test_an_address_that_cannot_be_called_is_refused_without_a_password(transport: Transport, url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        await post(transport, url)
    assert "a-password" not in str(caught.value)
