"""Connections: opened when none is free, used again last in first out, closed when idle or late."""

from __future__ import annotations

import asyncio
import errno
import math
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from rowsmith.llm.address import bracketed, is_ip
from rowsmith.llm.heads import BadReplyError, request_head
from rowsmith.llm.http1 import IncompleteReplyError, Reply, ReplyParser

if TYPE_CHECKING:
    from rowsmith.llm.proxy import Proxy

CONNECT_SECONDS: Final = 10.0
"""Seconds to find, reach and greet a server; a request's own timeout bounds it further."""

_IDLE_SECONDS: Final = 15.0
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


class NoConnectionError(Exception):
    """No connection came about; the cause is what the system raised, or a TimeoutError for want of time."""

    def __init__(self, cause: OSError, *, late: bool = False) -> None:
        super().__init__()
        self.cause = cause
        self.late = late


class NoProxyError(Exception):
    """The proxy cannot be reached, or will not go on. The text, and a cause where there is one, say why."""


class Connection(asyncio.BufferedProtocol):
    """One connection: one request at a time, and the reply to it.

    It reads into a buffer that all share: what is in it is taken out before anyone else can read. (With a plain
    `Protocol`, asyncio allocates 256 KB for each read, which costs as much as all else together.) A request is one
    write: the system takes what it can at once, and asyncio the rest; nothing more is written until the reply is there.

    Attributes:
        deadline: the loop's time at which it is closed: with a request under way its timeout, else its idle time.
    """

    __slots__ = (
        "_begun",
        "_gone",
        "_idle",
        "_parser",
        "_pool",
        "_reused",
        "_transport",
        "_unsent",
        "_waiter",
        "deadline",
    )

    def __init__(self, pool: Pool, idle: list[Connection]) -> None:
        self.deadline = math.inf
        self._pool = pool
        self._idle = idle
        self._parser = ReplyParser()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Reply] | None = None
        self._begun = False
        self._gone = False
        self._reused = False
        self._unsent = False

    def send(self, data: bytes, deadline: float) -> asyncio.Future[Reply]:
        """Send a whole request. The future gets the reply, or what prevented it."""
        pool = self._pool
        self._begun = False
        self._unsent = True
        self.deadline = deadline
        self._waiter = waiter = pool.loop.create_future()
        pool.post(self, data)
        if deadline < pool.sweep_at:
            pool.watch(deadline)
        return waiter

    def write(self, data: bytes) -> None:
        """Give the request to the system, unless it was given up meanwhile."""
        transport = self._transport
        if self._gone or self._waiter is None or transport is None:
            return
        transport.write(data)
        # The first attempt to send is made at once; if that fails, nothing has gone out.
        self._unsent = transport.is_closing()

    def may_repeat(self, idempotent: bool) -> bool:
        """Whether the request that failed may be sent again unasked, on a new connection.

        A server may close a connection that it finds idle just as a request goes out on it. But no byte of a reply
        does not prove that the request was not carried out, and a POST that was is paid for: RFC 9110 (9.2.2) forbids
        to repeat it unless it is known that it never was. It is known if the system took none of it. All other
        POSTs fail, and whoever sent them decides; a GET is repeated if no byte of a reply came.
        """
        return self._reused and not self._begun and (idempotent or self._unsent)

    def leave(self, waiter: asyncio.Future[Reply]) -> None:
        """Nobody waits for this reply any more. The connection is closed, for the reply would belong to nobody."""
        if self._waiter is waiter:
            self.drop()

    def drop(self, error: Exception | None = None) -> None:
        """Close it at once. The request under way fails with this error."""
        self._gone = True
        if self in self._idle:
            self._idle.remove(self)
        if self._transport is not None:
            self._transport.abort()
        self._fail(error)

    def expire(self) -> None:
        """Close it because its deadline has passed."""
        self.drop(TimeoutError())

    @property
    def is_open(self) -> bool:
        """Whether neither side has closed it, as far as is known."""
        return not self._gone

    async def tunnel(self, place: str, proxy: Proxy, context: ssl.SSLContext, host: str, deadline: float) -> None:
        """Have a proxy connect to a server, then greet that one by TLS (RFC 9110, 9.3.6).

        Raises:
            NoProxyError: the proxy refuses.
            OSError: TLS fails.
        """
        loop = self._pool.loop
        self._parser.tunnel = True
        try:
            reply = await self.send(request_head("CONNECT", place, place, dict(proxy.headers)), deadline)
        except (BadReplyError, IncompleteReplyError) as exc:
            raise NoProxyError("its answer makes no sense") from exc
        if not 200 <= reply.status < 300:
            raise NoProxyError(f"{reply.status} {_phrase(reply.status)}".rstrip())
        self._parser.tunnel = False
        self.deadline = math.inf
        secured = await loop.start_tls(cast("asyncio.Transport", self._transport), self, context, server_hostname=host)
        if secured is None or self._gone:
            raise ConnectionResetError
        self._transport = secured

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._pool.connections.add(self)
        if self._pool.closed:
            self.drop()

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint  # whatever is read, it is taken out at once
        return self._pool.buffer

    def buffer_updated(self, nbytes: int) -> None:
        waiter = self._waiter
        if waiter is None:
            self.drop()  # nothing was asked: what comes now could be taken for the next reply
            return
        try:
            reply = self._parser.feed(bytes(self._pool.buffer[:nbytes]))
        except (BadReplyError, IncompleteReplyError) as exc:
            self.drop(exc)
            return
        if reply is None:
            self._begun = True
        else:
            self._answered(waiter, reply, self._parser.reusable)

    def eof_received(self) -> None:
        waiter = self._waiter
        reply = self._parser.end() if waiter is not None else None
        if waiter is not None and reply is not None:
            self._answered(waiter, reply, reusable=False)
        else:
            self.drop()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True
        self._pool.forget(self)
        if self in self._idle:
            self._idle.remove(self)
        self._fail(exc)

    def _answered(self, waiter: asyncio.Future[Reply], reply: Reply, reusable: bool) -> None:
        self._waiter = None
        pool, transport = self._pool, self._transport
        assert transport is not None
        if self._parser.tunnel and reusable:
            self.deadline = math.inf
        elif reusable and not transport.get_write_buffer_size() and not transport.is_closing():
            self._reused = True
            self.deadline = deadline = pool.loop.time() + _IDLE_SECONDS
            self._idle.append(self)
            if deadline < pool.sweep_at:
                pool.watch(deadline)
        else:
            self._gone = True
            transport.abort()
        if not waiter.done():
            waiter.set_result(reply)

    def _fail(self, error: Exception | None) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(error or IncompleteReplyError("it was closed"))


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
        if idle and idle[-1].deadline > now + (_IDLE_SECONDS - _FRESH_SECONDS):
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
        except OSError as exc:
            connection.drop()
            raise NoConnectionError(exc, late=within.expired()) from exc
        except BaseException:
            connection.drop()
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
        await self.loop.create_connection(
            lambda: connection,
            host,
            port,
            ssl=self._tls() if secure else None,
            server_hostname=host if secure else None,
            happy_eyeballs_delay=None if is_ip(host) else _EYEBALLS_SECONDS,
        )

    def _tls(self) -> ssl.SSLContext:
        """Made when first needed: it reads every certificate of the system, which takes tens of milliseconds."""
        if self._context is None:
            self._context = ssl.create_default_context()
            self._context.set_alpn_protocols(["http/1.1"])
        return self._context


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
