"""Replies of HTTP/1.1 from the bytes of a connection (RFC 9110, RFC 9112).

Nothing here does input or output. What a reply's framing leaves open to doubt (two lengths, a folded header, a blank
before a colon, a stray CR) is refused, never guessed at: a guess may cut a reply short, or take more than is its own.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Final, NamedTuple

from rowsmith.llm.heads import LARGEST_HEAD, BadReplyError, Headers, parse_fields, parse_head

LARGEST_BODY: Final = 256 * 2**20
"""Bytes that the body of a reply may have, packed and unpacked."""


_MOST_INTERIM: Final = 20
_LONGEST_CHUNK_LINE: Final = 8 * 2**10

_HEAD, _LENGTH, _CHUNKED, _UNTIL_CLOSE = range(4)


class IncompleteReplyError(Exception):
    """The connection ended before the reply did."""


class Reply(NamedTuple):
    """A reply, read to its end.

    Attributes:
        status: the HTTP status.
        headers: the headers; names are looked up without regard to case.
        body: the body, decompressed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class ReplyParser:
    """Makes replies from bytes, cut wherever the network cut them. One serves a connection for all its replies.

    Attributes:
        tunnel: the next reply is one to CONNECT: what follows a head of status 2xx is not HTTP any more.
        reusable: whether the connection can carry another request after the reply that was last returned.
    """

    __slots__ = ("_body", "_chunks", "_fields", "_held", "_interim", "_left", "_stage", "_status", "reusable", "tunnel")

    def __init__(self) -> None:
        self.tunnel = False
        self.reusable = False
        self._stage = _HEAD
        self._held = b""
        self._interim = 0
        self._status = 0
        self._fields: dict[bytes, bytes] = {}
        self._body = bytearray()
        self._chunks: ChunkedBody | None = None
        self._left = 0

    def feed(self, data: bytes) -> Reply | None:
        """Take the next bytes; the reply once it is complete.

        Raises:
            BadReplyError: they are no reply.
            IncompleteReplyError: the body is packed, and its packing breaks off.
        """
        stage = self._stage
        if stage == _HEAD:
            return self._head(data)
        if stage == _CHUNKED:
            return self._chunked(data)
        self._body += data
        if stage == _UNTIL_CLOSE:
            _check_size(len(self._body))
            return None
        surplus = len(self._body) - self._left
        if surplus < 0:
            return None
        if surplus:
            self.reusable = False
            del self._body[self._left :]
        return self._complete()

    def end(self) -> Reply | None:
        """Take the end of the connection: the reply if that is what it was waiting for."""
        return self._complete() if self._stage == _UNTIL_CLOSE else None

    def _head(self, data: bytes) -> Reply | None:
        start = 0
        if self._held:
            start = max(0, len(self._held) - 3)
            data = self._held + data
        end = data.find(b"\r\n\r\n", start)
        if end < 0 or end > LARGEST_HEAD:
            self._held = data
            if len(data) > LARGEST_HEAD:
                raise BadReplyError("its head has no end")
            if data[:5] != b"HTTP/"[: len(data)]:
                raise BadReplyError("it does not begin as a reply")
            return None
        if self._held:
            self._held = b""
        minor, status, fields = parse_head(data[:end])
        rest = data[end + 4 :]
        if status < 200:
            return self._interim_reply(status, rest)
        return self._framed(minor, status, fields, rest)

    def _interim_reply(self, status: int, rest: bytes) -> Reply | None:
        """Pass over a reply that only announces another (RFC 9110, 15.2)."""
        self._interim += 1
        if status == 101 or self._interim > _MOST_INTERIM:
            raise BadReplyError("it changes to another protocol" if status == 101 else "it never comes to the point")
        return self._head(rest) if rest else None

    def _framed(self, minor: int, status: int, fields: dict[bytes, bytes], rest: bytes) -> Reply | None:
        """Find where the body ends (RFC 9112, 6.3), and take what of it is there."""
        self._interim = 0
        length = fields.get(b"content-length")
        coding = fields.get(b"transfer-encoding")
        self.reusable = _persists(minor, fields) if b"connection" in fields else minor == 1
        if self.tunnel and status < 300:
            # Whatever its headers say, the reply ends here, and the connection is what was asked for.
            self.reusable = True
            size = 0
        elif status in (204, 304):
            size = 0
        elif coding is not None:
            if length is not None:
                raise BadReplyError("it has both a length and chunks")
            if coding.lower() != b"chunked":
                raise BadReplyError("its transfer coding is not one that was asked for")
            self.reusable = self.reusable and minor == 1
            self._status, self._fields = status, fields
            self._stage, self._chunks = _CHUNKED, ChunkedBody()
            return self._chunked(rest) if rest else None
        elif length is not None:
            size = _content_length(length)
        else:
            self.reusable = False
            self._status, self._fields, self._stage = status, fields, _UNTIL_CLOSE
            self._body += rest
            return None
        if len(rest) >= size:
            if len(rest) > size:
                self.reusable, rest = False, rest[:size]
            return _made(status, fields, rest)
        self._status, self._fields, self._stage, self._left = status, fields, _LENGTH, size
        self._body += rest
        return None

    def _chunked(self, data: bytes) -> Reply | None:
        assert self._chunks is not None
        surplus = self._chunks.feed(data)
        if surplus is None:
            return None
        if surplus:
            self.reusable = False
        self._body, self._chunks = self._chunks.body, None
        return self._complete()

    def _complete(self) -> Reply:
        body, self._body, self._stage = bytes(self._body), bytearray(), _HEAD
        return _made(self._status, self._fields, body)


