"""The proxy on the way to an address, as the environment names it."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from rowsmith.errors import ConfigError
from rowsmith.llm.address import Address, in_ascii, is_loopback

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that speaks HTTP, itself reached in the open or by TLS.

    Attributes:
        scheme: `http` or `https`: how the proxy itself is reached.
        host: its name or address.
        port: its port.
        headers: what it is sent for itself: `Proxy-Authorization`, if its address holds a name and password.
    """

    scheme: str
    host: str
    port: int
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no error may hold: the name and password as they are sent, and the password alone."""
        tokens = [value.rpartition(" ")[2] for _, value in self.headers]
        return (*tokens, *(b64decode(token).decode().partition(":")[2] for token in tokens))


def find(address: Address) -> Proxy | None:
    """The proxy that `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, or the system's settings, name for an address.

    There is none for a loopback address, which a proxy cannot reach.

    Raises:
        ConfigError: what is named is no proxy of a kind that can be used. The message shows no password.
    """
    if is_loopback(address.host) or proxy_bypass(address.host if ":" in address.host else address.authority):
        return None
    written = getproxies().get(address.scheme)
    return _parse(written, address.scheme) if written else None


def _parse(written: str, scheme: str) -> Proxy:
    shown = "the address"
    try:
        parts = urlsplit(written if "://" in written else f"http://{written}")
        shown = repr(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")
        if parts.scheme in _PORTS and parts.hostname and parts.port != 0:
            host, port = in_ascii(parts.hostname), parts.port or _PORTS[parts.scheme]
            return Proxy(parts.scheme, host, port, _login(parts.netloc))
    except ValueError:
        pass  # told below, as is what is not for us
    raise ConfigError(
        f"The proxy {shown} for {scheme} addresses cannot be used: "
        "it must be an http:// or https:// address. Set NO_PROXY for hosts that need none."
    )


def _login(netloc: str) -> tuple[tuple[str, str], ...]:
    named, at, _ = netloc.rpartition("@")
    if not at:
        return ()
    user, _, password = named.partition(":")
    token = b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
    return (("Proxy-Authorization", f"Basic {token}"),)
