"""The rows file and the file of rejections: written in blocks, cut to what was committed, put in order at the end."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable
from pathlib import Path

from rowsmith.errors import LedgerError, OutputChangedError, StorageError

_CHUNK = 1 << 20


class BlockFile:
    """A file of lines of which the ledger knows the committed length and checksum.

    Attributes:
        length: bytes written so far.
        crc: CRC-32 of those bytes.
    """

    def __init__(self, path: Path, length: int, crc: int) -> None:
        self.path = path
        self.length = length
        self.crc = crc
        self._file = -1

    def open(self, *, stopped_cleanly: bool, aside: Path) -> None:
        """Check the file against the ledger and cut off what was written but not committed.

        Args:
            stopped_cleanly: the last run closed the ledger in order, so that bytes past the committed length are
                somebody else's.
            aside: where such a tail is kept after a kill; it is made of answers that the ledger lost too, but no
                byte that might be a person's is thrown away.

        Raises:
            OutputChangedError: the file is missing, shorter or other than the ledger says.
        """
        there = self.path.exists()
        size = self.path.stat().st_size if there else 0
        if self.length and not there:
            raise OutputChangedError(self._changed("it is missing"))
        if size < self.length or (size > self.length and stopped_cleanly):
            raise OutputChangedError(self._changed(f"it has {size:,} bytes where {self.length:,} were written"))
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        if not there:
            sync_folder(self.path.parent)
        if _checksum(self._file, self.length) != self.crc:
            raise OutputChangedError(self._changed("its content is other than what was written"))
        if size > self.length:
            with aside.open("ab") as keep:
                keep.write(os.pread(self._file, size - self.length, self.length))
            os.ftruncate(self._file, self.length)
        os.lseek(self._file, self.length, os.SEEK_SET)

    def append(self, data: bytes) -> None:
        """Write at the end, through to the disk. On an error the file is cut back to what it was."""
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]
            os.fdatasync(self._file) if hasattr(os, "fdatasync") else os.fsync(self._file)
        except OSError:
            self.cut(self.length)
            raise
        self.length += len(data)
        self.crc = zlib.crc32(data, self.crc)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes that were written before."""
        return os.pread(self._file, length, offset)

    def cut(self, length: int) -> None:
        """Take back what lies past a length; the checksum is the caller's to restore."""
        os.ftruncate(self._file, length)
        os.lseek(self._file, length, os.SEEK_SET)

    def copy(self, pieces: Iterable[tuple[int, int]], target: Path) -> tuple[int, int]:
        """Write the given pieces (offset, length) into a new file, in that order: (its length, its checksum).

        Raises:
            LedgerError: a piece is not made of whole lines: the ledger that gave it is damaged.
        """
        length = crc = 0
        with target.open("wb", buffering=_CHUNK) as out:
            for offset, size in _joined(pieces):
                self._must_be_lines(offset, size)
                while size:
                    data = os.pread(self._file, min(size, _CHUNK), offset)
                    if not data:
                        raise OutputChangedError(self._changed(f"it ends before byte {offset + size:,}"))
                    out.write(data)
                    crc = zlib.crc32(data, crc)
                    offset, size, length = offset + len(data), size - len(data), length + len(data)
            out.flush()
            os.fsync(out.fileno())
        return length, crc

    def _must_be_lines(self, offset: int, size: int) -> None:
        """A file is only ever replaced by its own lines: a ledger with one wrong number must not spoil it."""
        inside = offset >= 0 and size > 0 and offset + size <= self.length
        starts = offset == 0 or (inside and os.pread(self._file, 1, offset - 1) == b"\n")
        if not inside or not starts or os.pread(self._file, 1, offset + size - 1) != b"\n":
            raise LedgerError(
                f"the ledger says that {self.path} has lines at bytes {offset:,} to {offset + size:,}, and it has not. "
                "The ledger is damaged, the file is untouched. Restore the ledger from a copy, or move both away."
            )

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _changed(self, how: str) -> str:
        return (
            f"{self.path} is not as the last run left it: {how}. It was edited or replaced. "
            "Restore it, move it away together with its .run folder, or start anew with fresh=True (--fresh)."
        )


def _joined(pieces: Iterable[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    """Neighbouring pieces as one, so that a file that is nearly in order is read in long runs."""
    start, size = 0, 0
    for offset, length in pieces:
        if offset == start + size:
            size += length
        else:
            if size:
                yield start, size
            start, size = offset, length
    if size:
        yield start, size


def _checksum(file: int, length: int) -> int:
    crc = offset = 0
    while offset < length:
        data = os.pread(file, min(_CHUNK, length - offset), offset)
        if not data:
            break
        crc = zlib.crc32(data, crc)
        offset += len(data)
    return crc


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder survive a loss of power; Windows has no such call and needs none."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def storage_error(exc: OSError, path: Path) -> StorageError:
    """What went wrong with a file, in words, and what to do."""
    return StorageError(
        f"cannot write {path}: {exc.strerror or exc}. What was made before is kept; "
        "make room (or mend the permissions) and run the same command again to go on."
    )
