"""What may lie where a run is to write: nothing yet, or a run's own files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from rowsmith.engine.ledger.paths import RunPaths
from rowsmith.errors import LedgerError, OutputChangedError, StorageError


def refuse_strangers(paths: RunPaths) -> None:
    """Refuse an output that is not a run's; before anything is made, so that a refusal leaves no trace.

    Raises:
        StorageError: the output is a folder or no ordinary file, or a file lies where the run's folder should.
        OutputChangedError: the output has content, and no ledger beside it.
    """
    rows = paths.rows
    if rows.is_dir():
        raise StorageError(f"{rows} is a folder. Name a file for the rows, such as {rows / 'rows.jsonl'}")
    if rows.exists() and not rows.is_file():
        raise StorageError(f"{rows} is not an ordinary file: rows must be read back and put in order. Name another.")
    if os.path.lexists(paths.folder) and not paths.folder.is_dir():
        raise StorageError(
            f"{paths.folder} is not a folder, and the run of {rows.name} keeps its ledger in a folder of that name. "
            "Move it away, or choose another output."
        )
    if rows.exists() and rows.stat().st_size and not paths.ledger.exists():
        raise OutputChangedError(
            f"{rows} exists, and it is not of a run of Rowsmith (no ledger in {paths.folder}). "
            "Choose another output, or move the file away."
        )


def must_be_new(paths: RunPaths) -> None:
    """Refuse a ledger that knows of no run while there is something that a run has made.

    Raises:
        LedgerError: it was emptied, or put in the place of another.
    """
    for path in (paths.rows, paths.rejected):
        if path.exists() and path.stat().st_size:
            raise LedgerError(
                f"the ledger {paths.ledger} is empty, but {path} is not: it was emptied or replaced. {path.name} is "
                "untouched. Restore the ledger from a copy, move both away, or start anew with fresh=True (--fresh)."
            )


def delete_run(paths: RunPaths) -> None:
    """Remove what an earlier run made, but the lock, which is held, and what was fetched of a source.

    Without a ledger nothing is taken for a run's. The rows go first and the ledger last: killed in between, the same
    can be done again.
    """
    if not paths.ledger.exists():
        return
    paths.rows.unlink(missing_ok=True)
    ledger_last = sorted(paths.folder.iterdir(), key=lambda path: path == paths.ledger)
    for path in ledger_last:
        if path == paths.source:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path != paths.lock:
            path.unlink()


def set_aside(reserve: Path, size: int) -> None:
    """Take room on the disk, to be given back when it is full. What a kill left of the last run is taken up.

    Raises:
        StorageError: there is not so much room.
    """
    if reserve.exists() and reserve.stat().st_size >= size:
        return
    try:
        with reserve.open("wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                # Noise: a file system may store a run of zeros as a hole, which takes no room.
                file.write(os.urandom(4096) * (size // 4096 + 1))
    except OSError as exc:
        raise StorageError(
            f"cannot set aside {-(-size >> 20)} MB in {reserve.parent}, for answers that come when the disk is full: "
            f"{exc.strerror or exc}. Make room (or mend the permissions), or choose another output."
        ) from exc
