"""`DataSetGenerator`: examples about topics, through templates and filters, in batches."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from rowsmith.data.dataset import Dataset
from rowsmith.engine.estimate import Estimate
from rowsmith.engine.events import Event, Listener
from rowsmith.engine.following import following
from rowsmith.engine.models import Models
from rowsmith.engine.options import Options
from rowsmith.engine.report import Report
from rowsmith.engine.run import Run
from rowsmith.engine.sync import run_sync
from rowsmith.errors import ConfigError, RowsmithError
from rowsmith.generator.adjusting import Adjustable
from rowsmith.generator.checks import budget_issues, model_issues, must_be_count, must_not_be_batched, settings_issues
from rowsmith.generator.kind import Kind
from rowsmith.generator.making import Earlier, Making
from rowsmith.generator.monitor import GenerationStats, Monitor
from rowsmith.generator.recipe import Generated
from rowsmith.generator.schedule import (
    Portions,
    SamplingStrategy,
    TopicSampler,
    counts_by,
    counts_of,
    portioned,
    topics_in,
)
from rowsmith.generator.tool_calling.tools import roles_of
from rowsmith.llm.sharing import Spec


class DataSetGenerator(Adjustable):
    """Makes examples about topics with a model.

    Args:
        instructions: what is asked of every example.
        model_name: `provider/model`; the model's name with `provider` beside it; or what datasets take as a model.
        model: another name of `model_name`.
        provider: such as `openai`.
        **settings: the rest of `GeneratorConfig`: `generation_system_prompt`, `temperature`, `max_retries`,
            `request_timeout`, `default_batch_size`, `default_num_examples`, `example_data`, `conversation_type`, ….

    Attributes:
        config: the settings.
        dataset: what the last `create_data` or `create_batch` made, also where it failed on the way; None before.
        rejected: what was refused in it, each with its `gate`, its `reason` and the row or the raw answer.
        report: what it came to.

    Raises:
        ConfigError: there is no such argument, or a value is of no use.
    """

    def __init__(
        self,
        instructions: str = "",
        *,
        model_name: Spec | None = None,
        model: Spec | None = None,
        provider: str | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(instructions, {"model_name": model_name, "model": model, "provider": provider}, settings)
        self._monitor = Monitor()
        self._earlier = Earlier()
        self._batches = 0
        self.dataset: Dataset | None = None
        self.rejected = Dataset()
        self.report: Report | None = None

    # -- making data --------------------------------------------------------------------------------------------------

    async def create_data_async(
        self,
        num_steps: int | None = None,
        batch_size: int | None = None,
        topic_model: Any = None,
        model_name: Spec | None = None,
        sys_msg: bool = True,
        *,
        topics: Iterable[Any] | None = None,
        sampling_strategy: SamplingStrategy = "sequential",
        topic_sampler: TopicSampler | None = None,
        output_file: str | Path | None = None,
        fresh: bool = False,
        listeners: Sequence[Listener] = (),
        options: Options | None = None,
    ) -> Dataset:
        """Make a new dataset.

        What a topic has already is shown when more is asked for on it, and no two rows are alike.

        Args:
            num_steps: examples in all; `default_num_examples` if not given.
            batch_size: examples that one call asks for; `default_batch_size` if not given.
            topic_model: a `Tree`, a `Graph`, or topics as `topics` takes them.
            model_name: another model than the generator's, as the constructor takes it.
            sys_msg: whether the rows have a system message.
            topics: the topics themselves, instead of `topic_model`: names, paths, or what a tree's methods give.
            sampling_strategy: `sequential`, `random` (each example's topic is drawn anew) or `balanced` (every branch
                the same number of examples, give or take one).
            topic_sampler: `(topic_model, count) -> topics`, instead of a strategy.
            output_file: keep the run there (`.jsonl`, and its folder beside it): the same call goes on after a kill.
                Otherwise it is in a temporary folder, and the dataset is gone with the object unless it is saved.
            fresh: delete what `output_file` has, and start anew.
            listeners: told of every event of the run.
            options: how it is carried out; the generator's own settings win.

        Returns:
            the rows: fewer than were asked for if some were refused or calls failed to the end; `report` says which.

        Raises:
            ConfigError: something is wrong with the arguments or the model, before anything is paid for.
            ModelError: the model failed in a way that would befall every call, or no call came to a row.
            ValidationError: nothing that it wrote passed the checks.
            DataSetGeneratorError: the run could not be carried out; or one of the two above.
        """
        count = must_be_count("num_steps", self.config.default_num_examples if num_steps is None else num_steps)
        portions, size = self._portions(
            count, batch_size, topic_model, topics, sampling_strategy=sampling_strategy, topic_sampler=topic_sampler
        )
        kind = await self._ready()
        recipe = self._recipe(kind, portions, size, sys_msg=sys_msg)
        making = Making(recipe, self._models(model_name), self._options(options).but(fresh=fresh), output_file)
        return await self._made(making, listeners)

    def create_data(
        self, num_steps: int | None = None, batch_size: int | None = None, *args: Any, **how: Any
    ) -> Dataset:
        """`create_data_async` for callers without an event loop, and within one too (a notebook).

        Args:
            num_steps: as there.
            batch_size: as there.
            *args: as there.
            **how: as there.

        Raises:
            ConfigError, ModelError, ValidationError, DataSetGeneratorError: as there.
            KeyboardInterrupt: Ctrl-C. What was made is `dataset`.
        """
        return run_sync(lambda: self.create_data_async(num_steps, batch_size, *args, **how))

    def create_data_events(
        self, *args: Any, listeners: Sequence[Listener] = (), **how: Any
    ) -> AsyncGenerator[Event, None]:
        """Make a dataset, and tell what happens as it does; it is `dataset` in the end.

        Leaving the loop early stops the run in good order.

        Args:
            *args: as for `create_data_async`.
            listeners: as there.
            **how: as there.

        Raises:
            ConfigError, ModelError, ValidationError, DataSetGeneratorError: as there.
        """
        return following(lambda tell: self.create_data_async(*args, listeners=[*listeners, tell], **how))

    async def create_batch_async(
        self,
        topics: Iterable[Any],
        batch_size: int | None = None,
        model_name: Spec | None = None,
        sys_msg: bool = True,
        *,
        options: Options | None = None,
    ) -> Dataset:
        """Make a few examples, in one call if the first answer is good.

        What earlier batches of this generator have made on a topic is shown, as far as it is remembered (the last
        twenty of a topic), and not taken again.

        Args:
            topics: as for `create_data_async`. The batch takes them in turn, as many as it has examples.
            batch_size: examples in all; `default_batch_size` if not given.
            model_name: another model than the generator's.
            sys_msg: whether the rows have a system message.
            options: how it is carried out.

        Raises:
            ConfigError, ModelError, ValidationError, DataSetGeneratorError: as `create_data_async`.
        """
        count = must_be_count("batch_size", self.config.default_batch_size if batch_size is None else batch_size)
        counts = counts_of(topics_in(topics)[:count], count, "sequential", self.config.seed)
        portions = portioned(counts, count, first=self._batches)
        self._batches += 1
        kind = await self._ready()
        recipe = self._recipe(kind, portions, count, sys_msg=sys_msg, earlier=self._earlier)
        making = Making(recipe, self._models(model_name), self._options(options))
        made = await self._made(making, ())
        self._earlier.add(made, kind.text_fields[0])
        return made

    def create_batch(self, topics: Iterable[Any], batch_size: int | None = None, *args: Any, **how: Any) -> Dataset:
        """`create_batch_async` for callers without an event loop, and within one too.

        Args:
            topics: as there.
            batch_size: as there.
            *args: as there.
            **how: as there.

        Raises:
            ConfigError, ModelError, ValidationError, DataSetGeneratorError, KeyboardInterrupt: as `create_data`.
        """
        return run_sync(lambda: self.create_batch_async(topics, batch_size, *args, **how))

    # -- looking ------------------------------------------------------------------------------------------------------

    def enable_monitoring(self, verbose: bool = False, *, tell: Callable[[str], object] | None = None) -> None:
        """Tell of progress while data is made. The statistics are kept in any case.

        Args:
            verbose: write a line to the standard error stream every two seconds, and one at the end of each run.
            tell: a function that takes these lines instead.
        """
        self._monitor.tell = tell or (sys.stderr.write if verbose else None)

    def get_generation_stats(self) -> GenerationStats:
        """What this generator has done so far; also while it is at work."""
        return self._monitor.stats()

    def validate_configuration(
        self,
        *,
        calls: bool = True,
        num_steps: int | None = None,
        batch_size: int | None = None,
        topic_model: Any = None,
        topics: Iterable[Any] | None = None,
        model_name: Spec | None = None,
    ) -> list[str]:
        """What may go wrong with these settings; an empty list if nothing was found.

        Args:
            calls: ask the model one tiny thing, some hundred tokens; otherwise nobody is asked anything.
            num_steps: as `create_data` will get it; with topics, what it will take is held against the limits.
            batch_size: as `create_data` will get it.
            topic_model: as `create_data` will get it.
            topics: as `create_data` will get it.
            model_name: as `create_data` will get it.
        """
        given = {"num_steps": num_steps, "batch_size": batch_size, "topic_model": topic_model, "topics": topics}
        return run_sync(lambda: self._issues(model_name, calls=calls, **given))

    async def _issues(
        self, model_name: Spec | None, *, calls: bool, num_steps: int | None, batch_size: int | None, **given: Any
    ) -> list[str]:
        count = self.config.default_num_examples if num_steps is None else num_steps
        size = self.config.default_batch_size if batch_size is None else batch_size
        issues = list(settings_issues(self.config, self._templates, count, size))
        try:
            # With what is wrong with the settings told already, the model itself is looked at without them.
            config = (
                self.config.model_copy(update={"temperature": None, "request_timeout": None}) if issues else self.config
            )
            choice = config.model(self._spec if model_name is None else model_name)
            options = self._options(None)
            issues += await model_issues(choice, options, size, calls=calls)
            if config.tool_model is not None:
                simulator = config.model(config.tool_model)
                found = await model_issues(simulator, options, 1, calls=calls)
                issues += [issue for issue in found if issue not in issues]
            unknown = self._waits and not calls
            if any(one is not None for one in given.values()) and not unknown:
                issues += budget_issues(options, await self._estimate(count, size, choice, **given))
        except RowsmithError as error:
            if str(error) not in issues:
                issues.append(str(error))
        return issues

    async def _estimate(self, count: int, size: int, choice: Any, **given: Any) -> Estimate:
        portions, _ = self._portions(count, size, given["topic_model"], given["topics"])
        free = self._options(None).but(max_cost=None, max_requests=None, max_tokens=None)
        recipe = self._recipe(await self._ready(), portions, size)
        models = Models([choice], roles_of(self.config, self._toolbox))
        return await Run(recipe, models, "dataset.jsonl", free).estimate()

    # -- a run --------------------------------------------------------------------------------------------------------

    def _portions(
        self,
        count: int,
        batch_size: int | None,
        topic_model: Any,
        topics: Iterable[Any] | None,
        *,
        sampling_strategy: SamplingStrategy = "sequential",
        topic_sampler: TopicSampler | None = None,
    ) -> tuple[Portions, int]:
        if (topic_model is None) == (topics is None):
            both = "both are given" if topics is not None else "neither is given"
            raise ConfigError(f"what examples are about is either topic_model or topics; {both}")
        size = must_be_count("batch_size", self.config.default_batch_size if batch_size is None else batch_size)
        source = topic_model if topics is None else topics
        if topic_sampler is not None:
            counts = counts_by(topic_sampler, source, count)
        else:
            counts = counts_of(topics_in(source), count, sampling_strategy, self.config.seed)
        return portioned(counts, size), size

    def _recipe(
        self, kind: Kind, portions: Portions, batch_size: int, *, sys_msg: bool = True, earlier: Earlier | None = None
    ) -> Generated:
        wording = self._wording(sys_msg=sys_msg)
        texts = earlier.texts if earlier is not None else {}
        return Generated(self.config, kind, wording, portions, batch_size, texts)

    def _models(self, model_name: Spec | None) -> Models:
        choice = self.config.model(self._spec if model_name is None else model_name)
        return Models([choice], roles_of(self.config, self._toolbox))

    def _options(self, options: Options | None) -> Options:
        config = self.config
        must_not_be_batched(config, options)
        return (options or Options()).but(
            max_concurrency=config.max_concurrency,
            max_cost=config.max_cost,
            max_requests=config.max_requests,
            max_tokens=config.max_tokens,
            policy=self._policy(),
        )

    async def _made(self, making: Making, listeners: Sequence[Listener]) -> Dataset:
        try:
            return await making.carry_out([self._monitor, *listeners])
        finally:
            self._monitor.ended()
            self.dataset, self.rejected, self.report = making.dataset, making.rejected, making.report
