"""Calls of tools, asked of a real llama.cpp whose grammar holds them to their schemas: even noise calls rightly."""

from __future__ import annotations

import pytest

from generator.toolkit import TOOLS, TREE, calls_of, generator, require_valid
from rowsmith import OpenAIProvider
from support.llama_server import LlamaServer

FITTING = [tool for tool in TOOLS if tool is not TREE]
"""Noise never comes to the end of a tree."""


@pytest.mark.parametrize("steps", [1, 2])
def test_every_call_fits_its_tool(llama_server: LlamaServer, steps: int) -> None:
    model = OpenAIProvider(
        llama_server.model, api_base=llama_server.base_url, max_completion_tokens=500, temperature=0.8
    )
    made = generator(FITTING, model_name=model, max_tool_steps=steps, max_parallel_calls=2, max_rounds=30)
    rows = made.create_data(3, 1, ["Optics", "Heat"]).to_list()
    assert len(rows) == 3
    assert require_valid(rows, FITTING) >= 3 * steps
    assert all(list(calls_of(row)) for row in rows)
    # Noise breaks off and says nothing, but what the grammar let it write was never a wrong call.
    assert "tool_call" not in {row["gate"] for row in made.rejected}
