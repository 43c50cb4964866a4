"""A ledger or a journal that is torn, spoilt or something else: an error that loses nothing, or an earlier moment."""

from __future__ import annotations

import random
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rowsmith.engine.ledger.schema import MIGRATIONS
from rowsmith.engine.ledger.store import connect
from rowsmith.errors import LedgerError, RowsmithError, StorageError

from .child import Job, Kill, Nursery
from .harness import Model, lines, must_be_exact
from .remains import LEDGER, ROWS, again, kept

WRITER = "rowsmith.engine.ledger.writer"


# --- damage -----------------------------------------------------------------------------------------------------------


def test_torn_within_its_last_page_the_ledger_is_refused(run: Path) -> None:
    path = run / LEDGER
    whole = path.read_bytes()
    sizes = [*range(len(whole) - 4096, len(whole) - 16, 9), *range(len(whole) - 16, len(whole))]
    for size in sizes:
        path.write_bytes(whole[:size])
        with pytest.raises(LedgerError, match="is damaged"):
            connect(path)
    path.write_bytes(whole)
    connect(path).close()


@pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.6, 0.999])
def test_a_torn_ledger_loses_nothing_and_says_the_ways_out(part: float, run: Path) -> None:
    path = run / LEDGER
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    before = kept(run)
    model = Model()
    with pytest.raises(LedgerError, match=r"(?s)(Restore|restore).*fresh=True \(--fresh\)"):
        again(run, model)
    assert kept(run) == before
    assert model.asked == []
    path.write_bytes(whole)
    assert again(run).complete
    path.write_bytes(whole[: int(part * len(whole))])
    assert again(run, model, fresh=True).calls == 4


def test_flipped_bits_end_in_an_error_or_in_the_same_rows(run: Path) -> None:
    path, rows = run / LEDGER, (run / "rows.jsonl").read_bytes()
    whole, drawn = path.read_bytes(), random.Random(7)
    refused = 0
    for _ in range(60):
        spoilt = bytearray(whole)
        spoilt[drawn.randrange(len(whole))] ^= 1 << drawn.randrange(8)
        path.write_bytes(spoilt)
        try:
            again(run)
        except RowsmithError:
            refused += 1
            assert (run / "rows.jsonl").read_bytes() == rows
        else:
            assert [row["label"] for row in lines(run)] == ["good"] * 3 + ["bad"] * 3 + ["good"] * 3 + ["bad"] * 3
            must_be_exact(run, ROWS)
            (run / "rows.jsonl").write_bytes(rows)
    assert refused > 3


STRANGE: dict[str, Callable[[Path], None]] = {
    "another program's database": lambda path: _database(path, "CREATE TABLE notes (text)"),
    "a text": lambda path: _write(path, b"dear diary\n" * 1000),
    "noise": lambda path: _write(path, random.Random(1).randbytes(20_000)),
    "a folder": lambda path: path.mkdir(),
}


