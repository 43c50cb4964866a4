"""Who owns a row that several cells made, at every order of events and after a kill between any two of them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowsmith.engine.claims import Claims, Holding, packed, unpacked
from rowsmith.engine.events import Event, RowAccepted, RowsWithdrawn
from rowsmith.engine.pending import Pending
from rowsmith.engine.report import Report
from rowsmith.errors import LedgerError
from rowsmith.quality.seen import Seen

from .child import Job, Kill, Nursery
from .contention import CELLS, EXPECTED, contended, slow_z, work
from .harness import QUICK, Events, Model, Question, classes, dataset, entries, ledger, lines, must_be_exact

STORE = "rowsmith.engine.ledger.store"
WRITER = "rowsmith.engine.ledger.writer"


# --- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("marks", [b"\x07" + bytes(32), b"\0" + bytes(32)])
def test_marks_of_an_unknown_kind_are_an_error_of_the_ledger(marks: bytes) -> None:
    with pytest.raises(LedgerError, match="unknown kind"):
        unpacked(marks)
    with pytest.raises(LedgerError, match="unknown kind"):
        Claims(Seen(), lambda cell: None).load([(0, bytes(8)), (1, marks)])


@pytest.mark.parametrize("size", [0, 8, 128])
def test_marks_are_unpacked_as_they_were_packed(size: int) -> None:
    drawn = random.Random(size)
    for rows in (1, 2, 7, 8, 9, 100):
        marks = [drawn.randbytes(8 + size) for _ in range(rows)]
        assert unpacked(packed(marks)) == marks


def claims_of(*blocks: tuple[int, str]) -> Claims:
    """Claims loaded with (cell, text) as a ledger would have them."""
    made = Claims(Seen(), lambda cell: None)
    made.load([(cell, packed(_mark(text))) for cell, text in blocks])
    return made


def _mark(text: str) -> list[bytes]:
    holding = Holding(0)
    Claims(Seen(), lambda cell: None).claim(holding, {"text": text}, ["text"])
    return holding.marks


def test_an_earlier_cell_takes_a_row_and_the_later_is_told() -> None:
    told: list[int] = []
    claims = Claims(Seen(), told.append)
    assert claims.claim(Holding(5), {"text": "a"}, ["text"]) is None
    later = Holding(7)
    refused = claims.claim(later, {"text": "A."}, ["text"])
    assert refused is not None
    assert refused.gate == "duplicate"
    assert len(later.denied) == 1
    assert told == []
    assert claims.claim(Holding(2), {"text": "a"}, ["text"]) is None
    assert told == [5]


def test_of_two_cells_that_a_kill_left_with_one_row_the_earlier_owns_it() -> None:
    claims = claims_of((2, "a"), (5, "a"))
    assert claims.claim(Holding(5), {"text": "a"}, ["text"]) is not None
    assert claims.claim(Holding(2), {"text": "a"}, ["text"]) is None


def test_a_refusal_is_stale_if_no_earlier_cell_has_the_row() -> None:
    (number,) = [int.from_bytes(one[:8], "big") for one in _mark("a")]
    assert list(claims_of((2, "a")).stale([(number, 5)])) == []
    assert list(claims_of((8, "a")).stale([(number, 5)])) == [5]
    assert list(claims_of((2, "b")).stale([(number, 5)])) == [5]


# --- the line ---------------------------------------------------------------------------------------------------------


def drained(pending: Pending) -> list[tuple[int, bool]]:
    return list(iter(pending.next, None))


@given(st.sets(st.integers(0, 40)), st.lists(st.integers(0, 40)), st.data())
def test_every_cell_comes_once_and_a_reopened_one_again(
    settled: set[int], reopened: Iterable[int], data: st.DataObject
) -> None:
    pending = Pending(range(41), sorted(settled))
    seen: list[tuple[int, bool]] = []
    again: set[int] = set()
    for number in reopened:
        taken = (pending.next() for _ in range(data.draw(st.integers(0, 3))))
        seen.extend(one for one in taken if one is not None)
        # Only what was worked on, in this start or before, has rows to lose.
        if number in settled or number in {one for one, _ in seen}:
            pending.reopen(number)
            again.add(number)
    seen += drained(pending)
    from_line = [number for number, was_reopened in seen if not was_reopened]
    assert from_line == sorted(set(range(41)) - settled)
    assert {number for number, was_reopened in seen if was_reopened} == again


def test_a_cell_of_an_earlier_start_that_was_reopened_does_not_come_again_as_a_new_one() -> None:
    """The list of settled cells is read from the ledger as the line goes on: by then the reopened one is not in it."""
    settled = [0, 1, 3, 4]
    pending = Pending(range(6), (number for number in list(settled) if number in settled))
    assert pending.next() == (2, False)
    pending.reopen(4)
    settled.remove(4)
    assert pending.next() == (4, True)
    assert drained(pending) == [(5, False)]


# --- whole runs -------------------------------------------------------------------------------------------------------


def test_a_row_given_up_goes_to_the_cell_that_was_refused_it(tmp_path: Path) -> None:
    for in_flight in (1, 8):
        folder = tmp_path / str(in_flight)
        folder.mkdir()
        events = Events()
        model = Model(contended, seconds=slow_z)
        dataset(folder, **CELLS).generate(model, max_concurrency=in_flight, options=QUICK, listeners=[events])
        assert [row["text"] for row in lines(folder)] == EXPECTED
        counted = len(events.of(RowAccepted)) - sum(event.rows for event in events.of(RowsWithdrawn))
        assert counted == 8
        assert ledger(folder, "SELECT count(*) FROM denied") == [(1,)]
    assert events.of(RowsWithdrawn), "the events came in the order that makes it hard"


@pytest.mark.parametrize(
    "kill",
    [
        Kill(f"{STORE}:Store.denied_for"),
        Kill(f"{STORE}:Store.denied_for", after=True),
        *(Kill(f"{WRITER}:Writer._commit", number, after=True) for number in range(1, 8)),
        *(Kill("CellFinished", number) for number in range(1, 6)),
    ],
    ids=str,
)
def test_a_kill_between_giving_up_and_telling_leaves_nobody_wronged(
    kill: Kill, tmp_path: Path, nursery: Nursery
) -> None:
    killed = nursery.finish(Job(tmp_path, kill, work=work))
    assert killed in (-9, 0)
    assert killed == -9 or kill.where.endswith("_commit")
    assert nursery.finish(Job(tmp_path, work=work)) == 0
    assert [row["text"] for row in lines(tmp_path)] == EXPECTED


@pytest.mark.parametrize("seed", range(4))
def test_cells_reopened_far_ahead_of_the_line_pay_nothing_again(seed: int, tmp_path: Path) -> None:
    """Early cells come last and take rows from cells that an earlier start has finished, beyond what it reads ahead."""
    drawn = random.Random(seed)

    def answer(question: Question) -> str:
        if "\n" in question.prompt:
            return entries(f"other {question.digest:x}")
        number = int(question.prompt.partition("class ")[2].split()[0].rstrip(":"))
        return entries(f"text {number % 40}")

    settings: dict[str, Any] = {
        "classes": classes(*(f"class {number}" for number in range(80))),
        "expansion": {},
        "prompts": ["Write {num_samples} text in {language_name} {label_name}: {label_description}."],
        "num_samples_per_prompt": 1,
    }

    async def first_start() -> None:
        all_but_four = asyncio.Event()

        def count(event: Event) -> None:
            if made.report is not None and made.report.calls >= 76:
                all_but_four.set()

        late = {question for question in range(80) if question % 40 < 4 and question < 40}

        def seconds(question: Question) -> float:
            number = int(question.prompt.partition("class ")[2].split()[0].rstrip(":"))
            return 30.0 if number in late else drawn.random() / 100

        made = dataset(tmp_path, **settings)
        task = asyncio.create_task(
            made.generate_async(
                Model(answer, seconds=seconds),
                max_concurrency=64,
                options=QUICK.but(grace=0.0),
                listeners=[count],
            )
        )
        await all_but_four.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(first_start())
    model = Model(answer, seconds=lambda question: drawn.random() / 100)
    report: Report | None = dataset(tmp_path, **settings).generate(model, max_concurrency=4, options=QUICK).report
    assert report is not None
    assert report.complete
    must_be_exact(tmp_path, 80)
    assert ledger(tmp_path, "SELECT count(*) - count(DISTINCT key) FROM calls") == [(0,)]
    assert [row["text"] for row in lines(tmp_path)][:40] == [f"text {number}" for number in range(40)]
