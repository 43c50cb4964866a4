"""Every kind of dataset, asked of a real llama.cpp: a model of noise, whose answers fit their schema and mean nothing.

So rows may lack, where a kind asks for more than a form (a piece that stands in its text, two answers that differ).
What must hold is that every row that is there is whole, and that every one that is not is accounted for.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rowsmith import OpenAIProvider
from rowsmith.datasets.loading import KINDS, Overrides, load_job
from support.llama_server import LlamaServer

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FREE = {"classification", "regression", "raw", "task", "ultrachat", "multi_label"}
"""Kinds that ask for nothing that a model of noise could not give."""


@pytest.mark.parametrize("kind", [*KINDS, "multi_label"])
def test_every_row_is_whole_or_accounted_for(kind: str, llama_server: LlamaServer, tmp_path: Path) -> None:
    output = tmp_path / f"{kind}.jsonl"
    settings = ["max_rounds=1"]
    if kind in {"mcq", "qa", "preference", "generic", "labels"}:
        settings.append("sample_count=2")
    if kind in {"task", "token_labels"}:
        settings.append("num_samples_per_prompt=1")
    if kind == "ultrachat":
        settings += ["max_turns=2", "num_samples_per_prompt=1"]
    if kind == "generator":
        settings = ["max_rounds=1", "num_steps=4", "topics.depth=1", "topics.incomplete=go_on"]
    job = load_job(EXAMPLES / f"{kind}.yaml", Overrides(output=output, settings=settings))
    model = OpenAIProvider(
        llama_server.model, api_base=llama_server.base_url, max_completion_tokens=200, temperature=0.8
    )
    job.dataset.generate(model, max_concurrency=4)
    report = job.dataset.report
    assert report is not None
    rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == report.rows
    assert report.rows + report.missing == report.expected
    assert report.missing == sum(lack.rows for lack in report.lacks)
    assert all(lack.reasons for lack in report.lacks)
    for row in rows:
        assert row["metadata"]["calls"]
        for entity in row.get("entities") or ():
            assert row["text"][entity["start"] : entity["end"]] == entity["text"]
        if row.get("answer_start") is not None:
            assert row["context"][row["answer_start"] :].startswith(row["answer"])
    if kind in FREE:
        assert rows
