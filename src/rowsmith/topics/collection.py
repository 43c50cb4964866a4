"""Topics as they are read: looked at, drawn from, cut, joined and shown. How they came about is the model's matter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Self, overload

from rowsmith.errors import ConfigError, did_you_mean
from rowsmith.topics.hierarchy import Hierarchy
from rowsmith.topics.picture import draw
from rowsmith.topics.readers import outline, write
from rowsmith.topics.shown import LIMIT, Shown, as_mermaid, as_text
from rowsmith.topics.spread import BranchSpread
from rowsmith.topics.topic import SEPARATOR, Topic, topic_of

Place = Topic | str | Sequence[str]
"""A topic: itself, its id, its path, or its own words where they stand once."""


class TopicCollection(Sequence[Topic]):
    """Topics, as a sequence of those without subtopics."""

    def __init__(self) -> None:
        self._settle(Hierarchy())
        self._drawn = 0

    @classmethod
    def _of(cls, hierarchy: Hierarchy) -> Self:
        """These topics, given and not built."""
        made = cls.__new__(cls)
        TopicCollection.__init__(made)
        made._settle(hierarchy)
        return made

    def _settle(self, hierarchy: Hierarchy) -> None:
        """Have these topics instead of those that are here."""
        self._hierarchy = hierarchy
        self._leaves = list(hierarchy.leaves())
        self._places: dict[str, list[Topic]] | None = None

    # -- looking -------------------------------------------------------------------------------------------------------

    @property
    def topics(self) -> list[Topic]:
        """Every topic, the root included, level by level."""
        return list(self._hierarchy)

    @property
    def depth(self) -> int:
        """Levels below the root that there are."""
        return max((topic.depth for topic in self._hierarchy), default=0)

    def get_root(self) -> Topic:
        """The topic above all others.

        Raises:
            ConfigError: there are no topics yet.
        """
        if self._hierarchy.root is None:
            raise ConfigError("there are no topics yet: build() makes them")
        return self._hierarchy.root

    def get_all_paths(self) -> list[list[str]]:
        """The path to each topic without subtopics, from the root down."""
        return [list(topic.path) for topic in self._leaves]

    def get_topics_at_depth(self, depth: int) -> list[Topic]:
        """The topics of a level; 0 is the root's.

        Raises:
            ConfigError: there is no such level.
        """
        if not 0 <= depth <= self.depth:
            raise ConfigError(f"there is no depth {depth}: the root has 0, the lowest topics have {self.depth}")
        return [topic for topic in self._hierarchy if topic.depth == depth]

    def get_children(self, topic: Place) -> list[Topic]:
        """The topics right below one.

        Raises:
            ConfigError: there is no such topic, or several have this name.
        """
        return list(self._hierarchy.below(self.find(topic)))

    def find(self, place: Place) -> Topic:
        """The topic that is meant.

        Args:
            place: a topic, its id, its path (a list, or a text with ` → ` between), or its own words.

        Raises:
            ConfigError: there is none, or several have these words.
        """
        if isinstance(place, str) and SEPARATOR in place:
            place = topic_of(place.split(SEPARATOR.strip()))
        if not isinstance(place, str):
            topic = place if isinstance(place, Topic) else topic_of(place)
            if topic not in self._hierarchy:
                raise ConfigError(f"there is no topic {topic.trail}.{self._nearest(topic.name)}")
            return topic
        if self._places is None:
            self._places = {}
            for topic in self._hierarchy:
                self._places.setdefault(topic.name, []).append(topic)
                self._places.setdefault(topic.id, []).append(topic)
        found = self._places.get(place, [])
        if not found:
            raise ConfigError(f"there is no topic {place!r}.{self._nearest(place)}")
        if len(found) > 1:
            raise ConfigError(f"{len(found)} topics are named {place!r}: give the path of one, such as {found[0].path}")
        return found[0]

    def _nearest(self, name: str) -> str:
        said = did_you_mean(name, {topic.name for topic in self._hierarchy})
        return f" {said}" if said.startswith("Did") else ""

    def sample_topics(self, n: int, seed: int | None = None) -> list[Topic]:
        """Some of the topics without subtopics, every branch equally often as far as it has so many.

        No topic comes twice before all have come.

        Args:
            n: how many.
            seed: the same one, the same topics. Without one, each call goes on where the last one stopped.

        Raises:
            ConfigError: `n` is negative, or there are no topics.
        """
        if n < 0:
            raise ConfigError(f"a sample has 0 or more topics, not {n}")
        if n and not self._leaves:
            raise ConfigError("there are no topics to take a sample of: build() makes them")
        first = self._drawn if seed is None else 0
        if seed is None:
            self._drawn += n
        size = len(self._leaves)
        found: list[Topic] = []
        while len(found) < n:
            turn, at = divmod(first + len(found), size)
            order = self.spread(Random(f"{seed or 0} {turn}").getrandbits(32))  # noqa: S311  # variation is no secret
            found += [self._leaves[place] for place in order[at : at + n - len(found)]]
        return found

    # -- as the values of an axis --------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """How many topics have no subtopics: the paths."""
        return len(self._leaves)

    @overload
    def __getitem__(self, index: int) -> Topic: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Topic]: ...
    def __getitem__(self, index: int | slice) -> Topic | Sequence[Topic]:
        return self._leaves[index]

    def __bool__(self) -> bool:
        """A model is a thing, also while it has no topics."""
        return True

    def fingerprint(self, position: int) -> bytes:
        """Eight bytes that stand for a topic's path."""
        return bytes.fromhex(self._leaves[position].id)

    def spread(self, seed: int) -> Sequence[int]:
        """An order of the positions in which all branches take turns, on every level."""
        return BranchSpread(self._hierarchy, self._leaves).order(seed)

    # -- cutting and joining -------------------------------------------------------------------------------------------

    def prune(self, *, depth: int | None = None, degree: int | None = None, without: Iterable[Place] = ()) -> Self:
        """What is left of the topics; this object stays as it is.

        Args:
            depth: levels below the root that are kept.
            degree: topics right below each that are kept, the first ones.
            without: topics that are cut off, with all below them.

        Raises:
            ConfigError: nothing would be left, or there is no such topic.
        """
        cut = {self.find(place) for place in ([without] if isinstance(without, str | Topic) else without)}
        root = self.get_root()
        if root in cut or (depth is not None and depth < 1) or (degree is not None and degree < 1):
            raise ConfigError("nothing would be left: at least one level, one topic below each, and the root are kept")

        def keep(topic: Topic) -> bool:
            if topic in cut or (depth is not None and topic.depth > depth):
                return False
            if degree is None or topic.parent is None:
                return True
            return topic in self._hierarchy.below(topic.parent)[:degree]

        kept = self._hierarchy.kept(keep)
        if depth is not None:
            kept.unfinished = {topic for topic in kept.unfinished if topic.depth < depth}
        return self._of(kept)._linked_as([(self, ())])

    def merge(self, *others: TopicCollection, topic_prompt: str | None = None) -> Self:
        """All topics of this and others in one; these objects stay as they are.

        Args:
            others: trees or graphs.
            topic_prompt: a new root above theirs. Without it all have the same root, and what has the same path is one.

        Raises:
            ConfigError: the roots differ and no new one is given.
        """
        above = () if topic_prompt is None else topic_of([topic_prompt]).path
        everyone: list[TopicCollection] = [self, *others]
        merged = Hierarchy()
        for one in everyone:
            for topic in one._hierarchy.walk():
                merged.add(Topic((*above, *topic.path)))
        for one in everyone:
            lifted = {Topic((*above, *topic.path)) for topic in one._hierarchy.unfinished}
            merged.unfinished |= {topic for topic in lifted if not merged.below(topic)}
        return self._of(merged)._linked_as([(one, above) for one in everyone])

    def _linked_as(self, origins: Sequence[tuple[TopicCollection, tuple[str, ...]]]) -> Self:
        """This, with what links there are between its topics in others, whose paths begin further down."""
        del origins  # a tree has no links
        return self

    # -- showing -------------------------------------------------------------------------------------------------------

    def visualize(self, path: str | Path, *, limit: int = LIMIT) -> Path:
        """Write a picture of the topics.

        Args:
            path: where; `.svg` is added where it has no ending. `.mmd` writes Mermaid's text, `.txt` the outline.
            limit: topics that are drawn at most; what is left out is counted at where it would stand.

        Returns:
            the file.

        Raises:
            ConfigError: another ending, or there are no topics.
        """
        target = Path(path)
        target = target if target.suffix else target.with_suffix(".svg")
        makers = {".svg": self.to_svg, ".mmd": self.to_mermaid, ".txt": self.to_text}
        if target.suffix not in makers:
            raise ConfigError(f"a picture is .svg, .mmd or .txt; {target.name!r} is none of them")
        write(target, makers[target.suffix](limit=limit).encode())
        return target

    def to_svg(self, *, limit: int = LIMIT) -> str:
        """The topics as an SVG picture."""
        return draw(self._shown(limit), self._drawn_links())

    def to_mermaid(self, *, limit: int = LIMIT) -> str:
        """The topics as a flowchart in Mermaid's text."""
        return as_mermaid(self._shown(limit), self._drawn_links())

    def to_text(self, *, limit: int = LIMIT) -> str:
        """The topics as an outline with lines."""
        return as_text(self._shown(limit))

    def to_markdown(self) -> str:
        """All topics as a heading and a list below it, to be edited by hand; `Tree.from_markdown` reads it."""
        self.get_root()
        return outline(self._hierarchy)

    def _shown(self, limit: int) -> Shown:
        self.get_root()
        return Shown(self._hierarchy, limit)

    def _drawn_links(self) -> Sequence[tuple[Topic, Topic]]:
        return ()
