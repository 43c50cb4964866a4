"""The recipe of a tree: one cell is one topic, its rows are the topics right below."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from rowsmith.engine.asking import Prompt
from rowsmith.engine.axes import Axis
from rowsmith.engine.context import Context
from rowsmith.engine.draft import Draft
from rowsmith.engine.plan import Cell, Rows
from rowsmith.llm.provider import Provider
from rowsmith.llm.structured.output import ListOutput
from rowsmith.llm.values import Message
from rowsmith.quality.gates import Gate, Length, NotEmpty, Rejection, Row
from rowsmith.topics.config import TopicsConfig
from rowsmith.topics.known import Distinct, DistinctByVectors, Known
from rowsmith.topics.topic import Topic, cleaned

_LONGEST = 300
"""Characters of a topic: more is no topic but a text about it."""


class Subtopic(BaseModel):
    """One part of a topic."""

    subtopic: str = Field(description="the subtopic in a few words, without a number or an explanation")


class Subtopics:
    """Divides topics that are known. A build is some stages of it, each with what the earlier ones have made.

    Args:
        config: what is wanted.
        known: what earlier stages have made.
        stage: the stage's number, from 1.
        max_rounds: how often what lacks is asked for again.
    """

    name: ClassVar[str] = "topics"
    version: ClassVar[int] = 1
    roles: ClassVar[tuple[str, ...]] = ("writer",)
    growing_fields: ClassVar[frozenset[str]] = frozenset({"degree", "depth", "stage"})
    check_fields: ClassVar[frozenset[str]] = frozenset()
    text_fields: ClassVar[tuple[str, ...]] = ("topic",)
    output: ClassVar[ListOutput[Subtopic]] = ListOutput(Subtopic)
    sample: ClassVar[int | None] = None
    unique: ClassVar[bool] = True

    def __init__(self, config: TopicsConfig, known: Known, stage: int, max_rounds: int) -> None:
        self._config = config
        self._known = known
        self._stage = stage
        self.max_rounds = max_rounds
        self.seed = config.seed
        self.near_duplicates = config.near_duplicates
        self.rows = Rows(per_cell=config.degree)
        self.growing_values: Mapping[str, str] = {}

    @cached_property
    def axes(self) -> Sequence[Axis]:
        return (Axis("topic", self._known.to_divide(self._config.depth)),)

    @cached_property
    def gates(self) -> Sequence[Gate]:
        threshold = self._config.near_duplicates
        if threshold is None or self._config.embeddings is None:
            distinct = Distinct(self._known, threshold)
        else:
            distinct = DistinctByVectors(self._known, threshold)
        return (NotEmpty(("topic",)), Length(("topic",), most=_LONGEST), distinct)

    @property
    def embeddings(self) -> Provider | None:
        named = self._config.embeddings
        return None if named is None else named.model

    def describe(self) -> Mapping[str, Any]:
        fields = self._config.model_dump(mode="json", include=set(TopicsConfig.model_fields))
        described = {name: value for name, value in fields.items() if name not in ("output_file", "max_rounds")}
        model = self.embeddings
        return described | {"stage": self._stage, "embeddings": None if model is None else dict(model.describe())}

    def group(self, cell: Cell) -> Mapping[str, str]:
        topic: Topic = cell.values["topic"]
        return {"topic": topic.trail}

    async def make(self, cell: Cell, context: Context) -> None:
        above: Topic = cell.values["topic"]

        def row(draft: Draft[Subtopic]) -> Row | Rejection:
            topic = above.child(cleaned(draft.entry.subtopic))
            return {
                "id": topic.id,
                "topic": topic.name,
                "path": list(topic.path),
                "depth": topic.depth,
                "leaf": topic.depth == self._config.depth,
                "model_id": draft.model("writer"),
                "metadata": {
                    "provider": context.provider("writer"),
                    # A topic that an earlier attempt at the same cell has made keeps the stage that it came in.
                    "stage": self._known.made.get(topic, self._stage),
                },
            }

        await context.collect("writer", self._prompt(above), self.output, row)

    def _prompt(self, topic: Topic) -> Callable[[int], Prompt]:
        before = self._config.topic_system_prompt
        around = self._known.around(topic)
        anchor = topic.path[0]

        def ask_for(count: int) -> Prompt:
            words = [f"A field is being divided into topics, level by level. The field: {anchor}"]
            if topic.depth:
                words.append(f"The topic to divide now, with those above it: {topic.trail}")
            if around:
                listing = "\n".join(f"- {name}" for name in around)
                words.append(f"Topics beside it, which have subtopics of their own; leave theirs to them:\n{listing}")
            words.append(
                f"Write {count} subtopics of: {topic.name}\n"
                "Each is a part of it and of the field, is specific to them, is different from all others, and has a "
                "few words. Together they cover it."
            )
            message = Message.user("\n\n".join(words))
            return Prompt((Message.system(before), message) if before else (message,), {"num_samples": count})

        return ask_for
