"""What a `DataSetGenerator` can be told, and the templates that it fills."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import Field, SkipValidation, WithJsonSchema, field_validator, model_validator

from rowsmith.config import Config
from rowsmith.errors import ConfigError, did_you_mean
from rowsmith.llm.naming import model_of
from rowsmith.llm.sharing import Choice, Spec
from rowsmith.prompts.check import check
from rowsmith.prompts.template import NAME, Template
from rowsmith.quality.config import GatesConfig
from rowsmith.tools.mcp_server import ServerTools

ConversationType = Literal["instruction", "conversation", "chain_of_thought", "structured", "tool_calling"]
CONVERSATION_TYPES: tuple[ConversationType, ...] = get_args(ConversationType)

TOPIC, CONTEXT, EXAMPLES = "topic", "context", "examples"
OWN_VARIABLES: Mapping[str, str] = {
    "audience": "people who know the basics of the field",
    "audience_level": "intermediate learners",
    "complexity": "intermediate",
    "content_type": "explanation",
}
"""Variables of templates that have a value from the start; those of a topic are filled in for each."""

DEFAULT_TEMPLATE = "Topic: {topic}"
MOST_TOOL_STEPS = 20

_SCHEMA_OF_A_TOOL = {
    "type": "object",
    "description": "A tool as OpenAI or Anthropic have it.",
    "anyOf": [{"required": ["function"]}, {"required": ["name"]}],
    "not": {"required": ["mcp"]},
}
if TYPE_CHECKING:
    Tools = Any
else:
    # As YAML says them: so they are read, and described in its schema. In Python `Toolbox.of` takes more, and looks all
    # of it over.
    _Tool = ServerTools | Annotated[dict[str, Any], WithJsonSchema(_SCHEMA_OF_A_TOOL)] | str | Callable[..., Any]
    Tools = Annotated[Annotated[list[_Tool], Field(min_length=1)] | None, SkipValidation]


class GeneratorConfig(Config):
    """The settings of a `DataSetGenerator`.

    Numbers out of their range are not refused here: `validate_configuration` lists them, and making data refuses them.

    Attributes:
        instructions: what is asked of every example: form, depth, audience, quality.
        generation_system_prompt: a system message before every prompt; empty for none.
        dataset_system_prompt: the system message in the rows; that of the generation if None.
        conversation_type: what a row is; see `rowsmith.generator.kinds`.
        output_model: for `structured`: a Pydantic model, a mapping of fields, or `module:Class`.
        numeric_answers: for `chain_of_thought`: every final answer must be a number.
        tools: for `tool_calling`: what the assistant may call: OpenAI's or Anthropic's schemas, functions as
            `module:name` or `file.py:name`, and the tools of MCP servers: `mcp: {command: …, args: […]}`. In Python
            also functions themselves, `Tool`s and `MCPServer`s.
        tool_results: where results come from: `simulated` by a model, or `executed` for each call.
        tool_model: who simulates them, as the constructor takes a model; the writer if None.
        max_tool_steps: rounds of calls in one conversation at most, each after the results of those before.
        min_tool_steps: rounds at least; if None, 2 where `max_tool_steps` allows them, else 1.
        max_parallel_calls: calls of one round at most.
        only_used_tools: a row's `tools` lists those that it calls, in place of all.
        tool_errors: what becomes of an executed call that fails: `reject` refuses the row, and another is asked for;
            `keep` makes the error the call's result, to which the assistant answers.
        tool_timeout: seconds that one executed call may take.
        tool_memory_mb: MB of memory that a process which executes functions may have.
        tool_concurrency: calls that are executed at once.
        tool_env: names of environment variables that executed functions see besides the usual ones.
        tool_failure_rate: share of simulated calls, from 0 to 1, whose result is to be an error; they are drawn.
        example_data: examples of what is wanted; three of them, drawn anew for every topic, stand in its prompt.
        variables: values of the templates' variables: of `audience`, `audience_level`, `complexity`, `content_type`,
            and any of your own.
        temperature: 0 to 2; the model's own default if None.
        max_retries: how often a call is tried again after failures.
        request_timeout: seconds that one request may take; the provider's default if None.
        default_batch_size: examples that one call asks for, where a method is not told.
        default_num_examples: examples in all, where a method is not told.
        max_rounds: how often examples that lack, because an answer or a row was refused, are asked for again.
        max_concurrency: requests in flight that are never passed.
        max_cost: US dollars that making one dataset may cost.
        max_requests: requests that it may take.
        max_tokens: tokens that it may take, of requests and answers together.
        gates: the checks that every row passes, besides the content filters.
        seed: of everything that is drawn.
    """

    instructions: str = Field(min_length=1)
    generation_system_prompt: str = ""
    dataset_system_prompt: str | None = None
    conversation_type: ConversationType = "instruction"
    output_model: Any = None
    numeric_answers: bool = False
    tools: Tools = Field(default=None, repr=False)
    tool_results: Literal["simulated", "executed"] = "simulated"
    tool_model: Any = None
    max_tool_steps: int = Field(default=1, ge=1, le=MOST_TOOL_STEPS)
    min_tool_steps: int | None = Field(default=None, ge=1, le=MOST_TOOL_STEPS)
    max_parallel_calls: int = Field(default=4, ge=1, le=32)
    only_used_tools: bool = False
    tool_errors: Literal["reject", "keep"] = "reject"
    tool_failure_rate: float = Field(default=0.0, ge=0, le=1)
    tool_timeout: float = Field(default=30.0, gt=0)
    tool_memory_mb: int = Field(default=1024, ge=128)
    tool_concurrency: int = Field(default=4, ge=1)
    tool_env: list[str] = Field(default_factory=list)
    example_data: list[dict[str, Any]] = Field(default_factory=list)
    variables: dict[str, str] = Field(default_factory=dict)
    temperature: float | None = None
    max_retries: int = 5
    request_timeout: float | None = None
    default_batch_size: int = 5
    default_num_examples: int = 3
    max_rounds: int = Field(default=10, ge=0)
    max_concurrency: int = 64
    max_cost: float | None = None
    max_requests: int | None = None
    max_tokens: int | None = None
    gates: GatesConfig = Field(default_factory=GatesConfig)
    seed: int = Field(default=0, ge=0)

    @field_validator("example_data", mode="before")
    @classmethod
    def _examples_are_rows(cls, given: Any) -> Any:
        return [] if given is None else given if isinstance(given, str | Mapping) else list(given)

    @field_validator("variables")
    @classmethod
    def _variables_are_names(cls, variables: dict[str, str]) -> dict[str, str]:
        for name in variables:
            must_be_a_variable(name)
        return variables

    @model_validator(mode="after")
    def _output_fits(self) -> GeneratorConfig:
        if (self.output_model is not None) != (self.conversation_type == "structured"):
            raise ConfigError(
                "output_model and conversation_type='structured' belong together: "
                f"the conversation_type is {self.conversation_type!r}, and output_model is "
                f"{'not given' if self.output_model is None else 'given'}"
            )
        return self

    @model_validator(mode="after")
    def _tools_fit(self) -> GeneratorConfig:
        calls = self.conversation_type == "tool_calling"
        if (self.tools is not None) != calls:
            raise ConfigError(
                "tools and conversation_type='tool_calling' belong together: the conversation_type is "
                f"{self.conversation_type!r}, and tools are {'not given' if self.tools is None else 'given'}"
            )
        if not calls and (others := sorted(_TOOL_SETTINGS & self.model_fields_set)):
            raise ConfigError(
                f"{others[0]} is a setting of conversation_type='tool_calling'; the conversation_type is "
                f"{self.conversation_type!r}"
            )
        if self.least_tool_steps > self.max_tool_steps:
            raise ConfigError(
                f"min_tool_steps is {self.min_tool_steps} and max_tool_steps {self.max_tool_steps}: raise the latter"
            )
        if self.tool_results == "executed":
            simulated = {"tool_model": self.tool_model, "tool_failure_rate": self.tool_failure_rate or None}
            for name, value in simulated.items():
                if value is not None:
                    raise ConfigError(f"{name} is for simulated results; tool_results is 'executed'")
        elif others := [name for name in _OF_EXECUTION if name in self.model_fields_set]:
            more = "; of simulated ones, tool_failure_rate says how many are to fail" if "errors" in others[0] else ""
            raise ConfigError(f"{others[0]} is for executed calls, and tool_results is 'simulated'{more}")
        return self

    def model(self, spec: Spec | None) -> Choice:
        """A model with this temperature and timeout, as `rowsmith.llm.naming.model_of` gives them.

        Raises:
            ConfigError: no model was named, there is none such, or a setting is out of its range.
        """
        return model_of(spec, temperature=self.temperature, timeout=self.request_timeout)

    @property
    def least_tool_steps(self) -> int:
        """Rounds of calls that a conversation has at least."""
        return min(2, self.max_tool_steps) if self.min_tool_steps is None else self.min_tool_steps


_OF_EXECUTION = ("tool_errors", "tool_timeout", "tool_memory_mb", "tool_concurrency", "tool_env")
_TOOL_SETTINGS = frozenset(
    {
        "tool_results",
        "tool_model",
        "max_tool_steps",
        "min_tool_steps",
        "max_parallel_calls",
        "only_used_tools",
        "tool_failure_rate",
        *_OF_EXECUTION,
    }
)


def must_be_a_variable(name: str) -> None:
    """Refuse a name that no variable of a user's can have.

    Raises:
        ConfigError: which.
    """
    if not re.fullmatch(NAME, name):
        raise ConfigError(f"{name!r} is no name of a variable: letters, digits and _ make one")
    if name in (TOPIC, CONTEXT, EXAMPLES):
        raise ConfigError(f"the variable {name!r} is filled in for every topic and takes no value")


def checked_template(text: str, variables: Mapping[str, str], where: str) -> Template:
    """A template whose variables are all known.

    Args:
        text: as the user wrote it.
        variables: the user's own variables.
        where: what the template is for, for the message.

    Raises:
        TemplateError: a variable is not known, or what stands in braces is nearly one.
    """
    template = Template(text)
    check(template, mandatory=(), available={TOPIC, CONTEXT, EXAMPLES, *OWN_VARIABLES, *variables}, where=where)
    return template


def must_be_a_type(name: str) -> ConversationType:
    """The conversation type of a name.

    Raises:
        ConfigError: there is none.
    """
    for known in CONVERSATION_TYPES:
        if name == known:
            return known
    raise ConfigError(f"there is no conversation type {name!r}. {did_you_mean(str(name), CONVERSATION_TYPES)}")
