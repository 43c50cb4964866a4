"""A batch run keeps its limits: what may not fit is not handed in, and the run stops in good order."""

from __future__ import annotations

from pathlib import Path

import pytest

from rowsmith.testing import BatchScript, ItemEnd, ScriptedServer

from .batches import hurried, model
from .harness import dataset, must_be_exact, tones

TWELVE = {"expansion": tones(*(f"tone {number}" for number in range(6)))}
"""12 cells."""


def test_a_limit_of_requests_holds_for_items(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        made = dataset(tmp_path, **TWELVE)
        report = made.generate(model(server.base_url), options=hurried(max_requests=5), batch=True).report
        assert report is not None
        assert server.batches.items == 5
        assert report.ended == "stopped"
        assert "max_requests is reached: 5 of 5 requests are sent" in report.why
        report = made.generate(model(server.base_url), options=hurried(max_requests=12), batch=True).report
        assert report is not None
        assert report.complete
        assert server.batches.items == 12


def test_items_that_came_to_nothing_count_as_requests(tmp_path: Path) -> None:
    with ScriptedServer(batches=BatchScript(items=lambda item: ItemEnd.EXPIRED if item.number < 3 else None)) as server:
        made = dataset(tmp_path)
        report = made.generate(model(server.base_url), options=hurried(max_requests=6), batch=True).report
        assert report is not None
        assert (report.ended, server.batches.items, server.batches.answered) == ("stopped", 6, 3)
        report = made.generate(model(server.base_url), options=hurried(max_requests=7), batch=True).report
        assert report is not None
        assert (report.complete, server.batches.items) == (True, 7)


@pytest.mark.parametrize("limit", [{"max_cost": 0.012}, {"max_tokens": 12_000}], ids=str)
def test_cost_and_tokens_are_set_aside_before_a_wave_goes_out(tmp_path: Path, limit: dict[str, float]) -> None:
    with ScriptedServer() as server:
        capped = model(server.base_url, max_completion_tokens=1000)
        made = dataset(tmp_path, **TWELVE)
        report = made.generate(capped, options=hurried(**limit), batch=True).report
        assert report is not None
        sizes = [len(batch.items) for batch in server.batches.batches.values()]
    # Each may take 1,000 tokens and its prompt: only some fit at first; when they have taken less, others do.
    assert sizes[0] < 12
    assert len(sizes) > 1
    assert report.complete
    must_be_exact(tmp_path, 60)
    assert report.total.cost <= 0.012
    assert report.total.input_tokens + report.total.output_tokens <= 12_000


def test_half_the_price_is_what_is_set_aside(tmp_path: Path) -> None:
    """With a thousand tokens an answer, twelve cost 0.024 at the full price, prompts not counted."""
    with ScriptedServer() as server:
        capped = model(server.base_url, max_completion_tokens=1000)
        made = dataset(tmp_path, **TWELVE)
        made.generate(capped, options=hurried(max_cost=0.022), batch=True)
        assert server.batches.submissions == 1


def test_what_is_under_way_stays_set_aside_over_a_restart(tmp_path: Path) -> None:
    with ScriptedServer(batches=BatchScript(after_polls=None)) as server:
        made = dataset(tmp_path, **TWELVE)
        made.generate(model(server.base_url), options=hurried(max_requests=8), batch=True, no_wait=True)
        assert server.batches.items == 8
        made.generate(model(server.base_url), options=hurried(max_requests=10), batch=True, no_wait=True)
        assert server.batches.items == 10


def test_an_estimate_is_made_at_the_price_of_batches(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        whole = dataset(tmp_path).estimate(model(server.base_url))
        half = dataset(tmp_path).estimate(model(server.base_url, rpm_limit=1), batch=True)
    assert half.seconds is None
    assert whole.cost is not None
    assert half.cost == pytest.approx(whole.cost / 2)
