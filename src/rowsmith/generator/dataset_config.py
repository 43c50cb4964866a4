"""What a generator's dataset can be told: a generator's settings, the topics, and how they come together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, WithJsonSchema, field_validator, model_validator

from rowsmith.config import Config
from rowsmith.errors import ConfigError
from rowsmith.generator.adjusting import Adjustable
from rowsmith.generator.checks import must_be_count
from rowsmith.generator.config import DEFAULT_TEMPLATE, GeneratorConfig
from rowsmith.generator.retries import RETRYABLE
from rowsmith.generator.schedule import SamplingStrategy
from rowsmith.generator.topics_block import Topics, TopicsBlock, told, topics_beside
from rowsmith.prompts.template import Template
from rowsmith.recipes.base import KindConfig
from rowsmith.references import load

ContentFilter = Annotated[Callable[..., Any] | str, WithJsonSchema({"type": "string"})]
_PRESETS: Mapping[str, Callable[[Adjustable], object]] = {
    "throughput": Adjustable.optimize_for_throughput,
    "reliability": Adjustable.optimize_for_reliability,
}


class RetrySettings(Config):
    """Which failed calls are tried again, and how.

    Attributes:
        max_retries: how often one call is, besides waits for a rate limit.
        backoff_multiplier: growth of the wait from one retry to the next, at least 1.
        max_backoff_seconds: the longest wait, unless the service asks for more.
        retry_on_errors: which failures; all that may pass if None. What is not in the list fails at once.
    """

    max_retries: int | None = None
    backoff_multiplier: float = 2.0
    max_backoff_seconds: float = 60.0
    retry_on_errors: list[str] | None = Field(
        default=None, json_schema_extra={"items": {"enum": [*RETRYABLE, "json_parse_error"]}}
    )


class GeneratorDatasetConfig(GeneratorConfig, KindConfig):
    """Examples about topics, which are built first or given.

    Attributes:
        topics: a block with `topic_prompt`, `degree` and `depth`, of which a tree or a graph is built; a block with
            `file`; an outline of mappings and lists; or a list of topics. In Python also a `Tree` or `Graph`.
        template: what is asked about a topic, in place of a template of `set_custom_template`.
        sampling_strategy: `sequential`, `random` (each example's topic is drawn anew) or `balanced` (every branch the
            same number of examples, give or take one).
        sys_msg: whether the rows have a system message.
        content_filters: functions `(content, topic, metadata) -> (accepted, reason)`, or where they are: `module:name`,
            `file.py:name`.
        retry: which failed calls are tried again; all that may pass, `max_retries` times, if None.
        optimize_for: `throughput` or `reliability`: settings for that purpose, on top of the others.
    """

    topics: Topics
    template: str | None = None
    sampling_strategy: SamplingStrategy = "sequential"
    sys_msg: bool = True
    content_filters: list[ContentFilter] = Field(default_factory=list)
    retry: RetrySettings | None = None
    optimize_for: Literal["throughput", "reliability"] | None = None

    other_names: ClassVar[Mapping[str, str]] = {
        "num_steps": "default_num_examples",
        "batch_size": "default_batch_size",
        "system_prompt": "generation_system_prompt",
    }
    models_in: ClassVar[Mapping[str, Collection[str]]] = {
        "topics": ("llm", "model_name", "provider"),
        "tool_model": (),
    }

    @field_validator("topics", mode="before")
    @classmethod
    def _topics_are_told(cls, given: Any) -> Any:
        return told(given)

    @field_validator("content_filters", mode="before")
    @classmethod
    def _filters_are_functions(cls, given: Any) -> Any:
        listed = [given] if isinstance(given, str) or callable(given) else given
        found = [load(one) if isinstance(one, str) else one for one in listed or ()]
        for one in found:
            if not callable(one):
                raise ConfigError(f"a content filter is a function of (content, topic, metadata); {one!r} is none")
        return found

    @model_validator(mode="after")
    def _counts_and_files_fit(self) -> Self:
        must_be_count("num_steps", self.default_num_examples)
        must_be_count("batch_size", self.default_batch_size)
        if (block := self.block) is not None and (block.output_file or topics_beside(self.output_file)) == (
            self.output_file
        ):
            raise ConfigError(f"topics and rows would both go to {self.output_file}: give one of them another file")
        return self

    @property
    def block(self) -> TopicsBlock | None:
        """What the topics are built by; None where they are given."""
        topics = self.topics
        return topics if isinstance(topics, TopicsBlock) and topics.file is None else None

    @property
    def templates(self) -> tuple[Template, ...]:
        """The template that is used."""
        return (Template(self.template or DEFAULT_TEMPLATE),)

    def adjusted(self) -> Adjustable:
        """The generator's settings as the methods of a `DataSetGenerator` would make them.

        Raises:
            ConfigError, TemplateError: as those methods.
        """
        given = self.model_fields_set & GeneratorConfig.model_fields.keys() - {"instructions"}
        no_model = dict.fromkeys(("model_name", "model", "provider"))
        made = Adjustable(self.instructions, no_model, {name: getattr(self, name) for name in given})
        if self.template is not None:
            made.set_custom_template(self.template)
        for one in self.content_filters:
            assert not isinstance(one, str)  # loaded when it is validated
            made.add_content_filter(one)
        if self.retry is not None:
            strategy = self.retry.model_dump(exclude_none=True)
            made.set_retry_strategy(**{"max_retries": made.config.max_retries, **strategy})
        if self.optimize_for is not None:
            _PRESETS[self.optimize_for](made)
        return made
