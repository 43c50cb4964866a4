"""What every dataset class can do: count, generate, read."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, Unpack

from rowsmith.data.dataset import Readable
from rowsmith.data.rows import Rows
from rowsmith.datasets.naming import Dealing, Llm, Llms, RoleLlms, count_of, models_of, roles_of
from rowsmith.engine.estimate import Estimate
from rowsmith.engine.events import Listener
from rowsmith.engine.models import Models
from rowsmith.engine.options import Options
from rowsmith.engine.plan import Plan
from rowsmith.engine.recipe import Recipe
from rowsmith.engine.report import Report
from rowsmith.engine.run import Run
from rowsmith.engine.sampling import Sample, take_sample
from rowsmith.engine.sync import run_sync
from rowsmith.recipes.base import KindConfig, KindRecipe

if TYPE_CHECKING:
    from rowsmith.data.card import Origin
    from rowsmith.engine.checkup import Checkup, Finding

C = TypeVar("C", bound=KindConfig)
R = TypeVar("R", bound=Run)
_SETTINGS = frozenset(field.name for field in fields(Options))


class How(RoleLlms, total=False):
    """How a run is carried out: the arguments of `GeneratedDataset.generate` by name, each with its meaning there."""

    spread: Dealing
    roles: Mapping[str, Llm] | None
    max_concurrency: int | None
    max_cost: float | None
    max_requests: int | None
    max_tokens: int | None
    batch: bool
    no_wait: bool
    fresh: bool
    options: Options | None
    listeners: Sequence[Listener]
    source: Mapping[str, Any] | None


class GeneratedDataset(Readable, Generic[C]):
    """A dataset of one kind: a configuration, and the rows that were made of it.

    Args:
        config: what rows are wanted.
    """

    recipe: ClassVar[type[KindRecipe]]

    def __init__(self, config: C) -> None:
        self.config = config
        self._recipe: KindRecipe = type(self).recipe(config)
        self.report: Report | None = None
        """What the last `generate` or sample of this object came to; None before."""
        self._indexed: tuple[object, Rows] | None = None

    def get_num_expected_rows(
        self,
        llms: Llms | None = None,
        *,
        spread: Dealing = False,
        roles: Mapping[str, Llm] | None = None,
        **role_llms: Unpack[RoleLlms],
    ) -> int:
        """How many rows `generate` will make. No model is asked and no key is needed.

        Args:
            llms: the models, as for `generate`; every prompt goes to every model, so rows multiply. One if not given.
            spread: prompts are dealt out among the models instead, so rows do not multiply.
            roles: as for `generate`; the models of roles do not multiply rows.
            **role_llms: as for `generate`.

        Raises:
            ConfigError: `llms` is empty, `spread` does not fit it, or there is no such role.
        """
        self._roles(roles, role_llms)
        return self._plan(count_of(llms, spread=spread)).total_rows

    def generate(
        self,
        llms: Llms | None = None,
        *,
        spread: Dealing = False,
        roles: Mapping[str, Llm] | None = None,
        max_concurrency: int | None = None,
        max_cost: float | None = None,
        max_requests: int | None = None,
        max_tokens: int | None = None,
        batch: bool = False,
        no_wait: bool = False,
        fresh: bool = False,
        options: Options | None = None,
        listeners: Sequence[Listener] = (),
        source: Mapping[str, Any] | None = None,
        **role_llms: Unpack[RoleLlms],
    ) -> Self:
        """Make the rows, or go on with what an earlier call began; in a notebook's event loop too. Returns the dataset.

        Args:
            llms: one model or several: `provider/model`, a provider, a mapping of `model` and arguments, a `Fallback`
                or a `Spread`. It may be left out where every role has a model of its own.
            spread: deal the prompts out among the models, evenly or by weights (`[3, 1]`); else each goes to all.
            roles: models of single roles, such as `{"judge": "openai/gpt-5"}`, in place of `llms`.
            max_concurrency: requests in flight per model that are never passed; 256 if not given.
            max_cost: US dollars that all calls of `generate` may cost together; see `rowsmith.engine.budget`.
            max_requests: requests that they may send, those that fail and are sent again included.
            max_tokens: tokens that they may take, of requests and answers. The run stops before one of the three is
                passed, and goes on when it is called with a higher one.
            batch: ask through the services' batch endpoints: about half the price, within hours instead of seconds.
            no_wait: with `batch`, return once the next batches are handed in (`report.ended` is then `waiting`).
            fresh: delete what the output file has, and start anew.
            options: the rest of how the run is carried out.
            listeners: called with every event of the run.
            source: what `rowsmith resume` can make this run of again, kept in the ledger; JSON, and no keys.
            **role_llms: models of single roles by the kind's own names, such as `judge_llm`.

        Raises:
            ConfigError: the models are wrong, or `max_cost` is given and a price is not known; nothing is paid for.
            RunError: the output cannot be used.
            ProviderError: one that would befall every call, such as a wrong key. What was made is kept.
            KeyboardInterrupt: Ctrl-C. What was in flight was waited for, and what was made is kept.
        """
        how = How(
            spread=spread,
            roles=roles,
            max_concurrency=max_concurrency,
            max_cost=max_cost,
            max_requests=max_requests,
            max_tokens=max_tokens,
            batch=batch,
            no_wait=no_wait,
            fresh=fresh,
            options=options,
            listeners=listeners,
            source=source,
            **role_llms,
        )
        return run_sync(lambda: self.generate_async(llms, **how))

    async def generate_async(self, llms: Llms | None = None, **how: Unpack[How]) -> Self:
        """`generate` for callers with an event loop of their own; the same arguments and errors.

        Cancelling the task ends the run in good order: what is in flight is waited for within `Options.grace`.
        """
        run = await self._prepared(llms, how)
        self.report = run.report
        await run.execute()
        return self

    def cancel_batches(self, llms: Llms | None = None, **how: Unpack[How]) -> Self:
        """Ask the services to end the batches of an earlier `generate(batch=True)`, and keep what was answered.

        Waits until they have ended, which takes some minutes. `generate` goes on from there, in batches or without.

        Args:
            llms: as for `generate`.
            **how: as for `generate`.

        Raises:
            ConfigError, RunError, ProviderError, KeyboardInterrupt: as `generate`.
        """
        return run_sync(lambda: self.cancel_batches_async(llms, **how))

    async def cancel_batches_async(self, llms: Llms | None = None, **how: Unpack[How]) -> Self:
        """`cancel_batches` for callers with an event loop of their own; the same arguments and errors."""
        run = await self._prepared(llms, {**how, "batch": True})
        self.report = run.report
        await run.cancel_batches()
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
        return run_sync(lambda: self.generate_sample_async(llms, num_samples, **how))

    async def generate_sample_async(
        self, llms: Llms | None = None, num_samples: int = 10, **how: Unpack[How]
    ) -> Sample:
        """`generate_sample` for callers with an event loop of their own; the same arguments and errors."""
        run = await self._prepared(llms, how)
        self.report = run.report
        return await take_sample(run, num_samples)

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
        return run_sync(lambda: self.estimate_async(llms, sample, **how))

    async def estimate_async(self, llms: Llms | None = None, sample: int = 0, **how: Unpack[How]) -> Estimate:
        """`estimate` for callers with an event loop of their own; the same arguments and errors."""
        run = await self._prepared(llms, how) if sample else self._run(llms, **how)
        return await run.estimate(sample)

    def validate(self, llms: Llms | None = None, *, calls: bool = True, **how: Unpack[How]) -> Checkup:
        """Look a run over before it is paid for: models, keys, output, disk, prices, and what it will take.

        Every model is asked one tiny thing, some hundred tokens each. Nothing is written, and what is wrong is told in
        the findings, not raised.

        Args:
            llms: as for `generate`.
            calls: ask the models; otherwise nobody is asked anything.
            **how: as for `generate`.

        Raises:
            KeyboardInterrupt: Ctrl-C.
        """
        return run_sync(lambda: self.validate_async(llms, calls=calls, **how))

    async def validate_async(self, llms: Llms | None = None, *, calls: bool = True, **how: Unpack[How]) -> Checkup:
        """`validate` for callers with an event loop of their own."""
        from rowsmith.datasets.checkup import check_up  # which needs this module

        return await check_up(self, llms, how, calls=calls)

    @property
    def rows(self) -> Rows:
        """The rows in the output file, read from disk when they are asked for."""
        path = Path(self.config.output_file)
        found = path.stat() if path.exists() else None
        state = found and (found.st_ino, found.st_size, found.st_mtime_ns)
        if self._indexed is None or self._indexed[0] != state:
            self._indexed = (state, Rows(path))
        return self._indexed[1]

    @property
    def skipped(self) -> Counter[str]:
        """How many documents or rows of the source are left out, by reason; empty for kinds without a source."""
        return self._recipe.skipped

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.config.output_file!r})"

    def _origin(self) -> Origin | None:
        from rowsmith.datasets.origin import origin_of  # which needs this module

        return origin_of(self.config.output_file)

    async def _prepared(self, llms: Llms | None, how: How) -> Run:
        """The run, after what must be made before its plan is known: the values of an axis that a model writes."""
        if self.config.remote:
            await asyncio.to_thread(getattr, self._recipe, "axes")
        return self._run(llms, **how)

    def _run(self, llms: Llms | None, **how: Any) -> Run:
        return self._run_as(Run, llms, **how)

    def _run_as(
        self,
        kind: type[R],
        llms: Llms | None,
        *,
        options: Options | None = None,
        listeners: Sequence[Listener] = (),
        source: Mapping[str, Any] | None = None,
        recipe: Recipe | None = None,
        **how: Any,
    ) -> R:
        settings = {name: value for name, value in how.items() if name in _SETTINGS}
        models = self._of_rows(self._models(llms, **{name: how[name] for name in how.keys() - settings.keys()}))
        options = self._options(options, settings)
        run = kind(recipe or self._recipe, models, self.config.output_file, options, listeners, source=source)
        run.report.skipped.update(self.skipped)
        return run

    def _models(
        self,
        llms: Llms | None,
        *,
        spread: Dealing = False,
        roles: Mapping[str, Llm] | None = None,
        **arguments: Llm | None,
    ) -> Models:
        """All models that the configuration asks, for rows and for what comes before them."""
        llms, named = self._named(llms, roles, arguments)
        return models_of(self._recipe, llms, named, spread=spread)

    def _of_rows(self, models: Models) -> Models:
        """Those of them that are asked for rows."""
        return models

    def _named(
        self, llms: Llms | None, roles: Mapping[str, Llm] | None, arguments: Mapping[str, Any]
    ) -> tuple[Llms | None, dict[str, Llm]]:
        """The models that were named: for all roles, and for single ones."""
        return llms, self._roles(roles, arguments)

    def _roles(self, roles: Mapping[str, Llm] | None, arguments: Mapping[str, Any]) -> dict[str, Llm]:
        known = How.__annotations__.keys() - RoleLlms.__annotations__.keys()
        return roles_of(type(self).recipe, roles, arguments, known)

    def _options(self, options: Options | None, named: Mapping[str, Any]) -> Options:
        """How a run is carried out. Of what is given by name, the options win over the same in `options`."""
        return (options or Options()).with_named({name: named[name] for name in named.keys() & _SETTINGS})

    async def _first_findings(self, *, calls: bool) -> Iterable[Finding]:
        """What there is to be found by asking others than models for what the prompts are made of.

        Args:
            calls: ask them; otherwise only what is known is told.
        """
        del calls
        return ()

    def _not_known(self) -> str:
        """What of the prompts is not known before the run, in words; empty if they are known."""
        return ""

    def _further_findings(self, models: Models | None, options: Options) -> Iterable[Finding]:
        """What there is to be found, before a run, of a kind of its own."""
        del models, options
        return ()

    def _plan(self, models: int) -> Plan:
        recipe = self._recipe
        return Plan(
            recipe.axes,
            recipe.rows,
            models=[str(number).encode() for number in range(models)],
            sample=recipe.sample,
            seed=recipe.seed,
        )


def without_fresh(how: How) -> How:
    """The same for a later run of one call: what was there is deleted already."""
    options = how.get("options")
    again = How(**{**how, "fresh": False})
    if options is not None:
        again["options"] = options.but(fresh=False)
    return again
