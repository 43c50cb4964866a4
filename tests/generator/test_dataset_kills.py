"""SIGKILL while topics are built and rows made about them: the next start makes what would have been made without."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from engine.child import Job, Journal, Kill, Nursery, armed
from rowsmith import Completion, GeneratorDataset, GeneratorDatasetConfig, OfflineProvider
from rowsmith.cli.state import look
from rowsmith.engine.ledger import RunPaths
from rowsmith.engine.preceded import is_begun
from rowsmith.generator.topics_block import TopicsBlock
from rowsmith.llm.transport import Transport

WINDOW = 0.3
"""Seconds for which an answer may be uncommitted, and what a busy machine may add to it."""
DEGREE, DEPTH, ROWS = 3, 2, 36
FILES = ("rows.topics.jsonl", "rows.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Journaled(OfflineProvider):
    """Writes down what it is asked and answers."""

    journal: Journal = field(default_factory=lambda: Journal(Path()), compare=False)

    async def complete(self, body: bytes, transport: Transport) -> Completion:
        key = hashlib.blake2b(body, digest_size=12).hexdigest()
        self.journal.add("sent", key)
        completion = await OfflineProvider.complete(self, body, transport)
        self.journal.add("answered", key)
        return completion


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


def carry_out(job: Job) -> None:
    """Build the topics and make the rows, or the rest of it."""
    journal = Journal(job.folder)
    journal.add("start")
    listener = armed(job.kill, journal)
    config = GeneratorDatasetConfig(
        topics=TopicsBlock(topic_prompt="Physics", degree=DEGREE, depth=DEPTH),
        instructions="Explain.",
        default_num_examples=ROWS,
        default_batch_size=2,
        sampling_strategy="balanced",
        output_file=str(job.folder / "rows.jsonl"),
    )
    made = GeneratorDataset(config).generate(
        Journaled(latency=0.002, journal=journal), max_concurrency=3, listeners=[listener]
    )
    assert made.report is not None
    assert made.report.complete
    about = Counter(tuple(row["topic_path"]) for row in made)
    assert list(about.values()) == [ROWS // DEGREE**DEPTH] * DEGREE**DEPTH
    assert len({row["id"] for row in made}) == len({row["question"] for row in made}) == ROWS


@pytest.fixture(scope="module")
def unkilled(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("unkilled")
    assert nursery.finish(Job(folder, work=carry_out)) == 0
    return [(folder / name).read_bytes() for name in FILES]


ADOPT = "rowsmith.engine.ledger.ledger:Ledger.adopt"
HELD = "rowsmith.engine.preceded:Preceded.refrain"
KILLS = [
    *(Kill(ADOPT, number, after) for number in (1, 2, 3, 4) for after in (False, True)),
    Kill("CallMade", 1),
    Kill("CallMade", 3),
    Kill("RowAccepted", 7),
    *(Kill("RunFinished", number) for number in (1, 2, 3)),
    Kill(HELD),
    Kill(HELD, after=True),
    Kill("RunStarted", 3),
    Kill("CallMade", 5),
    Kill("CallMade", 12),
    Kill("CellFinished", 6),
    Kill("RowAccepted", 40),
]


@pytest.mark.parametrize("kill", KILLS, ids=str)
def test_a_kill_changes_no_topic_and_no_row(
    kill: Kill, tmp_path: Path, unkilled: list[bytes], nursery: Nursery
) -> None:
    assert nursery.finish(Job(tmp_path, kill, work=carry_out)) == -9
    paths = RunPaths.of(tmp_path / "rows.jsonl")
    if paths.ledger.exists() and kill.where != ADOPT:
        state = look(paths)
        assert state.state == ("stopped" if kill.where == HELD else "cut off") or kill == Kill("RunFinished", 3)
        assert state.rows <= ROWS
    assert nursery.finish(Job(tmp_path, work=carry_out)) == 0
    assert [(tmp_path / name).read_bytes() for name in FILES] == unkilled
    assert all(age < WINDOW for age in Journal(tmp_path).bought_again())


def test_many_kills_in_both_phases_change_nothing_and_buy_nothing_twice(
    tmp_path: Path, unkilled: list[bytes], nursery: Nursery
) -> None:
    drawn = random.Random(7)
    phases: Counter[bool] = Counter()
    for number in range(60):
        most = 6 if is_begun(tmp_path / "rows.jsonl") else 1 + number // 3
        kill = Kill(drawn.choice(["CallMade", "CellFinished", "RowAccepted", "CallMade"]), drawn.randint(1, most))
        if nursery.finish(Job(tmp_path, kill, seed=number, work=carry_out)) == 0:
            break
        phases[is_begun(tmp_path / "rows.jsonl")] += 1
    assert nursery.finish(Job(tmp_path, work=carry_out)) == 0
    assert [(tmp_path / name).read_bytes() for name in FILES] == unkilled
    assert min(phases[False], phases[True]) >= 3, phases
    assert all(age < WINDOW for age in Journal(tmp_path).bought_again())
