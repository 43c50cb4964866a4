"""A longer plan over an existing ledger: every cell keeps its calls and rows, and gets its new place on the line."""

from __future__ import annotations

import sqlite3

from rowsmith.engine.ledger.records import CellStatus
from rowsmith.engine.plan import Plan


class NotAnExtensionError(Exception):
    """Some cell of the ledger is not in the plan, or is to have fewer rows than before."""


def extend(connection: sqlite3.Connection, plan: Plan) -> None:
    """Renumber the ledger's cells by a plan that has all of them; inside a transaction of the caller's.

    Cells are recognised by their keys, which are made of their values. A cell of which more rows are wanted is opened
    again, with its new count beside the old.

    Raises:
        NotAnExtensionError: the plan lacks a cell, or lowers a count.
    """
    if connection.execute("SELECT 1 FROM cells LIMIT 1").fetchone() is None:
        return
    connection.create_function("last_want", 1, last_want, deterministic=True)
    _number_cells(connection, plan)
    _renumber(connection)
    connection.execute("DROP TABLE temp.line")
    connection.execute("DROP TABLE temp.moved")


def _number_cells(connection: sqlite3.Connection, plan: Plan) -> None:
    """Fill `moved` with (old number, new number, want) of every cell in the ledger."""
    connection.execute("CREATE TEMP TABLE line (key INTEGER PRIMARY KEY, cell INTEGER NOT NULL, want INTEGER NOT NULL)")
    cells = (plan.cell(number) for number in range(len(plan)))
    connection.executemany(
        "INSERT OR IGNORE INTO line VALUES (?, ?, ?)", ((cell.key, cell.number, cell.want) for cell in cells)
    )
    connection.execute(
        "CREATE TEMP TABLE moved AS SELECT cells.cell AS old, line.cell AS new, line.want AS want "
        "FROM main.cells JOIN line ON line.key = cells.key"
    )
    connection.execute("CREATE UNIQUE INDEX temp.moved_old ON moved (old)")
    (lost,) = connection.execute("SELECT count(*) FROM cells WHERE cell NOT IN (SELECT old FROM moved)").fetchone()
    (lowered,) = connection.execute(
        "SELECT count(*) FROM cells JOIN moved ON moved.old = cells.cell WHERE moved.want < last_want(cells.wants)"
    ).fetchone()
    if lost or lowered:
        raise NotAnExtensionError


def _renumber(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TEMP TABLE numbered AS SELECT moved.new AS cell, key, "
        "CASE WHEN moved.want > last_want(wants) THEN ? ELSE status END AS status, "
        "CASE WHEN moved.want > last_want(wants) THEN wants || ',' || moved.want ELSE wants END AS wants, "
        "rows, reasons FROM main.cells JOIN moved ON moved.old = cells.cell",
        (int(CellStatus.OPEN),),
    )
    connection.execute("DELETE FROM main.cells")
    connection.execute("INSERT INTO main.cells SELECT * FROM numbered ORDER BY cell")
    connection.execute("DROP TABLE temp.numbered")
    # Below 0 are calls that were made ahead of the plan: they belong to no cell of it.
    connection.execute("UPDATE calls SET cell = (SELECT new FROM moved WHERE old = calls.cell) WHERE cell >= 0")
    connection.execute("UPDATE items SET cell = (SELECT new FROM moved WHERE old = items.cell)")
    for table, columns in (
        ("blocks", "kind, moved.new, offset, length, blocks.rows, marks"),
        ("denied", "mark, moved.new"),
    ):
        connection.execute(
            f"CREATE TEMP TABLE renumbered AS SELECT {columns} FROM main.{table} JOIN moved ON moved.old = {table}.cell"  # noqa: S608  # fixed names
        )
        connection.execute(f"DELETE FROM main.{table}")  # noqa: S608  # fixed names
        connection.execute(f"INSERT INTO main.{table} SELECT * FROM temp.renumbered")  # noqa: S608  # fixed names
        connection.execute("DROP TABLE temp.renumbered")


def last_want(wants: str) -> int:
    """The latest count in a cell's history of counts."""
    return int(wants.rpartition(",")[2])
