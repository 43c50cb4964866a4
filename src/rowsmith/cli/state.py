"""What a run's ledger says, read without writing: also of a run that is going on, by whatever process."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rowsmith.engine.ledger import CellStatus, RunPaths
from rowsmith.engine.ledger.schema import APPLICATION_ID, MIGRATIONS
from rowsmith.engine.ledger.store import Store, explained
from rowsmith.engine.report import Lack, Spend
from rowsmith.engine.statistics import lacks_of
from rowsmith.errors import ConfigError, LedgerError, did_you_mean

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # the lock's holder cannot be asked for then


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
        source: what the run can be gone on with; None if it was begun from Python.
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
    source: Mapping[str, Any] | None

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


def look(paths: RunPaths) -> RunState:
    """A run's state now.

    Raises:
        LedgerError: the ledger is damaged, foreign or newer.
    """
    holder = _holder(paths.lock)
    with _reading(paths.ledger) as store:
        meta = store.meta()
        by_status = {status: store.count(status) for status in CellStatus}
        rows = store.rows()
        spend: dict[tuple[str, str], Spend] = {}
        for _, model, role, *numbers in store.spend():
            spend.setdefault((model, role), Spend()).add(Spend(*numbers))
        lacks = _lacks(meta, store)
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
        source=json.loads(meta["source"]) if meta.get("source") else None,
    )


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


@contextmanager
def _reading(path: Path) -> Iterator[Store]:
    """The ledger in one read transaction: a snapshot, whatever is written meanwhile."""
    address = f"{path.absolute().as_uri()}?mode=ro"
    journal = path.with_name(f"{path.name}-wal")
    if not os.access(path.parent, os.W_OK) and not journal.exists():
        address += "&immutable=1"  # SQLite would have to make its shared-memory file beside it
    try:
        with closing(sqlite3.connect(address, uri=True, isolation_level=None, timeout=10)) as connection:
            connection.execute("BEGIN")
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if application != APPLICATION_ID:
                raise LedgerError(f"{path} is not a ledger of Rowsmith")
            if version > len(MIGRATIONS):
                raise LedgerError(f"{path} was written by a newer Rowsmith. Upgrade with: pip install -U rowsmith")
            yield Store(connection)
    except sqlite3.Error as exc:
        raise explained(path, exc) from exc


def _holder(lock: Path) -> str:
    """Who holds a run's lock, in words, or an empty text."""
    if fcntl is None or not lock.exists():
        return ""
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return file.read(200).decode(errors="replace").strip() or "another process"
    return ""
