"""An order of the leaves of a hierarchy in which branches take turns."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from rowsmith.topics.hierarchy import Hierarchy
from rowsmith.topics.topic import Topic


class BranchSpread:
    """Below every topic its branches take turns; a branch that has no more leaves sits out.

    Args:
        hierarchy: the topics.
        leaves: the leaves, by position.
    """

    def __init__(self, hierarchy: Hierarchy, leaves: Sequence[Topic]) -> None:
        self._hierarchy = hierarchy
        self._positions = {topic: place for place, topic in enumerate(leaves)}

    def order(self, seed: int) -> list[int]:
        """The positions of all leaves.

        Args:
            seed: which branch begins is drawn by it, and the order of the turns.
        """
        if self._hierarchy.root is None:
            return []
        random = Random(seed)  # noqa: S311  # variation is no secret
        orders: dict[Topic, list[int]] = {}
        # From the lowest level up, so that what is below a topic is in order before the topic is.
        for topic in reversed(list(self._hierarchy)):
            branches = [orders.pop(below) for below in self._hierarchy.below(topic)]
            random.shuffle(branches)
            place = self._positions.get(topic)
            orders[topic] = in_turns(branches) if place is None else [place]
        return orders[self._hierarchy.root]


def in_turns(branches: Sequence[Sequence[int]]) -> list[int]:
    """The first of each branch, then the second of each, and so on."""
    longest = max(map(len, branches), default=0)
    return [branch[turn] for turn in range(longest) for branch in branches if turn < len(branch)]
