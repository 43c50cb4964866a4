"""`rowsmith run`: make the dataset that a YAML file describes."""

from __future__ import annotations

from rowsmith.cli.options import (
    Batch,
    Debug,
    Fresh,
    JobFile,
    Llm,
    LogFile,
    LogLevel,
    MaxConcurrency,
    MaxCost,
    MaxRequests,
    MaxTokens,
    NoWait,
    Output,
    Quiet,
    Settings,
    Spread,
    Trace,
    set_up_log,
)


def run(
    file: JobFile,
    llm: Llm = None,
    output: Output = None,
    settings: Settings = None,
    spread: Spread = False,
    fresh: Fresh = False,
    max_concurrency: MaxConcurrency = None,
    max_cost: MaxCost = None,
    max_requests: MaxRequests = None,
    max_tokens: MaxTokens = None,
    batch: Batch = False,
    no_wait: NoWait = False,
    trace: Trace = False,
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
    from rowsmith.cli.job import described

    job = described(
        file,
        llm,
        output,
        settings,
        trace=trace,
        spread=spread,
        max_concurrency=max_concurrency,
        max_cost=max_cost,
        max_requests=max_requests,
        max_tokens=max_tokens,
        batch=batch,
    )
    return carry_out(job, fresh=fresh, no_wait=no_wait, quiet=quiet)
