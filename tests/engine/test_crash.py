"""SIGKILL at each step that a run takes: the next start makes of it what a run without a kill would have made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .child import SETTINGS, Job, Journal, Kill, Nursery
from .harness import classes, ledger, must_be_exact

Files = tuple[bytes, bytes]
WINDOW = 0.05
"""Seconds for which an answer may be uncommitted: the promise."""
SLACK = 0.25
"""Seconds that a busy machine may add to it in a test."""

FILES = "rowsmith.engine.ledger.files"
LEDGER = "rowsmith.engine.ledger.ledger"
WRITER = "rowsmith.engine.ledger.writer"
STORE = "rowsmith.engine.ledger.store"

POINTS = [
    *(Kill("CellStarted", number) for number in (1, 9, 30)),
    *(Kill("CallMade", number) for number in (1, 2, 17, 40, 70)),
    *(Kill("RowAccepted", number) for number in (1, 50, 199)),
    *(Kill("RowRejected", number) for number in (1, 20)),
    *(Kill("RowsWithdrawn", number) for number in (1, 2)),
    *(Kill("CellFinished", number) for number in (1, 20, 40)),
    Kill("RunFinished"),
    Kill(f"{LEDGER}:RunLock.__enter__", after=True),
    Kill(f"{LEDGER}:set_aside", after=True),
    Kill(f"{STORE}:migrate"),
    Kill(f"{STORE}:migrate", after=True),
    Kill(f"{LEDGER}:Ledger.adopt"),
    Kill(f"{LEDGER}:Ledger.adopt", after=True),
    # Between the bytes in the files and the transaction that says they are there; inside it; right after it.
    *(Kill(f"{FILES}:BlockFile.append", number) for number in (1, 2, 5)),
    *(Kill(f"{FILES}:BlockFile.append", number, after=True) for number in (1, 2, 3, 6)),
    *(Kill(f"{WRITER}:Writer._write", number, after=True) for number in (1, 3)),
    *(Kill(f"{WRITER}:Writer._commit", number, after=True) for number in (1, 2, 4)),
    # While the files are put in order: the copy, the new offsets, the rename, the note that it is done; both files.
    *(Kill(f"{FILES}:BlockFile.copy", number, after=after) for number in (1, 2) for after in (False, True)),
    *(Kill(f"{LEDGER}:Ledger._rename", number, after=after) for number in (1, 2) for after in (False, True)),
    *(Kill(f"{LEDGER}:sync_folder", number, after=True) for number in (3, 4)),
    Kill(f"{LEDGER}:Ledger.put_in_order", after=True),
]


@pytest.fixture(scope="module")
def unkilled(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """(rows, rejections) of a run that nobody killed."""
    folder = tmp_path_factory.mktemp("unkilled")
    assert nursery.finish(Job(folder)) == 0
    must_be_exact(folder, 200)
    return _files(folder)


@pytest.mark.parametrize("kill", POINTS, ids=str)
def test_a_kill_changes_nothing_in_what_is_made(kill: Kill, tmp_path: Path, unkilled: Files, nursery: Nursery) -> None:
    # How often the files are written to depends on how long the run lasts: long enough for the latest of these points.
    pace = 12.0 if kill.where.startswith((FILES, WRITER)) else 1.0
    killed = nursery.finish(Job(tmp_path, kill, seed=1, pace=pace))
    # Whether a row is ever withdrawn is up to the weather.
    assert killed == -9 or kill.where == "RowsWithdrawn"
    assert nursery.finish(Job(tmp_path, seed=2)) == 0
    _must_be_whole(tmp_path, unkilled)


def test_a_kill_at_the_recovery_from_a_kill_changes_nothing_either(
    tmp_path: Path, unkilled: Files, nursery: Nursery
) -> None:
    for kill in (
        Kill(f"{FILES}:BlockFile.append", 3, after=True),
        Kill(f"{FILES}:BlockFile.open"),
        Kill(f"{FILES}:BlockFile.open", after=True),
        Kill(f"{LEDGER}:Ledger.adopt", after=True),
        Kill("CellStarted"),
        Kill(f"{LEDGER}:Ledger._rename"),
        Kill(f"{LEDGER}:Ledger._recover_order"),
        Kill(f"{LEDGER}:Ledger._rename", after=True),
    ):
        pace = 12.0 if kill.number > 1 else 1.0
        assert nursery.finish(Job(tmp_path, kill, pace=pace)) == -9, str(kill)
    assert nursery.finish(Job(tmp_path)) == 0
    _must_be_whole(tmp_path, unkilled)


def test_killed_at_every_commit_it_still_comes_to_its_end(tmp_path: Path, unkilled: Files, nursery: Nursery) -> None:
    """Each start lives for two commits."""
    for number in range(60):
        if nursery.finish(Job(tmp_path, Kill(f"{WRITER}:Writer._commit", 2, after=True), seed=number, pace=20)) == 0:
            break
    else:
        pytest.fail("no progress")
    assert number > 3
    _must_be_whole(tmp_path, unkilled)


GROWN = {**SETTINGS, "classes": classes("neither", "good", "bad"), "num_samples_per_prompt": 6}


@pytest.mark.parametrize(
    "kill",
    [
        Kill("rowsmith.engine.ledger.ledger:extend"),
        Kill("rowsmith.engine.ledger.ledger:extend", after=True),
        Kill(f"{STORE}:Store.reopen_all", after=True),
        Kill(f"{LEDGER}:Ledger.adopt", after=True),
        Kill("RowAccepted", 40),
    ],
    ids=str,
)
def test_a_kill_while_a_run_grows_leaves_it_as_it_was_or_grown(
    kill: Kill, tmp_path: Path, unkilled: Files, nursery: Nursery
) -> None:
    assert nursery.finish(Job(tmp_path)) == 0
    assert nursery.finish(Job(tmp_path, kill, settings=GROWN)) == -9
    before_it_grew = kill.where.endswith(("extend", "reopen_all"))
    if before_it_grew:
        assert nursery.finish(Job(tmp_path)) == 0
        assert _files(tmp_path) == unkilled
    assert nursery.finish(Job(tmp_path, settings=GROWN)) == 0
    must_be_exact(tmp_path, 360)
    # The two starts ask the same cells in other words where rows were displaced; no question was put twice.
    assert max(Journal(tmp_path).bought_again(), default=0.0) < WINDOW + SLACK


@pytest.mark.parametrize(
    "kill",
    [
        Kill(f"{LEDGER}:delete_run"),
        Kill("pathlib:Path.unlink", 2),
        Kill("pathlib:Path.unlink", 3),
        Kill("pathlib:Path.unlink", 4),
        Kill(f"{LEDGER}:delete_run", after=True),
        Kill("CellFinished", 3),
    ],
    ids=str,
)
def test_a_kill_while_a_run_is_deleted_can_be_followed_by_another_try(
    kill: Kill, tmp_path: Path, unkilled: Files, nursery: Nursery
) -> None:
    assert nursery.finish(Job(tmp_path)) == 0
    assert nursery.finish(Job(tmp_path, kill, options={"fresh": True})) == -9
    assert nursery.finish(Job(tmp_path, options={"fresh": True})) == 0
    assert _files(tmp_path) == unkilled


def test_nothing_is_left_over_but_the_files_of_a_run(tmp_path: Path, nursery: Nursery) -> None:
    for kill in (
        Kill(f"{FILES}:BlockFile.append", 2, after=True),
        Kill(f"{FILES}:BlockFile.copy", after=True),
        Kill(f"{LEDGER}:Ledger._rename"),
    ):
        assert nursery.finish(Job(tmp_path, kill)) == -9
    assert nursery.finish(Job(tmp_path)) == 0
    left = {str(path.relative_to(tmp_path)) for path in _below(tmp_path)}
    assert left - {"journal"} == {
        "rows.jsonl",
        "rows.run/ledger.sqlite",
        "rows.run/lock",
        "rows.run/rejected.jsonl",
        "rows.run/rejected.uncommitted.jsonl",
        "rows.run/rows.uncommitted.jsonl",
    }


def _must_be_whole(folder: Path, unkilled: Files) -> None:
    must_be_exact(folder, 200)
    assert _files(folder) == unkilled
    assert max(Journal(folder).bought_again(), default=0.0) < WINDOW + SLACK
    # What is in the ledger was paid for once each.
    assert ledger(folder, "SELECT count(*) - count(DISTINCT key) FROM calls") == [(0,)]


def _files(folder: Path) -> Files:
    return (folder / "rows.jsonl").read_bytes(), (folder / "rows.run" / "rejected.jsonl").read_bytes()


def _below(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
