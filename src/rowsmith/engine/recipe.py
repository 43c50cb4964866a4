"""The contract between a kind of dataset and the engine."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from rowsmith.engine.axes import Axis
from rowsmith.engine.plan import Cell, Rows

if TYPE_CHECKING:
    from rowsmith.engine.context import Context
    from rowsmith.llm.provider import Provider
    from rowsmith.quality.gates import Gate


class Recipe(Protocol):
    """What one kind of dataset is. It holds the user's configuration and nothing of a run."""

    name: ClassVar[str]
    """The kind's name, as YAML has it: `classification`."""
    version: ClassVar[int]
    """Raised when the same answers make other rows than before: stored answers are then read anew."""
    roles: ClassVar[tuple[str, ...]]
    """What models are used as; the first is the one that every cell asks."""
    growing_fields: ClassVar[frozenset[str]]
    """Configuration fields that may be added to on the same output: values of axes, counts."""
    check_fields: ClassVar[frozenset[str]]
    """Configuration fields by which rows are checked: a change reads the stored answers anew."""

    @property
    def text_fields(self) -> tuple[str, ...]:
        """The row's fields that gates look at; two rows are duplicates if all of these are alike."""

    @property
    def axes(self) -> Sequence[Axis]:
        """The axes of the plan, slowest first; the models are not among them."""

    @property
    def rows(self) -> Rows:
        """How many rows are wanted."""

    @property
    def sample(self) -> int | None:
        """How many distinct prompts are drawn from the axes, or None for all."""

    @property
    def seed(self) -> int:
        """The run's seed."""

    @property
    def gates(self) -> Sequence[Gate]:
        """The checks of each row, besides that against duplicates."""

    @property
    def unique(self) -> bool:
        """Whether a row whose texts exist already is refused."""

    @property
    def near_duplicates(self) -> float | None:
        """The similarity from which on a row whose like exists is refused too; None for none."""

    @property
    def embeddings(self) -> Provider | None:
        """The model by whose vectors rows are alike; None to compare their words.

        Raises:
            ConfigError: what names it is wrong, or it needs a key.
        """

    @property
    def max_rounds(self) -> int:
        """How often rows that are lacking are asked for again, per cell."""

    @property
    def growing_values(self) -> Mapping[str, str]:
        """Values of placeholders that change for every cell when the configuration grows: a listing of all labels.

        A cell that was asked before it grew keeps its answers: they are looked for under the earlier values too.
        """

    def describe(self) -> Mapping[str, Any]:
        """The configuration as JSON, field by field: what the run's fingerprint is made of."""

    def group(self, cell: Cell) -> Mapping[str, str]:
        """The names under which a report counts what a cell lacks: its label, its language."""

    def make(self, cell: Cell, context: Context) -> Awaitable[object]:
        """Make the cell's rows, by asking through the context and giving it what comes of the answers.

        Raises:
            AnswerError: no usable answer came; the cell is reported as short.
        """
