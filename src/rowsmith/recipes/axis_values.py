"""The values of an axis that a model writes: a small dataset of its own, made before the rows are planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, Field, create_model

from rowsmith.data.value_list import one_line
from rowsmith.engine.asking import Prompt
from rowsmith.engine.axes import Axis as PlanAxis
from rowsmith.engine.context import Context
from rowsmith.engine.draft import Draft
from rowsmith.engine.plan import Cell, Rows
from rowsmith.llm.structured.output import ListOutput
from rowsmith.llm.values import Message
from rowsmith.prompts.template import Template
from rowsmith.quality.gates import Gate, NotEmpty, Rejection, Row
from rowsmith.quality.text import normalised
from rowsmith.recipes.task_axes import Generated

AT_ONCE = 40
"""Values that one prompt asks for at most: of a longer list, the end is repetition."""
_ALIKE = 0.75
"""The share of their words, each counting by its length, that two values may have in common: articles weigh little."""
_REQUEST = (
    "{request}\n\n"
    "Each is one line, short and concrete, and understood without the others. No two may be alike: spread them as "
    "widely as they are in reality."
)
_EXISTING = "These exist already; name others:\n{values}"


class AxisValues:
    """A recipe with one cell, whose rows are the values that an axis lacks.

    Args:
        axis: the axis' name.
        asked: what is asked for.
        stored: the values that there are; the new ones are none of them.
        system: the system message, or None.
        seed: of the run.
        max_rounds: how often values that lack are asked for again.
    """

    name: ClassVar[str] = "axis"
    version: ClassVar[int] = 1
    roles: ClassVar[tuple[str, ...]] = ("axis",)
    text_fields: ClassVar[tuple[str, ...]] = ("value",)
    growing_fields: ClassVar[frozenset[str]] = frozenset()
    check_fields: ClassVar[frozenset[str]] = frozenset()
    sample: ClassVar[None] = None
    unique: ClassVar[bool] = False
    """What is alike is found here, by other rules than those for texts."""
    near_duplicates: ClassVar[None] = None
    embeddings: ClassVar[None] = None

    def __init__(
        self, axis: str, asked: Generated, stored: Sequence[str], *, system: str | None, seed: int, max_rounds: int
    ) -> None:
        self.axis = axis
        self.lacking = max(0, asked.amount - len(stored))
        self.seed = seed
        self.max_rounds = max_rounds + (self.lacking - 1) // AT_ONCE
        self.axes = (PlanAxis("axis", [axis]),)
        self.rows = Rows(per_cell=max(1, self.lacking))
        self.gates: Sequence[Gate] = (NotEmpty(("value",)),)
        self.growing_values: Mapping[str, str] = {}
        self._stored = list(stored)
        self._request = Template(asked.prompt)
        self._system = system
        # The field is called as the axis is: a model, and the offline provider, know by it what is wanted.
        value: Any = (str, Field(alias=axis, description=f"one {axis.replace('_', ' ')}, in one line"))
        self._output: ListOutput[BaseModel] = ListOutput(create_model(f"{axis}_entry", value=value))

    def describe(self) -> Mapping[str, Any]:
        return {"axis": self.axis}

    def group(self, cell: Cell) -> Mapping[str, str]:
        del cell
        return {"axis": self.axis}

    async def make(self, cell: Cell, context: Context) -> None:
        del cell
        values = list(self._stored)

        def prompt(count: int) -> Prompt:
            count = min(count, AT_ONCE)
            request = Template(_REQUEST).render({"request": self._request.render({"amount": count})})
            if values:
                request += "\n\n" + Template(_EXISTING).render({"values": "\n".join(f"- {value}" for value in values)})
            message = Message.user(request)
            system = (Message.system(self._system),) if self._system else ()
            return Prompt((*system, message), {"num_samples": count})

        def row(draft: Draft[BaseModel]) -> Row | Rejection:
            value = one_line(draft.entry.value)  # type: ignore[attr-defined]  # a field of the model made above
            if (other := alike(value, values)) is not None:
                return Rejection("alike", f"{value!r} is too much like {other!r}")
            values.append(value)
            return {"value": value}

        await context.collect("axis", prompt, self._output, row)


def alike(value: str, others: Sequence[str]) -> str | None:
    """The first of some values that says nearly the same, or None.

    Two values do if they differ in case, spacing and punctuation only, or share most of their words.
    """
    plain, words = normalised(value), _words(value)
    for other in others:
        theirs = _words(other)
        if normalised(other) == plain or _weight(words & theirs) > _ALIKE * _weight(words | theirs):
            return other
    return None


def _weight(words: frozenset[str]) -> int:
    return sum(map(len, words))


def _words(value: str) -> frozenset[str]:
    return frozenset("".join(sign if sign.isalnum() else " " for sign in value.casefold()).split())