def _database(path: Path, script: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


@pytest.mark.parametrize("what", STRANGE)
def test_something_else_in_the_ledgers_place_is_refused_and_left_alone(what: str, run: Path) -> None:
    path = run / LEDGER
    path.unlink()
    STRANGE[what](path)
    before = kept(run)
    with pytest.raises((LedgerError, StorageError), match=re.escape(str(path))):
        again(run)
    assert kept(run) == before


def test_an_emptied_ledger_beside_rows_is_refused(run: Path) -> None:
    (run / LEDGER).write_bytes(b"")
    before = kept(run)["rows.jsonl"]
    for _ in range(2):
        with pytest.raises(LedgerError, match="is empty, but"):
            again(run)
    assert kept(run)["rows.jsonl"] == before


def test_a_ledger_whose_texts_are_no_texts_is_refused(run: Path) -> None:
    path = run / LEDGER
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE calls", b"CREATE TABLE c\xffll\xfe"))
    with pytest.raises(LedgerError, match="is damaged"):
        again(run)
    assert len(lines(run)) == ROWS


@pytest.mark.parametrize(
    "script",
    [
        "UPDATE calls SET finish = 'stup'",
        "UPDATE cells SET wants = '3x'",
        "UPDATE meta SET value = '{' WHERE name = 'fingerprint'",
    ],
)
def test_a_fact_that_cannot_be_is_refused(script: str, run: Path) -> None:
    _database(run / LEDGER, f"{script}; UPDATE cells SET status = 0")
    before = (run / "rows.jsonl").read_bytes()
    with pytest.raises(LedgerError):
        again(run)
    assert (run / "rows.jsonl").read_bytes() == before


def test_a_ledger_of_a_newer_version_is_refused_by_number(run: Path) -> None:
    _database(run / LEDGER, f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = kept(run)
    with pytest.raises(LedgerError, match=rf"newer Rowsmith \(ledger version {len(MIGRATIONS) + 1}.*pip install -U"):
        again(run)
    assert kept(run) == before


def test_a_block_that_the_ledger_puts_in_the_wrong_place_does_not_spoil_the_file(run: Path) -> None:
    _database(run / LEDGER, "UPDATE blocks SET offset = offset + 3 WHERE kind = 0 AND cell = 1")
    before = (run / "rows.jsonl").read_bytes()
    with pytest.raises(LedgerError, match="The ledger is damaged, the file is untouched"):
        again(run)
    assert (run / "rows.jsonl").read_bytes() == before
    assert not list(run.glob(".*"))


# --- after a kill: the journal ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, nursery: Nursery) -> Path:
    """The files of a run killed after some commits: most of its ledger is in the journal."""
    folder = tmp_path_factory.mktemp("killed")
    assert nursery.finish(Job(folder, Kill(f"{WRITER}:Writer._commit", 4, after=True), pace=10)) == -9
    assert (folder / f"{LEDGER}-wal").stat().st_size > 20_000
    return folder


def _copies(source: Path, folder: Path, number: int) -> Iterator[Path]:
    for at in range(number):
        copy = folder / str(at)
        shutil.copytree(source, copy)
        yield copy
        shutil.rmtree(copy)


def test_a_torn_journal_is_an_earlier_moment_of_the_run(killed: Path, tmp_path: Path, nursery: Nursery) -> None:
    whole = (killed / f"{LEDGER}-wal").stat().st_size
    drawn = random.Random(3)
    cuts = [0, 1, 31, 32, 33, whole - 1, whole - 24, *(drawn.randrange(whole) for _ in range(13))]
    for cut, copy in zip(cuts, _copies(killed, tmp_path, len(cuts)), strict=True):
        with (copy / f"{LEDGER}-wal").open("r+b") as journal:
            journal.truncate(cut)
        if (copy / "rows.jsonl").stat().st_size and not _knows_its_run(copy):
            assert nursery.finish(Job(copy)) == 1, "a ledger without its run, beside rows: refused"
            continue
        assert nursery.finish(Job(copy)) == 0, cut
        must_be_exact(copy, 200)


def _knows_its_run(folder: Path) -> bool:
    probe = folder.with_name(f"{folder.name}-probe")
    shutil.copytree(folder / "rows.run", probe)
    try:
        connection = sqlite3.connect(probe / "ledger.sqlite")
        return bool(connection.execute("SELECT 1 FROM meta WHERE name = 'fingerprint'").fetchone())
    except sqlite3.DatabaseError:
        return False
    finally:
        connection.close()
        shutil.rmtree(probe)


def test_flipped_bits_in_the_journal_are_an_earlier_moment_too(killed: Path, tmp_path: Path, nursery: Nursery) -> None:
    drawn = random.Random(5)
    for copy in _copies(killed, tmp_path, 8):
        path = copy / f"{LEDGER}-wal"
        spoilt = bytearray(path.read_bytes())
        spoilt[drawn.randrange(len(spoilt) // 2, len(spoilt))] ^= 4
        path.write_bytes(spoilt)
        assert nursery.finish(Job(copy)) == 0
        must_be_exact(copy, 200)
