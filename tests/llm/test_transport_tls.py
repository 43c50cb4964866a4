"""TLS, and the proxies on the way."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rowsmith.errors import ConnectionFailedError, ProviderError, ProviderTimeoutError
from rowsmith.llm.transport import Caller, Transport

from .loopback import always, served, unused_port
from .wire import Peer, certificate, echo, server_context, wire

PASSWORD = "p@ss/word"
CALLER = Caller("openai", "gpt-x", no_server="Start it")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("tls"), "DNS:localhost", "IP:127.0.0.1", "DNS:api.example")


@pytest.fixture
def trusted(made: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """The context of a server whose certificate is trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(made))
    return server_context(made)


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with Transport() as opened:
        yield opened


async def post(transport: Transport, url: str, body: bytes = b"{}", timeout: float = 5.0) -> bytes:
    return (await transport.post(url, body, {"X-Mine": "1"}, timeout=timeout, caller=CALLER)).body


async def failure(transport: Transport, url: str, timeout: float = 5.0) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await post(transport, url, timeout=timeout)
    error: BaseException | None = caught.value
    while error is not None:
        assert PASSWORD not in f"{error} {error!r} {vars(error)}"
        error = error.__cause__ or error.__context__
    return caught.value


async def test_a_connection_by_tls_is_kept_too(transport: Transport, trusted: ssl.SSLContext) -> None:
    body = b"0123456789" * 200_000
    async with wire(echo, trusted) as server:
        for _ in range(3):
            assert await post(transport, server.url, body) == body
    assert server.connections == 1


