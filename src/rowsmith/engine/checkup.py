"""A run looked over before it is paid for: what is in order, what will not work, and what nobody knows."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rowsmith.engine.estimate import Estimate
from rowsmith.engine.fingerprint import Fingerprint, must_go_on
from rowsmith.engine.gauge import BYTES_PER_TOKEN
from rowsmith.engine.ledger import RunPaths
from rowsmith.engine.ledger.batches import batches_in
from rowsmith.engine.ledger.ledger import reserve_for
from rowsmith.engine.ledger.lock import holder_of
from rowsmith.engine.ledger.output import refuse_strangers
from rowsmith.engine.ledger.reading import reading
from rowsmith.engine.ledger.records import Stage
from rowsmith.engine.options import Options
from rowsmith.engine.wording import count, money
from rowsmith.errors import RunError

_COPIES = 4
"""How often an answer comes to lie on the disk: in the ledger, its journal, as rows, and as what was refused."""


class Verdict(StrEnum):
    """What a finding means for the run."""

    OK = "ok"
    WARNING = "warning"
    """The run can begin; something is not as one would wish, or not known."""
    ERROR = "error"
    """The run would fail."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: what: `configuration`, `output`, `price`, or a model as `provider/model`.
        verdict: what it means for the run.
        text: what was found.
    """

    subject: str
    verdict: Verdict
    text: str

    def __str__(self) -> str:
        return f"{self.verdict:<8}{self.subject}: {self.text}"


@dataclass(frozen=True, slots=True)
class Checkup:
    """All that was found about a run before it was begun.

    Attributes:
        findings: in the order in which they were made.
        estimate: what the run will take; None where it could not be reckoned.
    """

    findings: Sequence[Finding]
    estimate: Estimate | None = None

    @property
    def ok(self) -> bool:
        """Nothing was found that would make the run fail."""
        return not self.errors

    @property
    def errors(self) -> list[Finding]:
        """What would make it fail."""
        return [finding for finding in self.findings if finding.verdict is Verdict.ERROR]

    @property
    def warnings(self) -> list[Finding]:
        """What is not as one would wish, or not known."""
        return [finding for finding in self.findings if finding.verdict is Verdict.WARNING]

    def __str__(self) -> str:
        lines = [str(finding) for finding in self.findings]
        return "\n".join([*lines, str(self.estimate)] if self.estimate else lines)


def check_output(
    output: str | Path, run: Fingerprint | None = None, *, fresh: bool = False, batch: bool = False
) -> Finding:
    """Whether the rows can be written. Nothing is changed, and a run that goes on there is not disturbed.

    Args:
        output: the rows file.
        run: the fingerprint of the run that is to write there; None if it is not known.
        fresh: what an earlier run has left will be deleted.
        batch: the run is to ask in batches.
    """
    paths = RunPaths.of(output)
    try:
        refuse_strangers(paths)
        if holder := holder_of(paths.lock):
            return Finding("output", Verdict.ERROR, f"{paths.folder} is being written by {holder}")
        where = _where(paths)
        if not where.is_dir() or not os.access(where, os.W_OK | os.X_OK):
            return Finding("output", Verdict.ERROR, f"{where} cannot be written to; choose another output")
        if not paths.ledger.exists():
            return Finding("output", Verdict.OK, f"{paths.rows} can be written")
        return _earlier(paths, run, fresh=fresh, batch=batch)
    except RunError as error:
        return Finding("output", Verdict.ERROR, str(error))
    except OSError as error:
        return Finding("output", Verdict.ERROR, f"{error.filename or paths.rows}: {error.strerror or error}")


def check_room(output: str | Path, options: Options, models: int, estimate: Estimate | None = None) -> Finding:
    """Whether the disk has room for the run.

    Args:
        output: the rows file.
        options: how the run is carried out.
        models: how many are asked.
        estimate: what it will take, if that is known.
    """
    paths = RunPaths.of(output)
    # What is set aside for the answers that are under way when the disk is found full.
    least = reserve_for(options.max_concurrency * models)
    wanted = least + _COPIES * BYTES_PER_TOKEN * (estimate.output_tokens if estimate is not None else 0)
    try:
        free = shutil.disk_usage(_where(paths)).free
    except OSError as error:
        return Finding("disk", Verdict.ERROR, f"{paths.rows.parent}: {error.strerror or error}")
    if free < least:
        text = f"{_size(free)} are free, and {_size(least)} are set aside before the first call: make room"
        return Finding("disk", Verdict.ERROR, text)
    if free < wanted:
        text = f"{_size(free)} are free, and the run will take about {_size(wanted)}; it stops in good order when full"
        return Finding("disk", Verdict.WARNING, text)
    return Finding("disk", Verdict.OK, f"{_size(free)} are free, about {_size(wanted)} are needed")


def check_budget(options: Options, estimate: Estimate) -> list[Finding]:
    """Whether the limits of what may be spent leave room for the whole run; nothing where there are none."""
    tokens = estimate.input_tokens + estimate.output_tokens
    found = []
    if options.max_cost is not None and estimate.cost is not None:
        found.append(_limit("max_cost", estimate.cost, options.max_cost, money(estimate.cost), money(options.max_cost)))
    if options.max_requests is not None:
        most = options.max_requests
        found.append(_limit("max_requests", estimate.calls, most, count(estimate.calls, "call"), f"{most:,}"))
    if options.max_tokens is not None:
        most = options.max_tokens
        found.append(_limit("max_tokens", tokens, most, count(tokens, "token"), f"{most:,}"))
    return found


def _limit(name: str, needed: float, most: float, needs: str, limit: str) -> Finding:
    if needed > most:
        text = f"the run will take about {needs}, and stops, in good order, at {limit}"
        return Finding(name, Verdict.WARNING, text)
    return Finding(name, Verdict.OK, f"{limit}, of which the run will take about {needs}")


def _earlier(paths: RunPaths, run: Fingerprint | None, *, fresh: bool, batch: bool) -> Finding:
    """What an earlier run in the same place means for this one."""
    with reading(paths.ledger) as store:
        before = store.meta().get("fingerprint")
        answered = {model for _, model, *_ in store.spend()}
        rows = store.rows()
        live = [found for found in batches_in(store.connection) if found.stage in (Stage.SUBMITTING, Stage.RUNNING)]
    under_way = f"{count(len(live), 'batch', 'batches')} of an earlier start" if live else ""
    if fresh:
        lost = f"; {under_way} will be billed and their answers lost" if live else ""
        verdict = Verdict.WARNING if live or rows else Verdict.OK
        return Finding("output", verdict, f"{paths.rows} has {count(rows, 'row')}, which will be deleted{lost}")
    if run is not None:
        must_go_on(str(paths.rows), Fingerprint.from_json(before) if before else None, run, answered)
    if live and not batch:
        text = f"{under_way} are under way: go on with batch=True (--batch), or end them with: rowsmith cancel"
        return Finding("output", Verdict.ERROR, text)
    return Finding("output", Verdict.OK, f"{paths.rows} has a run already, with {count(rows, 'row')}, which will go on")


def _where(paths: RunPaths) -> Path:
    """The folder that is written to or, as a run makes what is missing, the nearest above it that exists."""
    folder = (paths.folder if paths.folder.exists() else paths.rows.parent).absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _size(size: float) -> str:
    unit, shown = "MB", size / 1e6
    if shown >= 1000:
        unit, shown = "GB", shown / 1e3
    return f"{shown:,.0f} {unit}" if shown >= 10 else f"{shown:.1f} {unit}"
