"""What a run's ledger says, read without writing: also of a run that is going on, by whatever process."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rowsmith.engine.ledger import CellStatus, RunPaths
from rowsmith.engine.ledger.batches import batches_in
from rowsmith.engine.ledger.lock import holder_of
from rowsmith.engine.ledger.reading import reading
from rowsmith.engine.ledger.records import BatchRecord, Stage
from rowsmith.engine.ledger.store import Store
from rowsmith.engine.precursors import Precursor, precursors_in
from rowsmith.engine.report import Lack, Spend
from rowsmith.engine.statistics import lacks_of, spent_in
from rowsmith.errors import ConfigError, did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """A run at one instant.

    Attributes:
        state: `running`, `cut off` (its process ended without closing it), `stopped`, `complete` or `short`.
        holder: the process that has it open, in words; empty if none has.
        rows: rows that count.
        expected: rows that the plan makes; None if the ledger does not say.
        cells: cells of the plan; None if the ledger does not say.
        by_status: how many cells have each status; those not begun are in none.
        spend: all that was ever spent, by (model, role).
        lacks: what ended cells lack.
        batches: all batches of the run.
        source: what the run can be gone on with; None if it was begun from Python.
        ahead: the runs that make first what this one is made of, as far as they are begun.
    """

    paths: RunPaths
    state: str
    holder: str
    rows: int
    expected: int | None
    cells: int | None
    by_status: Mapping[CellStatus, int]
    spend: Mapping[tuple[str, str], Spend]
    lacks: Sequence[Lack]
    batches: Sequence[BatchRecord]
    source: Mapping[str, Any] | None
    ahead: Sequence[RunState] = ()

    @property
    def under_way(self) -> list[BatchRecord]:
        """The batches that a service has, or may have."""
        return [batch for batch in self.batches if batch.stage in (Stage.SUBMITTING, Stage.RUNNING)]

    @property
    def open_cells(self) -> int | None:
        """Cells that are begun or not, and to be worked on; None if the number of all is not known."""
        if self.cells is None:
            return None
        ended = (CellStatus.DONE, CellStatus.SHORT, CellStatus.FAILED)
        return self.cells - sum(self.by_status[status] for status in ended)


def find(run: Path) -> RunPaths:
    """The files of the run that is meant.

    Args:
        run: its rows file or its `.run` folder.

    Raises:
        ConfigError: there is none.
    """
    paths = RunPaths.of(run)
    if run.suffix == ".run" and run.with_suffix("").exists():
        paths = RunPaths.of(run.with_suffix(""))  # of a rows file that does not end in .jsonl
    if paths.ledger.exists():
        return paths
    folders = [found for found in run.parent.glob("*.run") if (found / "ledger.sqlite").exists()]
    near = [str(found if run.suffix == ".run" else found.with_suffix(".jsonl")) for found in folders]
    what = "has no ledger beside it" if run.exists() else "does not exist"
    raise ConfigError(
        f"{str(run)!r} {what}: name a rows file that Rowsmith wrote, or its .run folder. {did_you_mean(str(run), near)}"
    )


def whole(state: RunState) -> RunState:
    """The run that another makes something for: going on with that goes on with both.

    Raises:
        ConfigError: it is not there any more.
        LedgerError: its ledger is damaged, foreign or newer.
    """
    part_of = (state.source or {}).get("part_of")
    return state if part_of is None else look(find(Path(part_of)))


def look(paths: RunPaths) -> RunState:
    """A run's state now.

    Raises:
        LedgerError: the ledger is damaged, foreign or newer.
    """
    holder = holder_of(paths.lock)
    with reading(paths.ledger) as store:
        meta = store.meta()
        by_status = {status: store.count(status) for status in CellStatus}
        rows = store.rows()
        spend = spent_in(store)
        lacks = _lacks(meta, store)
        batches = batches_in(store.connection)
    expected = meta.get("expected")
    return RunState(
        paths=paths,
        state=_state(str(meta.get("state", "")), holder, rows, expected),
        holder=holder,
        rows=rows,
        expected=expected,
        cells=meta.get("cells"),
        by_status=by_status,
        spend=spend,
        lacks=lacks,
        batches=batches,
        source=json.loads(meta["source"]) if meta.get("source") else None,
        ahead=[_before(one) for one in precursors_in(meta, paths.rows) if RunPaths.of(one.output).ledger.exists()],
    )


def _before(precursor: Precursor) -> RunState:
    """The state of a run that another waits for: it is not complete before it has all rows that it is to have."""
    found = look(RunPaths.of(precursor.output))
    short = found.state == "complete" and found.rows < precursor.rows
    return replace(found, state="not complete" if short else found.state, expected=precursor.rows)


def _state(recorded: str, holder: str, rows: int, expected: int | None) -> str:
    if recorded == "running":
        return "running" if holder else "cut off"
    if recorded == "finished":
        return "short" if expected is not None and rows < expected else "complete"
    return recorded or "begun"


def _lacks(meta: Mapping[str, Any], store: Store) -> list[Lack]:
    """By label, language and model where the run's end has recorded them; else all in one."""
    if meta.get("lacks") and meta.get("state") != "running":
        return [Lack(**lack) for lack in json.loads(meta["lacks"])]
    records = list(store.lacking())
    wants = {record.cell: int(record.wants.rpartition(",")[2]) for record in records}
    return lacks_of(records, lambda _: {}, wants.__getitem__)
