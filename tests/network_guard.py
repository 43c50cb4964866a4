"""Keeps a Python process from reaching anything but loopback.

The suite imports it into its own process, and has the processes it starts import it under the name that Python looks
for at its start. It works by an audit hook, below every library, and imports nothing that a test might look out for.
"""

from __future__ import annotations

import sys

LOOPBACK = ("127.", "localhost", "::1", "::ffff:127.")

attempts: list[str] = []
"""What was tried; a test that tried anything fails even if the error was swallowed."""


class NetworkForbiddenError(RuntimeError):
    """A test tried to reach something beyond this machine."""


def stays_here(host: object) -> bool:
    """Whether a host is this machine, as far as its name or address says."""
    if isinstance(host, (bytes, bytearray)):
        host = bytes(host).decode("ascii", "replace")
    return host is None or (isinstance(host, str) and (host in ("", "0.0.0.0", "::") or host.startswith(LOOPBACK)))


def hook(event: str, args: tuple[object, ...]) -> None:
    """Refuse the event if it leads out."""
    if not event.startswith("socket."):
        return
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = args[1]
        # Other families have other addresses: a path of a Unix socket leads nowhere.
        if not isinstance(address, tuple) or stays_here(address[0]):
            return
        host = address[0]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = args[0]
        if stays_here(host):
            return
        if str(host).endswith(".invalid"):  # the name that never exists (RFC 2606), told without asking anyone
            from socket import EAI_NONAME, gaierror

            raise gaierror(EAI_NONAME, "Name or service not known")
    else:
        return
    attempts.append(f"{event} {host!r}")
    raise NetworkForbiddenError(f"The test suite may reach nothing but loopback, and this was {event} {host!r}.")


sys.addaudithook(hook)
