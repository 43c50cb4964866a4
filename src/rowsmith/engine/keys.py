"""Keys: of a call, from everything that decides its answer; of a row, from where it came from."""

from __future__ import annotations

import hashlib
import zlib
from functools import lru_cache
from random import Random

CALL_KEY = "sha256"
"""The algorithm of a call's key, the prefix under which rows and reports show it."""


def call_key(endpoint: str, body: bytes) -> bytes:
    """The key of a request: SHA-256 over `rowsmith call 1`, the endpoint and the body, each ending in a line feed.

    The body is the very bytes that go out, which the provider writes with its keys in a fixed order; they hold the
    messages, the schema, the parameters and the model. Headers, and so keys of services, are no part of it.
    """
    return hashlib.sha256(_before_body(endpoint) + body).digest()


@lru_cache(maxsize=256)
def _before_body(endpoint: str) -> bytes:
    return b"rowsmith call 1\n%b\n" % endpoint.encode()


def shown(key: bytes) -> str:
    """A call's key as rows and reports show it: the algorithm and the first 64 bits."""
    return f"{CALL_KEY}:{key[:8].hex()}"


def row_id(cell: str, ordinal: str, position: int) -> str:
    """The id of a row, 20 hexadecimal digits, from its cell's name, the call it came from and its place there."""
    source = f"{cell}/{ordinal}/{position}"
    return hashlib.blake2b(source.encode(), digest_size=10).hexdigest()


def call_seed(seed: int, cell_key: int, ordinal: str) -> int:
    """A 63-bit seed for one call, from the run's seed, the cell and the call's ordinal."""
    mixed = (cell_key ^ (seed * 0x9E3779B97F4A7C15) ^ (zlib.crc32(ordinal.encode()) * 0xBF58476D1CE4E5B9)) & (2**64 - 1)
    return ((mixed ^ (mixed >> 31)) * 0x94D049BB133111EB & (2**64 - 1)) >> 1


def random_of(cell_key: int, seed: int, part: str) -> Random:
    """A generator seeded by the run's seed, a cell and a part of its work."""
    return Random(call_seed(seed, cell_key, part))  # noqa: S311  # variation is no secret
