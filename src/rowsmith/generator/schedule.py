"""How many examples are made of which topic, and which of them one cell makes.

A cell is some topics with some examples of each. It asks for them round by round, one example of each topic before a
second of any, so that what exists on a topic is known when more is asked for; calls of different cells go side by side.
The examples of a cell are a whole number of calls, all but the last cell's.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Any, Literal, NamedTuple, TypeVar, get_args, overload

from rowsmith.engine.axes import identity
from rowsmith.errors import ConfigError, did_you_mean
from rowsmith.topics.topic import Topic, topic_of

T = TypeVar("T")
SamplingStrategy = Literal["sequential", "random", "balanced"]
STRATEGIES: tuple[SamplingStrategy, ...] = get_args(SamplingStrategy)
TopicSampler = Callable[[Any, int], Iterable[Any]]

_SERIES = 20
"""Examples of one topic that are made one after the other, each round knowing of those before; more go side by side."""
_WIDEST, _LONGEST = 2, 4
"""A cell has at most so many times the batch size of topics, and of examples; beyond that a topic is cut in two."""


class Part(NamedTuple):
    """Some examples of one topic.

    Attributes:
        topic: what they are about.
        series: which examples of the topic: its first ones are series 0, and each series is made without the others.
        examples: how many.
    """

    topic: Topic
    series: int
    examples: int


class Slot(NamedTuple):
    """One example to be made: about what, and how many of its part come before it."""

    topic: Topic
    before: int


class Portion(NamedTuple):
    """What one cell makes."""

    parts: tuple[Part, ...]

    @property
    def rows(self) -> int:
        """Examples in it."""
        return sum(part.examples for part in self.parts)

    def slots(self) -> list[Slot]:
        """Its examples: one of each topic, then the second of each, and so on."""
        return _turns([[Slot(part.topic, before) for before in range(part.examples)] for part in self.parts])


class Portions(Sequence[Portion]):
    """The values of the plan's axis."""

    def __init__(self, portions: Sequence[Portion]) -> None:
        self._portions = portions

    def __len__(self) -> int:
        return len(self._portions)

    @overload
    def __getitem__(self, index: int) -> Portion: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Portion]: ...
    def __getitem__(self, index: int | slice) -> Portion | Sequence[Portion]:
        return self._portions[index]

    def fingerprint(self, position: int) -> bytes:
        """The identity of a portion: its topics' paths with their counts."""
        return identity([[part.topic.path, part.series, part.examples] for part in self._portions[position].parts])


def topics_in(given: Any) -> list[Topic]:
    """The topics that are meant.

    Args:
        given: a tree, a graph, or any list of topics: their names, their paths, or `Topic`s.

    Raises:
        ConfigError: there are none, or one is none.
    """
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        kind = type(given).__name__
        raise ConfigError(f"topics are a list such as ['Optics', 'Heat'], a Tree or a Graph; got {kind}")
    found = [
        topic if isinstance(topic, Topic) else topic_of([topic] if isinstance(topic, str) else topic) for topic in given
    ]
    if not found:
        raise ConfigError("there are no topics to make examples of: a tree or graph has them once it is built")
    return found


def counts_of(topics: Sequence[Topic], count: int, strategy: SamplingStrategy, seed: int) -> dict[Topic, int]:
    """How many examples each topic gets, in the order in which they are made.

    Args:
        topics: a topic that stands twice gets twice as many.
        count: examples in all.
        strategy: `sequential` takes them in turn, from the first again after the last; `random` draws each from all;
            `balanced` gives every branch (what the topics differ by first) the same number, give or take one.
        seed: of what is drawn.

    Raises:
        ConfigError: there is no such strategy.
    """
    if strategy not in STRATEGIES:
        raise ConfigError(f"there is no sampling strategy {strategy!r}. {did_you_mean(str(strategy), STRATEGIES)}")
    if strategy == "sequential":
        return _in_turn(topics, count)
    random = Random(f"{seed} topics")  # noqa: S311  # variation is no secret
    if strategy == "random":
        drawn = Counter(random.choices(range(len(topics)), k=count))
        return _sums((topics[place], drawn[place]) for place in sorted(drawn))
    branches = list(_branches(topics, _common(topics)).values())
    random.shuffle(branches)
    base, more = divmod(count, len(branches))
    shares = [_in_turn(_spread(branch, random), base + (place < more)).items() for place, branch in enumerate(branches)]
    return _sums(pair for share in shares for pair in share)


