"""Loaded by every Python process of an example: whatever it runs cannot reach beyond this machine."""

from __future__ import annotations

import ipaddress
import sys


def _local(host: object) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    if name is None or name in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(str(name).partition("%")[0]).is_loopback
    except ValueError:
        return False


def _refuse_the_network(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    if not _local(host):
        raise RuntimeError(f"an example reached for the network: {host!r}")


sys.addaudithook(_refuse_the_network)
