"""A gzip file read from any place in it, in little memory and with nothing written to disk.

Deflate has no index: a byte in the middle is reached by inflating all before it. While the file is gone through for
the first time the state of the inflater is kept now and then, and a place is reached from the last state before it.
There are at most `MOST_STATES` of them, 40 KB each; when there are more every other one is given up, so that a place
costs at most an inflating of one part in thirty of the file, and the next place on nothing.
"""

from __future__ import annotations

import io
import zlib
from bisect import bisect_right
from pathlib import Path
from typing import Any, NamedTuple

MAGIC = b"\x1f\x8b\x08"
MOST_STATES = 64
FIRST_SPACING = 4 << 20
"""Bytes of text between two states, until there are too many of them."""

_CHUNK = 1 << 16
_GZIP = 31  # zlib's `wbits` for a gzip header and its checksum


class _State(NamedTuple):
    """Where an inflater stands: so many bytes of text given, so many bytes of the file taken."""

    at: int
    taken: int
    inflater: Any


class Inflated(io.RawIOBase):
    """The text of a gzip file (RFC 1952), of one member or several, as a file that can be sought in.

    Args:
        path: the file.

    Raises:
        OSError: it cannot be opened.
        EOFError: while reading: the file ends in the middle.
        zlib.error: while reading: it is damaged.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("rb")
        self._spacing = FIRST_SPACING
        self._states = [_State(0, 0, zlib.decompressobj(_GZIP))]
        self._at = 0
        self._taken = 0
        self._inflater = zlib.decompressobj(_GZIP)
        self._input = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_CUR:
            offset += self._at
        elif whence != io.SEEK_SET:
            raise io.UnsupportedOperation("the length of a gzip file is not known before it is read")
        self._restore(offset)
        while self._at < offset and self._next(min(_CHUNK, offset - self._at)):
            pass
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = self._next(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()

    def _restore(self, offset: int) -> None:
        """Go back to the last state before a place, unless reading on from here is nearer."""
        state = self._states[bisect_right(self._states, offset, key=lambda one: one.at) - 1]
        if state.at <= self._at <= offset:
            return
        self._at, self._taken, self._input = state.at, state.taken, b""
        self._inflater = state.inflater.copy()
        self._file.seek(state.taken)

    def _next(self, most: int) -> bytes:
        """At most so many bytes of text; none at the end."""
        while True:
            if not self._input:
                self._input = self._file.read(_CHUNK)
                if not self._input and not self._inflater.eof:
                    if self._at == 0 and self._taken == 0:
                        return b""
                    raise EOFError("it ends in the middle: the file was cut off")
            if self._inflater.eof and not self._begin_member():
                return b""
            text: bytes = self._inflater.decompress(self._input, most)
            rest = self._inflater.unused_data if self._inflater.eof else self._inflater.unconsumed_tail
            self._taken += len(self._input) - len(rest)
            self._input = rest
            self._at += len(text)
            if text:
                self._remember()
                return text

    def _begin_member(self) -> bool:
        """Whether another member follows the one that has ended; zeros are padding (as tapes have it)."""
        while self._input and not self._input.strip(b"\0"):
            self._taken += len(self._input)
            self._input = self._file.read(_CHUNK)
        if not self._input:
            return False
        self._inflater = zlib.decompressobj(_GZIP)
        return True

    def _remember(self) -> None:
        if self._at < self._states[-1].at + self._spacing or self._inflater.eof:
            return
        self._states.append(_State(self._at, self._taken, self._inflater.copy()))
        if len(self._states) > MOST_STATES:
            del self._states[1::2]
            self._spacing *= 2
