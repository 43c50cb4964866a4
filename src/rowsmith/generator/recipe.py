"""Examples about topics: the recipe behind `DataSetGenerator`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import orjson
from pydantic import BaseModel

from rowsmith.engine.asking import Prompt
from rowsmith.engine.axes import Axis
from rowsmith.engine.context import Context
from rowsmith.engine.draft import Draft
from rowsmith.engine.plan import Cell, Rows
from rowsmith.generator.config import CONTEXT, DEFAULT_TEMPLATE, EXAMPLES, TOPIC, GeneratorConfig
from rowsmith.generator.kind import PLACE, Asking, Kind, Made
from rowsmith.generator.kinds import Structured, messages_of
from rowsmith.generator.schedule import Portion, Portions, Slot
from rowsmith.generator.tool_calling.kind import EXECUTOR, SIMULATOR
from rowsmith.llm.filler.text import EACH
from rowsmith.llm.provider import Provider
from rowsmith.llm.structured.output import ListOutput
from rowsmith.llm.values import Message
from rowsmith.prompts.template import Template
from rowsmith.quality.config import code_of
from rowsmith.quality.gates import Gate, NotEmpty, Rejection, Row
from rowsmith.topics.topic import Topic

ContentFilter = Callable[[str, str, Mapping[str, Any]], Any]

_SHOWN_EXAMPLES = 3
_LATEST = 20
"""Rows of a cell that the engine itself shows when it asks for more; of those before, their topic's are shown here."""
_SHORT = 200


@dataclass(frozen=True, slots=True)
class ContentGate:
    """A user's content filter as a gate.

    Attributes:
        function: `(content, topic, metadata) -> (bool, reason)`, or just `bool`.
        content: the text of a row that it looks at.
    """

    function: ContentFilter
    content: Callable[[Mapping[str, Any]], str]

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)

    def check(self, row: Row, values: Mapping[str, Any]) -> Row | Rejection:  # noqa: ARG002  # the contract's
        verdict = self.function(self.content(row), row["topic"], row)
        accepted, reason = verdict if isinstance(verdict, tuple) else (verdict, "")
        return row if accepted else Rejection(self.name, str(reason) or "refused by the filter")


@dataclass(frozen=True, slots=True)
class NotThese:
    """Rejects a row whose text was made on its topic before.

    Attributes:
        texts: by the topic's id.
        field: of the row's text.
    """

    texts: Mapping[str, Sequence[str]]
    field: str
    name: str = "duplicate"

    def check(self, row: Row, values: Mapping[str, Any]) -> Row | Rejection:  # noqa: ARG002  # the contract's
        known = self.texts.get(Topic(tuple(row["topic_path"])).id, ())
        return Rejection(self.name, "it exists already") if row[self.field] in known else row


@dataclass(frozen=True, slots=True)
class Wording:
    """How examples are asked for.

    Attributes:
        template: the user's, or the default one.
        variables: the values of its variables, those of the topic apart.
        filters: the user's content filters.
        sys_msg: whether rows have a system message.
    """

    template: Template = field(default_factory=lambda: Template(DEFAULT_TEMPLATE))
    variables: Mapping[str, str] = field(default_factory=dict)
    filters: Sequence[ContentFilter] = ()
    sys_msg: bool = True


