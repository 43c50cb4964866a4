"""The one way to the network: connections that are kept and shared, and what goes wrong on the way told once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from rowsmith.errors import ConfigError
from rowsmith.llm import address, failures, no_reply, proxy, secrecy
from rowsmith.llm.connection import Connection
from rowsmith.llm.failures import Caller
from rowsmith.llm.heads import request_head
from rowsmith.llm.http1 import Reply
from rowsmith.llm.pool import CONNECT_SECONDS, Origin, Pool

__all__ = ["CONNECT_SECONDS", "Caller", "Reply", "Transport"]

_NO_HEADERS: Mapping[str, str] = {}
_MOST_ROUTES = 256


class _Route:
    """All of a request but its body, worked out once for an address and its headers.

    Attributes:
        given: the headers as they were; a caller may change its own, and memory may be given to others.
        head: the request up to where its length is written.
        origin: where it goes.
        place: host and port, for errors.
        idle: the connections that wait there.
    """

    __slots__ = ("given", "head", "idle", "origin", "place")

    def __init__(self, given: dict[str, str], head: bytes, origin: Origin, place: str, idle: list[Connection]) -> None:
        self.given = given
        self.head = head
        self.origin = origin
        self.place = place
        self.idle = idle


class Transport:
    """The connections of all that runs: they are kept and shared; cookies and redirects are not followed.

    How many requests are in flight is bounded by whoever sends them, not here. Nothing is bound to an event loop until
    `async with` enters, and afterwards the same object may be entered again.

    Certificates are checked against those of the system, or of `SSL_CERT_FILE` and `SSL_CERT_DIR`.

    Args:
        trust_env: go through the proxy that `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` (or the system) name. It is
            looked up once for each address, and never used for a loopback address, which a proxy cannot reach.
    """

    def __init__(self, *, trust_env: bool = True) -> None:
        self._trust_env = trust_env
        self._pool: Pool | None = None
        self._routes: dict[tuple[str, str, int], _Route] = {}
        self._endings: list[Callable[[], Awaitable[None]]] = []

    async def __aenter__(self) -> Self:
        if self._pool is not None:
            raise RuntimeError("This Transport is already open.")
        self._pool = Pool(asyncio.get_running_loop())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pool, self._pool = self._pool, None
        self._routes.clear()
        if pool is not None:
            await pool.close()
        while self._endings:
            await self._endings.pop()()

    def on_close(self, ending: Callable[[], Awaitable[None]]) -> None:
        """Have something done when this is closed: for connections that a provider keeps itself. It must not raise."""
        self._endings.append(ending)

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, timeout: float, caller: Caller
    ) -> Coroutine[Any, Any, Reply]:
        """Send a body and read the whole reply.

        A request is sent twice only if the system took nothing of it the first time, since the server had closed
        the connection that was to be used again. Every other failure is raised: the server may have carried it out.

        Args:
            url: the address, with scheme and path.
            body: the request's body as it goes out.
            headers: the request's headers, `Content-Type` among them. One mapping for many requests costs least.
            timeout: seconds for everything, from connecting to the last byte.
            caller: who calls: named in errors, its secrets kept out of them.

        Raises:
            ProviderError: the class that fits, for any status but 2xx and for a connection that fails.
            ConfigError: `url` is no address, or a header cannot be sent.
        """
        return self._send("POST", url, body, headers, timeout, caller)

    def get(
        self, url: str, headers: Mapping[str, str] = _NO_HEADERS, *, timeout: float, caller: Caller
    ) -> Coroutine[Any, Any, Reply]:
        """Ask for a page: for small probes, such as whether a server runs. As `post`, without a body."""
        return self._send("GET", url, None, headers, timeout, caller)

    async def _send(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], timeout: float, caller: Caller
    ) -> Reply:
        pool = self._pool
        if pool is None:
            raise RuntimeError("This Transport is not open: use it inside `async with`.")
        route = self._routes.get((method, url, id(headers)))
        if route is None or route.given != headers:
            route = self._route(pool, method, url, headers, caller)
        data = route.head if body is None else b"%b%d\r\n\r\n%b" % (route.head, len(body), body)
        now = pool.loop.time()
        try:
            reply = await pool.exchange(route.origin, route.idle, data, now + timeout, now, body is None)
        except no_reply.RAISED as exc:
            failed: BaseException = exc
        else:
            if 200 <= reply.status < 300:
                return reply
            raise failures.from_reply(reply.status, reply.headers, reply.body, _with_proxy(caller, route.origin))
        # Raised out here, so that what was raised is chained only where it shows no secret.
        caller = _with_proxy(caller, route.origin)
        raise no_reply.translate(failed, route.place, timeout, caller) from no_reply.shown(failed, caller)

    def _route(self, pool: Pool, method: str, url: str, headers: Mapping[str, str], caller: Caller) -> _Route:
        to = _parsed(url)
        if to is None:
            shown = failures.shorten(failures.scrub(secrecy.address(url), caller.secrets))
            raise ConfigError(
                f"{shown!r} is no address of a service. Give `api_base` as http://host:port or https://host."
            )
        through = proxy.find(to) if self._trust_env else None
        target, given = to.target, dict(headers)
        sent = given
        if through is not None and to.scheme == "http":
            # A proxy is told the whole address (RFC 9112, 3.2.2), and its name and password with every request.
            target, sent = f"http://{to.place}{target}", given | dict(through.headers)
        head = request_head(method, target, to.place, sent)
        origin = Origin(to.scheme, to.host, to.port, through)
        if len(self._routes) >= _MOST_ROUTES:
            self._routes.clear()
        made = _Route(given, head, origin, to.place, pool.idle(origin))
        self._routes[method, url, id(headers)] = made
        return made


def _with_proxy(caller: Caller, origin: Origin) -> Caller:
    """The caller, with what its proxy's name and password are among its secrets."""
    return replace(caller, secrets=(*caller.secrets, *origin.proxy.secrets)) if origin.proxy is not None else caller


def _parsed(url: str) -> address.Address | None:
    """None for what is no address: an error raised where it is caught would carry all of it as its context."""
    try:
        return address.parse(url)
    except ValueError:
        return None
