"""What every dataset class can do: count, generate, read."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypedDict, TypeVar, Unpack

from rowsmith.data.rows import Row, Rows
from rowsmith.engine.estimate import Estimate
from rowsmith.engine.events import Listener
from rowsmith.engine.models import Models, full_name
from rowsmith.engine.options import Options
from rowsmith.engine.plan import Plan
from rowsmith.engine.report import Report
from rowsmith.engine.run import Run
from rowsmith.engine.sampling import Sample, take_sample
from rowsmith.errors import ConfigError
from rowsmith.llm.provider import Provider
from rowsmith.llm.registry import resolve
from rowsmith.recipes.base import BaseRecipe, DatasetConfig

C = TypeVar("C", bound=DatasetConfig)
T = TypeVar("T")
Llm = str | Mapping[str, Any] | Provider
Llms = Llm | Sequence[Llm]


class How(TypedDict, total=False):
    """How a run is carried out: the arguments of `Dataset.generate` by name, each with its meaning there."""

    spread: bool
    max_concurrency: int | None
    max_cost: float | None
    max_requests: int | None
    max_tokens: int | None
    batch: bool
    fresh: bool
    options: Options | None
    listeners: Sequence[Listener]
    source: Mapping[str, Any] | None


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
        max_cost: float | None = None,
        max_requests: int | None = None,
        max_tokens: int | None = None,
        batch: bool = False,
        fresh: bool = False,
        options: Options | None = None,
        listeners: Sequence[Listener] = (),
        source: Mapping[str, Any] | None = None,
    ) -> Self:
        """Make the rows, or go on with what an earlier call began; returns the dataset itself.

        Works inside a running event loop too (a notebook): the work is then done in a thread with a loop of its own.

        Args:
            llms: one model or several: `provider/model`, a provider, or a mapping of `model` and arguments.
            spread: deal the prompts out among the models; otherwise every prompt goes to every model.
            max_concurrency: requests in flight per model that are never passed; 256 if not given.
            max_cost: US dollars at which the run stops, what earlier calls of `generate` cost included.
            max_requests: requests at which it stops, those that fail and are sent again included.
            max_tokens: tokens at which it stops, of requests and answers together. The run stops before one of the
                three is passed, and goes on when it is called with a higher one; see `rowsmith.engine.budget`.
            batch: ask through the services' batch endpoints: about half the price, within hours instead of seconds.
            fresh: delete what the output file has, and start anew.
            options: the rest of how the run is carried out.
            listeners: called with every event of the run.
            source: what `rowsmith resume` can make this run of again, kept in the ledger; JSON, and no keys.

        Raises:
            ConfigError: something is wrong with the models, or `max_cost` is given and a price is not known, before
                anything is paid for.
            RunError: the output cannot be used.
            ProviderError: one that would befall every call, such as a wrong key. What was made is kept.
            KeyboardInterrupt: Ctrl-C. What was in flight was waited for, and what was made is kept.
        """
        how = How(
            spread=spread,
            max_concurrency=max_concurrency,
            max_cost=max_cost,
            max_requests=max_requests,
            max_tokens=max_tokens,
            batch=batch,
            fresh=fresh,
            options=options,
            listeners=listeners,
            source=source,
        )
        return _run_sync(lambda: self.generate_async(llms, **how))

    async def generate_async(self, llms: Llms | None = None, **how: Unpack[How]) -> Self:
        """`generate` for callers with an event loop of their own; the same arguments and errors.

        Cancelling the task ends the run in good order: what is in flight is waited for within `Options.grace`.
        """
        run = await self._prepared(llms, how)
        self.report = run.report
        await run.execute()
        return self

    def generate_sample(self, llms: Llms | None = None, num_samples: int = 10, **how: Unpack[How]) -> Sample:
        """Some rows from all over the plan, with the prompts behind them; the output file is not touched.

        As many prompts are sent as rows are wanted, and one row is taken of each. All answers are kept in the run's
        folder: `generate` makes its rows of them and does not ask again. So an output that was sampled belongs to its
        configuration; with another one, name another output or pass `fresh`.

        Args:
            llms: as for `generate`.
            num_samples: how many rows.
            **how: as for `generate`.

        Raises:
            ConfigError: as `generate`, or fewer than one row is wanted.
            RunError, ProviderError, KeyboardInterrupt: as `generate`.
        """
        return _run_sync(lambda: self.generate_sample_async(llms, num_samples, **how))

    async def generate_sample_async(
        self, llms: Llms | None = None, num_samples: int = 10, **how: Unpack[How]
    ) -> Sample:
        """`generate_sample` for callers with an event loop of their own; the same arguments and errors."""
        return await take_sample(await self._prepared(llms, how), num_samples)

    def estimate(self, llms: Llms | None = None, sample: int = 0, **how: Unpack[How]) -> Estimate:
        """What `generate` will take: calls, tokens, cost, and time at the limits that are known.

        No model is asked and nothing is written, unless a sample is wanted. How it is reckoned, see
        `rowsmith.engine.estimate`.

        Args:
            llms: as for `generate`.
            sample: so many prompts are really sent, and paid for, to make it exact; their answers are kept as those
                of `generate_sample` are.
            **how: as for `generate`.

        Raises:
            ConfigError: as `generate`, or `sample` is negative.
            RunError, ProviderError, KeyboardInterrupt: as `generate`, where a sample is wanted.
        """
        return _run_sync(lambda: self.estimate_async(llms, sample, **how))

    async def estimate_async(self, llms: Llms | None = None, sample: int = 0, **how: Unpack[How]) -> Estimate:
        """`estimate` for callers with an event loop of their own; the same arguments and errors."""
        run = await self._prepared(llms, how) if sample else self._run(llms, **how)
        return await run.estimate(sample)

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

    async def _prepared(self, llms: Llms | None, how: How) -> Run:
        """The run, after what must be made before its plan is known: the values of an axis that a model writes."""
        return self._run(llms, **how)

    def _run(
        self,
        llms: Llms | None,
        *,
        spread: bool = False,
        options: Options | None = None,
        listeners: Sequence[Listener] = (),
        source: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> Run:
        if llms is None:
            raise ConfigError(
                "no model was named: write generate(llms='openai/gpt-5-mini'), another provider/model, or 'offline' "
                "for a try without a model"
            )
        models = models_of(llms, spread=spread)
        # What is given by name wins over the same in `options`; None and False give nothing.
        given = {name: value for name, value in settings.items() if value is not None and value is not False}
        options = (options or Options()).but(**given)
        return Run(self._recipe, models, self.config.output_file, options, listeners, source=source)

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


def _run_sync(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Do work of a run from synchronous code, whether or not an event loop is already running in this thread."""
    if not _in_a_loop():
        return asyncio.run(work())
    result: list[T] = []
    failure: list[BaseException] = []
    finished = threading.Event()
    begun: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []
    interrupts = 0

    async def do() -> None:
        task = asyncio.current_task()
        assert task is not None
        begun.append((asyncio.get_running_loop(), task))
        if not interrupts:
            result.append(await work())

    def in_thread() -> None:
        try:
            asyncio.run(do())
        except BaseException as error:  # handed to the caller's thread below
            failure.append(error)
        finally:
            finished.set()

    threading.Thread(target=in_thread, name="rowsmith-run", daemon=True).start()
    while not finished.is_set():
        try:
            finished.wait()
        except KeyboardInterrupt:
            # A notebook's interrupt reaches this thread only. Passed on like this, it ends the run in good order,
            # within the grace time; a second one ends it at once.
            interrupts += 1
            for loop, task in begun:
                with suppress(RuntimeError):  # the loop has ended meanwhile
                    loop.call_soon_threadsafe(task.cancel)
    if interrupts:
        raise KeyboardInterrupt
    if failure:
        raise failure[0]
    return result[0]


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
