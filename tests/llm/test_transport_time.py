"""Cancelled calls, late ones, idle connections, and the transport's own end."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import pytest

from rowsmith.errors import ConnectionFailedError, ProviderError, ProviderTimeoutError
from rowsmith.llm import connection
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


async def test_a_cancelled_call_closes_its_connection(transport: Transport) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        if peer.number == 1:
            await peer.reader.read()
            return
        await peer.answer(b"mine")

    async with wire(behave) as server:
        task = asyncio.create_task(post(transport, server.url))
        await settled()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(server.ended.wait(), 1)
        assert await post(transport, server.url) == b"mine"


async def test_a_call_that_is_cancelled_before_it_goes_out_is_not_sent(transport: Transport) -> None:
    async with wire(echo) as server:
        await post(transport, server.url)
        task = asyncio.create_task(post(transport, server.url))
        asyncio.get_running_loop().call_soon(task.cancel)
        await asyncio.gather(task, return_exceptions=True)
        await settled()
    assert task.cancelled()
    assert len(server.heads) == 1


async def test_a_call_that_is_cancelled_as_its_reply_comes_spoils_nobody_elses(transport: Transport) -> None:
    async with wire(echo) as server:
        for turns in range(60):
            task = asyncio.create_task(post(transport, server.url, b"cancelled"))
            for _ in range(turns % 12):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert await post(transport, server.url, b"%d" % turns) == b"%d" % turns


async def test_whoever_leaves_after_the_reply_has_come_leaves_the_next_call_alone(transport: Transport) -> None:
    async with wire(echo) as server:
        await post(transport, server.url)
        assert transport._pool is not None
        (one,) = transport._pool.connections
        deadline = asyncio.get_running_loop().time() + 5
        first = one.send(b"POST / HTTP/1.1\r\n\r\n", deadline)
        await asyncio.sleep(0)
        first.cancel()
        await settled()
        second = one.send(b"POST / HTTP/1.1\r\n\r\n", deadline)
        one.leave(first)
        assert (await second).status == 200


async def test_each_call_keeps_its_own_timeout(transport: Transport) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        await asyncio.sleep(5)

    async def late(timeout: float) -> float:
        began = time.perf_counter()
        assert isinstance(await failure(transport, server.url, timeout=timeout), ProviderTimeoutError)
        return time.perf_counter() - began

    given = [0.5, 0.05, 0.2, 0.35]
    async with wire(behave) as server:
        taken = await asyncio.gather(*map(late, given))
    for timeout, seconds in zip(given, taken, strict=True):
        assert timeout <= seconds < timeout + 0.15


async def test_a_head_that_trickles_in_runs_into_the_timeout(transport: Transport) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.say(OK)
        while True:
            await peer.say(b"A: b\r\n")
            await asyncio.sleep(0.01)

    async with wire(behave) as server:
        assert isinstance(await failure(transport, server.url, timeout=0.1), ProviderTimeoutError)


async def test_a_server_that_takes_nothing_runs_into_the_timeout(transport: Transport) -> None:
    async def behave(peer: Peer) -> None:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a transport of both directions
        await asyncio.sleep(5)

    async with wire(behave) as server:
        error = await failure(transport, server.url, b" " * 30_000_000, timeout=0.3)
        assert isinstance(error, ProviderTimeoutError)


async def test_a_server_that_accepts_nobody_runs_into_the_timeout(transport: Transport) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        waiting = []
        for _ in range(8):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(address)
            waiting.append(one)
        error = await failure(transport, f"http://127.0.0.1:{address[1]}/", timeout=0.2)
        for one in waiting:
            one.close()
    assert isinstance(error, ProviderTimeoutError)
    assert "no connection" in error.message


async def test_idle_connections_are_closed_in_the_end(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "IDLE_SECONDS", 0.1)
    async with wire(echo) as server:
        await asyncio.gather(post(transport, server.url), post(transport, server.url))
        assert not server.ended.is_set()
        await asyncio.wait_for(server.ended.wait(), 1)
        await settled()
        assert transport._pool is not None
        assert not transport._pool.connections
        await post(transport, server.url)


async def test_closing_the_transport_ends_what_is_under_way() -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.reader.read()

    async with wire(behave) as server:
        async with Transport() as transport:
            task = asyncio.create_task(failure(transport, server.url))
            await settled()
        assert isinstance(await task, ConnectionFailedError)
        await asyncio.wait_for(server.ended.wait(), 1)


async def test_closing_the_transport_while_it_connects_leaves_nobody_waiting() -> None:
    async with wire(echo) as server:
        for turns in range(12):
            async with Transport() as transport:
                task = asyncio.create_task(post(transport, server.url))
                for _ in range(turns):
                    await asyncio.sleep(0)
            (ended,) = await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), 1)
            assert ended == b"{}" or isinstance(ended, ConnectionFailedError | RuntimeError)
