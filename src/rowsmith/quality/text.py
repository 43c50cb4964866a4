"""Texts as they are compared: without regard to case, spacing, Unicode composition, and punctuation at the ends."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

UNSPACED = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"  # Thai and Lao, Tibetan, Burmese, Khmer
    "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"  # Japanese, Chinese
)
"""The scripts that put no spaces between words, as the inside of a character class."""
_ENDS = " .,;:!?…\"'`“”‘’«»()[]-–—"


def folded(text: str) -> str:
    """The text without differences of case and of Unicode composition."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return text.casefold()


def normalised(text: str) -> str:
    """The text as it is compared with others."""
    line = " ".join((text.casefold() if text.isascii() else folded(text)).split())
    return line.strip(_ENDS) or line


def comparable(row: Mapping[str, Any], fields: Sequence[str]) -> list[str]:
    """The texts in these fields as they are compared with others."""
    return [normalised(str(row[field])) for field in fields]


def mark(texts: Sequence[str]) -> int:
    """A 63-bit number that rows with the same normalised texts share, for finding exact duplicates."""
    text = "\0".join(texts)
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big") >> 1