class Generated:
    """One cell is some topics with a number of examples of each.

    Args:
        config: of the generator.
        kind: the shape of the rows.
        wording: how they are asked for.
        portions: what the cells make.
        batch_size: examples that one call asks for.
        earlier: what was made on a topic outside of this run, by the topic's id: it is shown, and not taken again.
    """

    name: ClassVar[str] = "generator"
    version: ClassVar[int] = 1
    roles: ClassVar[tuple[str, ...]] = ("writer", EXECUTOR, SIMULATOR)
    growing_fields: ClassVar[frozenset[str]] = frozenset({"num_steps"})
    check_fields: ClassVar[frozenset[str]] = frozenset({"gates", "only_used_tools"})

    def __init__(
        self,
        config: GeneratorConfig,
        kind: Kind,
        wording: Wording,
        portions: Portions,
        batch_size: int,
        earlier: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._config = config
        self._kind = kind
        self._wording = wording
        self._portions = portions
        self._batch_size = batch_size
        self.earlier = earlier or {}
        self.one, self.several = kind.one, kind.several
        self._before = (Message.system(config.generation_system_prompt),) if config.generation_system_prompt else ()
        system = config.dataset_system_prompt
        self._system = (config.generation_system_prompt if system is None else system) if wording.sys_msg else ""

    @property
    def text_fields(self) -> tuple[str, ...]:
        return self._kind.text_fields

    @cached_property
    def axes(self) -> Sequence[Axis]:
        return (Axis("portion", self._portions),)

    @cached_property
    def rows(self) -> Rows:
        return Rows(per_cell=0, each=tuple(portion.rows for portion in self._portions))

    @property
    def sample(self) -> int | None:
        return None

    @property
    def seed(self) -> int:
        return self._config.seed

    @property
    def max_rounds(self) -> int:
        return self._config.max_rounds

    @property
    def growing_values(self) -> Mapping[str, str]:
        return {}

    @property
    def gates(self) -> Sequence[Gate]:
        kind = self._kind
        filters = [ContentGate(function, kind.content) for function in self._wording.filters]
        known = [NotThese(self.earlier, kind.text_fields[0])] if self.earlier and self.unique else []
        return (*self._config.gates.build(kind.text_fields), NotEmpty(kind.checked_fields), *known, *filters)

    @property
    def unique(self) -> bool:
        return self._config.gates.duplicates == "reject"

    @property
    def near_duplicates(self) -> float | None:
        return self._config.gates.near_duplicates

    @property
    def embeddings(self) -> Provider | None:
        return self._config.gates.embedding_model

    def describe(self) -> Mapping[str, Any]:
        config, wording = self._config, self._wording
        asked = {"instructions", "generation_system_prompt", "conversation_type", "numeric_answers", "seed"}
        described = config.model_dump(mode="json", include=asked)
        return {
            **described,
            "dataset_system_prompt": self._system,
            "example_data": orjson.dumps(config.example_data, default=str, option=orjson.OPT_NON_STR_KEYS).decode(),
            "template": wording.template.text,
            "variables": {name: wording.variables[name] for name in self._used},
            "batch_size": self._batch_size,
            "num_steps": sum(self.rows.each or ()),
            "output_model": self._kind.sources() if isinstance(self._kind, Structured) else None,
            "gates": {**config.gates.describe(), "content_filters": [code_of(one) for one in wording.filters]},
            **self._kind.describe(),
        }

    def group(self, cell: Cell) -> Mapping[str, str]:
        portion: Portion = cell.values["portion"]
        names = [part.topic.name for part in portion.parts]
        return {"topics": ", ".join(names) if len(names) <= 3 else f"{names[0]} to {names[-1]}"}

    async def make(self, cell: Cell, context: Context) -> None:
        portion: Portion = cell.values["portion"]
        slots = portion.slots()
        for first in range(0, len(slots), self._batch_size):
            places = range(first, min(first + self._batch_size, len(slots)))
            call = _Batch(self, context, slots, places)
            await context.collect_more("writer", call.prompt, call.output, call.row, len(places), self._kind.compared)

    # -- the prompt -------------------------------------------------------------------------------------------------

    @property
    def _used(self) -> list[str]:
        named = self._wording.template.mandatory
        return sorted(name for name in named if name in self._wording.variables)

    def about(self, slot: Slot, chosen: Sequence[Mapping[str, Any]]) -> str:
        """What is asked about a topic: the template, and what it leaves out of the topic.

        Args:
            slot: whose topic.
            chosen: examples of what is wanted.
        """
        template, topic = self._wording.template, slot.topic
        trail = topic.parent.trail if topic.parent else ""
        examples = _listed(chosen)
        values = {
            **self._wording.variables,
            TOPIC: topic.name,
            CONTEXT: trail or "nothing else is said",
            EXAMPLES: examples or "none are given",
        }
        lines = [template.render(values).strip()]
        if TOPIC not in template.mandatory:
            lines.append(f"Topic: {topic.name}")
        if trail and CONTEXT not in template.mandatory:
            lines.append(f"It is a part of: {trail}")
        if examples and EXAMPLES not in template.mandatory:
            lines.append(f"Examples of what is wanted, not to be repeated:\n{examples}")
        return "\n".join(lines)

    def prompt(self, slots: Sequence[Slot], context: Context, known: Mapping[str, Sequence[str]]) -> Prompt:
        """The prompt that asks for one example for each of some slots.

        Args:
            slots: what is to be made.
            context: draws the examples that are shown.
            known: what exists on a topic already and is not shown otherwise, by the topic's id.
        """
        config, kind = self._config, self._kind
        pool = config.example_data
        parts = []
        topics = list(dict.fromkeys(slot.topic for slot in slots))
        single = len(topics) == 1
        for place, slot in enumerate(slots[:1] if single else slots, start=1):
            random = context.random_for(f"examples {slot.topic.id} {slot.before}")
            about = self.about(slot, random.sample(pool, min(_SHOWN_EXAMPLES, len(pool))))
            exists = "".join(f"\n- {text}" for text in known.get(slot.topic.id, ()))
            about += f"\nThese exist on it already; write something clearly different:{exists}" if exists else ""
            parts.append(about if single else f"Topic number {place}\n{about}")
        how = (
            "all on the topic below, and clearly different from each other"
            if single
            else f"one for each of the topics below, in their order; say with {PLACE} which it is for"
        )
        head = f"Write {len(slots)} {kind.what}: {how}."
        text = "\n\n".join([head, *parts, f"What is asked of each:\n{config.instructions}"])
        text += f"\n\n{kind.in_words}" if kind.in_words else ""
        each = [{TOPIC: slot.topic.name[:_SHORT], PLACE: place} for place, slot in enumerate(slots, start=1)]
        hints = {"num_samples": len(slots), "language": "en", EACH: each}
        return Prompt((*self._before, Message.user(text)), hints)

    def row(
        self, entry: BaseModel, slot: Slot, place: int, draft: Draft[Any], context: Context
    ) -> Made | Awaitable[Made]:
        """A row of an entry that was written for a slot."""
        asked = f"{self.about(slot, ())}\n\n{self._config.instructions}"
        hints = {TOPIC: slot.topic.name[:_SHORT], "language": "en"}
        made = self._kind.go_on(entry, Asking(draft, asked, self._before, hints))

        def whole(fields: Made) -> Made:
            return fields if isinstance(fields, Rejection) else self._row(fields, asked, slot, place, draft, context)

        if isinstance(made, dict | Rejection):
            return whole(made)
        return _then(made, whole)

    def _row(self, made: Row, asked: str, slot: Slot, place: int, draft: Draft[Any], context: Context) -> Row:
        messages = messages_of(self._kind.said(made, asked), self._system)
        topic = slot.topic
        metadata = {
            "provider": context.provider("writer"),
            "conversation_type": self._config.conversation_type,
            "place": place,
            **made.pop("metadata", {}),
        }
        about = {"topic": topic.name, "topic_path": list(topic.path)}
        return {**about, **made, "messages": messages, "model_id": draft.model("writer"), "metadata": metadata}


class _Batch:
    """The examples of one call, and those that are asked for again because they lack.

    Args:
        recipe: whose.
        context: of the cell.
        slots: of the whole cell.
        places: which of them the call is to make.
    """

    def __init__(self, recipe: Generated, context: Context, slots: Sequence[Slot], places: Sequence[int]) -> None:
        self._recipe = recipe
        self._context = context
        self._slots = slots
        self._places = places
        self._before = len(context.lines)
        self._asked: list[int] = []
        self._free: list[int] = []
        topics = {slots[place].topic for place in places}
        # What is left of a call about several topics may be about one; its entries are read alike.
        self.output: ListOutput[BaseModel] = recipe.one if len(topics) == 1 else recipe.several

    def prompt(self, count: int) -> Prompt:
        """Asks for examples that lack.

        Args:
            count: how many at most; fewer if answers were cut off.
        """
        lines = self._context.lines
        have = {orjson.loads(line)["metadata"]["place"] for line in lines[self._before :]}
        self._asked = [place for place in self._places if place not in have][:count]
        self._free = list(self._asked)
        slots = [self._slots[place] for place in self._asked]
        topics = {slot.topic.id for slot in slots}
        known = {name: [_one_line(text) for text in self._recipe.earlier.get(name, ())] for name in topics}
        for row in map(orjson.loads, lines[:-_LATEST]):
            place = row["metadata"]["place"]
            if (name := self._slots[place].topic.id) in topics:
                known.setdefault(name, []).append(_one_line(str(row[self._recipe.text_fields[0]])))
        return self._recipe.prompt(slots, self._context, known)

    def row(self, draft: Draft[BaseModel]) -> Made | Awaitable[Made]:
        """The row of an entry: for the slot that it names, or else for the next one."""
        if not self._free:
            return Rejection("answer", "more entries than were asked for")
        named = getattr(draft.entry, PLACE, 0) - 1
        wanted = self._asked[named] if 0 <= named < len(self._asked) else None
        place = wanted if wanted in self._free else self._free[0]
        self._free.remove(place)
        return self._recipe.row(draft.entry, self._slots[place], place, draft, self._context)


async def _then(made: Awaitable[Made], whole: Callable[[Made], Made]) -> Made:
    return whole(await made)


def _listed(examples: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(
        orjson.dumps(example, default=str, option=orjson.OPT_NON_STR_KEYS).decode() for example in examples
    )


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHORT else f"{line[: _SHORT - 1]}…"
