"""The one way to the network: a shared keep-alive session, and what goes wrong on the way told once."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
from collections.abc import Coroutine, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from rowsmith.errors import (
    ConfigError,
    ConnectionFailedError,
    MalformedReplyError,
    ProviderError,
    ProviderTimeoutError,
)
from rowsmith.llm import failures
from rowsmith.llm.failures import Caller

__all__ = ["CONNECT_SECONDS", "Caller", "Reply", "Transport"]

CONNECT_SECONDS = 15.0
"""Seconds to find, reach and greet a server; a request's own timeout bounds it further."""

_RAISED = (aiohttp.ClientError, asyncio.TimeoutError, OSError, HttpProcessingError)
_NO_HEADERS: Mapping[str, str] = {}


class Reply(NamedTuple):
    """A reply of status 2xx, read to its end.

    Attributes:
        status: the HTTP status.
        headers: the headers; names are looked up without regard to case.
        body: the body, decompressed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """One HTTP session for all that runs: connections are kept and shared, cookies and redirects are not followed.

    How many requests are in flight is bounded by whoever sends them, not here. Nothing is bound to an event loop until
    `async with` enters, and afterwards the same object may be entered again.

    Args:
        trust_env: go through the proxy that `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` (or the system) name. It is
            looked up once for each address, and never used for a loopback address, which a proxy cannot reach.
    """

    def __init__(self, *, trust_env: bool = True) -> None:
        self._trust_env = trust_env
        self._session: aiohttp.ClientSession | None = None
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}
        self._proxies: dict[str, URL | None] = {}

    async def __aenter__(self) -> Self:
        if self._session is not None:
            raise RuntimeError("This Transport is already open.")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "rowsmith"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, timeout: float, caller: Caller
    ) -> Coroutine[Any, Any, Reply]:
        """Send a body and read the whole reply.

        Args:
            url: the address, with scheme and path.
            body: the request's body as it goes out.
            headers: the request's headers, `Content-Type` among them.
            timeout: seconds for everything, from connecting to the last byte.
            caller: who calls: named in errors, its secrets kept out of them.

        Raises:
            ProviderError: the class that fits, for any status but 2xx and for a connection that fails.
            ConfigError: `url` is no address.
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
        session = self._session
        if session is None:
            raise RuntimeError("This Transport is not open: use it inside `async with`.")
        try:
            # Awaited, not entered: reading to the end gives the connection back by itself, and the context manager
            # around it costs a tenth of the whole call.
            response = await session.request(
                method,
                url,
                data=body,
                headers=headers,
                timeout=self._timeouts.get(timeout) or self._timeout(timeout),
                proxy=self._proxies[url] if url in self._proxies else self._proxy(url),
                allow_redirects=False,
            )
            content = await response.read()
        except _RAISED as exc:
            failed: BaseException = exc
        else:
            if 200 <= response.status < 300:
                return Reply(response.status, response.headers, content)
            raise failures.from_reply(response.status, response.headers, content, caller)
        # Raised out here, so that what aiohttp raised is chained only where it shows no secret.
        raise _translate(failed, url, timeout, caller) from _shown(failed, caller)

    def _timeout(self, seconds: float) -> aiohttp.ClientTimeout:
        made = aiohttp.ClientTimeout(total=seconds, connect=min(seconds, CONNECT_SECONDS))
        self._timeouts[seconds] = made
        return made

    def _proxy(self, url: str) -> URL | None:
        try:
            address = URL(url)
        except ValueError:
            raise aiohttp.InvalidURL(url) from None
        found = _proxy_for(address) if self._trust_env else None
        self._proxies[url] = found
        return found


