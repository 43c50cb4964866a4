"""One connection: a request goes out, a reply comes in, and it waits for the next."""

from __future__ import annotations

import asyncio
import errno
import math
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

from rowsmith.llm.heads import BadReplyError, request_head
from rowsmith.llm.http1 import IncompleteReplyError, Reply, ReplyParser

if TYPE_CHECKING:
    from rowsmith.llm.pool import Pool
    from rowsmith.llm.proxy import Proxy

IDLE_SECONDS: Final = 15.0
"""Seconds after which a connection that nobody uses is closed."""


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
        """Give the request to the system, unless it was given up meanwhile: what is not sent costs nothing."""
        waiter, transport = self._waiter, self._transport
        if self._gone or waiter is None or waiter.done() or transport is None:
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
            raise ConnectionResetError(errno.ECONNRESET, "closed while TLS began")
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
        if waiter is None or self._unsent:
            self.drop()  # nothing was asked yet: what comes now could be taken for the next reply
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
        # TLS has an end of its own, without which RFC 9112 (9.8) calls a reply without a length incomplete. asyncio
        # does not tell of it. JSON does: what was cut off is not JSON, and what is whole was paid for.
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
            self.deadline = deadline = pool.loop.time() + IDLE_SECONDS
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


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
