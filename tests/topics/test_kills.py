"""SIGKILL while topics are built: the next start makes of it what a build without a kill would have made."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from engine.child import Job, Journal, Journaled, Kill, Nursery, armed
from engine.harness import QUICK

from .harness import crowded, must_be_exact, tree

WINDOW = 0.3
"""Seconds for which an answer may be uncommitted, and what a busy machine may add to it."""
DEGREE, DEPTH = 4, 3


def carry_out(job: Job) -> None:
    """Build the tree, or a part of it."""
    journal = Journal(job.folder)
    journal.add("start")
    listener = armed(job.kill, journal)
    drawn = random.Random(job.seed)
    model = Journaled(crowded, seconds=lambda question: drawn.choice([0.0, 0.004, 0.06]), journal=journal)
    made = tree(model=model, degree=DEGREE, depth=DEPTH, max_rounds=12, output_file=job.folder / "topics.jsonl")
    made.build(options=QUICK, max_concurrency=8, listeners=[listener])  # type: ignore[list-item]  # it looks at names
    must_be_exact(made, DEGREE, DEPTH)


@pytest.fixture(scope="module")
def unkilled(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("unkilled")
    assert nursery.finish(Job(folder, work=carry_out)) == 0
    return (folder / "topics.jsonl").read_bytes()


LEDGER = "rowsmith.engine.ledger.ledger"
KILLS = [
    Kill("CallMade", 1),
    Kill("TopicDivided", 1),
    Kill("RunFinished", 1),
    Kill("LevelStarted", 2),
    Kill("CallMade", 4),
    Kill(f"{LEDGER}:Ledger.adopt", 2),
    Kill(f"{LEDGER}:Ledger.adopt", 2, after=True),
    Kill("RowAccepted", 30),
    Kill(f"{LEDGER}:Ledger._rename", 1, after=False),
    Kill("LevelStarted", 3),
    Kill("CallMade", 20),
    Kill("RowsWithdrawn", 1),
    Kill("TopicDivided", 3),
    Kill("TopicDivided", 5),
    Kill("TopicDivided", 20),
    Kill("RunFinished", 3),
]


@pytest.mark.parametrize("kill", KILLS, ids=str)
def test_a_kill_changes_no_topic(kill: Kill, tmp_path: Path, unkilled: bytes, nursery: Nursery) -> None:
    killed = nursery.finish(Job(tmp_path, kill, seed=1, work=carry_out))
    # Whether rows are withdrawn, or a file has to be put in order, is up to the weather.
    assert killed == -9 or kill.where.endswith(("RowsWithdrawn", "_rename"))
    assert nursery.finish(Job(tmp_path, seed=2, work=carry_out)) == 0
    assert (tmp_path / "topics.jsonl").read_bytes() == unkilled
    assert all(age < WINDOW for age in Journal(tmp_path).bought_again())


def test_twenty_kills_one_after_the_other_change_no_topic_and_buy_nothing_twice(
    tmp_path: Path, unkilled: bytes, nursery: Nursery
) -> None:
    drawn = random.Random(7)
    kills = 0
    for number in range(60):
        kill = Kill(drawn.choice(["CallMade", "CellFinished", "RowAccepted"]), drawn.randrange(1, 9))
        ended = nursery.finish(Job(tmp_path, kill, seed=number, work=carry_out))
        kills += ended == -9
        if kills == 20 or ended == 0:
            break
    assert nursery.finish(Job(tmp_path, seed=99, work=carry_out)) == 0
    assert (tmp_path / "topics.jsonl").read_bytes() == unkilled
    assert kills >= 10
    assert all(age < WINDOW for age in Journal(tmp_path).bought_again())
