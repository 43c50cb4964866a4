"""What a command is to do: a YAML file, and what its options say beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from rowsmith.datasets.base import How
from rowsmith.datasets.loading import Job, Overrides, load_job


def described(
    file: Path,
    llms: Sequence[str] | None,
    output: Path | None,
    settings: Sequence[str] | None,
    *,
    trace: bool = False,
    **how: Unpack[How],
) -> Job:
    """The run that a file describes; it names at least one model.

    Args:
        file: the file.
        llms: as the option says; None leaves the file's.
        output: as the option says; None leaves the file's.
        settings: `key=value`, each before what the file has.
        trace: make the run's traces.
        **how: how the run is carried out; None and False leave it to the file.

    Raises:
        ConfigError: the file cannot be read, says something that cannot be carried out, or no model is named.
    """
    job = load_job(file, Overrides(settings=settings or (), llms=llms or (), output=output, trace=trace, how=how))
    if not job.names_models:
        from rowsmith.cli.models import no_model_named

        raise no_model_named(str(file))
    return job