async def test_http_1_1_is_what_is_agreed_on(transport: Transport, trusted: ssl.SSLContext) -> None:
    trusted.set_alpn_protocols(["h2", "http/1.1"])
    agreed = []

    async def behave(peer: Peer) -> None:
        agreed.append(peer.writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await echo(peer)

    async with wire(behave, trusted) as server:
        await post(transport, server.url)
    assert agreed == ["http/1.1"]


async def test_a_certificate_that_nobody_vouches_for_is_told_with_the_way_out(transport: Transport, made: Path) -> None:
    async with wire(echo, server_context(made)) as server:
        error = await failure(transport, server.url)
    assert isinstance(error, ConnectionFailedError)
    assert "certificate" in error.message
    assert "self-signed" in error.message
    assert "SSL_CERT_FILE" in (error.hint or "")
    assert isinstance(error.__cause__, ssl.SSLCertVerificationError)
    assert server.heads == []


async def test_a_certificate_for_another_name_is_not_taken(
    transport: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = certificate(tmp_path, "DNS:other.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(other))
    async with wire(echo, server_context(other)) as server:
        error = await failure(transport, server.url)
    assert "certificate" in error.message
    assert server.heads == []


async def test_a_connection_by_tls_that_the_server_closed_is_not_used_again(
    transport: Transport, trusted: ssl.SSLContext
) -> None:
    async def behave(peer: Peer) -> None:
        await peer.answer(await peer.request())

    async with wire(behave, trusted) as server:
        await post(transport, server.url)
        await server.ended.wait()
        await asyncio.sleep(0.03)
        assert await post(transport, server.url, b"new") == b"new"
    assert server.connections == 2


@pytest.mark.parametrize("orderly", [True, False])
async def test_a_reply_without_a_length_ends_with_the_connection(
    transport: Transport, trusted: ssl.SSLContext, orderly: bool
) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.say(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        if not orderly:
            await asyncio.sleep(0.02)
            peer.writer.transport.abort()

    async with wire(behave, trusted) as server:
        assert await post(transport, server.url) == b"all of it"


async def test_a_handshake_that_never_ends_runs_into_the_timeout(transport: Transport) -> None:
    async def behave(peer: Peer) -> None:
        await asyncio.sleep(5)

    async with wire(behave) as server:
        error = await failure(transport, server.url.replace("http:", "https:"), timeout=0.2)
    assert isinstance(error, ProviderTimeoutError)


async def test_a_handshake_that_is_cut_off_is_a_failed_connection(transport: Transport) -> None:
    async def behave(peer: Peer) -> None:
        await peer.reader.read(10)

    async with wire(behave) as server:
        error = await failure(transport, server.url.replace("http:", "https:"))
    assert isinstance(error, ConnectionFailedError)


@dataclass
class Tunnels:
    """A proxy that leads every CONNECT to one port of this machine.

    Attributes:
        url: its address.
        heads: the requests it has had.
    """

    url: str = ""
    heads: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def tunnels(
    port: int,
    reply: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n",
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[Tunnels]:
    """A running proxy that gives this reply to CONNECT, and leads on if it is one of success."""

    async def carry(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            to.write(data)
            await to.drain()
        if to.can_write_eof():
            to.write_eof()

    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.say(reply)
        if b" 200 " not in reply:
            return
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(carry(peer.reader, writer), carry(reader, peer.writer))
        finally:
            writer.transport.abort()

    async with wire(behave, context) as running:
        scheme = "http" if context is None else "https"
        yield Tunnels(
            f"{scheme}://me:{PASSWORD.replace('@', '%40').replace('/', '%2F')}@127.0.0.1:{running.port}", running.heads
        )


LOGIN = b"Proxy-Authorization: Basic " + base64.b64encode(f"me:{PASSWORD}".encode())


@pytest.mark.parametrize("version", [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"HTTP/1.0 200 Go on\r\n\r\n"])
async def test_https_goes_through_a_tunnel_that_is_kept(
    transport: Transport, trusted: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, version: bytes
) -> None:
    async with wire(echo, trusted) as server, tunnels(server.port, version) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        for body in (b"one", b"two" * 100_000, b"three"):
            assert await post(transport, "https://api.example/v1", body) == body
    (asked,) = proxy.heads
    assert asked.startswith(b"CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\n")
    assert LOGIN in asked
    assert b"X-Mine" not in asked
    assert len(server.heads) == 3
    for head in server.heads:
        assert head.startswith(b"POST /v1 HTTP/1.1\r\nHost: api.example\r\n")
        assert b"Proxy-" not in head


async def test_a_proxy_that_is_itself_reached_by_tls_is_used(
    transport: Transport, trusted: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with wire(echo, trusted) as server, tunnels(server.port, context=trusted) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        for body in (b"one", b"two" * 100_000):
            assert await post(transport, "https://api.example/v1", body) == body
    assert len(proxy.heads) == 1


async def test_the_certificate_at_the_end_of_a_tunnel_is_checked(
    transport: Transport, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with wire(echo, server_context(made)) as server, tunnels(server.port) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        error = await failure(transport, "https://api.example/v1")
    assert "the certificate of api.example is not trusted" in error.message


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 5\r\n\r\nlogin", "407"),
        (b"HTTP/1.1 503 Not now\r\n\r\n", "503 Service Unavailable"),
        (b"SSH-2.0\r\n", "does not begin as a reply"),
        (b"", "its answer makes no sense"),
    ],
)
async def test_a_proxy_that_refuses_is_told(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, reply: bytes, told: str
) -> None:
    async with tunnels(0, reply) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        error = await failure(transport, "https://api.example/v1")
    assert isinstance(error, ConnectionFailedError)
    assert "the proxy on the way to api.example" in error.message
    assert told in error.message
    assert error.hint == "Check HTTPS_PROXY"


async def test_a_proxy_that_says_nothing_runs_into_the_timeout(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def behave(peer: Peer) -> None:
        await asyncio.sleep(5)

    async with wire(behave) as silent:
        monkeypatch.setenv("https_proxy", f"127.0.0.1:{silent.port}")
        error = await failure(transport, "https://api.example/v1", timeout=0.1)
    assert isinstance(error, ProviderTimeoutError)


@pytest.mark.parametrize("closes", [True, False])
async def test_a_tunnel_that_leads_to_silence_is_given_up_and_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, closes: bool
) -> None:
    async def behave(peer: Peer) -> None:
        await peer.reader.read(10)
        await asyncio.sleep(0 if closes else 5)

    async with wire(behave) as silent, tunnels(silent.port) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        async with asyncio.timeout(2), Transport() as transport:
            error = await failure(transport, "https://api.example/v1", timeout=0.3)
    assert isinstance(error, ConnectionFailedError if closes else ProviderTimeoutError)


async def test_a_proxy_that_is_not_there_is_told(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", f"http://me:{PASSWORD.replace('/', '%2F')}@127.0.0.1:{unused_port()}")
    error = await failure(transport, "https://api.example/v1")
    assert isinstance(error, ConnectionFailedError)
    assert "no connection to it: Connection refused" in error.message


async def test_plain_http_tells_the_proxy_the_whole_address_and_its_login(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with wire(echo) as proxy:
        monkeypatch.setenv(
            "http_proxy", f"http://me:{PASSWORD.replace('@', '%40').replace('/', '%2F')}@127.0.0.1:{proxy.port}"
        )
        assert await post(transport, "http://api.example:8080/v1?a=b", b"one") == b"one"
        assert await post(transport, "http://api.example:8080/v1?a=b", b"two") == b"two"
    assert proxy.connections == 1
    for head in proxy.heads:
        assert head.startswith(b"POST http://api.example:8080/v1?a=b HTTP/1.1\r\nHost: api.example:8080\r\n")
        assert LOGIN in head


async def test_no_proxy_names_a_host_with_its_port(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(always("from the proxy")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "api.invalid:8080")
        assert await post(transport, "http://api.invalid:9090/") == b"from the proxy"
        assert "no host of that name" in (await failure(transport, "http://api.invalid:8080/")).message
