"""The heads of HTTP/1.1 messages: those of requests are written, those of replies are read (RFC 9112)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final, TypeVar, overload

from rowsmith.errors import ConfigError

T = TypeVar("T")

LARGEST_HEAD: Final = 64 * 2**10
"""Bytes that the head of a reply, or the trailer of a chunked one, may have."""

_TOKEN: Final = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_OURS: Final = {"user-agent": "rowsmith", "accept": "*/*", "accept-encoding": "identity"}
_NO_HEADER: Final = "a line of its head is no header"
_FRAMING: Final = frozenset({"content-length", "transfer-encoding", "te", "trailer", "upgrade", "expect"})


class BadReplyError(Exception):
    """What came is not HTTP, or not framed in one clear way. The text is a clause without anything of the reply."""


class Headers(Mapping[str, str]):
    """Headers of a reply by name, whatever its case; those of one name are joined by commas. Decoded when read."""

    __slots__ = ("_fields",)

    def __init__(self, fields: dict[bytes, bytes]) -> None:
        self._fields = fields

    def __getitem__(self, name: str) -> str:
        found = self.get(name)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _on_the_wire(name) in self._fields

    @overload
    def get(self, name: str, /) -> str | None: ...
    @overload
    def get(self, name: str, /, default: str | T) -> str | T: ...
    def get(self, name: str, /, default: object = None) -> object:
        """As of any mapping, without an exception for each header that is not there."""
        found = self._fields.get(_on_the_wire(name))
        return default if found is None else found.decode("latin-1")

    def __repr__(self) -> str:
        return repr(dict(self))


@lru_cache(maxsize=256)
def _on_the_wire(name: str) -> bytes:
    return name.lower().encode("latin-1", "replace")


def parse_head(head: bytes) -> tuple[int, int, dict[bytes, bytes]]:
    """The minor version, the status and the headers by their names in lower case.

    Args:
        head: all before the empty line.

    Raises:
        BadReplyError: it is no head of a reply.
    """
    lines = head.split(b"\r\n")
    first = lines.pop(0)
    status = first[9:12]
    if not (
        first.startswith((b"HTTP/1.1 ", b"HTTP/1.0 "))
        and status.isdigit()
        and len(status) == 3
        and first[12:13] in (b"", b" ")
        and status >= b"100"
    ):
        raise BadReplyError("it does not begin as a reply")
    # With what divides the lines taken away, no CR, LF or NUL may be left.
    if len(head.translate(None, b"\r\n\0")) != len(head) - 2 * len(lines):
        raise BadReplyError("a line of its head holds a character that none may")
    return first[7] - 48, int(status), parse_fields(lines)


def request_head(method: str, target: str, host: str, headers: Mapping[str, str]) -> bytes:
    """The head of a request up to where its length is written; of one without a body, the whole head.

    Args:
        method: `POST` ends in `Content-Length: `, all others with the empty line.
        target: the path with its query, or what the method takes in its place.
        host: the value of `Host`.
        headers: the rest; they win over ours of the same name.

    Raises:
        ConfigError: a header cannot be sent. The message shows no value.
    """
    lines = {name: f"{name.title()}: {value}\r\n" for name, value in {"host": host, **_OURS}.items()}
    for name, value in headers.items():
        if not name or name.encode("utf-8", "replace").translate(None, _TOKEN) or name.lower() in _FRAMING:
            raise ConfigError(
                f"The header {name!r} cannot be sent: it is no name, or one that only the transport sets."
            )
        if any(character in "\r\n\0" or "\ud800" <= character <= "\udfff" for character in value):
            raise ConfigError(f"The value of the header {name!r} must be text on one line.")
        lines[name.lower()] = f"{name}: {value}\r\n"
    end = "Content-Length: " if method == "POST" else "\r\n"
    return "".join((f"{method} {target} HTTP/1.1\r\n", *lines.values(), end)).encode()


def parse_fields(lines: list[bytes]) -> dict[bytes, bytes]:
    """The headers, or the trailers, by their names in lower case.

    Raises:
        BadReplyError: a line is none.
    """
    fields: dict[bytes, bytes] = {}
    for line in lines:
        written, colon, value = line.partition(b":")
        if not colon:
            raise BadReplyError(_NO_HEADER)
        name, value = _name(written), value.strip(b" \t")
        fields[name] = value if name not in fields else fields[name] + b", " + value
    return fields


@lru_cache(maxsize=512)
def _name(written: bytes) -> bytes:
    """The name of a header in lower case. Kept, because a service's replies have the same ones again and again."""
    # A folded line begins with a blank, and a name before a blank and a colon ends with one: neither is a token.
    if not written or written.translate(None, _TOKEN):
        raise BadReplyError(_NO_HEADER)
    return written.lower()
