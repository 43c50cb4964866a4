"""Killed at any instant, a batch run goes on: the same rows, no batch handed in twice, no answer paid for twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rowsmith.testing import BatchScript, Item, ItemEnd, ScriptedServer

from .batches import SETTINGS, crowded, in_batches, rows
from .child import Job, Kill, Nursery
from .harness import ledger

BOOK = "rowsmith.engine.ledger.batches:BatchBook"
WRITER = "rowsmith.engine.ledger.writer:Writer"
OPENAI = "rowsmith.llm.providers.openai_batch"
POINTS = [
    # While cells hand in what they ask, in the first wave and the next.
    *(Kill("CellParked", number) for number in (1, 12, 14)),
    *(Kill(f"{BOOK}.park", number, after=True) for number in (1, 5)),
    Kill("CellStarted", 15),
    # Before the batch is noted; when it is; before its file goes out; after; when the service has it and nobody knows.
    *(Kill(f"{BOOK}.begin", number, after=after) for number in (1, 2) for after in (False, True)),
    *(Kill(f"{OPENAI}:OpenAIBatches.submit", number) for number in (1, 2)),
    Kill(f"{OPENAI}:OpenAIBatches._post", 1),
    *(Kill(f"{BOOK}.submitted", number, after=after) for number in (1, 2, 3) for after in (False, True)),
    *(Kill("BatchSubmitted", number) for number in (1, 2)),
    # While it is waited for; while its results come; when the last has come; when it is closed.
    *(Kill("BatchProgress", number) for number in (1, 3)),
    *(Kill(f"{OPENAI}:OpenAIBatches._result", number) for number in (1, 6, 12, 15)),
    *(Kill(f"{BOOK}.answer", number, after=True) for number in (1, 6, 12)),
    *(Kill(f"{BOOK}.release", number, after=True) for number in (1, 3)),
    *(Kill(f"{BOOK}.end", number, after=after) for number in (1, 2) for after in (False, True)),
    *(Kill("BatchEnded", number) for number in (1, 2)),
    *(Kill("CellFinished", number) for number in (1, 8)),
    *(Kill(f"{WRITER}._commit", number, after=True) for number in (1, 2, 3, 4, 6, 8, 10, 12)),
]


def expires_first(item: Item) -> ItemEnd | None:
    """Some items have no answer the first time."""
    return (None, ItemEnd.EXPIRED, None, None, ItemEnd.MISSING)[item.number % 5] if item.attempt == 1 else None


def scripted(port: int = 0) -> ScriptedServer:
    return ScriptedServer(crowded, batches=BatchScript(after_polls=1, items=expires_first), port=port)


class Unkilled(NamedTuple):
    """What runs have made that nobody killed, and the port of the server that they asked: ids of rows depend on it."""

    port: int
    classification: bytes
    mcq: bytes


@pytest.fixture(scope="module")
def unkilled(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Unkilled:
    folder = tmp_path_factory.mktemp("unkilled")
    with scripted() as server:
        one, other = World(folder / "one", server), World(folder / "other", server, mcq=True)
        assert nursery.finish(one.job()) == 0
        assert nursery.finish(other.job()) == 0
        return Unkilled(int(server.url.rpartition(":")[2]), rows(one.folder), rows(other.folder))


@pytest.fixture
def server(unkilled: Unkilled) -> Iterator[ScriptedServer]:
    with scripted(unkilled.port) as running:
        yield running


class World:
    """A folder and the jobs in it."""

    def __init__(self, folder: Path, server: ScriptedServer, *, factor: float = 1000, **settings: Any) -> None:
        self.folder = folder
        self._settings = {**SETTINGS, **settings}
        self._options = {"base": server.base_url, "since": time.time(), "factor": factor}

    def job(self, kill: Kill | None = None) -> Job:
        self.folder.mkdir(exist_ok=True)
        return Job(self.folder, kill, settings=self._settings, options=self._options, work=in_batches)


@pytest.mark.parametrize("kill", POINTS, ids=str)
def test_a_kill_changes_nothing_and_nothing_is_handed_in_twice(
    kill: Kill, tmp_path: Path, server: ScriptedServer, nursery: Nursery, unkilled: Unkilled
) -> None:
    world = World(tmp_path / "killed", server)
    assert nursery.finish(world.job(kill)) == -9
    assert nursery.finish(world.job()) == 0
    assert (server.batches.repeated, server.batches.answered_again) == (0, 0)
    assert ledger(world.folder, "SELECT count(*) - count(DISTINCT key) FROM calls") == [(0,)]
    assert ledger(world.folder, "SELECT count(*) FROM items") == [(0,)]
    assert ledger(world.folder, "SELECT sum(calls) FROM spend") == [(server.batches.answered,)]
    assert rows(world.folder) == unkilled.classification


def test_killed_over_and_over_it_comes_to_its_end(tmp_path: Path, server: ScriptedServer, nursery: Nursery) -> None:
    """Each start lives for a few commits, wherever they fall."""
    world = World(tmp_path / "killed", server)
    for number in range(60):
        if nursery.finish(world.job(Kill(f"{WRITER}._commit", 4 + number % 3, after=True))) == 0:
            break
    else:
        pytest.fail("no progress")
    assert number > 2
    assert (server.batches.repeated, server.batches.answered_again) == (0, 0)
    assert ledger(world.folder, "SELECT sum(calls) FROM spend") == [(server.batches.answered,)]


@pytest.mark.parametrize("kill", [Kill("BatchSubmitted", 2), Kill(f"{BOOK}.answer", 9, after=True)], ids=str)
def test_waves_of_several_steps_survive_a_kill(
    kill: Kill, tmp_path: Path, server: ScriptedServer, nursery: Nursery, unkilled: Unkilled
) -> None:
    world = World(tmp_path / "killed", server, mcq=True)
    assert nursery.finish(world.job(kill)) == -9
    assert nursery.finish(world.job()) == 0
    # Two documents may have the same question, but no call of a cell is there twice, and none was paid for in vain.
    assert ledger(world.folder, "SELECT cell, ordinal, key FROM calls GROUP BY 1, 2, 3 HAVING count(*) > 1") == []
    assert ledger(world.folder, "SELECT sum(calls) FROM spend") == [(server.batches.answered,)]
    assert rows(world.folder) == unkilled.mcq


def test_a_batch_that_is_too_new_for_the_list_is_found_a_little_later(tmp_path: Path, nursery: Nursery) -> None:
    with ScriptedServer(crowded, batches=BatchScript(unlisted=2)) as server:
        world = World(tmp_path / "killed", server, factor=10)
        assert nursery.finish(world.job(Kill(f"{BOOK}.submitted"))) == -9
        assert nursery.finish(world.job()) == 0
        assert (server.batches.repeated, server.batches.answered_again) == (0, 0)
        assert server.batches.operations["list"] == 3
