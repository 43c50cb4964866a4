"""Whether a text takes over a passage of another, word for word."""

from __future__ import annotations

from itertools import islice

from rowsmith.quality.minhash import words
from rowsmith.quality.text import normalised

RUN = 12
"""Words in a row that two texts share only if one has them from the other; characters in scripts without spaces."""


class Passages:
    """The passages of a text, to find them in others.

    Args:
        text: the text. One of less than `RUN` words has no passages, and is found only as a whole.
    """

    def __init__(self, text: str) -> None:
        self._whole = normalised(text)
        self._runs = set(_runs(words(text)))

    def in_text(self, text: str) -> str | None:
        """The first passage that a text shares with this one, or None; case and punctuation do not count."""
        if normalised(text) == self._whole:
            return text
        if not self._runs:
            return None
        return next(
            (b" ".join(run).decode("utf-8", "replace") for run in _runs(words(text)) if run in self._runs), None
        )


def _runs(listed: list[bytes]) -> zip[tuple[bytes, ...]]:
    return zip(*(islice(listed, start, None) for start in range(RUN)), strict=False)