class ChunkedBody:
    """A body in chunks (RFC 9112, 7.1). Extensions and trailers are checked and passed over.

    Attributes:
        body: what the chunks held so far.
    """

    __slots__ = ("_held", "_in_trailer", "_left", "_trailer", "_within", "body")

    def __init__(self) -> None:
        self.body = bytearray()
        self._held = b""
        self._left = 0
        self._within = False
        self._in_trailer = False
        self._trailer = 0

    def feed(self, data: bytes) -> bytes | None:
        """Take the next bytes; once the end has come, what follows it.

        Raises:
            BadReplyError: they are no chunks.
        """
        if self._held:
            data, self._held = self._held + data, b""
        at = 0
        while True:
            if self._left:
                piece = data[at : at + self._left]
                self.body += piece
                self._left -= len(piece)
                at += len(piece)
                if self._left:
                    return None
            if self._within:
                if len(data) - at < 2:
                    break
                if data[at : at + 2] != b"\r\n":
                    raise BadReplyError("a chunk is longer than it says")
                at += 2
                self._within = False
            end = data.find(b"\r\n", at)
            if (len(data) if end < 0 else end) - at > _LONGEST_CHUNK_LINE:
                raise BadReplyError("the line before a chunk has no end")
            if end < 0:
                break
            line, at = data[at:end], end + 2
            if not self._in_trailer:
                self._start(line)
            elif line:
                self._trail(line)
            else:
                return data[at:]
        self._held = data[at:]
        return None

    def _start(self, line: bytes) -> None:
        """Take the line that says how long the next chunk is."""
        digits = line.partition(b";")[0].rstrip(b" \t")
        known = 0 < len(digits) <= 16 and not digits.translate(None, b"0123456789abcdefABCDEF")
        if not known or b"\n" in line or b"\r" in line:
            raise BadReplyError("the length of a chunk is no number")
        self._left = int(digits, 16)
        self._within = self._left > 0
        self._in_trailer = self._left == 0
        _check_size(len(self.body) + self._left)

    def _trail(self, line: bytes) -> None:
        self._trailer += len(line)
        if self._trailer > LARGEST_HEAD:
            raise BadReplyError("its trailer has no end")
        parse_fields([line])


def _persists(minor: int, fields: dict[bytes, bytes]) -> bool:
    """Whether the connection stays open by what is said of it (RFC 9112, 9.3)."""
    options = {option.strip(b" \t") for option in fields[b"connection"].lower().split(b",")}
    return b"close" not in options and (minor == 1 or b"keep-alive" in options)


def _content_length(written: bytes) -> int:
    if not written.isdigit():
        # The same length twice is one length (RFC 9112, 6.3).
        lengths = {part.strip(b" \t") for part in written.split(b",")}
        written = lengths.pop()
        if lengths or not written.isdigit():
            raise BadReplyError("its length is no number")
    if len(written) > 18:
        raise BadReplyError("its length is no number")
    size = int(written)
    if size > LARGEST_BODY:
        raise _too_large()
    return size


def _check_size(size: int) -> None:
    if size > LARGEST_BODY:
        raise _too_large()


def _too_large() -> BadReplyError:
    return BadReplyError(f"its body is larger than {LARGEST_BODY // 2**20} MB")


def _made(status: int, fields: dict[bytes, bytes], body: bytes) -> Reply:
    if b"content-encoding" in fields and body:
        body = _unpacked(body, fields[b"content-encoding"].lower())
    return Reply(status, Headers(fields), body)


def _unpacked(body: bytes, coding: bytes) -> bytes:
    """The body as it was before it was packed: unasked, some services and proxies do so all the same."""
    if coding == b"identity":
        return body
    if coding in (b"gzip", b"x-gzip"):
        window = 16 + zlib.MAX_WBITS
    elif coding == b"deflate":
        # Meant is zlib's format; some send what is inside it (RFC 9110, 8.4.1.2).
        window = zlib.MAX_WBITS if body[0] & 0x0F == 8 else -zlib.MAX_WBITS
    else:
        raise BadReplyError("its body is packed in a way that was not asked for")
    whole = bytearray()
    while body:
        opened = zlib.decompressobj(window)
        try:
            whole += opened.decompress(body, LARGEST_BODY + 1 - len(whole))
        except zlib.error as exc:
            raise IncompleteReplyError("its packed body is damaged") from exc
        _check_size(len(whole))
        if not opened.eof:
            raise IncompleteReplyError("its packed body breaks off")
        body = opened.unused_data
    return bytes(whole)
