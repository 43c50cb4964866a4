"""A topic: its path from the root. Two topics are the same if their paths are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rowsmith.engine.axes import identity
from rowsmith.errors import ConfigError

SEPARATOR = " → "
_BULLET = re.compile(r"^(?:[-*+•–—]\s+)+")


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic of a tree or graph.

    Attributes:
        path: the topics from the root down to this one, which is the last.
    """

    path: tuple[str, ...]

    def __str__(self) -> str:
        return self.path[-1]

    @property
    def name(self) -> str:
        """The topic's own words, without those above it."""
        return self.path[-1]

    @property
    def depth(self) -> int:
        """How many topics are above it: 0 is the root."""
        return len(self.path) - 1

    @property
    def id(self) -> str:
        """16 hexadecimal digits that stand for the path, wherever the topic is found: its identity on an axis."""
        return identity(self).hex()

    @property
    def parent(self) -> Topic | None:
        """The topic above it; None for the root."""
        return Topic(self.path[:-1]) if len(self.path) > 1 else None

    @property
    def trail(self) -> str:
        """The whole path on one line."""
        return SEPARATOR.join(self.path)

    def child(self, name: str) -> Topic:
        """The topic of this name right below."""
        return Topic((*self.path, name))


def cleaned(text: str) -> str:
    """A topic as it is kept: on one line, without the bullet of a list."""
    return _BULLET.sub("", " ".join(text.split()))


def topic_of(path: Sequence[object]) -> Topic:
    """The topic with a path that was written by hand or read from a file.

    Raises:
        ConfigError: the path is empty, or a part of it is.
    """
    if isinstance(path, str | bytes) or not isinstance(path, Sequence) or not path:
        raise ConfigError(f"a path is a list of topics from the root down, such as ['Physics', 'Optics']; got {path!r}")
    parts = tuple(cleaned(str(part)) for part in path)
    if not all(parts):
        raise ConfigError(f"a path has an empty topic: {list(path)!r}")
    return Topic(parts)
