"""What every dataset class can do: count, generate, read."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from rowsmith.data.rows import Row, Rows
from rowsmith.engine.events import Listener
from rowsmith.engine.models import Models, full_name
from rowsmith.engine.options import Options
from rowsmith.engine.plan import Plan
from rowsmith.engine.report import Report
from rowsmith.engine.run import Run
from rowsmith.errors import ConfigError
from rowsmith.llm.provider import Provider
from rowsmith.llm.registry import resolve
from rowsmith.recipes.base import BaseRecipe, DatasetConfig

C = TypeVar("C", bound=DatasetConfig)
Llm = str | Mapping[str, Any] | Provider
Llms = Llm | Sequence[Llm]


class Dataset(Generic[C]):
    """A dataset of one kind: a configuration, and the rows that were made of it.

    Args:
        config: what rows are wanted.
    """

    recipe: ClassVar[type[BaseRecipe[Any]]]

    def __init__(self, config: C) -> None:
        self.config = config
        self._recipe = type(self).recipe(config)
        self.report: Report | None = None
        """What the last `generate` of this object came to; None before."""

    def get_num_expected_rows(self, llms: Llms = "offline", *, spread: bool = False) -> int:
        """How many rows `generate` will make. No model is asked and no key is needed.

        Args:
            llms: the models, as for `generate`; every prompt goes to every model, so rows multiply.
            spread: prompts are dealt out among the models instead, so rows do not multiply.
        """
        return self._plan(_listed(llms), spread=spread).total_rows

    def generate(
        self,
        llms: Llms | None = None,
        *,
        spread: bool = False,
        max_concurrency: int | None = None,
        fresh: bool = False,
        options: Options | None = None,
        listeners: Sequence[Listener] = (),
    ) -> Self:
        """Make the rows, or go on with what an earlier call began; returns the dataset itself.

        Works inside a running event loop too (a notebook): the work is then done in a thread with a loop of its own.

        Args:
            llms: one model or several: `provider/model`, a provider, or a mapping of `model` and arguments.
            spread: deal the prompts out among the models; otherwise every prompt goes to every model.
            max_concurrency: requests in flight per model that are never passed; 256 if not given.
            fresh: delete what the output file has, and start anew.
            options: the rest of how the run is carried out.
            listeners: called with every event of the run.

        Raises:
            ConfigError: something is wrong with the models, before anything is paid for.
            RunError: the output cannot be used.
            ProviderError: one that would befall every call, such as a wrong key. What was made is kept.
            KeyboardInterrupt: Ctrl-C. What was in flight was waited for, and what was made is kept.
        """
        run = self._run(llms, spread, max_concurrency, fresh, options, listeners)
        self.report = run.report
        _run_sync(run)
        return self

    async def generate_async(
        self,
        llms: Llms | None = None,
        *,
        spread: bool = False,
        max_concurrency: int | None = None,
        fresh: bool = False,
        options: Options | None = None,
        listeners: Sequence[Listener] = (),
    ) -> Self:
        """`generate` for callers with an event loop of their own; the same arguments and errors.

        Cancelling the task ends the run in good order: what is in flight is waited for within `Options.grace`.
        """
        run = self._run(llms, spread, max_concurrency, fresh, options, listeners)
        self.report = run.report
        await run.execute()
        return self

    @property
    def rows(self) -> Rows:
        """The rows in the output file, read from disk when they are asked for."""
        return Rows(Path(self.config.output_file))

    def to_list(self) -> list[Row]:
        """All rows in memory."""
        return list(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __bool__(self) -> bool:
        """A dataset is a thing, also while it has no rows."""
        return True

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.config.output_file!r})"

    def _run(
        self,
        llms: Llms | None,
        spread: bool,
        max_concurrency: int | None,
        fresh: bool,
        options: Options | None,
        listeners: Sequence[Listener],
    ) -> Run:
        if llms is None:
            raise ConfigError(
                "no model was named: write generate(llms='openai/gpt-5-mini'), another provider/model, or 'offline' "
                "for a try without a model"
            )
        models = models_of(llms, spread=spread)
        options = options or Options()
        settings: dict[str, Any] = {"fresh": fresh or options.fresh}
        if max_concurrency is not None:
            settings["max_concurrency"] = max_concurrency
        return Run(self._recipe, models, self.config.output_file, options.but(**settings), listeners)

    def _plan(self, llms: Sequence[Llm], *, spread: bool) -> Plan:
        recipe = self._recipe
        return Plan(
            recipe.axes,
            recipe.rows,
            models=[str(number).encode() for number in range(len(llms))],
            dealt=spread,
            sample=recipe.sample,
            seed=recipe.seed,
        )


def models_of(llms: Llms, roles: Mapping[str, Llm] | None = None, *, spread: bool = False) -> Models:
    """The models that were named.

    Raises:
        ConfigError: none was, one is unknown, or one stands twice.
    """
    providers = [resolve(llm) for llm in _listed(llms)]
    models = Models(providers, {role: resolve(llm) for role, llm in (roles or {}).items()}, dealt=spread)
    identities = models.identities()
    for number, identity in enumerate(identities):
        if identity in identities[:number]:
            raise ConfigError(
                f"{full_name(providers[number])} stands twice in llms with the same settings; name each model once "
                "(for more rows raise num_samples_per_prompt or target_rows)"
            )
    return models


def _listed(llms: Llms) -> list[Llm]:
    listed: list[Llm] = [llms] if isinstance(llms, str | Mapping) or not isinstance(llms, Sequence) else list(llms)
    if not listed:
        raise ConfigError("llms is an empty list: name at least one model, such as 'openai/gpt-5-mini' or 'offline'")
    return listed


def _run_sync(run: Run) -> None:
    """Run to the end from synchronous code, whether or not an event loop is already running in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(run.execute())
        return
    failure: list[BaseException] = []
    finished = threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def execute() -> None:
        loops.append(asyncio.get_running_loop())
        await run.execute()

    def work() -> None:
        try:
            asyncio.run(execute())
        except BaseException as error:  # handed to the caller's thread below
            failure.append(error)
        finally:
            finished.set()

    threading.Thread(target=work, name="rowsmith-run", daemon=True).start()
    try:
        finished.wait()
    except KeyboardInterrupt:
        # The interrupt button of a notebook reaches this thread only: end the run in good order, then pass it on.
        for loop in loops:
            loop.call_soon_threadsafe(run.stop, "interrupted")
        finished.wait()
        raise
    if failure:
        raise failure[0]
