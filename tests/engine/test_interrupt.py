"""Ctrl-C, cancellation and a running loop: what is in flight is kept, and every end is in good order."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rowsmith import ClassificationDataset
from rowsmith.engine.events import CallMade, CellFinished, Event
from rowsmith.engine.ledger import Ledger
from rowsmith.engine.shielded import to_the_end

from .child import Job, Nursery
from .harness import QUICK, Model, Question, config, dataset, ledger, lines, must_be_exact, tones


async def cancelled(tmp_path: Path, *, grace: float, seconds: float, twice: bool = False) -> tuple[Model, float]:
    """A run that is cancelled when all its calls but the first are in flight; how long it took to end."""
    model = Model(seconds=lambda question: seconds if len(model.asked) > 1 else 0.0)
    made = dataset(tmp_path, expansion=tones(*"abcdefgh"))
    task = asyncio.create_task(made.generate_async(model, max_concurrency=8, options=QUICK.but(grace=grace)))
    await until(lambda: model.in_flight == 8)
    began = time.monotonic()
    task.cancel()
    if twice:
        await asyncio.sleep(0.05)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert made.report is not None
    assert (made.report.ended, made.report.why) == ("stopped", "interrupted")
    assert model.in_flight == 0
    return model, time.monotonic() - began


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not happened():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.001)


async def test_what_is_in_flight_at_an_interrupt_is_waited_for_and_kept(tmp_path: Path) -> None:
    model, _ = await cancelled(tmp_path, grace=10, seconds=0.2)
    assert model.answered == len(model.asked) == 9
    assert ledger(tmp_path, "SELECT count(*) FROM calls") == [(9,)]
    assert len(lines(tmp_path)) == 45
    report = (await dataset(tmp_path, expansion=tones(*"abcdefgh")).generate_async(model, options=QUICK)).report
    assert report is not None
    assert report.complete
    assert model.repeated == 0


async def test_an_interrupt_waits_no_longer_than_the_grace_time(tmp_path: Path) -> None:
    model, took = await cancelled(tmp_path, grace=0.1, seconds=60)
    assert took < 3
    assert (model.answered, len(lines(tmp_path))) == (1, 5)


async def test_a_second_interrupt_waits_for_nothing_and_leaves_all_in_order(tmp_path: Path) -> None:
    model, took = await cancelled(tmp_path, grace=60, seconds=60, twice=True)
    assert took < 3
    assert ledger(tmp_path, "SELECT value FROM meta WHERE name = 'state'") == [("stopped",)]
    model.seconds = lambda question: 0.0
    report = (await dataset(tmp_path, expansion=tones(*"abcdefgh")).generate_async(model, options=QUICK)).report
    assert report is not None
    assert report.complete
    must_be_exact(tmp_path, 80)
    # Exactly the eight that were in flight were asked again.
    assert model.repeated == 8


async def test_cancelled_at_any_step_the_next_start_goes_on(tmp_path: Path) -> None:
    model = Model(seconds=lambda question: 0.002)
    settings = {"expansion": tones(*"abcdefgh")}
    for steps in range(1, 400, 9):
        made = dataset(tmp_path, **settings)
        task = asyncio.create_task(made.generate_async(model, max_concurrency=4, options=QUICK.but(grace=0.0)))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    report = (await dataset(tmp_path, **settings).generate_async(model, options=QUICK)).report
    assert report is not None
    assert report.complete
    must_be_exact(tmp_path, 80)


async def test_an_interrupt_while_the_files_are_put_in_order_takes_effect_after_it(tmp_path: Path) -> None:
    under_way = threading.Event()
    in_order = Ledger.put_in_order

    def slow(ledger: Ledger) -> None:
        under_way.set()
        time.sleep(0.1)
        in_order(ledger)

    model = Model(seconds=lambda question: (question.digest % 5) / 500)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ledger, "put_in_order", slow)
        made = dataset(tmp_path, expansion=tones(*"abcdefgh"))
        task = asyncio.create_task(made.generate_async(model, options=QUICK))
        await until(under_way.is_set)
        task.cancel()
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert ledger(tmp_path, "SELECT value FROM meta WHERE name = 'state'") == [("finished",)]
    assert made.report is not None
    assert made.report.complete
    assert [row["label"] for row in lines(tmp_path)][::5] == ["good", "bad"] * 8


async def test_work_that_must_not_be_left_half_done_is_done_before_a_cancellation_takes_effect() -> None:
    done: list[int] = []

    async def work() -> int:
        for number in range(3):
            await asyncio.sleep(0.01)
            done.append(number)
        return 7

    task = asyncio.create_task(to_the_end(work()))
    await asyncio.sleep(0)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.001)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == [0, 1, 2]
    assert await to_the_end(work()) == 7


def interrupted(job: Job) -> None:
    """In a process of its own: `generate`, with calls that take long."""
    model = Model(seconds=lambda question: job.pace if len(model.asked) > 1 else 0.0)
    (job.folder / "pid").write_text(str(os.getpid()))

    def mark(event: Event) -> None:
        if isinstance(event, CallMade):
            (job.folder / "answered").touch()

    made = ClassificationDataset(config(job.folder, expansion=tones(*"abcdefgh")))
    made.generate(model, max_concurrency=8, options=QUICK.but(grace=30.0), listeners=[mark])


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_in_generate_keeps_what_was_made(times: int, tmp_path: Path, nursery: Nursery) -> None:
    pid = nursery.start(Job(tmp_path, pace=0.5 if times == 1 else 60.0, work=interrupted))
    while not (tmp_path / "answered").exists():
        time.sleep(0.005)
    time.sleep(0.1)
    began = time.monotonic()
    for _ in range(times):
        os.kill(pid, signal.SIGINT)
        time.sleep(0.1)
    assert nursery.wait() == 130
    assert time.monotonic() - began < 10
    # Once: the answers in flight came and were kept. Twice: nobody waited for them.
    assert len(lines(tmp_path)) == (45 if times == 1 else 5)
    report = dataset(tmp_path, expansion=tones(*"abcdefgh")).generate(Model(), options=QUICK).report
    assert report is not None
    assert report.complete
    must_be_exact(tmp_path, 80)


async def test_generate_works_inside_a_running_loop(tmp_path: Path) -> None:
    assert asyncio.get_running_loop().is_running()
    made = dataset(tmp_path).generate(Model(), options=QUICK)
    assert len(made) == 20
    with pytest.raises(RuntimeError, match="of the model"):
        dataset(tmp_path, num_samples_per_prompt=6).generate(Model(_broken), options=QUICK)
    report = dataset(tmp_path, num_samples_per_prompt=6).generate(Model(), options=QUICK).report
    assert report is not None
    assert report.complete
    assert json.loads((tmp_path / "rows.jsonl").read_text().splitlines()[0])["label"] == "good"


def _broken(question: Question) -> str:
    raise RuntimeError("of the model")


async def test_a_model_that_never_waits_lets_others_have_their_turn(tmp_path: Path) -> None:
    """Else Ctrl-C would not be heard, and what a loop is asked to do later would pile up for as long as the run."""
    ended = most = 0

    async def others() -> None:
        nonlocal ended, most
        while True:
            most, ended = max(most, ended), 0
            await asyncio.sleep(0)

    def listen(event: Event) -> None:
        nonlocal ended
        ended += isinstance(event, CellFinished)

    made = dataset(tmp_path, target_rows=2000, num_samples_per_prompt=1)
    beside = asyncio.create_task(others())
    await made.generate_async("offline", max_concurrency=4, options=QUICK, listeners=[listen])
    beside.cancel()
    assert 0 < most <= 40
