"""Connections: opened when none is free, used again last in first out, closed when idle or late."""

from __future__ import annotations

import asyncio
import errno
import math
import ssl
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rowsmith.llm.address import bracketed, is_ip
from rowsmith.llm.connection import IDLE_SECONDS, Connection, NoConnectionError, NoProxyError
from rowsmith.llm.http1 import IncompleteReplyError, Reply

if TYPE_CHECKING:
    from rowsmith.llm.proxy import Proxy

CONNECT_SECONDS: Final = 10.0
"""Seconds to find, reach and greet a server; a request's own timeout bounds it further."""

_FRESH_SECONDS: Final = 0.5
"""A connection that has been idle for less is used without a look whether the server has closed it."""
_SWEEP_SECONDS: Final = 0.01
"""The least time between two looks for connections that are late."""
_BUFFER: Final = 64 * 2**10
_TOGETHER: Final = 8
"""Requests that are sent at once, without waiting for the others of the same turn."""
_EYEBALLS_SECONDS: Final = 0.25
"""What RFC 8305 (section 5) recommends to wait for one address before the next is tried beside it."""


class Origin(NamedTuple):
    """What two requests must share to share a connection.

    Attributes:
        scheme: `http` or `https`.
        host: name or address.
        port: the port.
        proxy: what the connection goes through.
    """

    scheme: str
    host: str
    port: int
    proxy: Proxy | None


class Pool:
    """All connections of one event loop, with one timer for all their deadlines.

    Attributes:
        loop: the event loop.
        connections: those that are open, idle or not.
        buffer: what they all read into.
        sweep_at: the loop's time of the next look at the deadlines.
        closed: whether it is closed for good.
    """

    __slots__ = (
        "_context",
        "_emptied",
        "_idle",
        "_outgoing",
        "_timer",
        "buffer",
        "closed",
        "connections",
        "loop",
        "sweep_at",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.connections: set[Connection] = set()
        self.buffer = memoryview(bytearray(_BUFFER))
        self.sweep_at = math.inf
        self.closed = False
        self._idle: dict[Origin, list[Connection]] = {}
        self._outgoing: list[tuple[Connection, bytes]] = []
        self._emptied = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._context: ssl.SSLContext | None = None

    def idle(self, origin: Origin) -> list[Connection]:
        """The connections to a place that nobody uses, the last used one at the end. It is always the same list."""
        return self._idle.setdefault(origin, [])

    async def exchange(
        self, origin: Origin, idle: list[Connection], data: bytes, deadline: float, now: float, idempotent: bool
    ) -> Reply:
        """Send a request and read the reply.

        Args:
            origin: where to.
            idle: what `idle` gives for it.
            data: the request.
            deadline: the loop's time at which to give up.
            now: the loop's time.
            idempotent: the request may be carried out twice without harm.

        Raises:
            NoConnectionError, NoProxyError: it was not sent.
            BadReplyError, IncompleteReplyError, OSError: no whole reply came; a TimeoutError without `errno`: in time.
        """
        if idle and idle[-1].deadline > now + (IDLE_SECONDS - _FRESH_SECONDS):
            connection = idle.pop()
        else:
            connection = await self._take(idle) or await self._open(origin, deadline)
        while True:
            waiter = connection.send(data, deadline)
            try:
                return await waiter
            except (OSError, IncompleteReplyError) as exc:
                if isinstance(exc, TimeoutError) or not connection.may_repeat(idempotent):
                    raise
            except BaseException:
                connection.leave(waiter)
                raise
            connection = await self._open(origin, deadline)

    def post(self, connection: Connection, data: bytes) -> None:
        """Send a request in this turn of the loop, together with the others of this turn.

        The first byte that reaches a server at rest wakes it, and so does every other byte that comes after it has
        gone to rest again. Sent close together, eight requests wake it once; on one machine that is a quarter of the
        processor time of a call.
        """
        self._outgoing.append((connection, data))
        waiting = len(self._outgoing)
        if waiting == 1:
            self.loop.call_soon(self._send_all)
        elif waiting >= _TOGETHER:
            self._send_all()

    def _send_all(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        for connection, data in outgoing:
            connection.write(data)

    def watch(self, deadline: float) -> None:
        """Look at the deadlines at this time. Most deadlines are met, so they need no timers of their own."""
        if self._timer is not None:
            self._timer.cancel()
        self.sweep_at = deadline
        self._timer = self.loop.call_at(deadline, self._sweep)

    async def close(self) -> None:
        """Close all connections, and wait until they are."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        for connection in tuple(self.connections):
            connection.drop()
        if self.connections:
            await self._emptied.wait()

    def forget(self, connection: Connection) -> None:
        """Take note that a connection is closed."""
        self.connections.discard(connection)
        if self.closed and not self.connections:
            self._emptied.set()

    def _sweep(self) -> None:
        now = self.loop.time()
        nearest = math.inf
        for connection in tuple(self.connections):
            if connection.deadline <= now:
                connection.expire()
            else:
                nearest = min(nearest, connection.deadline)
        self._timer, self.sweep_at = None, math.inf
        if nearest < math.inf:
            self.watch(max(nearest, now + _SWEEP_SECONDS))

    async def _take(self, idle: list[Connection]) -> Connection | None:
        """An idle connection that the server has not closed, as far as the system knows."""
        while idle:
            connection = idle.pop()
            # In the first turn the loop asks the system what has arrived, in the second it has told the connection.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if connection.is_open:
                return connection
        return None

    async def _open(self, origin: Origin, deadline: float) -> Connection:
        limit = min(self.loop.time() + CONNECT_SECONDS, deadline)
        connection = Connection(self, self.idle(origin))
        within = asyncio.timeout_at(limit)
        try:
            async with within:
                await self._reach(connection, origin, limit)
        except BaseException as exc:
            connection.drop()
            self.forget(connection)  # asyncio does not tell a protocol that is lost while TLS begins
            if isinstance(exc, OSError):
                raise NoConnectionError(exc, late=within.expired()) from exc
            raise
        if not connection.is_open:
            raise NoConnectionError(ConnectionResetError(errno.ECONNRESET, "closed at once"))
        return connection

    async def _reach(self, connection: Connection, origin: Origin, limit: float) -> None:
        proxy = origin.proxy
        if proxy is None:
            await self._connect(connection, origin.host, origin.port, secure=origin.scheme == "https")
            return
        try:
            await self._connect(connection, proxy.host, proxy.port, secure=proxy.scheme == "https")
        except OSError as exc:
            raise NoProxyError("no connection to it") from exc
        if origin.scheme == "https":
            place = f"{bracketed(origin.host)}:{origin.port}"
            await connection.tunnel(place, proxy, self._tls(), origin.host, limit)

    async def _connect(self, connection: Connection, host: str, port: int, *, secure: bool) -> None:
        # Only asyncio's own loops know how to try several addresses; uvloop's refuses even to be told not to.
        several = not is_ip(host) and isinstance(self.loop, asyncio.BaseEventLoop)
        eyeballs: dict[str, Any] = {"happy_eyeballs_delay": _EYEBALLS_SECONDS} if several else {}
        await self.loop.create_connection(
            lambda: connection,
            host,
            port,
            ssl=self._tls() if secure else None,
            server_hostname=host if secure else None,
            **eyeballs,
        )

    def _tls(self) -> ssl.SSLContext:
        """Made when first needed: it reads every certificate of the system, which takes tens of milliseconds."""
        if self._context is None:
            self._context = ssl.create_default_context()
            self._context.set_alpn_protocols(["http/1.1"])
        return self._context
