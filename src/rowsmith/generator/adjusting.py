"""What can be changed about a generator once it is made: templates, variables, filters, retries, presets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rowsmith.errors import ConfigError, did_you_mean
from rowsmith.generator.config import (
    DEFAULT_TEMPLATE,
    OWN_VARIABLES,
    GeneratorConfig,
    checked_template,
    must_be_a_type,
    must_be_a_variable,
)
from rowsmith.generator.kind import Kind
from rowsmith.generator.kinds import kind_of
from rowsmith.generator.presets import Preset, for_reliability, for_throughput
from rowsmith.generator.recipe import ContentFilter, Wording
from rowsmith.generator.retries import ChosenRetries, chosen
from rowsmith.generator.tool_calling.tools import toolbox_of
from rowsmith.llm.naming import named
from rowsmith.llm.registry import check_name
from rowsmith.prompts.template import Template


class Adjustable:
    """The settings of a generator, and the methods that change them.

    Args:
        instructions: what is asked of every example.
        model: `model_name`, `model` and `provider`, as they were given.
        settings: the rest of `GeneratorConfig`.

    Raises:
        ConfigError: there is no such argument, or a value is of no use.
    """

    def __init__(self, instructions: str, model: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        known = {*GeneratorConfig.model_fields, *model}
        for name in settings:
            if name not in known:
                raise ConfigError(f"DataSetGenerator has no argument {name!r}. {did_you_mean(name, known)}")
        self.config = GeneratorConfig(instructions=instructions, **settings)
        self._spec = named(**model)
        check_name(self._spec)
        self._toolbox = toolbox_of(self.config)
        self._kind = kind_of(self.config, self._toolbox)
        self._variables = {**OWN_VARIABLES, **self.config.variables}
        self._templates: dict[str, Template] = {}
        self._filters: list[ContentFilter] = []
        self._retries: dict[str, Any] = {}

    @property
    def _waits(self) -> bool:
        """Whether it is not known yet what tools there are."""
        return self._toolbox is not None and self._toolbox.needs_listing

    async def _ready(self) -> Kind:
        """The shape of the rows, once it is known what tools there are: MCP servers are asked, the first time.

        Raises:
            ConfigError, MissingDependencyError: as `Toolbox.listed`.
        """
        if self._toolbox is not None and self._waits:
            self._toolbox = await self._toolbox.listed()
            self._kind = kind_of(self.config, self._toolbox)
        return self._kind

    # -- templates, filters, retries ----------------------------------------------------------------------------------

    def set_template(self, conversation_type: str, template: str) -> None:
        """Ask for examples of one conversation type by a template of your own.

        Its variables are `{topic}`, `{context}` (where the topic belongs), `{examples}`, `{audience}`,
        `{audience_level}`, `{complexity}`, `{content_type}`, and what `set_variables` has set.

        Args:
            conversation_type: `instruction`, `conversation`, `chain_of_thought`, `structured` or `tool_calling`.
            template: what is asked about a topic.

        Raises:
            ConfigError: there is no such type.
            TemplateError: a variable is not known.
        """
        name = must_be_a_type(conversation_type)
        self._templates[name] = checked_template(template, self._variables, name)

    def set_custom_template(self, template: str, **variables: str) -> None:
        """Ask for examples of every conversation type by a template of your own.

        Args:
            template: as for `set_template`; it wins over those.
            **variables: as for `set_variables`.

        Raises:
            ConfigError, TemplateError: as `set_template` and `set_variables`.
        """
        self._templates["custom"] = checked_template(template, {**self._variables, **variables}, "custom")
        self.set_variables(**variables)

    def set_variables(self, **variables: str) -> None:
        """Give variables of templates their values; they may have names of your own.

        Raises:
            ConfigError: a name cannot be one, or is filled in for every topic.
        """
        for name in variables:
            must_be_a_variable(name)
        self._variables.update({name: str(value) for name, value in variables.items()})

    def add_content_filter(self, content_filter: ContentFilter) -> None:
        """Refuse examples for which a function says no; others are asked for in their place, with the reason.

        Args:
            content_filter: `(content, topic, metadata) -> (accepted, reason)`, or `-> accepted`. `content` is all that
                the model wrote, `topic` the topic's name, `metadata` the whole row.

        Raises:
            ConfigError: it is no function.
        """
        if not callable(content_filter):
            raise ConfigError(f"a content filter is a function of (content, topic, metadata); got {content_filter!r}")
        self._filters.append(content_filter)

    def set_retry_strategy(
        self,
        max_retries: int = 5,
        backoff_multiplier: float = 2.0,
        max_backoff_seconds: float = 60.0,
        retry_on_errors: Iterable[str] | None = None,
    ) -> None:
        """Say how failed calls are tried again.

        Args:
            max_retries: how often one call is, besides waits for a rate limit.
            backoff_multiplier: growth of the wait from one retry to the next, at least 1.
            max_backoff_seconds: the longest wait, unless the service asks for more.
            retry_on_errors: which failures: `timeout`, `rate_limit`, `server_error`, `connection`, `malformed_reply`;
                all of them if None. What is not in the list fails at once. `json_parse_error` may stand in it: answers
                that cannot be read are mended as far as they can be, and the rest is asked for again in any case.

        Raises:
            ConfigError: a value is out of its range, or a failure is not known.
        """
        policy: dict[str, Any] = {
            "max_retries": max_retries,
            "multiplier": backoff_multiplier,
            "longest": max_backoff_seconds,
            "categories": chosen(retry_on_errors),
        }
        ChosenRetries(**policy)
        self._retries = {name: value for name, value in policy.items() if name != "max_retries"}
        self._change({"max_retries": max_retries})

    # -- presets ------------------------------------------------------------------------------------------------------

    def optimize_for_throughput(
        self, large_batch_sizes: bool = True, parallel_requests: bool = True, aggressive_timeouts: bool = False
    ) -> Preset:
        """Make the most examples in time.

        Args:
            large_batch_sizes: `default_batch_size` is at least 20.
            parallel_requests: `max_concurrency` is at least 256.
            aggressive_timeouts: `request_timeout` is 5 seconds and 5 more for each example of a call.

        Returns:
            what was set, to be printed.
        """
        return self._set(
            "throughput",
            for_throughput(
                self.config,
                large_batch_sizes=large_batch_sizes,
                parallel_requests=parallel_requests,
                aggressive_timeouts=aggressive_timeouts,
            ),
        )

    def optimize_for_reliability(
        self, conservative_batch_sizes: bool = True, extended_timeouts: bool = True, maximum_retries: bool = True
    ) -> Preset:
        """Have the fewest examples lack in the end, whatever the service does.

        Args:
            conservative_batch_sizes: `default_batch_size` is at most 2, and `max_concurrency` at most 8.
            extended_timeouts: `request_timeout` is at least 600 seconds.
            maximum_retries: `max_retries` is at least 12.

        Returns:
            what was set, to be printed.
        """
        return self._set(
            "reliability",
            for_reliability(
                self.config,
                conservative_batch_sizes=conservative_batch_sizes,
                extended_timeouts=extended_timeouts,
                maximum_retries=maximum_retries,
            ),
        )

    def _set(self, name: str, wanted: Mapping[str, Any]) -> Preset:
        changes = {
            setting: (getattr(self.config, setting), value)
            for setting, value in wanted.items()
            if getattr(self.config, setting) != value
        }
        self._change(wanted)
        return Preset(name, changes)

    def _change(self, settings: Mapping[str, Any]) -> None:
        self.config = self.config.model_copy(update=dict(settings))

    def _wording(self, *, sys_msg: bool) -> Wording:
        template = self._templates.get("custom") or self._templates.get(self.config.conversation_type)
        return Wording(template or Template(DEFAULT_TEMPLATE), dict(self._variables), tuple(self._filters), sys_msg)

    def _policy(self) -> ChosenRetries:
        return ChosenRetries(max_retries=self.config.max_retries, **self._retries)
