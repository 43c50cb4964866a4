"""A ledger read by somebody who does not write it: also while a run is going on, by whatever process."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from rowsmith.engine.ledger.schema import APPLICATION_ID, MIGRATIONS
from rowsmith.engine.ledger.store import Store, explained
from rowsmith.errors import LedgerError


@contextmanager
def reading(path: Path) -> Iterator[Store]:
    """A ledger in one read transaction: a snapshot, whatever is written meanwhile.

    Args:
        path: the ledger's file, which exists.

    Raises:
        LedgerError: it is damaged, foreign or newer.
    """
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
