"""Datasets of examples about topics, which are built first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self, Unpack

from rowsmith.datasets.base import GeneratedDataset, How, without_fresh
from rowsmith.datasets.naming import Llm, Llms, listed
from rowsmith.datasets.yaml_paths import from_anywhere
from rowsmith.engine.checkup import Finding, Verdict, check_output
from rowsmith.engine.estimate import Estimate
from rowsmith.engine.events import Event
from rowsmith.engine.left import left
from rowsmith.engine.models import Models, full_name
from rowsmith.engine.options import Options
from rowsmith.engine.preceded import Preceded, fingerprint_of, is_begun
from rowsmith.engine.precursors import Precursor
from rowsmith.engine.run import Run
from rowsmith.engine.wording import count
from rowsmith.errors import ConfigChangedError, ConfigError, RowsmithError, RunError
from rowsmith.generator.checks import must_not_be_batched, settings_issues
from rowsmith.generator.dataset_recipe import TOPICS, GeneratorDatasetConfig, GeneratorRecipe
from rowsmith.generator.tool_calling.tools import roles_of
from rowsmith.generator.topics_block import TopicsBlock
from rowsmith.llm.naming import with_settings
from rowsmith.llm.sharing import first
from rowsmith.topics.config import planned_topics
from rowsmith.topics.events import TopicEvent
from rowsmith.topics.foreseen import foreseen
from rowsmith.topics.model import TopicModel
from rowsmith.topics.topic import Topic

_LIMITS = ("max_cost", "max_requests", "max_tokens")


class GeneratorDataset(GeneratedDataset[GeneratorDatasetConfig]):
    """Rows about topics, as a `DataSetGenerator` makes them.

    Where the topics are to be built, that is done first, in a run of its own beside the rows. From the first row on
    they stay as they are. What that run came to is `report.ahead`, by its file; the limits of `generate` are those of
    both together.
    """

    recipe: ClassVar = GeneratorRecipe
    _recipe: GeneratorRecipe

    async def estimate_async(self, llms: Llms | None = None, sample: int = 0, **how: Unpack[How]) -> Estimate:
        """As ever; topics that are still to be built are estimated too, and rows then reckoned without their words."""
        await self._list_tools()
        ahead = None if sample else await self._foreseen(llms, how)
        whole = await super().estimate_async(llms, sample, **how)
        if ahead is None:
            return whole
        seconds = [one.seconds for one in (ahead, whole) if one.seconds is not None]
        return replace(
            whole,
            parts=(*ahead.parts, *whole.parts),
            seconds=sum(seconds) if seconds else None,
            walked=ahead.walked + whole.walked,
            ahead=ahead.ahead,
        )

    async def cancel_batches_async(self, llms: Llms | None = None, **how: Unpack[How]) -> Self:
        """As ever; before the first row there are none, and nothing is built for it."""
        if self.config.block is not None and not is_begun(self.config.output_file):
            return self
        return await super().cancel_batches_async(llms, **how)

    async def _list_tools(self) -> None:
        """Ask the MCP servers, the first time, and use their tools from now on.

        Raises:
            ConfigError, MissingDependencyError: as `Toolbox.listed`.
        """
        made = self._recipe.made
        if made._waits:
            await made._ready()
            self._recipe = GeneratorRecipe(self.config, self._recipe.topics, made=made)

    async def _foreseen(self, llms: Llms | None, how: How) -> Estimate | None:
        """What building the topics will take; None if they are there, and are used from now on."""
        block = self.config.block
        if block is None:
            return None
        model = self._topic_model(block, llms, how)
        lasting = block.incomplete == "go_on" and is_begun(self.config.output_file)
        if self._holds(model) and (model.recall().whole or lasting):
            self._recipe = self._over(list(model))
            return None
        return await foreseen(model.to_build, model.llm, model.outputs[0], self._options(how.get("options"), how))

    def _holds(self, model: TopicModel) -> bool:
        """Whether a build would go on with what its output has."""
        try:
            model.must_fit()
        except ConfigChangedError:
            return False
        return True

    # -- topics first -------------------------------------------------------------------------------------------------

    async def _prepared(self, llms: Llms | None, how: How) -> Run:
        """The run over topics that are there; or one that does nothing, and says why they are not.

        Raises:
            ConfigChangedError: the topics or the rows were made by another configuration; nothing was asked.
            ConfigError: an MCP server cannot be asked for its tools.
            RunError: the topics that the rows are about are gone.
        """
        block = self.config.block
        options = self._options(how.get("options"), how)
        await self._list_tools()
        if block is None:
            self._recipe = self._over(self._recipe.topics or (), fresh=options.fresh)
            return await super()._prepared(llms, how)
        model, own = self._topic_model(block, llms, how), _options_of_topics(block, options)
        held = self._run_as(Preceded, llms, **how)
        model.must_fit(own)
        if not options.fresh and is_begun(self.config.output_file):
            self._must_have_topics(model.recall())
        else:
            await self._build(model, held, own, how)
            if why := _why_not(block, model):
                held.refrain(why)
                return held
        self._recipe = self._over(list(model))
        rest = left(options, model.outputs)
        limits = {name: getattr(rest, name) for name in _LIMITS}
        run = self._run(llms, **{**without_fresh(how), **limits})
        run.report.ahead = held.report.ahead or _reported(model)
        return run

    async def _build(self, model: TopicModel, held: Preceded, options: Options, how: How) -> None:
        listeners, source, output = how.get("listeners", ()), how.get("source"), model.outputs[0]

        def tell(event: TopicEvent | Event) -> None:
            if not isinstance(event, TopicEvent):
                for listener in listeners:
                    listener(event)

        part = None if source is None else {"file": source["file"], "part_of": from_anywhere(self.config.output_file)}

        async def build() -> None:
            await model.build_async(listeners=[tell], options=options, source=part)

        planned = planned_topics(model.to_build.degree, model.to_build.depth)
        try:
            await held.hold([Precursor(output, planned, TOPICS)], build)
        finally:
            why = model.report.why if model.report is not None else ""
            held.refrain(why or "the topics were not built to the end")
            held.report.ahead = _reported(model)
            self.report = held.report

    def _topic_model(self, block: TopicsBlock, llms: Llms | None, how: How) -> TopicModel:
        arguments = {name: how[name] for name in how.keys() & {"spread", "roles"}}  # type: ignore[literal-required]
        arguments |= {name: llm for name, llm in how.items() if name.endswith("_llm")}
        return block.model(self._models(llms, **arguments).roles[TOPICS], self.config.output_file)

    def _over(self, topics: Sequence[Topic], *, fresh: bool = False) -> GeneratorRecipe:
        """The recipe over topics, with the cells that the output has where more examples are wanted now."""
        made = GeneratorRecipe(self.config, topics, made=self._recipe.made)
        before = None if fresh else fingerprint_of(self.config.output_file)
        now = made.describe()
        if before is None or before.grows.get("topics") != now["topics"]:
            return made
        earlier, last = before.grows.get("grown_from", []), before.grows["num_steps"]
        grown_from = [*earlier, last] if last < now["num_steps"] else earlier
        return GeneratorRecipe(self.config, topics, grown_from, self._recipe.made)

    def _must_have_topics(self, model: TopicModel) -> None:
        if not len(model):
            raise RunError(
                f"{self.config.output_file} has rows about the topics in {model.outputs[0]}, and these are not there "
                "any more. Put the file back, with the folder beside it, or start anew with fresh=True (--fresh)"
            )

    # -- models and options -------------------------------------------------------------------------------------------

    def _named(
        self, llms: Llms | None, roles: Mapping[str, Llm] | None, arguments: Mapping[str, Any]
    ) -> tuple[Llms | None, dict[str, Llm]]:
        """As ever, with the generator's temperature and timeout; topics have the first model where they have no own."""
        llms, named = super()._named(llms, roles, arguments)
        settings, block = self._recipe.made.config, self.config.block
        timeout = settings.request_timeout
        rows: Sequence[Llm] = [] if llms is None else listed(llms)
        if (writer := named.pop("writer", None)) is not None:
            if rows:
                raise ConfigError("the model of the rows is named twice: in llms and as writer; leave one of them out")
            rows = [writer]
        topics = named.pop(TOPICS, None)
        if block is not None:
            topics = next((one for one in (topics, block.spec, *rows[:1]) if one is not None), None)
            if topics is not None:
                named[TOPICS] = with_settings(topics, temperature=block.temperature, timeout=timeout)
        made = [with_settings(one, temperature=settings.temperature, timeout=timeout) for one in rows]
        return made or None, named

    def _of_rows(self, models: Models) -> Models:
        made = self._recipe.made
        return Models(models.llms, {} if made._waits else roles_of(made.config, made._toolbox))

    def _options(self, options: Options | None, named: Mapping[str, Any]) -> Options:
        """The configuration's own settings, but what is given by name wins."""
        settings, own = self._recipe.made.config, self.config
        made = options or Options(max_concurrency=settings.max_concurrency, policy=self._recipe.policy)
        given = {name: getattr(settings, name) for name in own.model_fields_set & {"max_concurrency", *_LIMITS}}
        if own.optimize_for is not None:
            given["max_concurrency"] = settings.max_concurrency
        if own.model_fields_set & {"retry", "max_retries", "optimize_for"}:
            given["policy"] = self._recipe.policy
        found = super()._options(made.but(**given), named)
        must_not_be_batched(settings, found)
        return found

    # -- before a run -------------------------------------------------------------------------------------------------

    async def _first_findings(self, *, calls: bool) -> Iterable[Finding]:
        try:
            if calls:
                await self._list_tools()
        except RowsmithError as error:
            return [Finding("tools", Verdict.ERROR, str(error))]
        toolbox = self._recipe.made._toolbox
        if toolbox is None or toolbox.needs_listing:
            return []
        names = [tool.name for tool in toolbox.tools]
        return [Finding("tools", Verdict.OK, f"{count(len(names), 'tool')}: {', '.join(names)}")]

    def _not_known(self) -> str:
        toolbox = self._recipe.made._toolbox
        waiting = toolbox.unlisted if toolbox is not None else ()
        asked = f"{', '.join(waiting)} must be asked for tools first, which a run does: costs are not known before"
        return asked if waiting else ""

    def _further_findings(self, models: Models | None, options: Options) -> Iterable[Finding]:
        settings = self._recipe.made
        template = settings._wording(sys_msg=True).template
        for issue in settings_issues(
            settings.config, {"own": template}, settings.config.default_num_examples, settings.config.default_batch_size
        ):
            yield Finding("settings", Verdict.WARNING, issue)
        block = self.config.block
        if block is None:
            yield Finding(TOPICS, Verdict.OK, f"{count(len(self._recipe.topics or ()), 'topic')} are given")
        elif models is not None:
            yield from self._findings_of_topics(block, models, options)

    def _findings_of_topics(self, block: TopicsBlock, models: Models, options: Options) -> Iterator[Finding]:
        model = block.model(models.roles[TOPICS], self.config.output_file)
        output, planned = model.outputs[0], planned_topics(block.degree, block.depth)
        found = check_output(output, fresh=options.fresh)
        try:
            model.must_fit(_options_of_topics(block, options))
            there = not options.fresh and model.recall().whole
        except RowsmithError as error:
            yield Finding(TOPICS, Verdict.ERROR, str(error))
            return
        if found.verdict is Verdict.ERROR:
            yield Finding(TOPICS, Verdict.ERROR, found.text)
        elif there:
            yield Finding(TOPICS, Verdict.OK, f"all {planned:,} are in {output}")
        else:
            who = full_name(first(models.roles[TOPICS]))
            yield Finding(TOPICS, Verdict.OK, f"{count(planned, 'topic')} will be built first, into {output}, by {who}")


def _options_of_topics(block: TopicsBlock, options: Options) -> Options:
    """How the topics are built: within the limits of all, one call at a time is asked, as each level needs the last."""
    limits = {}
    for name in _LIMITS:
        known = [most for most in (getattr(block, name), getattr(options, name)) if most is not None]
        limits[name] = min(known, default=None)
    most = block.max_concurrency or options.max_concurrency
    return options.but(batch=False, no_wait=False, max_concurrency=most, **limits)


def _why_not(block: TopicsBlock, model: TopicModel) -> str:
    """Why no rows are made; empty if they are."""
    assert model.report is not None  # it was built
    if model.report.why:
        return model.report.why
    planned = planned_topics(block.degree, block.depth)
    lacking = planned + 1 - len(model.topics)
    if not lacking or (block.incomplete == "go_on" and len(model)):
        return ""
    return (
        f"{lacking:,} of {count(planned, 'topic')} lack, and no rows are made about a part of them. Another start "
        f"makes failed calls again; topics.max_rounds above {block.max_rounds} asks again for what was refused; "
        "topics.incomplete=go_on makes rows about the topics that there are"
    )


def _reported(model: TopicModel) -> dict[str, Any]:
    return {} if model.report is None else {str(model.outputs[0]): model.report}
