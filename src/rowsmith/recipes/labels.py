"""Labels for rows that exist already: classes, grades and marked pieces, by one labeller or by several that agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field, create_model, field_validator, model_validator

from rowsmith.engine.asking import Prompt
from rowsmith.engine.axes import Axis
from rowsmith.engine.context import Context
from rowsmith.engine.draft import Draft
from rowsmith.engine.plan import Cell
from rowsmith.errors import ConfigError, SourceError, did_you_mean
from rowsmith.llm.structured.output import Output
from rowsmith.quality.gates import Rejection, Row
from rowsmith.recipes.base import BaseRecipe
from rowsmith.recipes.label_tasks import AnyTask
from rowsmith.recipes.sources import SourceConfig

RESERVED = frozenset({"id", "text", "metadata", "model_id", "label_source", "votes"})
"""What a row has of its own, so that no task may be called so."""
_LABELLERS = 9


class LabelsDatasetConfig(SourceConfig):
    """Labels for given rows: one row out for each row in.

    Templates of `prompts` must have `{text}`; they may have `{tasks}`, what is to be labelled and how.

    Attributes:
        tasks: what rows are labelled with, by the name that rows have it under: a mapping with `classes` (and
            `multi_label`), with `quantity` and a scale, or with `labels` for marked pieces.
        text_column: the column that is labelled.
        forward_columns: the columns that rows keep; None for all.
        labellers: how many are asked about each row: with `llms` the same model so often, with `labeller_llm`,
            `labeller_2_llm` and so on each its own.
        agreement: what is done where they differ. `vote`: what more than half of them say, of grades the one in the
            middle; a row without such is refused. `unanimous`: a row on which not all say the same is refused. `keep`:
            no row is refused; without a majority its label is None. Rows have all `votes` where there are several.
        reasoning: labellers say why before they label; it stands in the row's metadata.
    """

    tasks: dict[str, AnyTask] = Field(min_length=1)
    text_column: str = "text"
    forward_columns: list[str] | None = None
    labellers: int = Field(default=1, ge=1, le=_LABELLERS)
    agreement: Literal["vote", "unanimous", "keep"] = "vote"
    reasoning: bool = False
    num_samples_per_prompt: int = Field(default=1, ge=1, le=1)

    mandatory: ClassVar[frozenset[str]] = frozenset({"text"})
    available: ClassVar[frozenset[str]] = frozenset({"tasks"})
    default_prompts: ClassVar[tuple[str, ...]] = (
        "Label a text, as a careful annotator would who has read the guidelines. Go by what the text says and not by "
        "what it might imply.\n\n{tasks}\n\nThe text:\n\n{text}",
    )

    @field_validator("tasks")
    @classmethod
    def _names_are_free(cls, tasks: dict[str, AnyTask]) -> dict[str, AnyTask]:
        for name in tasks:
            if not name.isidentifier() or name in RESERVED or name.startswith("_"):
                raise ValueError(
                    f"a task cannot be called {name!r}: a name is letters, digits and '_', and none of "
                    f"{', '.join(sorted(RESERVED))}"
                )
        return tasks

    @model_validator(mode="after")
    def _one_of_each(self) -> LabelsDatasetConfig:
        if len(self.languages) > 1:
            raise ValueError("labels are written in no language: leave `languages` out")
        if self.target_rows is not None:
            raise ValueError("there is one row for each row of the source: use sample_count instead of target_rows")
        if self.agreement != "vote" and self.labellers == 1:
            raise ValueError(f"agreement={self.agreement!r} is for several labellers: set `labellers` too")
        return self


class Labels(BaseRecipe[LabelsDatasetConfig]):
    """One cell is one row of the source and one template with its placeholders' values."""

    name: ClassVar[str] = "labels"
    roles: ClassVar[tuple[str, ...]] = ("labeller", *(f"labeller_{number}" for number in range(2, _LABELLERS + 1)))
    growing_fields: ClassVar[frozenset[str]] = BaseRecipe.growing_fields | LabelsDatasetConfig.source_fields

    def __init__(self, config: LabelsDatasetConfig) -> None:
        told = [task.told(name) for name, task in config.tasks.items()]
        self._tasks = "Say of it:\n\n" + "\n\n".join(told)
        self._output = Output(_answer(config))
        self._spans = [
            {"field": name, "of": "text", "label": None}
            for name, task in config.tasks.items()
            if hasattr(task, "labels")
        ]
        super().__init__(config)

    @property
    def needed_roles(self) -> tuple[str, ...]:
        return self.roles[: self.config.labellers]

    @property
    def unique(self) -> bool:
        """Rows of the source are the user's own, and all of them are labelled, alike or not."""
        return False

    @property
    def near_duplicates(self) -> float | None:
        return None

    @property
    def embeddings(self) -> None:
        return None

    def outer_axes(self) -> Sequence[Axis]:
        forward = self.config.forward_columns
        columns = None if forward is None else list(dict.fromkeys([self.config.text_column, *forward]))
        rows = self.config.open_rows(columns)
        _text_of(rows[0], self.config.text_column)
        made = {field for name, task in self.config.tasks.items() for field in task.fields(name, "", None)}
        if clash := sorted(made & (rows[0].keys() - {self.config.text_column})):
            raise ConfigError(
                f"the rows have a column {clash[0]!r} already, which a label would replace: call the task something "
                "else, or name the columns to keep in forward_columns"
            )
        return (Axis("row", rows),)

    def values(self, cell: Cell) -> Mapping[str, object]:
        hints = {"quotes": self._spans} if self._spans else {}
        return {"text": _text_of(cell.values["row"], self.config.text_column), "tasks": self._tasks, **hints}

    def group(self, cell: Cell) -> Mapping[str, str]:
        del cell
        return {}

    async def make(self, cell: Cell, context: Context) -> None:
        given: Mapping[str, Any] = cell.values["row"]
        text = _text_of(given, self.config.text_column)
        metadata = self.metadata(cell, context)
        prompt = self.prompt(cell)(1)

        async def row(draft: Draft[None]) -> Row | Rejection:
            answers = [await self._asked(draft, role, prompt, text) for role in self.needed_roles]
            labelled: dict[str, Any] = {}
            votes: dict[str, list[Any]] = {}
            for name, task in self.config.tasks.items():
                said = [getattr(answer, name) for answer in answers]
                votes[name] = [task.shown(text, one) for one in said]
                agreed = said[0] if len(said) == 1 else task.agreed(text, said)
                differ = any(one != votes[name][0] for one in votes[name])
                if (self.config.agreement == "unanimous" and differ) or (
                    self.config.agreement == "vote" and agreed is None
                ):
                    return Rejection("agreement", f"the labellers do not agree on {name}: {votes[name]}")
                labelled |= task.fields(name, text, agreed)
            forwarded = {name: value for name, value in given.items() if name not in {"id", self.config.text_column}}
            why = (
                {"reasoning": [getattr(answer, "reasoning", "") for answer in answers]} if self.config.reasoning else {}
            )
            source_id = {"source_id": given["id"]} if "id" in given else {}
            return {
                "text": text,
                **forwarded,
                **labelled,
                **({"votes": votes} if len(answers) > 1 else {}),
                "model_id": " + ".join(dict.fromkeys(draft.model(role) for role in self.needed_roles)),
                "label_source": "synthetic",
                "metadata": {**metadata, **source_id, **why},
            }

        await context.compose(row)

    async def _asked(self, draft: Draft[None], role: str, prompt: Prompt, text: str) -> BaseModel:
        """One labeller's answer, without faults."""
        return await draft.ask(role, prompt, self._output, lambda answer: self._fault(text, answer))

    def _fault(self, text: str, answer: BaseModel) -> str | None:
        for name, task in self.config.tasks.items():
            if fault := task.fault(text, getattr(answer, name)):
                return f"{name}: {fault}"
        return None


def _answer(config: LabelsDatasetConfig) -> type[BaseModel]:
    """The model of one labeller's answer: a field for each task, after the reasons."""
    fields: dict[str, Any] = {name: task.answer for name, task in config.tasks.items()}
    if config.reasoning:
        why = (str, Field(description="why, in a few sentences, before you decide"))
        fields = {"reasoning": why, **fields}
    made: type[BaseModel] = create_model("LabelsOfText", **fields)
    return made


def _text_of(row: Mapping[str, Any], column: str) -> str:
    if column not in row:
        raise SourceError(f"a row has no column {column!r}. {did_you_mean(column, row)}")
    value = row[column]
    return value if isinstance(value, str) else str(value)
