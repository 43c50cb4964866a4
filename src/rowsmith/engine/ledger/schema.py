"""The ledger's tables, as numbered migrations that are only ever added to."""

from __future__ import annotations

import sqlite3

APPLICATION_ID = 0x526F7753
"""`RowS` in ASCII, in the file's header: how a ledger is told from any other SQLite file."""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
    CREATE TABLE calls (
        cell INTEGER NOT NULL, cell_key INTEGER NOT NULL, ordinal TEXT NOT NULL, key BLOB NOT NULL,
        role TEXT NOT NULL, model TEXT NOT NULL, finish TEXT NOT NULL, text TEXT NOT NULL,
        input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
        cached_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL,
        served TEXT NOT NULL, request_id TEXT, cost REAL, seconds REAL NOT NULL, at REAL NOT NULL
    ) STRICT;
    CREATE INDEX calls_by_cell ON calls (cell);
    CREATE TABLE cells (
        cell INTEGER PRIMARY KEY, key INTEGER NOT NULL, status INTEGER NOT NULL,
        wants TEXT NOT NULL, rows INTEGER NOT NULL, reasons TEXT
    ) STRICT;
    CREATE TABLE blocks (
        kind INTEGER NOT NULL, cell INTEGER NOT NULL,
        offset INTEGER NOT NULL, length INTEGER NOT NULL, rows INTEGER NOT NULL, marks BLOB NOT NULL,
        PRIMARY KEY (kind, cell)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE denied (mark INTEGER NOT NULL, cell INTEGER NOT NULL, PRIMARY KEY (mark, cell)) STRICT, WITHOUT ROWID;
    CREATE INDEX denied_by_cell ON denied (cell);
    CREATE TABLE spend (
        day TEXT NOT NULL, model TEXT NOT NULL, role TEXT NOT NULL,
        calls INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
        cached_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL,
        cost REAL NOT NULL, unpriced INTEGER NOT NULL,
        PRIMARY KEY (day, model, role)
    ) STRICT, WITHOUT ROWID;
    """,
    # `who` is the identity of the model's settings. An item with a batch is at the service; with an error, it came to
    # nothing for good; with neither, it waits to be submitted. An item that was answered is a call and no item.
    """
    CREATE TABLE batches (
        number INTEGER PRIMARY KEY, name TEXT NOT NULL, who BLOB NOT NULL, model TEXT NOT NULL, id TEXT,
        stage INTEGER NOT NULL, items INTEGER NOT NULL, answered INTEGER NOT NULL, failed INTEGER NOT NULL,
        since REAL NOT NULL, until REAL, message TEXT NOT NULL
    ) STRICT;
    CREATE TABLE items (
        id TEXT PRIMARY KEY, cell INTEGER NOT NULL, cell_key INTEGER NOT NULL, ordinal TEXT NOT NULL,
        key BLOB NOT NULL, role TEXT NOT NULL, who BLOB NOT NULL, body BLOB NOT NULL,
        batch INTEGER, tries INTEGER NOT NULL, error TEXT, fatal INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX items_by_cell ON items (cell);
    CREATE INDEX items_by_batch ON items (batch);
    """,
)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a new or older ledger to this version's tables, one numbered step at a time, each in a transaction."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.executescript(
            f"BEGIN; {script} PRAGMA user_version = {number}; PRAGMA application_id = {APPLICATION_ID}; COMMIT;"
        )
