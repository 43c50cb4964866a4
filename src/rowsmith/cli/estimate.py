"""`rowsmith estimate`: what a run will take, before it is paid for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rowsmith.cli.options import (
    Debug,
    JobFile,
    Llm,
    LogFile,
    LogLevel,
    MaxConcurrency,
    Output,
    Settings,
    Spread,
    set_up_log,
)

if TYPE_CHECKING:
    from rowsmith.engine.estimate import Estimate


def estimate(
    file: JobFile,
    llm: Llm = None,
    output: Output = None,
    settings: Settings = None,
    spread: Spread = False,
    sample: Annotated[
        int,
        typer.Option("--sample", min=0, metavar="N", help="Really send N prompts, and pay for them, to make it exact."),
    ] = 0,
    max_concurrency: MaxConcurrency = None,
    log_file: LogFile = None,
    log_level: LogLevel = None,
    debug: Debug = False,
) -> int:
    """Say how many rows, calls, tokens, dollars and hours a YAML file comes to.

    It is reckoned from the prompts of the very plan that would run. Without --sample no model is asked. Answers to a
    sample are kept, and `rowsmith run` uses them.
    """
    del debug  # read by `guarded`
    set_up_log(log_level, log_file)

    from rowsmith.cli.job import described
    from rowsmith.cli.summary import near
    from rowsmith.cli.terminal import say, show

    job = described(file, llm, output, settings, spread=spread, max_concurrency=max_concurrency)
    found = job.dataset.estimate(job.llms or None, sample, **job.how)
    for line in lines(found, near(job.dataset.config.output_file)):
        show(line)
    say(basis(found))
    return 0


def lines(found: Estimate, output: str) -> list[str]:
    """The estimate in words."""
    import sys

    from rowsmith.cli.terminal import painted
    from rowsmith.engine.wording import count, duration

    facts = [
        ("rows", f"{found.rows:,}, from {count(found.cells, 'cell')} of the plan"),
        ("calls", f"about {found.calls:,}"),
        ("tokens", f"about {found.input_tokens:,} in, {found.output_tokens:,} out"),
        ("cost", _cost(found)),
        (
            "time",
            "unknown without limits; --sample 5 times some calls"
            if found.seconds is None
            else f"{duration(found.seconds)} or more",
        ),
    ]
    if found.ahead:
        facts.insert(0, ("first", found.ahead))
    return [
        f"{painted(output, 'bold', sys.stdout)}:",
        *(f"  {name:<9}{fact}" for name, fact in facts),
        *_by_model(found),
    ]


def basis(found: Estimate) -> str:
    """What the estimate was reckoned from."""
    from rowsmith.engine.wording import count

    cells = f"the prompts of {count(found.walked, 'cell')}"
    if found.sampled:
        kept = "Their answers are kept, and `rowsmith run` uses them."
        return f"Reckoned from {cells} and the answers to {found.sampled:,} of them. {kept}"
    return (
        f"Reckoned from {cells}; no model was asked. Answers are guessed at, without the thinking that some models do "
        "first: --sample 5 measures them."
    )


def _cost(found: Estimate) -> str:
    from rowsmith.cli.terminal import printable
    from rowsmith.engine.wording import money

    if found.cost is None:
        return (
            f"unknown: no price is known for {printable(', '.join(found.unpriced))}. Give it in the file's llms: "
            "input_cost_per_million, output_cost_per_million"
        )
    return f"about {money(found.cost)}" if found.cost else money(0)


def _by_model(found: Estimate) -> list[str]:
    """A table by model and role, where there is more than one of either."""
    from rowsmith.cli.terminal import columns, line
    from rowsmith.engine.wording import money

    if len(found.parts) < 2:
        return []
    rows = [["model", "role", "calls", "tokens in", "out", "cost"]]
    for part in found.parts:
        numbers = [f"{number:,}" for number in (part.calls, part.input_tokens, part.output_tokens)]
        rows.append([line(part.model), part.role, *numbers, "unknown" if part.cost is None else money(part.cost)])
    return ["", *(f"  {text}" for text in columns(rows, (False, False, True, True, True, True)))]
