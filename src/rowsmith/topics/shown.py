"""Which topics a picture has room for, and pictures that are text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rowsmith.topics.hierarchy import Hierarchy
from rowsmith.topics.topic import Topic

LIMIT = 150
"""Topics that a picture has at most, unless another number is asked for."""
_LONGEST = 60


class Shown:
    """The part of a hierarchy that a picture has: whole levels from the root, then the first topics of the next one.

    What is left out is counted where it would stand.

    Args:
        hierarchy: all topics; there is a root.
        limit: topics at most; the root and one below it are always there.
    """

    def __init__(self, hierarchy: Hierarchy, limit: int = LIMIT) -> None:
        assert hierarchy.root is not None
        self.root: Topic = hierarchy.root
        self._hierarchy = hierarchy
        self._sizes = hierarchy.sizes()
        self._below: dict[Topic, list[Topic]] = {}
        room = max(1, limit - 1)
        level = [self.root]
        while level and room > 0:
            all_below = sum(len(hierarchy.below(topic)) for topic in level)
            each = None if all_below <= room else max(1, room // len(level))
            for topic in level:
                self._below[topic] = hierarchy.below(topic)[: min(room, each) if each else None]
                room -= len(self._below[topic])
            level = [below for topic in level for below in self._below[topic]] if each is None else []

    def below(self, topic: Topic) -> Sequence[Topic]:
        """The topics right below one that are shown."""
        return self._below.get(topic, ())

    def hidden(self, topic: Topic) -> int:
        """How many topics below one are not shown, beside or below it; not those below topics that are."""
        return self._sizes[topic] - sum(1 + self._sizes[below] for below in self.below(topic))

    def __iter__(self) -> Iterator[Topic]:
        """Every topic that is shown, each before those below it."""
        waiting = [self.root]
        while waiting:
            topic = waiting.pop()
            yield topic
            waiting.extend(reversed(self.below(topic)))

    def label(self, topic: Topic) -> str:
        """What a topic is shown as: its own words, cut where they are long."""
        name = topic.name
        return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"

    def note(self, topic: Topic) -> str:
        """`+ 12 more`, or `no subtopics yet`, or nothing."""
        if topic in self._hierarchy.unfinished:
            return "no subtopics came"
        hidden = self.hidden(topic)
        return f"+ {hidden:,} more" if hidden else ""


def as_text(shown: Shown) -> str:
    """The topics as an outline with lines."""
    lines = [shown.label(shown.root)]

    def add(topic: Topic, before: str) -> None:
        below: list[Topic | None] = [*shown.below(topic)]
        if shown.note(topic):
            below.append(None)
        for place, one in enumerate(below):
            last = place == len(below) - 1
            label = shown.note(topic) if one is None else shown.label(one)
            lines.append(f"{before}{'└── ' if last else '├── '}{label}")
            if one is not None:
                add(one, before + ("    " if last else "│   "))

    add(shown.root, "")
    return "\n".join(lines) + "\n"


def as_mermaid(shown: Shown, links: Sequence[tuple[Topic, Topic]] = ()) -> str:
    """The topics as a flowchart of Mermaid (https://mermaid.js.org/syntax/flowchart.html)."""
    numbers = {topic: number for number, topic in enumerate(shown)}
    lines = ["flowchart LR"]
    lines += [f'    n{number}["{_quoted(shown.label(topic))}"]' for topic, number in numbers.items()]
    for topic, number in numbers.items():
        lines += [f"    n{number} --> n{numbers[below]}" for below in shown.below(topic)]
        if note := shown.note(topic):
            lines += [f'    m{number}(["{note}"])', f"    n{number} -.- m{number}"]
    lines += [f"    n{numbers[one]} -.-> n{numbers[two]}" for one, two in links if one in numbers and two in numbers]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A text between double quotes, where Mermaid reads entities such as `#quot;`."""
    return (
        text.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;").replace("`", "#96;")
    )
