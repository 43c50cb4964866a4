"""`rowsmith check`: whether a run will work, before it is paid for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

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
    Output,
    Settings,
    Spread,
    set_up_log,
)

if TYPE_CHECKING:
    from rowsmith.datasets.base import How
    from rowsmith.engine.checkup import Checkup, Finding

_COLOURS = {"ok": "green", "warning": "yellow", "error": "red"}
_MARK = 9
_WIDEST_SUBJECT = 36
_NARROWEST_TEXT = 40


def check(
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
    no_calls: Annotated[bool, typer.Option("--no-calls", help="Ask no model anything.")] = False,
    log_file: LogFile = None,
    log_level: LogLevel = None,
    debug: Debug = False,
) -> int:
    """Look a run over before it is paid for: configuration, keys, models, output, prices, and what it will take.

    Each model is asked one tiny thing, some hundred tokens; nothing is written. Ends with 0 if the run can begin, with
    1 if something would make it fail.
    """
    del debug  # read by `guarded`
    set_up_log(log_level or ("ERROR" if log_file is None else None), log_file)

    from rowsmith.cli.estimate import lines as estimated
    from rowsmith.cli.guard import COMPLETE, FAILED
    from rowsmith.cli.job import described
    from rowsmith.cli.summary import near
    from rowsmith.cli.terminal import show

    job = described(
        file,
        llm,
        output,
        settings,
        spread=spread,
        max_concurrency=max_concurrency,
        max_cost=max_cost,
        max_requests=max_requests,
        max_tokens=max_tokens,
        batch=batch,
    )
    how: How = {**job.how, "fresh": fresh}
    found = job.dataset.validate(job.llms or None, calls=not no_calls, **how)
    for line in lines(found):
        show(line)
    if found.estimate is not None:
        show()
        for line in estimated(found.estimate, near(job.dataset.config.output_file)):
            show(line)
    show()
    show(_verdict(found))
    return COMPLETE if found.ok else FAILED


def lines(found: Checkup) -> list[str]:
    """The findings, one below the other: mark, what was looked at, and what was found."""
    import shutil
    import sys

    from rowsmith.cli.terminal import is_terminal

    subjects = min(_WIDEST_SUBJECT, max((len(finding.subject) for finding in found.findings), default=0)) + 2
    width = shutil.get_terminal_size().columns if is_terminal(sys.stdout) else 0
    room = max(_NARROWEST_TEXT, width - _MARK - subjects) if width else 0
    return [line for finding in found.findings for line in _lines(finding, subjects, room)]


def _lines(finding: Finding, subjects: int, room: int) -> list[str]:
    """A finding, wrapped where a person looks on; else whole lines, which programs can search."""
    import sys
    import textwrap

    from rowsmith.cli.terminal import painted, printable

    texts = printable(finding.text).splitlines() or [""]
    if room:
        texts = [part for text in texts for part in textwrap.wrap(text, room, subsequent_indent="  ") or [""]]
    mark = painted(finding.verdict, _COLOURS[finding.verdict], sys.stdout) + " " * (_MARK - len(finding.verdict))
    subject = printable(finding.subject)
    head = [] if len(subject) < subjects else [mark + subject]
    first = " " * (_MARK + subjects) if head else mark + subject.ljust(subjects)
    return [*head, first + texts[0], *(" " * (_MARK + subjects) + text for text in texts[1:])]


def _verdict(found: Checkup) -> str:
    from rowsmith.engine.wording import count

    errors, warnings = count(len(found.errors), "error"), count(len(found.warnings), "warning")
    if found.errors:
        return f"{errors}, {warnings}: the run would fail."
    return f"{warnings}: the run can begin." if found.warnings else "All is in order."
