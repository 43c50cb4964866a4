"""Documents from local files."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import overload

from rowsmith.errors import SourceError


class Source(Sequence[str]):
    """Documents by position."""

    def __init__(self, texts: list[str]) -> None:
        self._texts = texts

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        return self._texts[index]

    def fingerprint(self, position: int) -> bytes:
        """Eight bytes that stand for a document."""
        return hashlib.blake2b(self._texts[position].encode(), digest_size=8).digest()


def open_source(
    path: str, column: str | None, *, min_length: int = 0, max_length: int | None = None, limit: int | None = None
) -> Source:
    """The documents of a file."""
    file = Path(path)
    if not file.exists():
        raise SourceError(f"{path} does not exist")
    with file.open(encoding="utf-8", newline="") as lines:
        if file.suffix == ".csv":
            texts = [row[column or "text"] for row in csv.DictReader(lines)]
        elif file.suffix == ".jsonl":
            texts = [json.loads(line)[column or "text"] for line in lines if line.strip()]
        else:
            texts = [line.rstrip("\r\n") for line in lines]
    kept = [t for t in texts if min_length <= len(t) and (max_length is None or len(t) <= max_length)]
    return Source(list(dict.fromkeys(kept))[:limit])
