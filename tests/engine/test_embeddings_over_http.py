"""Rows compared by the vectors of a service over real HTTP: when it fails, in a batch run, and within a budget."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from rowsmith import AuthenticationError, ConfigError, MalformedReplyError, ModelNotFoundError, OpenAIProvider
from rowsmith.engine.options import Options
from rowsmith.testing import (
    BadRequest,
    Call,
    FewerVectors,
    Garbage,
    Hang,
    NotNumbers,
    OtherSize,
    RateLimited,
    Reset,
    ScriptedServer,
    ServerError,
    UnknownModel,
    WrongKey,
    Zeros,
)
from rowsmith.testing.faults import Fault

from .batches import crowded, hurried, model
from .embedded import THRESHOLD, meaning, must_be_apart
from .harness import QUICK, dataset, entries, ledger, lines, must_be_exact, tones

pytest.importorskip("numpy")

SETTINGS: dict[str, Any] = {"expansion": tones("dry", "warm", "old", "new"), "max_rounds": 12}
"""8 cells of 5 rows."""


def written(call: Call) -> str:
    """Texts of few senses at first, and of new ones when asked again."""
    drawn = random.Random(call.key)
    asked = call.prompt
    size = 100_000 if "exist already" in asked or "were refused" in asked else 30
    count = int(next(word for word in asked.split() if word.isdigit()))
    return entries(*(f"sense{drawn.randrange(size)} w{drawn.randrange(10**9)}" for _ in range(count)))


def on_vectors(fault: Fault, every: int = 1, *, once: bool = False) -> Any:
    """A fault that only calls for vectors meet: all, or at first each with an even share of bodies."""

    def fault_for(call: Call) -> Fault | None:
        if not call.asked.embedding or (once and call.attempt > 1):
            return None
        return fault if int(call.key, 16) % every == 0 else None

    return fault_for


def texts(folder: Path) -> list[str]:
    return [row["text"] for row in lines(folder)]


def carry_out(folder: Path, server: ScriptedServer, options: Options = QUICK, **how: Any) -> Any:
    folder.mkdir(exist_ok=True)
    settings, changes = how.pop("settings", {}), how.pop("changes", {})
    timeout = how.pop("timeout", 30.0)
    there = {"api_base": server.base_url, "api_key": "any-key", "timeout": timeout}
    gates = {"near_duplicates": THRESHOLD, "embeddings": {"model": "openai/text-embedding-3-small", **there} | settings}
    writer = how.pop("writer", None) or OpenAIProvider("writer", **there)
    return dataset(folder, **{**SETTINGS, **changes}, gates=gates).generate(writer, options=options, **how).report


@pytest.mark.parametrize(
    "fault",
    [
        RateLimited(retry_after=0.01),
        ServerError(),
        ServerError(503),
        Reset(),
        Reset("middle"),
        Hang(),
        Garbage(),
        Garbage(b"{}"),
        FewerVectors(),
        NotNumbers(),
        OtherSize(all=False),
        Zeros(),
    ],
    ids=repr,
)
def test_what_passes_costs_a_retry_and_changes_nothing(fault: Fault, tmp_path: Path) -> None:
    with ScriptedServer(written, embed=meaning) as server:
        carry_out(tmp_path / "well", server)
    with ScriptedServer(written, embed=meaning, faults=on_vectors(fault, 2, once=True)) as server:
        report = carry_out(tmp_path / "ill", server, timeout=0.5 if isinstance(fault, Hang) else 30.0)
        assert report.complete
        assert report.retries > 0
        asked = [call for call in server.calls if call.asked.embedding]
    assert report.spend["openai/text-embedding-3-small", "embedding"].calls == len(asked) - report.retries
    must_be_exact(tmp_path / "ill", 40)
    must_be_apart(tmp_path / "ill")
    assert texts(tmp_path / "well") == texts(tmp_path / "ill")


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (ServerError(), "had an error"),
        (FewerVectors(), "vectors came for"),
        (NotNumbers(), "none: NaN"),
        (OtherSize(all=False), "different sizes"),
        (Zeros(), "nothing but zeros"),
    ],
    ids=repr,
)
def test_what_stays_fails_its_cells_by_name_and_the_next_start_makes_them(
    fault: Fault, told: str, tmp_path: Path
) -> None:
    ill = True
    faulty = on_vectors(fault, 2)
    with ScriptedServer(written, embed=meaning, faults=lambda call: faulty(call) if ill else None) as server:
        report = carry_out(tmp_path, server)
        assert not report.complete
        assert report.lacks
        assert all(told in " ".join(lack.reasons) for lack in report.lacks)
        must_be_apart(tmp_path)
        ill = False
        assert carry_out(tmp_path, server).complete
        assert server.answered_again <= sum(call.fault is not None for call in server.calls), "only what was nothing"
        texts_asked = [call.key for call in server.calls if not call.asked.embedding]
    assert len(set(texts_asked)) == len(texts_asked), "no text is bought twice"
    must_be_exact(tmp_path, 40)
    must_be_apart(tmp_path)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(WrongKey(), AuthenticationError), (UnknownModel(), ModelNotFoundError)],
    ids=repr,
)
def test_what_would_befall_every_call_ends_the_run(fault: Fault, kind: type[Exception], tmp_path: Path) -> None:
    with ScriptedServer(written, embed=meaning, faults=on_vectors(fault)) as server:
        with pytest.raises(kind):
            carry_out(tmp_path, server, max_concurrency=2)
        assert sum(call.asked.embedding for call in server.calls) <= 3


def test_vectors_that_change_their_size_on_the_way_end_the_run(tmp_path: Path) -> None:
    other = pytest.raises(MalformedReplyError, match=r"vectors of 4\d numbers, and of 4\d before")
    with ScriptedServer(written, embed=meaning, faults=on_vectors(OtherSize(), 3)) as server, other:
        carry_out(tmp_path, server)
    sizes = {text.split()[1] for (text,) in ledger(tmp_path, "SELECT text FROM calls WHERE role = 'embedding'")}
    assert len(sizes) == 1


def test_one_text_that_is_too_long_costs_its_cell_and_not_the_run(tmp_path: Path) -> None:
    long = BadRequest("This model's maximum context length is 8192 tokens", code="context_length_exceeded")
    with ScriptedServer(written, embed=meaning, faults=on_vectors(long, 4)) as server:
        report = carry_out(tmp_path, server)
    assert 0 < len(lines(tmp_path)) < 40
    assert "maximum context length" in " ".join(reason for lack in report.lacks for reason in lack.reasons)


def test_a_batch_run_asks_for_vectors_at_once(tmp_path: Path) -> None:
    def answer(call: Call) -> str:
        return written(call) if call.prompt.startswith("Write") else crowded(call)

    with ScriptedServer(answer, embed=meaning) as server:
        single = carry_out(tmp_path / "single", server, writer=model(server.base_url))
        assert single.complete
    with ScriptedServer(answer, embed=meaning) as server:
        report = carry_out(tmp_path / "batch", server, hurried(), writer=model(server.base_url), batch=True)
        assert report.complete
        assert server.answered_again == 0
        assert {call.path for call in server.calls} == {"/v1/embeddings"}
        assert server.batches.items > 0
    must_be_exact(tmp_path / "batch", 40)
    must_be_apart(tmp_path / "batch")
    assert texts(tmp_path / "single") == texts(tmp_path / "batch")


def test_a_limit_of_cost_holds_for_vectors_too(tmp_path: Path) -> None:
    prices = {"input_cost_per_million": 100.0, "output_cost_per_million": 0.0}
    with ScriptedServer(written, embed=meaning) as server:
        free = OpenAIProvider(
            "w", api_base=server.base_url, api_key="k", input_cost_per_million=0.0, output_cost_per_million=0.0
        )
        changes = {"expansion": tones(*(f"tone {number}" for number in range(60)))}
        how: dict[str, Any] = {"settings": prices, "writer": free, "changes": changes}
        report = carry_out(tmp_path, server, max_cost=0.09, max_concurrency=1, **how)
        assert "max_cost is reached" in report.why
        assert 0.05 < report.total.cost <= 0.09
        whole = carry_out(tmp_path, server, **how)
        assert whole.complete
        assert server.answered_again == 0


def test_a_limit_of_cost_needs_the_price_of_the_vectors(tmp_path: Path) -> None:
    with ScriptedServer(written) as server:
        free = OpenAIProvider(
            "w", api_base=server.base_url, api_key="k", input_cost_per_million=0.0, output_cost_per_million=0.0
        )
        with pytest.raises(ConfigError, match="no price is known for openai/text-embedding-3-small"):
            carry_out(tmp_path, server, writer=free, max_cost=1)
        assert server.count == 0