def counts_by(sampler: TopicSampler, model: Any, count: int) -> dict[Topic, int]:
    """How many examples each topic gets that a user's function has chosen.

    Args:
        sampler: `(topic_model, count) -> topics`; fewer topics than asked for are taken in turn.
        model: the topics to choose from, as the user gave them.
        count: examples in all.

    Raises:
        ConfigError: it gave no topics, or more than it was asked for.
    """
    chosen = topics_in(sampler(model, count))
    if len(chosen) > count:
        raise ConfigError(f"topic_sampler was asked for {count} topics and gave {len(chosen)}")
    return _in_turn(chosen, count)


def portioned(counts: Mapping[Topic, int], batch_size: int, first: int = 0) -> Portions:
    """The cells that make so many examples of each topic, `batch_size` by a call.

    Args:
        counts: examples of each topic.
        batch_size: examples that one call asks for.
        first: the series of each topic's first examples: those before were made by other runs.
    """
    series = batch_size * max(1, _SERIES // batch_size)
    waiting = deque(
        Part(topic, first + number, min(series, count - number * series))
        for topic, count in counts.items()
        for number in range(-(-count // series))
    )
    portions: list[Portion] = []
    parts: list[Part] = []
    rows = 0
    while waiting:
        part = waiting.popleft()
        whole = (batch_size - rows) % batch_size
        full = len(parts) >= _WIDEST * batch_size or rows >= max(_SERIES, _LONGEST * batch_size)
        if full and 0 < whole < part.examples:
            # The rest goes on in another cell: the two do not know of each other, but no two rows may be alike.
            waiting.appendleft(Part(part.topic, part.series + 1_000_000, part.examples - whole))
            part = part._replace(examples=whole)
        parts.append(part)
        rows += part.examples
        if rows % batch_size == 0:
            portions.append(Portion(tuple(parts)))
            parts, rows = [], 0
    if parts:
        portions.append(Portion(tuple(parts)))
    return Portions(portions)


def _in_turn(topics: Sequence[Topic], count: int) -> dict[Topic, int]:
    base, more = divmod(count, len(topics))
    return _sums((topic, base + (place < more)) for place, topic in enumerate(topics[: count or 1]))


def _sums(pairs: Iterable[tuple[Topic, int]]) -> dict[Topic, int]:
    sums: dict[Topic, int] = {}
    for topic, count in pairs:
        if count:
            sums[topic] = sums.get(topic, 0) + count
    return sums


def _common(topics: Sequence[Topic]) -> int:
    """How many topics from the root down all paths share."""
    first = topics[0].path
    for depth, name in enumerate(first):
        if any(len(topic.path) <= depth or topic.path[depth] != name for topic in topics):
            return depth
    return len(first)


def _branches(topics: Sequence[Topic], depth: int) -> dict[str, list[Topic]]:
    branches: dict[str, list[Topic]] = {}
    for topic in topics:
        branches.setdefault(topic.path[depth] if len(topic.path) > depth else "", []).append(topic)
    return branches


def _spread(topics: Sequence[Topic], random: Random) -> Sequence[Topic]:
    """The topics of a branch in an order in which the branches below it take turns."""
    if len(set(topics)) <= 1:
        return topics
    below = [_spread(branch, random) for branch in _branches(topics, _common(topics)).values()]
    random.shuffle(below)
    return _turns(below)


def _turns(rows: Sequence[Sequence[T]]) -> list[T]:
    """The first of each, then the second of each, and so on."""
    longest = max(map(len, rows), default=0)
    return [row[turn] for turn in range(longest) for row in rows if turn < len(row)]
