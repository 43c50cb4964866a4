"""How connections are kept, given up and watched over."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator

import pytest

from rowsmith.errors import ConnectionFailedError, MalformedReplyError, ProviderError
from rowsmith.llm import connection, pool
from rowsmith.llm.transport import Caller, Transport

from .wire import Peer, echo, wire

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


async def failure(transport: Transport, url: str, body: bytes = b"{}", timeout: float = 5.0) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await post(transport, url, body, timeout)
    return caught.value


async def settled() -> None:
    """Wait until what is on its way on loopback has arrived."""
    await asyncio.sleep(0.03)


async def test_as_many_connections_as_calls_at_once_and_no_more(transport: Transport) -> None:
    async with wire(echo) as server:
        for _ in range(3):
            bodies = [b"%d" % number for number in range(20)]
            assert await asyncio.gather(*(post(transport, server.url, body) for body in bodies)) == bodies
    assert server.connections == 20


async def test_the_connection_used_last_is_used_next(transport: Transport) -> None:
    async def behave(peer: Peer) -> None:
        while True:
            await asyncio.sleep(0.02 * int(await peer.request()))
            await peer.answer(b"%d" % peer.number)

    async with wire(behave) as server:
        slow, _ = await asyncio.gather(post(transport, server.url, b"2"), post(transport, server.url, b"0"))
        assert await post(transport, server.url, b"0") == await post(transport, server.url, b"0") == slow


async def test_a_large_body_goes_out_and_comes_back_whole(transport: Transport) -> None:
    body = bytes(range(256)) * 40_000
    async with wire(echo) as server:
        assert await post(transport, server.url, body) == body
        assert await post(transport, server.url, body) == body
    assert server.connections == 1


@pytest.mark.parametrize("pause", [0.0, 0.6])
async def test_a_connection_that_the_server_closed_is_not_used_again(transport: Transport, pause: float) -> None:
    async def behave(peer: Peer) -> None:
        await peer.answer(await peer.request())

    async with wire(behave) as server:
        await post(transport, server.url)
        await server.ended.wait()
        await settled()
        await asyncio.sleep(pause)
        await post(transport, server.url)
    assert server.connections == 2


class Hasty:
    """A server in a thread, so that it acts while the event loop is kept busy: it hangs up after one reply."""

    def __init__(self, *, reset: bool) -> None:
        self._reset = reset
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self.requests = 0
        self.go_on = threading.Event()
        self.hung_up = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        for last in (False, True):
            connection, _ = self._listener.accept()
            with connection:
                if connection.recv(65536):
                    self.requests += 1
                    connection.sendall(OK + b"Content-Length: 2\r\n\r\nok")
                if last:
                    return
                self.go_on.wait(5)
                if self._reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.hung_up.set()

    def hang_up(self) -> None:
        """Close the first connection, and block the event loop until it is closed."""
        self.go_on.set()
        self.hung_up.wait(5)
        time.sleep(0.02)

    def close(self) -> None:
        self._thread.join(5)
        self._listener.close()


async def test_a_post_that_the_system_refuses_to_send_is_sent_on_a_new_connection(transport: Transport) -> None:
    server = Hasty(reset=True)
    await post(transport, server.url)
    server.hang_up()
    assert await post(transport, server.url) == b"ok"
    server.close()
    assert server.requests == 2


async def test_an_old_connection_is_asked_whether_it_is_open(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_FRESH_SECONDS", 0.0)
    server = Hasty(reset=False)
    await post(transport, server.url)
    server.hang_up()
    assert await post(transport, server.url) == b"ok"
    server.close()
    assert server.requests == 2


async def hang_up_on_the_second(peer: Peer) -> None:
    await peer.request()
    if peer.number == 1:
        await peer.answer(b"first")
        await peer.request()
    else:
        await peer.answer(b"again")


async def test_a_post_that_may_have_been_carried_out_is_not_sent_again(transport: Transport) -> None:
    async with wire(hang_up_on_the_second) as server:
        await post(transport, server.url)
        error = await failure(transport, server.url)
    assert isinstance(error, ConnectionFailedError)
    assert error.retryable
    assert len(server.heads) == 2


async def test_a_get_is_sent_again_once(transport: Transport) -> None:
    async with wire(hang_up_on_the_second) as server:
        await get(transport, server.url)
        assert await get(transport, server.url) == b"again"
    assert len(server.heads) == 3


async def test_nothing_is_sent_again_on_a_connection_that_was_new(transport: Transport) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()

    async with wire(behave) as server:
        with pytest.raises(ConnectionFailedError):
            await get(transport, server.url)
    assert len(server.heads) == 1


async def test_nothing_is_sent_again_once_a_byte_of_the_reply_was_there(transport: Transport) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.answer(b"first")
        await peer.request()
        await peer.say(b"H")

    async with wire(behave) as server:
        await get(transport, server.url)
        with pytest.raises(ConnectionFailedError):
            await get(transport, server.url)
    assert len(server.heads) == 2


@pytest.mark.parametrize(
    "reply",
    [
        OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        OK + b"Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n\r\n",
    ],
    ids=["close", "HTTP/1.0", "another reply", "an empty line"],
)
async def test_a_connection_is_given_up_after_a_reply_that_says_so_or_is_followed_by_more(
    transport: Transport, reply: bytes
) -> None:
    async def behave(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.say(reply)

    async with wire(behave) as server:
        assert await post(transport, server.url) == b"ok"
        assert await post(transport, server.url) == b"ok"
    assert server.connections == 2


async def test_what_comes_unasked_is_not_taken_for_the_next_reply(transport: Transport) -> None:
    said = asyncio.Event()

    async def behave(peer: Peer) -> None:
        await peer.answer(await peer.request())
        if peer.number == 1:
            await peer.say(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
            said.set()
        await echo(peer)

    async with wire(behave) as server:
        await post(transport, server.url)
        await said.wait()
        await settled()
        assert await post(transport, server.url, b"mine") == b"mine"
    assert server.connections == 2


async def test_what_comes_before_the_request_is_out_is_not_taken_for_its_reply(transport: Transport) -> None:
    async def behave(peer: Peer) -> None:
        if peer.number == 1:
            await peer.answer(await peer.request())
            await peer.reader.read()
        await echo(peer)

    async with wire(behave) as server:
        await post(transport, server.url)
        assert transport._pool is not None
        (one,) = transport._pool.connections
        task = asyncio.create_task(post(transport, server.url, b"mine"))
        # Both come in one turn: the call is made, and before its request goes out, bytes come in.
        asyncio.get_running_loop().call_soon(arrive, one, b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        assert await task == b"mine"
    assert server.connections == 2


def arrive(one: connection.Connection, data: bytes) -> None:
    """Hand a connection bytes as the event loop does."""
    one.get_buffer(-1)[: len(data)] = data
    one.buffer_updated(len(data))


async def test_a_reply_without_a_length_ends_with_the_connection(transport: Transport) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.say(OK + b"\r\nall ")
        await settled()
        await peer.say(b"of it")

    async with wire(behave) as server:
        assert await post(transport, server.url) == b"all of it"


@pytest.mark.parametrize("closes", [True, False])
async def test_a_refusal_is_heard_before_the_request_is_out(transport: Transport, closes: bool) -> None:
    async def behave(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.say(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
        if not closes:
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a transport of both directions
            await asyncio.sleep(5)

    async with wire(behave) as server:
        for _ in range(2):
            error = await failure(transport, server.url, b" " * 20_000_000)
            assert (error.status, error.message) == (413, "big")
    assert server.connections == 2


async def test_an_unclear_reply_closes_its_connection(transport: Transport) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.say(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nokk")
        await peer.reader.read()

    async with wire(behave) as server:
        assert isinstance(await failure(transport, server.url), MalformedReplyError)
        await asyncio.wait_for(server.ended.wait(), 1)
