"""What was made before a stage of a build: it stays as it is, and prompts show what is near."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

from rowsmith.quality.gates import Rejection, Row
from rowsmith.quality.near import NearIndex
from rowsmith.quality.text import normalised
from rowsmith.quality.vectors import Signature, VectorIndex
from rowsmith.topics.hierarchy import Hierarchy
from rowsmith.topics.topic import Topic, topic_of

_SHOWN = 24
_DUPLICATE = "the same text exists already"
_NONE: Mapping[Topic, Signature] = {}
_NEAR = "nearly the same text exists already"


class Known:
    """The topics that earlier stages have made.

    What a prompt shows of them depends on the stages that had ended when its topic was made, and on nothing later: a
    build that is killed and gone on with asks the very same.

    Args:
        root: of the tree.
        made: each topic, with the number of the stage that made it, from 1.
        vectors: of these topics, with their signatures, where they are compared by them.
    """

    def __init__(self, root: Topic, made: Mapping[Topic, int], vectors: Mapping[Topic, Signature] = _NONE) -> None:
        self.made = made
        self.vectors = vectors
        self.hierarchy = Hierarchy([root, *made])

    def to_divide(self, depth: int) -> Topics:
        """The topics above the last level, level by level."""
        return Topics([topic for topic in self.hierarchy if topic.depth < depth])

    def around(self, topic: Topic) -> list[str]:
        """Topics beside one, which are divided as well: those under the same topic, then those under its neighbours."""
        parent = topic.parent
        if parent is None:
            return []
        stage = self.made[topic]
        siblings = [one for one in self._below(parent, stage) if one != topic]
        uncles = self._below(parent.parent, stage) if parent.parent else []
        cousins = [one for uncle in uncles if uncle != parent for one in self._below(uncle, stage)]
        room = max(0, _SHOWN - len(siblings))
        step = max(1, -(-len(cousins) // room)) if room else len(cousins) + 1
        return [one.name for one in (*siblings[:_SHOWN], *cousins[::step][:room])]

    def _below(self, topic: Topic, stage: int) -> list[Topic]:
        return [one for one in self.hierarchy.below(topic) if self.made[one] <= stage]


class Topics(Sequence[Topic]):
    """Topics as the values of an axis: they know their identities."""

    def __init__(self, topics: Sequence[Topic]) -> None:
        self._topics = topics

    def __len__(self) -> int:
        return len(self._topics)

    @overload
    def __getitem__(self, index: int) -> Topic: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Topic]: ...
    def __getitem__(self, index: int | slice) -> Topic | Sequence[Topic]:
        return self._topics[index]

    def fingerprint(self, position: int) -> bytes:
        """The topic's id."""
        return bytes.fromhex(self._topics[position].id)


class Distinct:
    """Rejects a topic that is one of those above it, or that an earlier stage has made elsewhere.

    Two topics of one stage are kept apart by the engine's claims, of which the earlier cell wins; but what an earlier
    stage has made has topics below it, and is not taken away from it any more.

    Args:
        known: the earlier stages.
        near_duplicates: the similarity from which on their words are alike; None compares whole topics only.
    """

    name = "duplicate"

    def __init__(self, known: Known, near_duplicates: float | None) -> None:
        self._known = known
        self._owners = {normalised(topic.name): topic for topic in known.made}
        self._near: NearIndex | None = None
        if near_duplicates is not None:
            self._near = NearIndex(near_duplicates, len(known.made))
            for number, topic in enumerate(known.made):
                self._near.add(self._near.signature([normalised(topic.name)]), 0, number)

    def check(self, row: Row, values: Mapping[str, Any]) -> Row | Rejection:
        """The row, or why not."""
        above: Topic = values["topic"]
        text = normalised(row["topic"])
        if any(normalised(name) == text for name in above.path):
            return Rejection(self.name, "it is a topic that stands above it")
        if above.child(row["topic"]) in self._known.made:
            return row
        if text in self._owners:
            return Rejection(self.name, _DUPLICATE)
        if self._near is not None and self._near.alike(self._near.signature([text])):
            return Rejection(self.name, _NEAR)
        return row


class DistinctByVectors(Distinct):
    """Also rejects a topic that says nearly the same as one that an earlier stage has made.

    Args:
        known: the earlier stages.
        threshold: the cosine from which on topics are alike.
    """

    def __init__(self, known: Known, threshold: float) -> None:
        super().__init__(known, None)
        self._index = VectorIndex(threshold, len(known.made))
        for number, signature in enumerate(known.vectors.values()):
            self._index.add(signature, 0, number)

    def check_vector(self, row: Row, signature: Signature) -> Rejection | None:
        """Why not, or None."""
        if topic_of(row["path"]) in self._known.made or not self._index.alike(signature):
            return None
        return Rejection(self.name, self._index.reason)
