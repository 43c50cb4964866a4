"""The ledger against other processes, other versions and people who edit files: an error, and nothing lost."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rowsmith import ClassificationDataset
from rowsmith.engine.ledger import CallRecord, Kind, Ledger, RunPaths
from rowsmith.engine.ledger.records import BlockRecord, CellRecord
from rowsmith.engine.ledger.schema import APPLICATION_ID, MIGRATIONS
from rowsmith.engine.ledger.store import Store, connect
from rowsmith.errors import LedgerError, OutputChangedError, RunLockedError, StorageError

from .child import Job, Kill, Nursery
from .harness import QUICK, Model, config, dataset, files, ledger, must_be_exact
from .remains import LEDGER, again, kept

WRITER = "rowsmith.engine.ledger.writer"


# --- others -----------------------------------------------------------------------------------------------------------


def slow(job: Job) -> None:
    """In a process of its own: a run that never ends by itself."""
    model = Model(seconds=lambda question: 600.0 if len(model.asked) > 2 else 0.0)
    (job.folder / "started").touch()
    ClassificationDataset(config(job.folder)).generate(model, options=QUICK)


def test_a_second_process_is_told_who_has_the_run_and_takes_over_when_the_first_is_dead(
    tmp_path: Path, nursery: Nursery
) -> None:
    pid = nursery.start(Job(tmp_path, work=slow))
    database = tmp_path / LEDGER
    while not database.exists() or not database.stat().st_size or not (tmp_path / "rows.jsonl").exists():
        time.sleep(0.01)
    time.sleep(0.05)
    before = (tmp_path / "rows.jsonl").read_bytes()
    for fresh in (False, True):
        with pytest.raises(RunLockedError, match=rf"being written by process {pid} on \S+"):
            dataset(tmp_path).generate(Model(), options=QUICK, fresh=fresh)
    assert database.exists()
    assert (tmp_path / "rows.jsonl").read_bytes().startswith(before)
    os.kill(pid, signal.SIGKILL)
    assert nursery.wait() == -9
    report = dataset(tmp_path).generate(Model(), options=QUICK).report
    assert report is not None
    assert report.complete
    must_be_exact(tmp_path, 20)


def test_two_runs_of_one_process_lock_each_other_out(tmp_path: Path) -> None:
    paths = RunPaths.of(tmp_path / "rows.jsonl")
    with Ledger(paths), pytest.raises(RunLockedError), Ledger(paths):
        pass
    with Ledger(paths):
        pass


def test_a_program_that_holds_the_ledger_is_not_taken_for_a_full_disk(run: Path) -> None:
    other = sqlite3.connect(run / LEDGER, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rowsmith.engine.ledger.store._PATIENCE", 0.05)
        with pytest.raises(StorageError, match="another program holds the ledger"):
            again(run)
    other.execute("ROLLBACK")
    other.close()
    assert again(run).calls == 0


# --- people -----------------------------------------------------------------------------------------------------------


def _edited(data: bytes) -> bytes:
    return data.replace(b"text", b"TEXT", 1)


EDITS: dict[str, Callable[[bytes], bytes | None]] = {
    "a word changed": _edited,
    "a line added": lambda data: data + b'{"id": "mine"}\n',
    "the last line gone": lambda data: data[: data[:-1].rindex(b"\n") + 1],
    "a line doubled": lambda data: data[: data.index(b"\n") + 1] + data,
    "emptied": lambda data: b"",
    "gone": lambda data: None,
}


@pytest.mark.parametrize("what", EDITS)
def test_a_rows_file_edited_by_hand_is_refused_and_left_as_it_is(what: str, run: Path) -> None:
    path = run / "rows.jsonl"
    whole = path.read_bytes()
    edited = EDITS[what](whole)
    path.unlink()
    if edited is not None:
        path.write_bytes(edited)
    before = kept(run)
    model = Model()
    with pytest.raises(OutputChangedError, match=r"(?s)not as the last run left it.*Restore it, move it away.*--fresh"):
        again(run, model)
    assert kept(run) == before
    assert model.asked == []
    path.write_bytes(whole)
    assert again(run, model).calls == 0
    if edited is None:
        path.unlink()
    else:
        path.write_bytes(edited)
    assert again(run, model, fresh=True).complete
    assert path.read_bytes() == whole


def test_lines_added_by_hand_after_a_kill_are_kept_aside(tmp_path: Path, nursery: Nursery) -> None:
    assert nursery.finish(Job(tmp_path, Kill(f"{WRITER}:Writer._commit", 3, after=True), pace=10)) == -9
    with (tmp_path / "rows.jsonl").open("a") as rows:
        rows.write('{"id": "mine"}\n')
    assert nursery.finish(Job(tmp_path)) == 0
    must_be_exact(tmp_path, 200)
    assert '{"id": "mine"}\n' in (tmp_path / "rows.run/rows.uncommitted.jsonl").read_text()


def test_bytes_after_the_last_commit_are_cut_off_even_if_nothing_is_left_to_be_written(
    tmp_path: Path, nursery: Nursery
) -> None:
    kill = Kill("rowsmith.engine.ledger.ledger:Ledger.put_in_order", after=True)
    assert nursery.finish(Job(tmp_path, kill)) == -9
    whole = (tmp_path / "rows.jsonl").read_bytes()
    with (tmp_path / "rows.jsonl").open("a") as rows:
        rows.write('{"id": "of a group that was never committed"}\n')
    assert nursery.finish(Job(tmp_path)) == 0
    assert (tmp_path / "rows.jsonl").read_bytes() == whole


def test_rows_of_somebody_else_are_never_touched_not_even_with_fresh(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"my": "work"}\n')
    for fresh in (False, True):
        with pytest.raises(OutputChangedError, match="is not of a run of Rowsmith"):
            dataset(tmp_path).generate(Model(), options=QUICK, fresh=fresh)
    assert files(tmp_path) == {"rows.jsonl": b'{"my": "work"}\n'}
    assert not (tmp_path / "rows.run").exists()


def test_an_output_that_is_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "rows.jsonl").symlink_to(tmp_path / "elsewhere/real.jsonl")
    model = Model(seconds=lambda question: (question.digest % 7) / 1000)
    for count in (3, 5):
        dataset(tmp_path, num_samples_per_prompt=count).generate(model, options=QUICK)
    must_be_exact(tmp_path, 20)
    assert (tmp_path / "rows.jsonl").is_symlink()
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["real.jsonl"]


# --- tables and groups ------------------------------------------------------------------------------------------------

RELEASED = ("f84428c7acee0997081b316af025c6fa",)
"""The first digits of the SHA-256 of every migration that was ever released: none of them changes any more."""


def test_a_new_file_becomes_a_ledger_and_is_not_migrated_twice(tmp_path: Path) -> None:
    for _ in range(2):
        connection = connect(tmp_path / "ledger.sqlite")
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert connection.execute("SELECT count(*) FROM calls").fetchone() == (0,)
        connection.close()


def test_a_migration_that_fails_leaves_the_version_before_it(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    connect(path).close()
    with pytest.MonkeyPatch.context() as patch:
        broken = (*MIGRATIONS, "CREATE TABLE more (x); CREATE TABLE calls (y);")
        for module in ("schema", "store"):
            patch.setattr(f"rowsmith.engine.ledger.{module}.MIGRATIONS", broken)
        with pytest.raises(LedgerError):
            connect(path)
    connection = connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'more'").fetchone() == (0,)
    connection.close()


def test_a_later_migration_is_applied_to_a_ledger_that_lacks_it(run: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        longer = (*MIGRATIONS, "CREATE TABLE more (x);")
        for module in ("schema", "store"):
            patch.setattr(f"rowsmith.engine.ledger.{module}.MIGRATIONS", longer)
        assert again(run).calls == 0
    assert ledger(run, "PRAGMA user_version") == [(len(MIGRATIONS) + 1,)]
    assert ledger(run, "SELECT count(*) FROM more") == [(0,)]


def a_call(number: int) -> CallRecord:
    return CallRecord(
        number, number, "0", bytes([number]), "r", "m", "stop", "text", 1, 1, 0, 0, "", None, None, 0.1, 1e9
    )


def test_what_is_recorded_is_committed_within_the_window_without_being_asked_for(tmp_path: Path) -> None:
    paths = RunPaths.of(tmp_path / "rows.jsonl")
    with Ledger(paths) as made:
        other = sqlite3.connect(paths.ledger)
        waits = []
        for number in range(20):
            began = time.monotonic()
            made.add_call(a_call(number), CellRecord(number, number, 0, "1", 0, None))
            while other.execute("SELECT count(*) FROM calls").fetchone() != (number + 1,):
                time.sleep(0.001)
            waits.append(time.monotonic() - began)
        other.close()
    # The promise is 50 ms; the middle of twenty, since the machine may be busy with other things.
    assert sorted(waits)[10] < 0.05


async def test_rows_and_ledger_are_committed_together_and_a_failure_takes_both_back(tmp_path: Path) -> None:
    def broken(store: Store, cells: object) -> None:
        raise sqlite3.DatabaseError("of the test")

    async def finish(made: Ledger, cell: int) -> None:
        made.finish_cell(CellRecord(cell, cell, 1, "1", 1, None), [block._replace(cell=cell)], replace=False)
        await made.flushed()

    paths = RunPaths.of(tmp_path / "rows.jsonl")
    block = BlockRecord(int(Kind.ROWS), 0, b'{"a":1}\n', 1, b"")
    with Ledger(paths) as made:
        made.adopt(None, (), fingerprint="of a run")
        await finish(made, 1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Store, "put_cells", broken)
            with pytest.raises(LedgerError, match="of the test"):
                await finish(made, 2)
        with pytest.raises(LedgerError, match="of the test"):
            made.add_call(a_call(3))
        made._writer.failure = None
    assert paths.rows.read_bytes() == block.data
    with Ledger(paths) as made:
        assert [made.block_of(cell, Kind.ROWS)[0] for cell in (1, 2)] == [block.data, b""]


def test_released_migrations_never_change() -> None:
    digests = [hashlib.sha256(script.encode()).hexdigest() for script in MIGRATIONS]
    assert [digest[:32] for digest in digests[: len(RELEASED)]] == list(RELEASED)
