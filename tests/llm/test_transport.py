"""The transport against real servers on loopback, and every way a connection can fail."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from rowsmith.errors import (
    AuthenticationError,
    ConfigError,
    ConnectionFailedError,
    MalformedReplyError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    RowsmithError,
    ServiceError,
)
from rowsmith.llm import no_reply
from rowsmith.llm.connection import NoConnectionError, NoProxyError
from rowsmith.llm.heads import BadReplyError
from rowsmith.llm.http1 import IncompleteReplyError
from rowsmith.llm.transport import Caller, Reply, Transport

from .loopback import Asked, always, served, speaking, unused_port

SECRET = "a-key-nobody-may-see"
CALLER = Caller("openai", "gpt-x", (SECRET,), no_server="Start it")
HEADERS = {"Content-Type": "application/json", "Authorization": f"Bearer {SECRET}"}


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with Transport() as opened:
        yield opened


async def post(transport: Transport, url: str, timeout: float = 5.0) -> Reply:
    return await transport.post(url, b'{"a":1}', HEADERS, timeout=timeout, caller=CALLER)


async def failure(transport: Transport, url: str, timeout: float = 5.0) -> RowsmithError:
    with pytest.raises(RowsmithError) as caught:
        await post(transport, url, timeout)
    return caught.value


async def test_the_body_and_the_headers_go_out_as_they_are(transport: Transport) -> None:
    async with served(always({"ok": True}, x_request_id="req_9")) as server:
        reply = await post(transport, f"{server.url}/v1/chat")
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.body) == ("POST", "/v1/chat", b'{"a":1}')
    assert asked.headers["authorization"] == f"Bearer {SECRET}"
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["user-agent"] == "rowsmith"
    assert (reply.status, reply.body) == (200, b'{"ok":true}')
    assert reply.headers["X-REQUEST-ID"] == "req_9"


async def test_get_asks_without_a_body(transport: Transport) -> None:
    async with served(always("pong")) as server:
        reply = await transport.get(server.url, timeout=5, caller=CALLER)
    assert (server.asked[0].method, server.asked[0].body, reply.body) == ("GET", b"", b"pong")


async def test_a_connection_is_used_again(transport: Transport) -> None:
    peers = set()

    async def answer(asked: Asked) -> web.Response:
        peers.add(asked.request.transport.get_extra_info("peername"))  # type: ignore[union-attr]  # it is open
        return web.Response()

    async with served(answer) as server:
        for _ in range(5):
            await post(transport, server.url)
    assert len(peers) == 1


async def test_nothing_bounds_what_is_in_flight(transport: Transport) -> None:
    all_here = asyncio.Barrier(150)

    async def answer(asked: Asked) -> web.Response:
        await all_here.wait()
        return web.Response()

    async with served(answer) as server, asyncio.timeout(10):
        await asyncio.gather(*(post(transport, server.url) for _ in range(150)))


async def test_cookies_are_not_kept(transport: Transport) -> None:
    async with served(always("", Set_Cookie="session=1")) as server:
        await post(transport, server.url)
        await post(transport, server.url)
    assert "cookie" not in server.asked[1].headers


async def test_a_compressed_reply_is_unpacked(transport: Transport) -> None:
    async def answer(asked: Asked) -> web.Response:
        response = web.Response(text="long " * 1000)
        response.enable_compression(web.ContentCoding.gzip)
        return response

    async with served(answer) as server:
        reply = await post(transport, server.url)
    assert reply.headers["Content-Encoding"] == "gzip"
    assert reply.body == b"long " * 1000


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 529])
async def test_a_status_other_than_2xx_is_raised_as_the_error_it_stands_for(transport: Transport, status: int) -> None:
    async with served(always({"error": {"message": "so"}}, status)) as server:
        error = await failure(transport, server.url)
    assert isinstance(error, ProviderError)
    assert (error.provider, error.model, error.status, error.message) == ("openai", "gpt-x", status, "so")


async def test_a_wrong_key_and_a_wait_arrive_whole(transport: Transport) -> None:
    async with served(always({"error": {"message": f"Wrong: {SECRET}"}}, 401, x_request_id="req_1")) as server:
        error = await failure(transport, server.url)
    assert isinstance(error, AuthenticationError)
    assert (error.request_id, error.message) == ("req_1", "Wrong: ***")
    async with served(always("slow down", 429, Retry_After="7")) as server:
        error = await failure(transport, server.url)
    assert isinstance(error, RateLimitError)
    assert error.retry_after == 7


async def test_a_proxys_page_is_told_by_its_title(transport: Transport) -> None:
    page = "<html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>"
    async with served(always(page, 502)) as server:
        error = await failure(transport, server.url)
    assert isinstance(error, ServiceError)
    assert str(error) == "openai/gpt-x: 502 Bad Gateway (HTTP 502)"


async def test_a_redirect_is_not_followed_with_the_key(transport: Transport) -> None:
    async with served(always("never")) as elsewhere, served(always("", 307, Location=elsewhere.url)) as server:
        error = await failure(transport, server.url)
    assert elsewhere.asked == []
    assert elsewhere.url in str(error)


async def test_where_nobody_listens_the_hint_says_what_to_do(transport: Transport) -> None:
    port = unused_port()
    error = await failure(transport, f"http://127.0.0.1:{port}/v1")
    assert isinstance(error, ConnectionFailedError)
    assert error.hint == "Start it"
    assert f"127.0.0.1:{port}" in error.message
    assert "refused" in error.message.lower()
    assert isinstance(error.__cause__, ConnectionRefusedError)


async def test_a_host_that_does_not_exist_is_told(transport: Transport) -> None:
    error = await failure(transport, "http://no-such-host.invalid/v1")
    assert isinstance(error, ConnectionFailedError)
    assert error.message == "no host of that name: no-such-host.invalid"


async def test_a_server_that_says_nothing_runs_into_the_timeout(transport: Transport) -> None:
    async def answer(asked: Asked) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async with served(answer) as server:
        error = await failure(transport, server.url, timeout=0.05)
    assert isinstance(error, ProviderTimeoutError)
    assert "0.05 s" in error.message


async def test_a_body_that_trickles_runs_into_the_timeout_too(transport: Transport) -> None:
    async def answer(asked: Asked) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(asked.request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.01)

    async with served(answer) as server:
        assert isinstance(await failure(transport, server.url, timeout=0.1), ProviderTimeoutError)


@pytest.mark.parametrize(
    ("sent", "reset"),
    [
        (b"", False),
        (b"", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", False),
        (b"HTTP/1.1 200 OK\r\nContent-Le", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal", False),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nhalf", False),
    ],
    ids=["closed", "reset", "half body", "half head", "half chunk", "not gzip"],
)
async def test_a_connection_that_breaks_is_a_failed_connection(transport: Transport, sent: bytes, reset: bool) -> None:
    async with speaking(sent, reset=reset) as url:
        error = await failure(transport, url)
    assert isinstance(error, ConnectionFailedError)
    assert error.retryable
    assert error.message


@pytest.mark.parametrize(
    "sent", [b"SSH-2.0-OpenSSH_9.6\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\n b\0d\r\n\r\n"]
)
async def test_what_is_not_http_is_a_malformed_reply(transport: Transport, sent: bytes) -> None:
    async with speaking(sent) as url:
        error = await failure(transport, url)
    assert isinstance(error, MalformedReplyError)
    assert error.status is None


async def test_https_to_a_plain_server_is_told(transport: Transport) -> None:
    async with served(always("")) as server:
        error = await failure(transport, server.url.replace("http:", "https:"))
    assert isinstance(error, ConnectionFailedError)
    assert "http://" in (error.hint or "")


@pytest.mark.parametrize("url", ["ftp://host/x", "no-scheme/x", "http://", "http://host:99999/", f"http://[{SECRET}/"])
async def test_what_is_no_address_is_an_error_of_the_configuration(transport: Transport, url: str) -> None:
    error = await failure(transport, url)
    assert type(error) is ConfigError
    assert url.replace(SECRET, "***") in str(error)


async def test_the_transport_goes_on_after_a_failure(transport: Transport) -> None:
    async with speaking(b"") as url:
        await failure(transport, url)
    async with served(always("fine")) as server:
        assert (await post(transport, server.url)).body == b"fine"


async def test_a_cancelled_call_is_cancelled(transport: Transport) -> None:
    started = asyncio.Event()

    async def answer(asked: Asked) -> web.Response:
        started.set()
        await asyncio.sleep(30)
        return web.Response()

    async with served(answer) as server:
        task = asyncio.create_task(post(transport, server.url))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_no_error_shows_the_key_not_even_by_its_causes(transport: Transport) -> None:
    async with speaking(f"HTTP/1.1 {SECRET}\r\n\r\n".encode()) as url:
        errors = [await failure(transport, url)]
    async with served(always(f"<p>{SECRET}</p>", 500)) as server:
        errors.append(await failure(transport, f"{server.url}/?key={SECRET}"))
    errors.append(await failure(transport, f"http://127.0.0.1:{unused_port()}/?key={SECRET}"))
    errors.append(await failure(transport, f"http://[::1/{SECRET}"))
    for error in errors:
        link: BaseException | None = error
        while link is not None:
            assert SECRET not in f"{link} {link!r} {link.args!r} {vars(link)}"
            link = link.__cause__ or link.__context__


def test_it_is_made_outside_any_event_loop_and_opened_again_in_another() -> None:
    transport = Transport()

    async def once() -> bytes:
        async with served(always("fine")) as server, transport:
            return (await post(transport, server.url)).body

    assert asyncio.run(once()) == asyncio.run(once()) == b"fine"


async def test_used_while_closed_or_opened_twice_it_says_so(transport: Transport) -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await post(Transport(), "http://127.0.0.1/")
    with pytest.raises(RuntimeError, match="already open"):
        await transport.__aenter__()


async def test_a_proxy_of_the_environment_is_used_but_never_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(always("from the proxy")) as proxy, served(always("direct")) as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "internal.invalid")
        async with Transport() as transport:
            reply = await post(transport, "http://api.example/v1")
            assert reply.body == b"from the proxy"
            assert (await post(transport, server.url)).body == b"direct"
            assert isinstance(await failure(transport, "http://internal.invalid/v1"), ConnectionFailedError)
        async with Transport(trust_env=False) as transport:
            assert isinstance(await failure(transport, "http://api.invalid/v1"), ConnectionFailedError)
    assert len(proxy.asked) == 1
    assert proxy.asked[0].headers["host"] == "api.example"


async def test_a_proxy_that_is_not_http_is_an_error_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", f"socks5://me:{SECRET}@127.0.0.1:1")
    async with Transport() as transport:
        with pytest.raises(ConfigError, match="socks5") as caught:
            await post(transport, "https://api.example/v1")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError(), ProviderTimeoutError),
        (TimeoutError(110, "Connection timed out"), ConnectionFailedError),
        (OSError(24, "Too many open files"), ConnectionFailedError),
        (ssl.SSLError(1, "[SSL] wrong version number"), ConnectionFailedError),
        (ssl.SSLCertVerificationError("expired"), ConnectionFailedError),
        (ConnectionResetError(104, "Connection reset by peer"), ConnectionFailedError),
        (IncompleteReplyError("it was closed"), ConnectionFailedError),
        (BadReplyError("it has no end"), MalformedReplyError),
        (NoProxyError("407"), ConnectionFailedError),
        (NoConnectionError(TimeoutError(), late=True), ProviderTimeoutError),
        (NoConnectionError(socket.gaierror(-2, "unknown")), ConnectionFailedError),
        (NoConnectionError(OSError(111, "refused")), ConnectionFailedError),
        (NoConnectionError(ssl.SSLCertVerificationError("expired")), ConnectionFailedError),
    ],
    ids=repr,
)
def test_whatever_is_raised_on_the_way_becomes_one_of_ours(error: BaseException, kind: type[ProviderError]) -> None:
    assert isinstance(error, no_reply.RAISED)
    translated = no_reply.translate(error, "h", 1.0, CALLER)
    assert type(translated) is kind
    assert translated.message
    assert translated.retryable


def test_a_name_with_several_addresses_that_all_fail_is_told_in_one_reason() -> None:
    error = OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), [Errno 111] Connect call failed")
    assert (
        no_reply.translate(NoConnectionError(error), "h", 1.0, CALLER).message
        == f"no connection to h: {os.strerror(111)}"
    )


def test_it_works_in_the_loop_of_uvloop() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def main() -> int:
        async with served(always({"ok": True})) as server, Transport() as transport:
            return (await post(transport, server.url.replace("127.0.0.1", "localhost"))).status

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(main()) == 200
