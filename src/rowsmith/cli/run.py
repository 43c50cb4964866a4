"""`rowsmith run`: make the dataset that a YAML file describes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rowsmith.cli.options import (
    Debug,
    LogFile,
    LogLevel,
    MaxConcurrency,
    MaxCost,
    MaxRequests,
    MaxTokens,
    Quiet,
    set_up_log,
)


def run(
    file: Annotated[Path, typer.Argument(metavar="FILE.yaml", help="What to make; see the examples.")],
    llm: Annotated[
        list[str] | None,
        typer.Option("--llm", metavar="MODEL", help="provider/model instead of the file's llms; may be repeated."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="PATH", help="The rows file, instead of output_file.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any field, as in seed=7 or classes.0.name=good; repeatable."),
    ] = None,
    spread: Annotated[
        bool, typer.Option("--spread", help="Deal the prompts out among the models, instead of each to every model.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Delete the rows and the ledger that the output has, and start anew.")
    ] = False,
    max_concurrency: MaxConcurrency = None,
    max_cost: MaxCost = None,
    max_requests: MaxRequests = None,
    max_tokens: MaxTokens = None,
    quiet: Quiet = False,
    log_file: LogFile = None,
    log_level: LogLevel = None,
    debug: Debug = False,
) -> int:
    """Make the dataset that a YAML file describes, or go on with it.

    The file has `dataset: classification` (or another kind), the fields of that kind, and `llms: [openai/gpt-5-mini]`.
    Paths in the file start at the file's folder; paths given here start at the current one.
    """
    del debug  # read by `guarded`
    set_up_log(log_level, log_file)

    from rowsmith.cli.carry_out import carry_out
    from rowsmith.cli.models import no_model_named
    from rowsmith.datasets.loading import Overrides, load_job

    job = load_job(
        file,
        Overrides(
            settings=settings or (),
            llms=llm or (),
            output=output,
            how={
                "spread": spread,
                "max_concurrency": max_concurrency,
                "max_cost": max_cost,
                "max_requests": max_requests,
                "max_tokens": max_tokens,
            },
        ),
    )
    if not job.llms:
        raise no_model_named(str(file))
    return carry_out(job, fresh=fresh, quiet=quiet)
