"""Numbers from a seed, cheap enough to be drawn anew for every value (seeding `random.Random` costs 5 µs)."""

from __future__ import annotations

from hashlib import blake2b
from struct import Struct
from typing import Final

MASK: Final = (1 << 64) - 1
STEP: Final = 0x9E3779B97F4A7C15

_unpack = Struct("<16H").unpack


def mix(seed: int) -> int:
    """The next number of splitmix64 (Steele, Lea, Flood 2014): 64 bits, any two seeds far apart."""
    z = (seed + STEP) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def draw(seed: int) -> tuple[int, ...]:
    """Sixteen numbers below 65536."""
    return _unpack(blake2b((seed & MASK).to_bytes(8, "little"), digest_size=32).digest())


def seed_of(data: bytes) -> int:
    """A seed from bytes: other bytes, another seed."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")
