"""Topics one below the other: one root, and every other topic below exactly one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from rowsmith.errors import ConfigError
from rowsmith.topics.topic import Topic


class Hierarchy:
    """Topics and what is below each, in the order in which they were added.

    Attributes:
        root: the topic above all others; None as long as there is none.
        unfinished: topics that were to be divided and have nothing below them: they are no leaves.
    """

    def __init__(self, topics: Iterable[Topic] = ()) -> None:
        self.root: Topic | None = None
        self.unfinished: set[Topic] = set()
        self._below: dict[Topic, list[Topic]] = {}
        for topic in topics:
            self.add(topic)

    def add(self, topic: Topic) -> None:
        """Add a topic, and those of its path that are not there yet.

        Raises:
            ConfigError: its root is another.
        """
        root = Topic(topic.path[:1])
        if self.root is None:
            self.root = root
            self._below[root] = []
        elif root != self.root:
            raise ConfigError(
                f"a path begins with {root.name!r} and another with {self.root.name!r}: all begin with the one root"
            )
        above = root
        for name in topic.path[1:]:
            below = above.child(name)
            if below not in self._below:
                self._below[below] = []
                self._below[above].append(below)
            above = below

    def __len__(self) -> int:
        return len(self._below)

    def __contains__(self, topic: object) -> bool:
        return topic in self._below

    def __iter__(self) -> Iterator[Topic]:
        """Every topic, level by level from the root."""
        level = [self.root] if self.root is not None else []
        while level:
            yield from level
            level = [below for topic in level for below in self._below[topic]]

    def below(self, topic: Topic) -> list[Topic]:
        """The topics right below one."""
        return self._below[topic]

    def leaves(self) -> Iterator[Topic]:
        """The topics with nothing below them, from the first branch to the last; not those that are unfinished."""
        if len(self) == 1:
            return  # a root alone says nothing yet
        for topic in self.walk():
            if not self._below[topic] and topic not in self.unfinished:
                yield topic

    def walk(self) -> Iterator[Topic]:
        """Every topic, each before those below it and these before the next one beside it."""
        waiting = [self.root] if self.root is not None else []
        while waiting:
            topic = waiting.pop()
            yield topic
            waiting.extend(reversed(self._below[topic]))

    def sizes(self) -> dict[Topic, int]:
        """How many topics are anywhere below each."""
        sizes = dict.fromkeys(self._below, 0)
        for topic in reversed(list(self)):
            sizes[topic] = sum(1 + sizes[below] for below in self._below[topic])
        return sizes

    def kept(self, keep: Callable[[Topic], bool]) -> Hierarchy:
        """The part that is left if every topic that is not to be kept is cut off, with all below it."""
        made = Hierarchy()
        waiting = [self.root] if self.root is not None else []
        while waiting:
            topic = waiting.pop()
            made.add(topic)
            if topic in self.unfinished:
                made.unfinished.add(topic)
            waiting.extend(below for below in reversed(self._below[topic]) if keep(below))
        return made
