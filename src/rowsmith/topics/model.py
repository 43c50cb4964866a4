"""What trees and graphs of topics have in common: how they are built."""

from __future__ import annotations

import inspect
import shutil
import tempfile
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar, Self

from rowsmith.engine.following import following
from rowsmith.engine.ledger import RunPaths
from rowsmith.engine.options import Options
from rowsmith.engine.report import Report
from rowsmith.engine.sync import run_sync
from rowsmith.errors import ConfigError, did_you_mean
from rowsmith.llm.naming import model_of, named, with_settings
from rowsmith.llm.registry import check_name
from rowsmith.llm.sharing import Choice, Spec
from rowsmith.topics.build import Built, Failure, Past, TreeBuild
from rowsmith.topics.collection import TopicCollection
from rowsmith.topics.config import TopicsConfig, planned_topics
from rowsmith.topics.events import BuildFinished, TopicEvent, TopicListener
from rowsmith.topics.hierarchy import Hierarchy


class TopicModel(TopicCollection):
    """Topics: a sequence of those without subtopics, which is what data is made about.

    It can be the values of an axis: each topic has an identity that is its path's, and `spread` is an order of them in
    which every branch comes equally often.

    Args:
        topic_prompt: what all topics are about: the root, which stands in every prompt.
        topic_system_prompt: a system message before every prompt.
        degree: topics right below each.
        depth: levels below the root.
        model_name: `provider/model`; or the model's name, with `provider` beside it.
        provider: such as `openai`.
        llm: the model as datasets take it, instead of `model_name`: a text, a mapping, a provider, a `Fallback`, ….
        temperature: of the model; its own default if not given.
        output_file: where the topics go as they are made (`.jsonl`); a build can then be gone on with after a kill. If
            not given, what was made is lost with the object, unless it is saved.
        settings: the rest of `TopicsConfig`.

    Raises:
        ConfigError: a value is out of its range, or there is no such argument.
    """

    config_class: ClassVar[type[TopicsConfig]] = TopicsConfig

    def __init__(
        self,
        topic_prompt: str,
        *,
        topic_system_prompt: str = "",
        degree: int = 10,
        depth: int = 3,
        model_name: str | None = None,
        provider: str | None = None,
        llm: Spec | None = None,
        temperature: float | None = None,
        output_file: str | Path | None = None,
        **settings: Any,
    ) -> None:
        own = {*inspect.signature(TopicModel.__init__).parameters, *self.config_class.model_fields} - {
            "self",
            "settings",
        }
        for name in settings:
            if name not in own:
                raise ConfigError(f"{type(self).__name__} has no argument {name!r}. {did_you_mean(name, own)}")
        config = self.config_class(
            topic_prompt=topic_prompt,
            topic_system_prompt=topic_system_prompt,
            degree=degree,
            depth=depth,
            output_file=None if output_file is None else str(output_file),
            **settings,
        )
        super().__init__()
        model = named(provider, model_name=model_name, llm=llm)
        if model is not None and temperature is not None:
            if not isinstance(model, str):
                raise ConfigError(
                    f"temperature={temperature!r} goes with the name of a model; of what is more than a name it is an "
                    "argument, such as llm={'model': 'openai/gpt-5-mini', 'temperature': 0.7}"
                )
            model = with_settings(model, temperature=temperature)
        check_name(model)
        self._begin(config, model)

    @classmethod
    def _of(cls, hierarchy: Hierarchy) -> Self:
        made = super()._of(hierarchy)
        made._begin(None, None)
        return made

    def _begin(self, config: TopicsConfig | None, llm: Spec | None) -> None:
        self.config = config
        """What is to be built; None of topics that were given."""
        self._llm = llm
        self._folder: Path | None = None
        self.report: Report | None = None
        """What the last build came to; None before any."""
        self.failures: list[Failure] = []
        """The topics that lack subtopics after the last build."""

    # -- what is there already -----------------------------------------------------------------------------------------

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The files that a build writes, each with its run beside it."""
        return (self._output(self.to_build),)

    def recall(self) -> Self:
        """Take up the topics that ended builds have left in the output; nobody is asked, and nothing is written.

        Raises:
            ConfigError: these topics were given, and are not built.
            LedgerError: the ledger is damaged, foreign or newer.
        """
        config = self.to_build
        past = Past.seen(RunPaths.of(self._output(config)))
        built = Built()
        built.take(past)
        rows, planned = len(past.rows), planned_topics(config.degree, config.depth)
        ended = "complete" if rows == planned else "short"
        built.report = Report(rows=rows, expected=planned, ended=ended, spend=dict(past.spend))
        self._take(built)
        return self

    @property
    def whole(self) -> bool:
        """Whether every topic that is to be built is there."""
        config = self.to_build
        return len(self._hierarchy) == 1 + planned_topics(config.degree, config.depth)

    def must_fit(self, options: Options | None = None) -> None:
        """Refuse what a build could not go on with, before anything is asked or written.

        Args:
            options: as for `build`.

        Raises:
            ConfigError: as `build`.
            ConfigChangedError: the output has topics of another configuration or model.
            LedgerError: its ledger is damaged, foreign or newer.
        """
        config = self.to_build
        TreeBuild(config, self.llm, self._output(config), options or Options(), _all(())).must_fit()

    # -- building ------------------------------------------------------------------------------------------------------

    def build(self, *, listeners: Sequence[TopicListener] = (), options: Options | None = None, **how: Any) -> Self:
        """Have the topics written, level by level, or go on with what an earlier start began.

        Works inside a running event loop too (a notebook). Topics that lack subtopics in the end are in `failures`;
        nothing stands in for them.

        Args:
            listeners: told of every `TopicEvent`, and of all events of the runs behind.
            options: how it is carried out.
            **how: the same by name: `max_concurrency`, `max_cost`, `max_requests`, `max_tokens`, `fresh`, ….

        Raises:
            ConfigError: something is wrong with the model or the options, before anything is paid for.
            RunError: the output cannot be used; or no topic came.
            ProviderError: one that would befall every call, such as a wrong key; or no topic came because of it.
            KeyboardInterrupt: Ctrl-C. What was made is kept.
        """
        return run_sync(lambda: self.build_async(listeners=listeners, options=options, **how))

    async def build_async(
        self, *, listeners: Sequence[TopicListener] = (), options: Options | None = None, **how: Any
    ) -> Self:
        """`build` for callers with an event loop of their own."""
        await self._carry_out(listeners, options, how, again=False)
        return self

    def build_remaining(
        self, *, listeners: Sequence[TopicListener] = (), options: Options | None = None, **how: Any
    ) -> Self:
        """Ask again for all that lacks, also below topics for which the rounds were used up; and for what is below it.

        Args:
            listeners: as for `build`.
            options: as for `build`.
            **how: as for `build`.

        Raises:
            ConfigError, RunError, ProviderError, KeyboardInterrupt: as `build`.
        """
        return run_sync(lambda: self.build_remaining_async(listeners=listeners, options=options, **how))

    async def build_remaining_async(
        self, *, listeners: Sequence[TopicListener] = (), options: Options | None = None, **how: Any
    ) -> Self:
        """`build_remaining` for callers with an event loop of their own."""
        await self._carry_out(listeners, options, how, again=True)
        return self

    def build_events(
        self, *, options: Options | None = None, remaining: bool = False, **how: Any
    ) -> AsyncGenerator[TopicEvent, None]:
        """Build, and tell what happens as it does; leaving the loop early stops the build in good order.

        Args:
            options: as for `build`.
            remaining: as `build_remaining`, instead of `build`.
            **how: as for `build`.

        Raises:
            ConfigError, RunError, ProviderError: as `build`.
        """

        def building(told: Callable[[TopicEvent], None]) -> Coroutine[Any, Any, None]:
            def tell(event: Any) -> None:
                if isinstance(event, TopicEvent):
                    told(event)

            return self._carry_out([tell], options, how, again=remaining)

        return following(building)

    async def _carry_out(
        self, listeners: Sequence[TopicListener], options: Options | None, how: Mapping[str, Any], *, again: bool
    ) -> None:
        config = self.to_build
        listener = _all(listeners)
        source = how.get("source")
        options = _options(options, {name: value for name, value in how.items() if name != "source"})
        build = TreeBuild(config, self.llm, self._output(config), options, listener, source, again=again)
        try:
            await build.carry_out()
        finally:
            self._take(build.built)
        await self._after(build, options, listener)
        listener(BuildFinished(build.built.report))

    async def _after(self, build: TreeBuild, options: Options, listener: TopicListener) -> None:
        """What there is to do once the topics are there."""

    def _take(self, built: Built) -> None:
        self.report, self.failures = built.report, built.failures
        hierarchy = Hierarchy(built.made)
        hierarchy.unfinished = {
            topic for topic in built.made if topic not in built.leaves and not hierarchy.below(topic)
        }
        self._settle(hierarchy)

    @property
    def to_build(self) -> TopicsConfig:
        """What is to be built.

        Raises:
            ConfigError: these topics were given.
        """
        if self.config is None:
            raise ConfigError(
                f"these topics were given, and there is nothing to build. {type(self).__name__}(topic_prompt=…) builds"
            )
        return self.config

    @property
    def llm(self) -> Choice:
        """The model that is asked.

        Raises:
            ConfigError: none was named, or there is none such.
        """
        return model_of(self._llm)

    def _output(self, config: TopicsConfig) -> Path:
        if config.output_file is not None:
            return Path(config.output_file)
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="rowsmith-topics-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder / "topics.jsonl"

    @property
    def complete(self) -> bool:
        """Whether there are topics and nothing lacks."""
        return bool(self._leaves) and not self.failures and not self._hierarchy.unfinished

    def __repr__(self) -> str:
        name = self._hierarchy.root.name if self._hierarchy.root else self.config.topic_prompt if self.config else ""
        return f"{type(self).__name__}({name!r}, {len(self._hierarchy)} topics, {len(self)} paths)"


def _options(options: Options | None, how: Mapping[str, Any]) -> Options:
    known = {one.name for one in fields(Options)}
    for name in how:
        if name not in known:
            raise ConfigError(f"build has no argument {name!r}. {did_you_mean(name, known)}")
    return (options or Options()).with_named(how)


def _all(listeners: Sequence[TopicListener]) -> TopicListener:
    def tell(event: Any) -> None:
        for listener in listeners:
            listener(event)

    return tell
