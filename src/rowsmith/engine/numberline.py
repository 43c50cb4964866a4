"""Arithmetic on index ranges: mixed radix, seeded permutations, balanced orders. No lists: a billion costs nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import lcm, prod
from typing import overload

_ROUNDS = 6


class Permutation(Sequence[int]):
    """A seeded bijection of `range(size)`, computed one value at a time.

    A balanced Feistel network over the next power of four, with cycle walking back into the range (Black and
    Rogaway, "Ciphers with Arbitrary Finite Domains", 2002). Not for secrets: for spreading.
    """

    __slots__ = ("_half", "_keys", "_mask", "size")

    def __init__(self, size: int, seed: int, salt: str = "") -> None:
        self.size = size
        self._half = max(1, ((max(size - 1, 1)).bit_length() + 1) // 2)
        self._mask = (1 << self._half) - 1
        digest = hashlib.blake2b(f"{seed}\0{salt}".encode(), digest_size=8 * _ROUNDS).digest()
        self._keys = tuple(int.from_bytes(digest[8 * r : 8 * r + 8], "little") for r in range(_ROUNDS))

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self.size))]
        if not 0 <= index < self.size:
            raise IndexError(f"index {index} is outside 0 to {self.size - 1}")
        while True:
            left, right = index >> self._half, index & self._mask
            for key in self._keys:
                left, right = right, left ^ (_mix(right ^ key) & self._mask)
            index = (left << self._half) | right
            if index < self.size:
                return index


def _mix(value: int) -> int:
    """One step of splitmix64 (Steele, Lea and Flood, 2014): every input bit reaches every output bit."""
    value = (value + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return value ^ (value >> 31)


def coordinates(index: int, sizes: Sequence[int]) -> tuple[int, ...]:
    """Mixed radix: the position on each axis of the index-th point of the product; the last axis runs fastest."""
    places = [0] * len(sizes)
    for axis in range(len(sizes) - 1, -1, -1):
        index, places[axis] = divmod(index, sizes[axis])
    return tuple(places)


def index_of(places: Sequence[int], sizes: Sequence[int]) -> int:
    """The inverse of `coordinates`."""
    index = 0
    for place, size in zip(places, sizes, strict=True):
        index = index * size + place
    return index


def balanced(rank: int, sizes: Sequence[int]) -> tuple[int, ...]:
    """The rank-th point of the product in the balanced order.

    The order visits every point once, and in each prefix of it the counts of the values of any one axis differ by at
    most one: what a Latin square does, for any number of axes. Two axes are walked along diagonals of length
    `lcm(a, b)`, each diagonal shifted by one against the last; more axes are folded in one after the other. By the
    Chinese remainder theorem one diagonal meets each pair of its residue class once, so the whole is a bijection.
    """
    if not sizes:
        return ()
    folded = prod(sizes)
    if not 0 <= rank < folded:
        raise IndexError(f"rank {rank} is outside 0 to {folded - 1}")
    places: list[int] = []
    for size in reversed(sizes[1:]):
        folded //= size
        places.append((rank + rank // lcm(folded, size)) % size)
        rank %= folded
    places.append(rank)
    return tuple(reversed(places))


def deal(row: int, place: int, fastest: int, hands: int, seed: int, salt: str = "") -> int:
    """Which of `hands` seats gets a prompt, when prompts are dealt out instead of multiplied.

    Prompts that differ in their strata alone (one of each label and language) are one row of a Latin square: along the
    row the seats take turns, and from row to row the turn is a random permutation per block of `hands` rows. So over
    the rows of a block each stratum meets each seat exactly once, and no label belongs to one model. As in `balanced`,
    the turns in a row are shifted by one whenever labels and seats would meet in the same pairs again.

    Args:
        row: of the square.
        place: the prompt's in the row.
        fastest: the number of values of the stratum that runs fastest along the row.
        hands: how many seats there are.
        seed: of the permutations.
        salt: another salt deals independently of this one.
    """
    block, turn = divmod(row, hands)
    return (Permutation(hands, seed, f"deal {block}{salt}")[turn] + place + place // lcm(fastest, hands)) % hands
