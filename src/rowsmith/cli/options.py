"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

JobFile = Annotated[Path, typer.Argument(metavar="FILE.yaml", help="What to make; see the examples.")]
Llm = Annotated[
    list[str] | None,
    typer.Option("--llm", metavar="MODEL", help="provider/model instead of all that the file names; repeatable."),
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="PATH", help="The rows file, instead of output_file.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any field, as in seed=7 or classes.0.name=good; repeatable."),
]
Spread = Annotated[
    bool, typer.Option("--spread", help="Deal the prompts out among the models, instead of each to every model.")
]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="Delete the rows and the ledger that the output has, and start anew.")
]
MaxConcurrency = Annotated[
    int | None,
    typer.Option("--max-concurrency", min=1, metavar="N", help="Requests in flight per model that are never passed."),
]
MaxCost = Annotated[
    float | None,
    typer.Option("--max-cost", min=0, metavar="USD", help="Stop, in good order, before all starts together cost more."),
]
MaxRequests = Annotated[
    int | None, typer.Option("--max-requests", min=0, metavar="N", help="Stop before more requests have been sent.")
]
MaxTokens = Annotated[
    int | None, typer.Option("--max-tokens", min=0, metavar="N", help="Stop before more tokens have been used.")
]
Batch = Annotated[
    bool,
    typer.Option("--batch", help="Ask through the services' batch endpoints: half the price, within hours."),
]
NoWait = Annotated[
    bool,
    typer.Option("--no-wait", help="With batches: end as soon as the next are handed in; come back with resume."),
]
Trace = Annotated[
    bool, typer.Option("--trace", help="Trace run, cells and calls with OpenTelemetry, as its OTEL_* variables say.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary; errors and what lacks only.")]
LogFile = Annotated[
    Path | None,
    typer.Option("--log-file", metavar="F", help="Append the log to this file: at INFO if no level is given."),
]
LogLevel = Annotated[
    str | None,
    typer.Option(
        "--log-level", metavar="L", help="DEBUG, INFO, WARNING or ERROR; WARNING on the terminal if not given."
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def set_up_log(level: str | None, file: Path | None) -> None:
    """Have the log go where the options say.

    Raises:
        ConfigError: no such level, or the file cannot be written.
    """
    from rowsmith.logs import ROOT, configure_logger

    configure_logger(level or ("INFO" if file else "WARNING"), file)
    if level is None:
        import logging

        for handler in logging.getLogger(ROOT).handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.setLevel(logging.WARNING)
