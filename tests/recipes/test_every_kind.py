"""What holds for every kind of dataset: its example, through a server that fails in every way, comes out exact."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rowsmith import OpenAIProvider
from rowsmith.datasets.loading import KINDS, Overrides, load_job
from rowsmith.engine.options import Options
from rowsmith.testing import Fault, ScriptedServer, faults
from support.clock import HurriedClock
from support.quoting import answer

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
WRONG: dict[Fault, float] = {
    faults.RateLimited(0.01): 0.05,
    faults.ServerError(): 0.05,
    faults.Reset(): 0.03,
    faults.HtmlPage(): 0.03,
    faults.BadJSON(): 0.04,
    faults.CutOff(): 0.03,
    faults.Empty(): 0.03,
    faults.WrongSchema(): 0.04,
}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(answer, chances=WRONG) as running:
        yield running


@pytest.mark.parametrize("kind", [*KINDS, "multi_label"])
def test_its_example_comes_out_exact_from_a_server_that_fails_in_every_way(
    kind: str, server: ScriptedServer, tmp_path: Path
) -> None:
    output = tmp_path / f"{kind}.jsonl"
    settings = () if kind == "generic" else ("max_rounds=20",)
    job = load_job(EXAMPLES / f"{kind}.yaml", Overrides(output=output, settings=settings))
    model = OpenAIProvider("scripted", api_base=server.base_url)
    wanted = job.dataset.get_num_expected_rows(model)
    job.dataset.generate(model, options=Options(clock=HurriedClock(50)))
    report = job.dataset.report
    assert report is not None
    assert report.ended == "complete", report.lacks
    rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == wanted == report.rows
    assert len({row["id"] for row in rows}) == wanted
    assert all(row["metadata"]["calls"] and row["metadata"]["cell"] for row in rows)


@pytest.mark.parametrize("kind", KINDS)
def test_its_second_start_asks_nobody(kind: str, tmp_path: Path) -> None:
    overrides = Overrides(output=tmp_path / f"{kind}.jsonl")
    load_job(EXAMPLES / f"{kind}.yaml", overrides).dataset.generate("offline")
    again = load_job(EXAMPLES / f"{kind}.yaml", overrides).dataset.generate("offline")
    assert again.report is not None
    assert again.report.complete
    assert again.report.calls == 0