def _proxy_for(url: URL) -> URL | None:
    """The proxy for an address. aiohttp's own lookup goes through a thread at every request, at 0.3 ms each."""
    host = url.host or ""
    if _is_loopback(host) or proxy_bypass(host):
        return None
    written = getproxies().get(url.scheme)
    if not written:
        return None
    proxy = URL(written if "://" in written else f"http://{written}")
    if proxy.scheme not in {"http", "https"} or not proxy.host:
        raise ConfigError(
            f"The proxy {str(proxy.with_user(None))!r} for {url.scheme} addresses cannot be used: "
            "it must be an http:// or https:// address. Set NO_PROXY for hosts that need none."
        )
    return proxy


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _translate(error: BaseException, url: str, timeout: float, caller: Caller) -> ProviderError | ConfigError:
    if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
        shown = failures.shorten(failures.scrub(url, caller.secrets))
        return ConfigError(
            f"{shown!r} is no address of a service. Give `api_base` as http://host:port or https://host."
        )
    kind, message, hint = _told(error, _place(url), timeout, caller)
    return kind(
        failures.shorten(failures.scrub(message, caller.secrets)),
        provider=caller.provider,
        model=caller.model,
        hint=hint,
    )


def _told(
    error: BaseException, place: str, timeout: float, caller: Caller
) -> tuple[type[ProviderError], str, str | None]:
    """The class, the message and the hint for what aiohttp or the system raised."""
    reason = _reason(error)
    match error:
        case aiohttp.ConnectionTimeoutError():
            waited = min(timeout, CONNECT_SECONDS)
            return ProviderTimeoutError, f"no connection to {place} within {waited:g} s", caller.no_server
        case asyncio.TimeoutError():
            return ProviderTimeoutError, f"no answer from {place} within {timeout:g} s", "Raise `timeout` if it is slow"
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return ConnectionFailedError, f"the proxy on the way to {place} refused: {reason}", "Check HTTPS_PROXY"
        case aiohttp.ClientResponseError() | HttpProcessingError():
            return MalformedReplyError, f"what {place} sent is not HTTP: {reason}", "Check `api_base`"
        case aiohttp.ClientConnectorCertificateError() | ssl.CertificateError():
            hint = "Behind a proxy that opens connections, name its certificate in SSL_CERT_FILE"
            return ConnectionFailedError, f"the certificate of {place} is not trusted: {reason}", hint
        case aiohttp.ClientSSLError() | ssl.SSLError() | aiohttp.ServerFingerprintMismatch():
            hint = "Check whether `api_base` should begin with http:// or https://"
            return ConnectionFailedError, f"no secure connection to {place}: {reason}", hint
        case aiohttp.ClientConnectorError(os_error=socket.gaierror()):
            return ConnectionFailedError, f"no host of that name: {place}", "Check `api_base` and the network"
        case aiohttp.ClientConnectorError():
            return ConnectionFailedError, f"no connection to {place}: {reason}", caller.no_server
        case _:
            return (
                ConnectionFailedError,
                f"the connection to {place} broke before the reply was complete: {reason}",
                None,
            )


def _reason(error: BaseException) -> str:
    """A few words on the cause, made of named parts only: the text of an exception may hold a whole request."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        error = error.certificate_error
    elif isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error
    if isinstance(error, ssl.SSLError):
        # Both are set only on errors that OpenSSL raised.
        return str(getattr(error, "verify_message", "") or getattr(error, "reason", "") or "TLS failed")
    if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        return error.message
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        # asyncio words it "Connect call failed"; the system knows why.
        return os.strerror(error.errno)
    return str(error) or type(error).__name__


def _place(url: str) -> str:
    """Host and port of an address, without what else may stand in it."""
    try:
        parsed = URL(url)
        port = "" if parsed.is_default_port() else f":{parsed.port}"
    except ValueError:
        return "the service"
    return f"{parsed.host}{port}"


def _shown(error: BaseException, caller: Caller) -> BaseException | None:
    """The exception itself if nothing of it shows a secret, so that it may be chained; else None."""
    link: BaseException | None = error
    while link is not None:
        texts = (str(link), repr(link), *map(repr, link.args))
        if any(failures.scrub(text, caller.secrets) != text for text in texts):
            return None
        link = link.__cause__ or link.__context__
    return error
