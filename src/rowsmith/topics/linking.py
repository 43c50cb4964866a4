"""The recipe of a graph's links: one cell is one topic, its row the links to topics elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from random import Random
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from rowsmith.engine.asking import Prompt
from rowsmith.engine.axes import Axis
from rowsmith.engine.context import Context
from rowsmith.engine.draft import Draft
from rowsmith.engine.plan import Cell, Rows
from rowsmith.llm.structured.output import Output
from rowsmith.llm.values import Message
from rowsmith.quality.gates import Gate, Row
from rowsmith.quality.minhash import words
from rowsmith.topics.config import GraphConfig
from rowsmith.topics.hierarchy import Hierarchy
from rowsmith.topics.known import Topics
from rowsmith.topics.topic import Topic

CANDIDATES = 24
"""Topics that a prompt offers to link to: those that share words first, then some from all over."""


class ProposedLink(BaseModel):
    """One link to a topic of the list."""

    target: int = Field(ge=1, le=CANDIDATES, description="the number of the topic in the list")
    relation: str = Field(description="how the two are related, in a few words")
    weight: float = Field(gt=0, le=1, description="how closely: 1 is as closely as can be")


class ProposedLinks(BaseModel):
    """What a topic is linked to."""

    links: list[ProposedLink]


class Linking:
    """Proposes links between topics that are there. Only those that hold become links; why others do not, rows say.

    Args:
        config: what is wanted.
        hierarchy: the topics.
        max_rounds: how often an answer of which nothing holds is asked for again.
    """

    name: ClassVar[str] = "topic_links"
    version: ClassVar[int] = 1
    roles: ClassVar[tuple[str, ...]] = ("writer",)
    growing_fields: ClassVar[frozenset[str]] = frozenset({"degree", "depth"})
    check_fields: ClassVar[frozenset[str]] = frozenset()
    text_fields: ClassVar[tuple[str, ...]] = ("topic",)
    output: ClassVar[Output[ProposedLinks]] = Output(ProposedLinks)
    rows: ClassVar[Rows] = Rows(per_cell=1)
    sample: ClassVar[int | None] = None
    unique: ClassVar[bool] = False
    near_duplicates: ClassVar[float | None] = None
    embeddings: ClassVar[None] = None
    gates: ClassVar[Sequence[Gate]] = ()

    def __init__(self, config: GraphConfig, hierarchy: Hierarchy, max_rounds: int) -> None:
        self._config = config
        self._hierarchy = hierarchy
        self.max_rounds = max_rounds
        self.seed = config.seed
        self.growing_values: Mapping[str, str] = {}

    @cached_property
    def axes(self) -> Sequence[Axis]:
        return (Axis("topic", Topics(self._topics)),)

    @cached_property
    def _topics(self) -> list[Topic]:
        return [topic for topic in self._hierarchy if topic.depth]

    @cached_property
    def _by_word(self) -> dict[bytes, list[Topic]]:
        found: dict[bytes, list[Topic]] = {}
        for topic in self._topics:
            for word in dict.fromkeys(words(topic.name)):
                found.setdefault(word, []).append(topic)
        # A word that many topics have says nothing of two of them.
        return {word: topics for word, topics in found.items() if len(topics) <= CANDIDATES}

    def describe(self) -> Mapping[str, Any]:
        fields = self._config.model_dump(mode="json")
        return {name: value for name, value in fields.items() if name not in ("output_file", "max_rounds")}

    def group(self, cell: Cell) -> Mapping[str, str]:
        topic: Topic = cell.values["topic"]
        return {"topic": topic.trail}

    async def make(self, cell: Cell, context: Context) -> None:
        topic: Topic = cell.values["topic"]
        offered = self.offered(topic, context.random)
        most = self._config.max_links

        def fault(answer: ProposedLinks) -> str | None:
            held, refused = _held(answer, offered, most)
            return "; ".join(dict.fromkeys(refused)) if refused and not held else None

        async def row(draft: Draft[None]) -> Row:
            held: list[dict[str, Any]] = []
            refused: list[str] = []
            if offered:
                answer = await draft.ask("writer", self._prompt(topic, offered), self.output, fault)
                held, refused = _held(answer, offered, most)
            return {
                "id": topic.id,
                "topic": topic.name,
                "path": list(topic.path),
                "links": held,
                "refused": refused,
                "model_id": draft.model("writer"),
                "metadata": {"provider": context.provider("writer")},
            }

        await context.compose(row)

    def offered(self, topic: Topic, random: Random) -> list[Topic]:
        """The topics that one may be linked to: none above or right below it."""
        near = {topic, *(Topic(topic.path[:length]) for length in range(1, len(topic.path)))}
        near.update(self._hierarchy.below(topic))
        shared: dict[Topic, int] = {}
        for word in words(topic.name):
            for one in self._by_word.get(word, ()):
                shared[one] = shared.get(one, 0) + 1
        alike = sorted((one for one in shared if one not in near), key=lambda one: (-shared[one], one.path))
        found = dict.fromkeys(alike[: CANDIDATES // 2])
        topics = self._topics
        for one in random.sample(topics, min(len(topics), 2 * CANDIDATES + len(near))):
            if len(found) == CANDIDATES:
                break
            if one not in near:
                found.setdefault(one)
        return list(found)

    def _prompt(self, topic: Topic, offered: Sequence[Topic]) -> Prompt:
        before = self._config.topic_system_prompt
        listing = "\n".join(f"{number}. {one.trail}" for number, one in enumerate(offered, 1))
        message = Message.user(
            f"The topics of a field are being linked across its branches. The field: {topic.path[0]}\n\n"
            f"The topic, with those above it: {topic.trail}\n\n"
            f"Other topics of the field:\n{listing}\n\n"
            f"Name at most {self._config.max_links} of them that one should know together with the topic, the closest "
            "first, by their numbers, each once; none if none is closely related."
        )
        return Prompt((Message.system(before), message) if before else (message,), {})


def _held(answer: ProposedLinks, offered: Sequence[Topic], most: int) -> tuple[list[dict[str, Any]], list[str]]:
    """(the links that hold, why others do not)."""
    held: dict[Topic, dict[str, Any]] = {}
    refused: list[str] = []
    for link in answer.links:
        if link.target > len(offered):
            refused.append(f"there is no topic number {link.target}; the last is {len(offered)}")
        elif (target := offered[link.target - 1]) in held:
            refused.append(f"number {link.target} is named twice")
        elif len(held) == most:
            refused.append(f"number {link.target} is one more than the {most} that were asked for")
        else:
            held[target] = {"target": list(target.path), "relation": link.relation, "weight": link.weight}
    return list(held.values()), refused
