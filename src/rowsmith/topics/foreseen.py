"""A build before it is begun: as many topics as it will have, without their words, and what it will take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import overload

from rowsmith.engine.estimate import Estimate
from rowsmith.engine.models import Models
from rowsmith.engine.options import Options
from rowsmith.engine.recipe import Recipe
from rowsmith.engine.run import Run
from rowsmith.engine.wording import count
from rowsmith.llm.sharing import Choice
from rowsmith.topics.config import GraphConfig, TopicsConfig, lowest_topics, planned_topics
from rowsmith.topics.hierarchy import Hierarchy
from rowsmith.topics.known import Known
from rowsmith.topics.linking import Linking
from rowsmith.topics.subtopics import Subtopics
from rowsmith.topics.topic import Topic

_MOST = 20_000
"""Topics that are really made up for an estimate; for more, it is scaled."""


class Places(Sequence[Topic]):
    """The lowest topics of a tree that is to be built, each with a place instead of words.

    Args:
        config: of the tree.
    """

    def __init__(self, config: TopicsConfig) -> None:
        self._config = config

    def __len__(self) -> int:
        return lowest_topics(self._config.degree, self._config.depth)

    @overload
    def __getitem__(self, index: int) -> Topic: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Topic]: ...
    def __getitem__(self, index: int | slice) -> Topic | Sequence[Topic]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"topic {index} is none of {len(self)}")
        digits = []
        rest = index % len(self)
        for _ in range(self._config.depth):
            rest, digit = divmod(rest, self._config.degree)
            digits.append(str(digit + 1))
        digits.reverse()
        names = [f"a part of it, number {'.'.join(digits[:level])}" for level in range(1, len(digits) + 1)]
        return Topic((self._config.topic_prompt, *names))


async def foreseen(config: TopicsConfig, llm: Choice, output: Path, options: Options) -> Estimate:
    """What a build will take, from its first call to its last.

    Args:
        config: of the tree or graph.
        llm: who is asked.
        output: where the topics would go.
        options: how the build is carried out.
    """
    free = options.but(max_cost=None, max_requests=None, max_tokens=None)
    small = config
    while small.depth > 1 and planned_topics(small.degree, small.depth) > _MOST:
        small = small.model_copy(update={"depth": small.depth - 1})
    hierarchy = Hierarchy(Places(small)[:_MOST])
    known = Known(Topic((config.topic_prompt,)), {topic: 1 for topic in hierarchy if 0 < topic.depth < small.depth})
    inner, made_up = planned_topics(config.degree, config.depth - 1) + 1, len(known.hierarchy)
    recipes: list[tuple[Recipe, float]] = [(Subtopics(config, known, 1, config.max_rounds), inner / made_up)]
    topics = planned_topics(config.degree, config.depth)
    if isinstance(config, GraphConfig) and config.max_links:
        recipes.append((Linking(config, hierarchy, config.max_rounds), topics / (len(hierarchy) - 1)))
    found = [_scaled(await Run(one, Models([llm]), output, free).estimate(), factor) for one, factor in recipes]
    seconds = [one.seconds for one in found if one.seconds is not None]
    parts = tuple(replace(part, role="topics") for one in found for part in one.parts)
    calls = count(sum(part.calls for part in parts), "call")
    lowest = lowest_topics(config.degree, config.depth)
    words = f"{count(topics, 'topic')} are built, {lowest:,} of them without subtopics, by about {calls}"
    return Estimate(topics, inner, parts, sum(seconds) if seconds else None, sum(one.walked for one in found), 0, words)


def _scaled(found: Estimate, factor: float) -> Estimate:
    if factor == 1:
        return found
    parts = tuple(
        replace(
            part,
            calls=round(part.calls * factor),
            input_tokens=round(part.input_tokens * factor),
            output_tokens=round(part.output_tokens * factor),
            cost=None if part.cost is None else part.cost * factor,
        )
        for part in found.parts
    )
    return replace(found, parts=parts, seconds=None if found.seconds is None else found.seconds * factor)
