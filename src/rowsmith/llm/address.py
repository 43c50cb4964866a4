"""Addresses of services: taken apart once, checked, and written as a request has to name them."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple
from urllib.parse import quote, urlsplit

_PORTS = {"http": 80, "https": 443}
_KEPT = "/%:@!$&'()*+,;=~?"
"""What may stand in a path or a query besides letters, digits and `_.-` (RFC 3986, 3.3 and 3.4)."""


class Address(NamedTuple):
    """An http(s) address in its parts.

    Attributes:
        scheme: `http` or `https`.
        host: the name in ASCII, or the address without brackets.
        port: the port, also where it is the scheme's own.
        place: host and port as `Host` names them: brackets around IPv6, no port that goes without saying.
        target: path and query as the request's first line has them.
    """

    scheme: str
    host: str
    port: int
    place: str
    target: str

    @property
    def authority(self) -> str:
        """Host and port, both always."""
        return f"{bracketed(self.host)}:{self.port}"


def parse(url: str) -> Address:
    """Take an address apart. International names are encoded by IDNA, other characters by percent signs.

    Raises:
        ValueError: it is no http(s) address, or holds a name or a password.
    """
    if any(character < " " or character == "\x7f" for character in url):
        raise ValueError("a control character")
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc or " " in parts.netloc:
        raise ValueError("no http(s) address")
    port = _PORTS[parts.scheme] if parts.port is None else parts.port
    if port == 0:
        raise ValueError("no port")
    host = in_ascii(parts.hostname)
    place = bracketed(host) if port == _PORTS[parts.scheme] else f"{bracketed(host)}:{port}"
    target = quote(parts.path or "/", safe=_KEPT) + (f"?{quote(parts.query, safe=_KEPT)}" if parts.query else "")
    return Address(parts.scheme, host, port, place, target)


def is_ip(host: str) -> bool:
    """Whether a host is written as a number and needs no name server."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if is_ip(host):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def bracketed(host: str) -> str:
    """The host as it stands in an address."""
    return f"[{host}]" if ":" in host else host


def in_ascii(host: str) -> str:
    """A name as name servers take it; a ValueError for one that none can know."""
    return host if is_ip(host) else host.encode("idna").decode("ascii")
