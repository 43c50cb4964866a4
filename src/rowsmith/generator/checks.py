"""What may go wrong with a generator's settings, found before anything is paid for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from rowsmith.engine.checkup import Verdict, check_budget
from rowsmith.engine.estimate import Estimate
from rowsmith.engine.model_check import check_models
from rowsmith.engine.options import Options
from rowsmith.errors import ConfigError
from rowsmith.generator.config import TOPIC, GeneratorConfig
from rowsmith.generator.presets import SECONDS_PER_EXAMPLE
from rowsmith.llm.prices import Prices
from rowsmith.llm.sharing import Choice, leaves
from rowsmith.prompts.template import Template

LARGEST_BATCH = 50
"""Examples of one call beyond which answers are cut off or run dry."""
_TOKENS_PER_EXAMPLE = 100
"""What the shortest example takes."""


def settings_issues(
    config: GeneratorConfig, templates: Mapping[str, Template], num_steps: int, batch_size: int
) -> Iterator[str]:
    """What is wrong with the settings by themselves; nobody is asked."""
    temperature, timeout = config.temperature, config.request_timeout
    if temperature is not None and not 0 <= temperature <= 2:
        yield f"temperature is between 0 and 2, and is {temperature}"
    if config.max_retries < 0:
        yield f"max_retries is 0 or more, and is {config.max_retries}"
    if config.max_concurrency < 1:
        yield f"max_concurrency is at least 1, and is {config.max_concurrency}"
    if num_steps < 1:
        yield f"num_steps (default_num_examples) is at least 1, and is {num_steps}"
    if batch_size < 1:
        yield f"batch_size (default_batch_size) is at least 1, and is {batch_size}"
    if batch_size > LARGEST_BATCH:
        yield f"batch_size is {batch_size}: beyond {LARGEST_BATCH} examples a call, answers are cut off or run dry"
    if timeout is not None and not 0 < timeout < math.inf:
        yield f"request_timeout is a number of seconds above 0, and is {timeout}"
    elif timeout is not None and timeout < (needed := SECONDS_PER_EXAMPLE * batch_size):
        yield (
            f"request_timeout is {timeout:g} s: {batch_size} examples may take {needed:g} s to write; "
            "raise it, or lower the batch size"
        )
    for where, template in templates.items():
        if TOPIC not in template.mandatory:
            yield f"the {where} template has no {{topic}}: the topic is put below it"


async def model_issues(choice: Choice, options: Options, batch_size: int, *, calls: bool) -> list[str]:
    """What is wrong with the models: whether they answer, and how.

    Args:
        choice: who is asked.
        options: of the run.
        batch_size: examples of a call.
        calls: ask each model one tiny thing.
    """
    providers = leaves(choice)
    prices = Prices(options.clock.date)
    found = await check_models(providers, prices, options.clock, choices=(choice,), calls=calls)
    issues = []
    for finding in found:
        price = finding.subject.startswith("price of ")
        if finding.verdict is Verdict.ERROR or (finding.verdict is Verdict.WARNING and not price):
            issues.append(f"{finding.subject}: {finding.text}")
        elif finding.verdict is Verdict.WARNING and options.max_cost is not None:
            issues.append(f"{finding.subject}: {finding.text}; max_cost cannot be kept")
    for provider in providers:
        most = getattr(provider, "max_completion_tokens", None)
        if most is not None and most < batch_size * _TOKENS_PER_EXAMPLE:
            issues.append(
                f"max_completion_tokens is {most}: too few for {batch_size} examples of {_TOKENS_PER_EXAMPLE} or more"
            )
    return issues


def budget_issues(options: Options, estimate: Estimate) -> list[str]:
    """Which limits are too low for what is to be made."""
    return [
        f"{finding.subject}: {finding.text}"
        for finding in check_budget(options, estimate)
        if finding.verdict is not Verdict.OK
    ]


def must_be_count(name: str, value: object) -> int:
    """A number of examples.

    Raises:
        ConfigError: it is none.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"{name} must be a whole number, 1 or more; got {value!r}")
    return value


def must_not_be_batched(config: GeneratorConfig, options: Options | None) -> None:
    """Refuse batches where calls of tools are executed.

    Raises:
        ConfigError: they are.
    """
    if options is not None and options.batch and config.tool_results == "executed":
        raise ConfigError(
            "calls that are executed cannot be handed in for a batch: leave out batch=True, or write "
            "tool_results='simulated'"
        )
