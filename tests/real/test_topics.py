"""Topics and examples about them, asked of a real llama.cpp: a model of noise, whose answers fit their schema."""

from __future__ import annotations

from pathlib import Path

import pytest

from rowsmith import DataSetGenerator, Graph, OpenAIProvider
from support.llama_server import LlamaServer

KINDS = {
    "instruction": {"question", "answer"},
    "conversation": {"prompt"},
    "chain_of_thought": {"question", "reasoning", "final_answer"},
    "structured": {"title", "level"},
}


def model(server: LlamaServer, tokens: int) -> OpenAIProvider:
    return OpenAIProvider(server.model, api_base=server.base_url, max_completion_tokens=tokens, temperature=0.9)


def test_every_topic_comes_of_an_answer_or_is_told_to_lack(llama_server: LlamaServer, tmp_path: Path) -> None:
    graph = Graph(
        "Sailing",
        degree=2,
        depth=2,
        max_links=1,
        max_rounds=2,
        llm=model(llama_server, 200),
        output_file=tmp_path / "topics.jsonl",
    )
    graph.build(max_concurrency=4)
    made = len(graph.topics) - 1
    lacking = sum(failure.lacking for failure in graph.failures)
    divided = [topic for topic in graph.topics if topic.depth < 2]
    assert made
    assert made + lacking == 2 * len(divided)
    assert len({topic.name.casefold() for topic in graph.topics}) == len(graph.topics)
    calls = graph.report.calls if graph.report else 0
    graph.build()
    assert graph.report is not None
    assert calls
    assert not graph.report.calls


@pytest.mark.parametrize("kind", KINDS)
def test_every_conversation_type_comes_whole(kind: str, llama_server: LlamaServer) -> None:
    fields = {"title": "a title", "level": ["low", "high"]}
    generator = DataSetGenerator(
        instructions="Be brief.",
        model_name=model(llama_server, 800),
        conversation_type=kind,
        default_batch_size=2,
        max_rounds=4,
        output_model=fields if kind == "structured" else None,
    )
    dataset = generator.create_data(num_steps=4, topics=["Knots", "Tides"])
    assert generator.report is not None
    assert generator.report.rows == len(dataset)
    assert generator.report.rows + generator.report.missing == 4
    assert len(dataset)
    for row in dataset:
        assert KINDS[kind] <= row.keys()
        assert [message["role"] for message in row["messages"]][:2] == ["user", "assistant"]
