"""Datasets of any task of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Unpack

from rowsmith.data.value_list import read_values, write_values
from rowsmith.datasets.base import GeneratedDataset, How, without_fresh
from rowsmith.datasets.naming import Dealing, Llm, Llms, RoleLlms, listed
from rowsmith.engine.ahead import Made
from rowsmith.engine.estimate import Estimate
from rowsmith.engine.ledger import RunPaths
from rowsmith.engine.run import Run
from rowsmith.errors import AnswerError, ConfigError, SourceError
from rowsmith.quality.text import normalised
from rowsmith.recipes.axis_values import AxisValues
from rowsmith.recipes.task import Task, TaskRecipe
from rowsmith.recipes.task_axes import Axis


class TaskDataset(GeneratedDataset[Task]):
    """Rows of a task of your own.

    A row has `id`, the fields of the output, `language`, `model_id` and `metadata`, with the values of the axes under
    `axes`. The values of generated axes lie in the run's folder, in `axes/<name>.txt`, one a line. What stands there is
    used: values can be edited before the first row is made, and added later. If there are fewer than `amount`, the rest
    is asked for when rows are made.

    Args:
        task: what rows are wanted.
        output_file: where they go; not needed if the task has one.

    Raises:
        ConfigError: neither has one, or the files of the axes cannot be used.
    """

    recipe: ClassVar = TaskRecipe
    _recipe: TaskRecipe

    def __init__(self, task: Task, output_file: str | Path | None = None) -> None:
        if output_file is not None:
            task = task.model_copy(update={"output_file": str(output_file)})
        if not task.output_file:
            raise ConfigError("it is not said where the rows go: TaskDataset(task, output_file='rows.jsonl')")
        super().__init__(task)
        self._recipe = self._with_values(self._stored())

    def prompt_for(self, cell: int | Mapping[str, str] = 0) -> str:
        """As `Task.prompt_for`, with the generated values that there are."""
        return self._with_values(self._stored()).prompt_text(cell)

    def get_num_expected_rows(
        self,
        llms: Llms | None = None,
        *,
        spread: Dealing = False,
        roles: Mapping[str, Llm] | None = None,
        **role_llms: Unpack[RoleLlms],
    ) -> int:
        """As ever; values that were added to the file of a generated axis count."""
        self._recipe = self._with_values(self._stored())
        return super().get_num_expected_rows(llms, spread=spread, roles=roles, **role_llms)

    async def estimate_async(self, llms: Llms | None = None, sample: int = 0, **how: Unpack[How]) -> Estimate:
        """As ever; the values that are still to be written are estimated too."""
        self._recipe = self._with_values(self._stored())
        lacking = self._lacking()
        whole = await super().estimate_async(llms, sample, **how)
        if sample:
            return whole  # a sample has had them written
        # Values are asked of one model, whatever the number of those that rows are asked of.
        one, alone = None if llms is None else listed(llms)[0], How(**{**how, "spread": False})
        parts = [await self._run(one, recipe=values, **alone).estimate() for values in lacking]
        return replace(whole, parts=(*whole.parts, *(part for one in parts for part in one.parts)))

    async def _prepared(self, llms: Llms | None, how: How) -> Run:
        """The run with the values of all axes.

        Raises:
            AnswerError: the model has not written as many values as there should be.
        """
        stored = {} if self._is_fresh(how) else self._stored()
        self._recipe = self._with_values(stored)
        lacking = self._lacking()
        if not lacking:
            return await super()._prepared(llms, how)
        ahead = self._run(llms, **how)
        written = await ahead.ask_ahead(lacking)
        why = ahead.report.why
        faults = []
        for axis, made in zip(lacking, written, strict=True):
            values = [*stored.get(axis.axis, ()), *(row["value"] for row in made.rows)]
            if made.rows:
                write_values(self._file(axis.axis), values)
            if len(made.rows) < axis.lacking and not why:
                faults.append(_shortage(axis, len(values), made, self._file(axis.axis)))
        if faults:
            raise AnswerError("\n".join(faults), outcome="invalid", raw="")
        self._recipe = self._with_values(self._stored())
        run = self._run(llms, **without_fresh(how))
        run.report.calls, run.report.retries = ahead.report.calls, ahead.report.retries
        run.report.replayed = ahead.report.replayed
        if why:
            run.stop(why)  # before all values were there: the run ends at once, and says why
        return run

    def _lacking(self) -> list[AxisValues]:
        """What is to be asked for before the plan is known."""
        task = self.config
        stored = self._recipe.stored
        return [
            AxisValues(
                axis.name,
                axis.written,
                stored.get(axis.name, ()),
                system=task.system_prompt,
                seed=task.seed,
                max_rounds=task.max_rounds,
            )
            for axis in task.axes
            if axis.written is not None and len(stored.get(axis.name, ())) < axis.written.amount
        ]

    def _with_values(self, stored: Mapping[str, list[str]]) -> TaskRecipe:
        return self._recipe if stored == self._recipe.stored else TaskRecipe(self.config, stored)

    def _stored(self) -> dict[str, list[str]]:
        """The values of the generated axes that there are, as they stand in their files now."""
        return {axis.name: self._values_of(axis) for axis in self.config.axes if axis.written is not None}

    def _values_of(self, axis: Axis) -> list[str]:
        path = self._file(axis.name)
        lines: dict[str, int] = {}
        values = read_values(path)
        for line, value in values:
            first = lines.setdefault(normalised(value), line)
            if first != line:
                raise SourceError(f"{path}: line {line} ({value!r}) is the same as line {first}; take one of them out")
        return [value for _, value in values]

    def _file(self, axis: str) -> Path:
        return RunPaths.of(self.config.output_file).folder / "axes" / f"{axis}.txt"

    def _is_fresh(self, how: How) -> bool:
        options = how.get("options")
        fresh = how.get("fresh") or (options is not None and options.fresh)
        return bool(fresh) and RunPaths.of(self.config.output_file).ledger.exists()


def _shortage(axis: AxisValues, count: int, made: Made, path: Path) -> str:
    """Why an axis has too few values, and what can be done."""
    reasons = [f"{number} {gate}" for gate, number in made.rejected.items()]
    if made.failure is not None:
        reasons.append(str(made.failure))
    wanted = count - len(made.rows) + axis.lacking
    return (
        f"the axis {axis.axis!r} has {count} of {wanted} values. Refused: {'; '.join(reasons) or 'nothing'}. "
        f"Start again to ask for the rest, lower its amount, or write values into {path}, one a line"
    )
