"""SIGKILL while data is made: the next start makes of it what a run without a kill would have made."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from engine.child import Job, Journal, Kill, Nursery, armed
from rowsmith import DataSetGenerator, OfflineProvider

TOPICS = [["Physics", branch, f"{branch} {number}"] for branch in ("Waves", "Heat", "Light") for number in range(7)]
ROWS, BATCH = 240, 4


def carry_out(job: Job) -> None:
    """Make the dataset, or the rest of it."""
    listener = armed(job.kill, Journal(job.folder))
    made = DataSetGenerator(
        instructions="Explain.", model_name=OfflineProvider(latency=0.002), max_concurrency=3
    ).create_data(
        ROWS,
        BATCH,
        TOPICS,
        sampling_strategy="balanced",
        output_file=job.folder / "rows.jsonl",
        listeners=[listener],
    )
    assert len(made) == len({row["id"] for row in made}) == len({row["question"] for row in made}) == ROWS


@pytest.fixture(scope="module")
def unkilled(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("unkilled")
    assert nursery.finish(Job(folder, work=carry_out)) == 0
    return (folder / "rows.jsonl").read_bytes()


def test_twenty_kills_change_no_row(tmp_path: Path, unkilled: bytes, nursery: Nursery) -> None:
    drawn = random.Random(7)
    kills = 0
    for number in range(60):
        kill = Kill(drawn.choice(["CallMade", "CellFinished", "RowAccepted"]), drawn.randrange(1, 7))
        ended = nursery.finish(Job(tmp_path, kill, seed=number, work=carry_out))
        kills += ended == -9
        if kills == 20 or ended == 0:
            break
    assert nursery.finish(Job(tmp_path, work=carry_out)) == 0
    assert (tmp_path / "rows.jsonl").read_bytes() == unkilled
    assert kills >= 10
