"""Disks that are full, folders that cannot be written, clocks that go back, and memory that must not grow."""

from __future__ import annotations

import os
import resource
import subprocess
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from rowsmith.engine import sieve as sieve_module
from rowsmith.engine.ledger.writer import Group, Writer
from rowsmith.engine.options import Options
from rowsmith.engine.plan import Cell
from rowsmith.engine.sieve import Sieve
from rowsmith.errors import StorageError
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Completion

from .child import Job, Nursery
from .harness import QUICK, Model, Question, dataset, entries, files, ledger, lines, must_be_exact, tones

PADDING = "x" * 2000
LARGE: dict[str, Any] = {"expansion": tones(*(f"tone {number}" for number in range(250)))}
"""500 cells of five rows of 2 KB each: 5 MB of rows, and as much of answers."""


def large(question: Question) -> str:
    return entries(*(f"{question.digest:x} {number} {PADDING}" for number in range(question.count)))


# --- full -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A file system of so many megabytes; called again, of another size."""
    disk = tmp_path / "disk"
    disk.mkdir()
    options = ""

    def sized(megabytes: int) -> Path:
        nonlocal options
        command = ["mount", "-t", "tmpfs", "-o", f"{options}size={megabytes}m", "tmpfs", str(disk)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"mounting a small disk is not permitted here: {done.stderr.strip()}")
        options = "remount,"
        return disk

    yield sized
    if options:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_on_a_full_disk_the_run_stops_and_goes_on_when_there_is_room(small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(12)
    model = Model(large, seconds=lambda question: 0.001)
    made = dataset(disk, **LARGE)
    with pytest.raises(StorageError, match="the disk is full"):
        made.generate(model, max_concurrency=8, options=QUICK)
    assert made.report is not None
    assert (made.report.ended, made.report.rows % 5) == ("stopped", 0)
    assert 0 < made.report.rows <= 2500
    # Every answer that came is in the ledger, also of the calls that were in flight then.
    assert ledger(disk, "SELECT count(*), count(DISTINCT key) FROM calls") == [(model.answered, model.answered)]
    assert len(lines(disk)) == made.report.rows
    paid = model.answered

    with pytest.raises(StorageError):
        dataset(disk, **LARGE).generate(model, max_concurrency=8, options=QUICK)
    assert len(lines(disk)) >= made.report.rows
    assert not list(disk.glob(".*"))

    small_disk(64)
    report = dataset(disk, **LARGE).generate(model, max_concurrency=8, options=QUICK).report
    assert report is not None
    assert report.complete
    must_be_exact(disk, 2500)
    assert model.repeated == 0
    assert model.answered == 500 >= paid
    assert not (disk / "rows.run/reserve").exists()


def test_a_disk_that_is_full_at_the_start_is_an_error_and_leaves_nothing(small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(2)
    model = Model()
    with pytest.raises(StorageError, match=r"cannot set aside \d+ MB in .*rows.run.*No space left.*Make room"):
        dataset(disk).generate(model, options=QUICK)
    assert model.asked == []
    assert files(disk).keys() == {"rows.run/lock"}


def test_a_disk_too_small_for_a_sorted_copy_keeps_the_rows_as_they_are(small_disk: Callable[[int], Path]) -> None:
    """All rows are made; putting them in order needs room for a second file."""
    disk = small_disk(64)
    model = Model(large, seconds=lambda question: (question.digest % 10) / 1000)
    fill = disk / "somebody else's"

    def take_the_room(event: object) -> None:
        if type(event).__name__ == "CellFinished" and model.answered == 500 and not fill.exists():
            while not fill.exists():
                free = os.statvfs(disk)
                try:
                    fill.write_bytes(bytes(free.f_bavail * free.f_frsize - 3_000_000))
                except OSError:  # the run's own writer took some of the room meanwhile
                    fill.unlink()

    made = dataset(disk, **LARGE)
    with pytest.raises(StorageError, match="No space left"):
        made.generate(model, max_concurrency=32, options=QUICK, listeners=[take_the_room])
    must_be_exact(disk, 2500)
    assert not list(disk.glob(".*"))
    fill.unlink()
    report = made.generate(model, options=QUICK).report
    assert report is not None
    assert (report.complete, report.calls) == (True, 0)
    must_be_exact(disk, 2500)


def limited(job: Job) -> None:
    """In a process of its own: no file may grow beyond 6 MB, as on a file system with such a limit."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (6 << 20, 6 << 20))
    model = Model(_larger, seconds=lambda question: 0.02)
    made = dataset(job.folder, **LARGE)
    try:
        made.generate(model, max_concurrency=8, options=QUICK)
    except StorageError as error:
        (job.folder / "error").write_text(str(error))
    (job.folder / "answered").write_text(str(model.answered))


def _larger(question: Question) -> str:
    return large(question).replace(PADDING, PADDING * 2)


def test_a_file_that_may_not_grow_stops_the_run_and_keeps_every_answer(tmp_path: Path, nursery: Nursery) -> None:
    assert nursery.finish(Job(tmp_path, work=limited)) == 0
    error = (tmp_path / "error").read_text()
    assert "run the same command again" in error
    answered = int((tmp_path / "answered").read_text())
    assert 0 < answered < 500
    assert ledger(tmp_path, "SELECT count(*) FROM calls")[0][0] >= answered - 8
    before = len(lines(tmp_path))
    assert before % 5 == 0
    model = Model(_larger)
    report = dataset(tmp_path, **LARGE).generate(model, options=QUICK).report
    assert report is not None
    assert report.complete
    must_be_exact(tmp_path, 2500)
    assert answered + model.answered <= 508


async def test_answers_are_recorded_when_their_rows_cannot_be_written(tmp_path: Path) -> None:
    """The rows file alone fails: what was answered and what is still in flight then is paid for, and kept."""
    from rowsmith.engine.ledger.files import BlockFile

    def broken(file: BlockFile, data: bytes) -> None:
        raise OSError(5, "Input/output error", str(file.path))

    model = Model(seconds=lambda question: 0.02)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BlockFile, "append", broken)
        with pytest.raises(StorageError, match=r"rows.jsonl: Input/output error"):
            await dataset(tmp_path).generate_async(model, options=QUICK)
    assert model.answered == 4
    assert ledger(tmp_path, "SELECT count(*) FROM calls") == [(4,)]
    assert ledger(tmp_path, "SELECT sum(calls) FROM spend") == [(4,)]
    report = (await dataset(tmp_path).generate_async(model, options=QUICK)).report
    assert report is not None
    assert (report.complete, report.calls, report.replayed) == (True, 0, 4)


# --- places that cannot be written ------------------------------------------------------------------------------------


def a_file_in_the_folders_place(folder: Path) -> Path:
    (folder / "rows.run").write_text("a file")
    return folder / "rows.jsonl"


def a_folder_in_the_files_place(folder: Path) -> Path:
    (folder / "rows.jsonl").mkdir()
    return folder / "rows.jsonl"


def a_file_as_parent(folder: Path) -> Path:
    (folder / "parent").write_text("a file")
    return folder / "parent" / "rows.jsonl"


def a_device(folder: Path) -> Path:
    (folder / "rows.jsonl").symlink_to("/dev/null")
    return folder / "rows.jsonl"


def a_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "rows.jsonl")
    return folder / "rows.jsonl"


def the_kernels_own(folder: Path) -> Path:
    return Path("/proc/rowsmith/rows.jsonl")


@pytest.mark.parametrize(
    "place",
    [
        a_file_in_the_folders_place,
        a_folder_in_the_files_place,
        a_file_as_parent,
        a_device,
        a_pipe,
        the_kernels_own,
    ],
    ids=lambda place: place.__name__,
)
def test_a_place_that_cannot_be_used_is_named_before_anything_is_paid(
    place: Callable[[Path], Path], tmp_path: Path
) -> None:
    output = place(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    model = Model()
    with pytest.raises(StorageError) as caught:
        dataset(tmp_path, output_file=str(output)).generate(model, options=QUICK)
    assert (
        output.name in str(caught.value) or str(output.parent) in str(caught.value) or "rows.run" in str(caught.value)
    )
    assert model.asked == []
    assert sorted(tmp_path.rglob("*")) == before


def test_a_disk_mounted_for_reading_only_is_an_error_that_loses_nothing(small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(32)
    made = dataset(disk)
    made.generate(Model(), options=QUICK)
    before = files(disk)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    model = Model()
    with pytest.raises(StorageError, match=str(disk)):
        dataset(disk, num_samples_per_prompt=6).generate(model, options=QUICK)
    assert model.asked == []
    assert files(disk) == before
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert made.generate(model, options=QUICK).report is not None
    assert model.asked == []


# --- time and memory --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BackwardClock:
    """A clock that somebody sets back by a day at every look, and a steady one for durations."""

    looks: list[float] = field(default_factory=lambda: [1.8e9], hash=False)

    def now(self) -> float:
        return Options().clock.now()

    def date(self) -> float:
        self.looks.append(self.looks[-1] - 86_400)
        return self.looks[-1]

    async def sleep(self, seconds: float) -> None:
        await Options().clock.sleep(seconds)


def test_a_clock_set_back_loses_nothing_and_buys_nothing_twice(tmp_path: Path) -> None:
    def fail(event: object) -> None:
        if type(event).__name__ == "CallMade" and model.answered == 2:
            raise KeyError("stop")

    model = Model(large)
    clock = BackwardClock()
    options = QUICK.but(clock=clock)
    with pytest.raises(KeyError):
        dataset(tmp_path).generate(model, max_concurrency=1, options=options, listeners=[fail])
    report = dataset(tmp_path).generate(model, options=options).report
    assert report is not None
    assert (report.complete, report.replayed, report.calls) == (True, 1, 2)
    assert report.total.calls == 4
    assert len(clock.looks) > 4
    must_be_exact(tmp_path, 20)
    assert [at for (at,) in ledger(tmp_path, "SELECT at FROM calls ORDER BY rowid")] == sorted(
        (at for (at,) in ledger(tmp_path, "SELECT at FROM calls")), reverse=True
    )
    assert ledger(tmp_path, "SELECT sum(calls), count(DISTINCT day) FROM spend") == [(4, 4)]
    again = dataset(tmp_path).generate(model, options=QUICK).report
    assert again is not None
    assert again.calls == 0


@dataclass(eq=False)
class Forgetful(Model):
    """Keeps nothing of what it is asked: its own memory must not grow either."""

    async def complete(self, body: bytes, transport: Transport) -> Completion:
        self.answered += 1
        return Completion(entries(f"number {self.answered}"))


def measured(job: Job) -> None:
    """In a process of its own: many cells, and the most memory that it ever had."""
    settings: dict[str, Any] = {
        "num_samples_per_prompt": 1,
        "target_rows": int(job.pace),
        "expansion": {},
        "prompts": ["Write {num_samples} text in {language_name}, {label_name}: {label_description}."],
    }
    # What may wait to be written is bounded (see the next tests), but whether it ever comes to that is up to the disk.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rowsmith.engine.ledger.writer.BACKLOG", 200_000)
        dataset(job.folder, **settings).generate(Forgetful(), options=QUICK)
    (job.folder / "peak").write_text(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))


def test_memory_does_not_grow_with_the_number_of_cells(tmp_path: Path, nursery: Nursery) -> None:
    peaks = []
    for cells in (2_000, 20_000):
        folder = tmp_path / str(cells)
        folder.mkdir()
        assert nursery.finish(Job(folder, pace=cells, work=measured)) == 0
        peaks.append(int((folder / "peak").read_text()))
    # SQLite's caches, at most 8 MiB, and the groups under way are full in the larger run only; a benchmark compares a
    # million cells with ten thousand.
    assert peaks[1] < 1.2 * peaks[0] + 16_000


def test_what_waits_for_a_slow_disk_is_bounded_by_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    most = 0
    commit = Writer._commit

    def slow(writer: Writer, group: Group) -> None:
        nonlocal most
        time.sleep(0.05)
        commit(writer, group)
        most = max(most, sum(len(block.data) for group in (group, writer._group) for block in group.blocks))

    monkeypatch.setattr(Writer, "_commit", slow)
    monkeypatch.setattr("rowsmith.engine.ledger.writer.BACKLOG", 200_000)
    options = replace(QUICK, max_concurrency=4)
    settings = {"expansion": tones(*(f"tone {number}" for number in range(100)))}
    report = dataset(tmp_path, **settings).generate(Model(large), options=options).report
    assert report is not None
    assert report.complete
    # Of 2 MB of rows. Answers count as well as rows, and each of the four workers puts in one cell more.
    assert 50_000 < most < 300_000


def test_a_row_that_waits_takes_the_memory_of_its_bytes_and_little_more() -> None:
    cell = Cell(0, 1, {}, 1000, 0)
    sieve = Sieve(cell, (), ("text",), None, lambda _: None)
    tracemalloc.start()
    for number in range(1000):
        sieve.offer({"id": f"{number}", "text": "x" * 300}, {})
    lines = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, sieve_module.__file__)])
    tracemalloc.stop()
    taken = sum(one.size for one in lines.statistics("filename"))
    assert sum(map(len, sieve.lines)) < taken < 2 * sum(map(len, sieve.lines))
