"""`rowsmith resume`: go on with a run, from what its folder knows."""

from __future__ import annotations

from rowsmith.cli.options import (
    Batch,
    Debug,
    LogFile,
    LogLevel,
    MaxConcurrency,
    MaxCost,
    MaxRequests,
    MaxTokens,
    NoWait,
    Quiet,
    set_up_log,
)
from rowsmith.cli.status import RunArgument


def resume(
    run: RunArgument,
    max_concurrency: MaxConcurrency = None,
    max_cost: MaxCost = None,
    max_requests: MaxRequests = None,
    max_tokens: MaxTokens = None,
    batch: Batch = False,
    no_wait: NoWait = False,
    quiet: Quiet = False,
    log_file: LogFile = None,
    log_level: LogLevel = None,
    debug: Debug = False,
) -> int:
    """Go on with a run that `rowsmith run` began, with the configuration it was last started with.

    A run whose models had keys in the YAML file is gone on with by the command that began it: keys are never stored.
    """
    del debug  # read by `guarded`
    set_up_log(log_level, log_file)

    from rowsmith.cli.carry_out import carry_out
    from rowsmith.cli.state import find, look, whole
    from rowsmith.cli.summary import near
    from rowsmith.datasets.base import How
    from rowsmith.datasets.loading import stored_job
    from rowsmith.errors import ConfigError

    state = whole(look(find(run)))
    paths = state.paths
    if state.source is None:
        raise ConfigError(
            f"{near(paths.folder)} was begun from Python and does not hold its configuration. "
            "Run the same script again: it goes on where it stopped."
        )
    if "topics" in state.source:
        from rowsmith.cli.topics import RUN_KEYS, go_on

        numbers = (max_concurrency, max_cost, max_requests, max_tokens)
        return go_on(state.source, paths.rows, dict(zip(RUN_KEYS, numbers, strict=True)), quiet=quiet)
    how: How = {
        "max_concurrency": max_concurrency,
        "max_cost": max_cost,
        "max_requests": max_requests,
        "max_tokens": max_tokens,
        "batch": batch,
    }
    return carry_out(stored_job(state.source, paths.rows, how), no_wait=no_wait, quiet=quiet)
