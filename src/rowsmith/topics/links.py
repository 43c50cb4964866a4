"""Links between topics, and what follows from them: neighbours, ways, parts that hang together."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from rowsmith.errors import ConfigError
from rowsmith.topics.hierarchy import Hierarchy
from rowsmith.topics.topic import Topic


@dataclass(frozen=True, slots=True)
class Link:
    """A link between two topics of which neither is right below the other.

    Attributes:
        source: where it was proposed.
        target: the other topic.
        relation: how they are related, in a few words.
        weight: how closely, above 0 up to 1.
    """

    source: Topic
    target: Topic
    relation: str = ""
    weight: float = 1.0


class Web:
    """Topics with their links; links may make circles.

    Args:
        hierarchy: the topics.
        links: between them. Of two links between the same topics the closer one stays, whichever way they go.

    Attributes:
        links: those that stay, in their order.

    Raises:
        ConfigError: a link leads nowhere, to its own topic or to the one right above or below, or has a weight that is
            none.
    """

    def __init__(self, hierarchy: Hierarchy, links: Iterable[Link] = ()) -> None:
        self._hierarchy = hierarchy
        by_ends: dict[frozenset[Topic], Link] = {}
        for link in links:
            _must_hold(link, hierarchy)
            ends = frozenset((link.source, link.target))
            known = by_ends.get(ends)
            if known is None or link.weight > known.weight:
                by_ends[ends] = link
        self.links = tuple(by_ends.values())
        self._beside: dict[Topic, dict[Topic, float]] = {topic: {} for topic in hierarchy}
        for topic in hierarchy:
            for below in hierarchy.below(topic):
                self._join(topic, below, 1.0)
        for link in self.links:
            self._join(link.source, link.target, link.weight)

    def _join(self, one: Topic, two: Topic, weight: float) -> None:
        self._beside[one][two] = self._beside[two][one] = weight

    def neighbours(self, topic: Topic) -> list[Topic]:
        """The topics right above, right below, and linked."""
        return list(self._beside[topic])

    def way(self, start: Topic, end: Topic, *, weighted: bool) -> list[Topic]:
        """The shortest way between two topics, both included; empty if there is none.

        Args:
            start: where it begins.
            end: where it ends.
            weighted: a step counts 1 divided by its weight, instead of 1; those in the tree have weight 1.
        """
        waiting: list[tuple[float, int, Topic, Topic | None]] = [(0.0, 0, start, None)]
        pushed = count(1)  # of equal lengths the first found counts; topics themselves have no order
        before: dict[Topic, Topic | None] = {}
        while waiting:
            length, _, topic, came_from = heapq.heappop(waiting)
            if topic in before:
                continue
            before[topic] = came_from
            if topic == end:
                return list(_back(before, end))[::-1]
            for other, weight in self._beside[topic].items():
                if other not in before:
                    step = 1 / weight if weighted else 1.0
                    heapq.heappush(waiting, (length + step, next(pushed), other, topic))
        return []

    def parts(self, without: Sequence[Topic] = ()) -> list[list[Topic]]:
        """The parts of the graph that hang together, the largest first.

        Args:
            without: topics that are taken for absent: without the root, what holds the branches together are links.
        """
        seen = set(without)
        found: list[list[Topic]] = []
        for start in self._beside:
            if start in seen:
                continue
            seen.add(start)
            part = [start]
            for topic in part:  # grows while it is gone through
                new = [other for other in self._beside[topic] if other not in seen]
                seen.update(new)
                part += new
            found.append(part)
        return sorted(found, key=len, reverse=True)


def _must_hold(link: Link, hierarchy: Hierarchy) -> None:
    for topic in (link.source, link.target):
        if topic not in hierarchy:
            raise ConfigError(f"a link leads to {topic.trail}, and there is no such topic")
    if link.source == link.target:
        raise ConfigError(f"a link leads from {link.source.trail} to itself")
    if link.target in (link.source.parent, *hierarchy.below(link.source)):
        raise ConfigError(
            f"a link leads from {link.source.trail} to {link.target.trail}, which is right above or below it anyway"
        )
    if not isinstance(link.weight, int | float) or not 0 < link.weight <= 1:
        raise ConfigError(f"the weight of a link is above 0 and at most 1, got {link.weight!r}")


def _back(before: dict[Topic, Topic | None], end: Topic) -> Iterator[Topic]:
    topic: Topic | None = end
    while topic is not None:
        yield topic
        topic = before[topic]
