"""`rowsmith cancel`: have the services end a run's batches early."""

from __future__ import annotations

from rowsmith.cli.options import Debug, LogFile, LogLevel, Quiet, set_up_log
from rowsmith.cli.status import RunArgument


def cancel(
    run: RunArgument,
    quiet: Quiet = False,
    log_file: LogFile = None,
    log_level: LogLevel = None,
    debug: Debug = False,
) -> int:
    """Ask the services to end a run's batches early, wait until they have, and keep what was answered.

    What was not answered is not billed; it is asked for when the run is gone on with. A batch that a service does not
    know any more is given up.
    """
    del debug  # read by `guarded`
    set_up_log(log_level, log_file)

    from rowsmith.cli.carry_out import cancel_batches
    from rowsmith.cli.guard import COMPLETE
    from rowsmith.cli.state import find, look, whole
    from rowsmith.cli.summary import near
    from rowsmith.cli.terminal import show
    from rowsmith.datasets.loading import stored_job
    from rowsmith.errors import ConfigError

    state = whole(look(find(run)))
    paths = state.paths
    if not state.under_way:
        show(f"{near(paths.rows)}: no batch of this run is under way.")
        return COMPLETE
    if state.source is None:
        raise ConfigError(
            f"{near(paths.folder)} was begun from Python and does not hold its configuration: "
            "call cancel_batches on the dataset, with the same models."
        )
    return cancel_batches(stored_job(state.source, paths.rows, {"batch": True}), quiet=quiet)
