"""Vectors as they are kept: a byte for each number, so rounded that what is computed from them is the same everywhere.

A vector's length says nothing here, only where it points. So each is scaled until its largest number is 127, or its
length is 4,000, whichever comes first, and rounded to whole numbers. That has three uses:

- A vector of 1,536 numbers takes 1,536 bytes, a quarter of what it came as.
- Products of two such vectors are whole numbers, and by Cauchy and Schwarz every sum on the way to one is below 2²⁴: a
  float of 32 bits holds it exactly, so that a matrix product is the same number on every machine and in every order.
- A model whose numbers differ in their last digits from one answer to the next, as they do on GPUs, mostly gives the
  same bytes.

The similarity of two vectors of 256 numbers or more moves by less than 0.002, mostly by some ten-thousandths.
"""

from __future__ import annotations

import math
from base64 import b64decode, b64encode
from collections.abc import Sequence
from types import ModuleType

from rowsmith.errors import MissingDependencyError

MOST_NUMBERS = 32_768
"""More numbers than any embedding has; with more the sums might not be exact."""
_LARGEST = 127
_LONGEST = 4095
"""The length of a vector after rounding, at most."""
_AIMED_AT = 4000
"""The length that a longer one is scaled to: rounding adds half the square root of its numbers at most."""
_KIND = "int8"


def numpy() -> ModuleType:
    """NumPy, imported when it is first needed.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import numpy as np
    except ImportError as exc:
        raise MissingDependencyError("embeddings", "embeddings") from exc
    return np


def rounded(numbers: Sequence[float]) -> bytes:
    """A vector as whole numbers from -127 to 127, a byte each.

    Raises:
        ValueError: it is no vector: nothing or too much in it, what is no number, or nothing but zeros.
    """
    np = numpy()
    try:
        vector = np.array(numbers, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError("a vector has something else than numbers in it") from None
    if vector.ndim != 1 or not 0 < len(vector) <= MOST_NUMBERS:
        raise ValueError(f"a vector must be a list of 1 to {MOST_NUMBERS:,} numbers")
    largest = float(abs(vector).max())
    if not math.isfinite(largest):
        raise ValueError("a vector has a number in it that is none: NaN, null or infinity")
    if not largest:
        raise ValueError("a vector has nothing but zeros in it")
    whole = np.rint(vector / largest * _LARGEST)
    length = math.sqrt(int(whole @ whole))
    if length > _LONGEST:
        whole = np.rint(vector / largest * (_LARGEST * _AIMED_AT / length))
    return bytes(whole.astype(np.int8).tobytes())


def written(vectors: Sequence[bytes]) -> str:
    """Vectors of one size as a text: `int8`, how many numbers each has, and all of them in base64.

    Raises:
        ValueError: they differ in size.
    """
    if len(sizes := {len(one) for one in vectors}) > 1:
        raise ValueError(f"vectors of different sizes: {sorted(sizes)} numbers")
    return f"{_KIND} {len(vectors[0]) if vectors else 0} {b64encode(b''.join(vectors)).decode()}"


def read(text: str) -> list[bytes]:
    """The vectors of a text.

    Raises:
        ValueError: it has none.
    """
    kind, size, data = text.split(" ")
    joined, numbers = b64decode(data, validate=True), int(size)
    if kind != _KIND or (joined and (numbers <= 0 or len(joined) % numbers)):
        raise ValueError(f"no vectors of {size} numbers: {text[:40]!r}")
    return [joined[at : at + numbers] for at in range(0, len(joined), numbers or 1)]
