"""Vectors of the real llama.cpp server, and a run and a tree that compare by them. The weights are made up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.harness import QUICK, dataset, ledger, lines, must_be_exact, rejected, tones
from rowsmith import OpenAIProvider, Tree
from rowsmith.errors import ProviderError
from rowsmith.llm import vectors
from rowsmith.llm.providers.compatible import LlamaServerProvider
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Message, Request
from rowsmith.quality.vectors import VectorIndex
from support.llama_server import LlamaServer
from support.tiny_gguf import EMBEDDING

np = pytest.importorskip("numpy")


@pytest.fixture(scope="module")
def embedding_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    """With one slot: with several, llama.cpp's vectors of a model that writes depend on what stands beside a text."""
    with LlamaServer(tmp_path_factory.mktemp("embeddings"), embeddings=True, context=4096, slots=1) as server:
        yield server


async def embedded(server: LlamaServer, *texts: str) -> tuple[list[bytes], Any]:
    model = LlamaServerProvider("tiny", api_base=server.base_url).embeddings
    assert model is not None
    async with Transport() as transport:
        completion = await model.complete(model.encode(Request(tuple(map(Message.user, texts)))), transport)
    return vectors.read(completion.text), completion


async def test_a_real_server_makes_vectors_of_several_texts_at_once(embedding_server: LlamaServer) -> None:
    texts = ("The calm river follows a road.", "The calm river follows the road.", "Then numbers sell boats")
    together, completion = await embedded(embedding_server, *texts)
    assert [len(one) for one in together] == [EMBEDDING] * 3
    assert completion.usage.input_tokens > 10
    assert completion.usage.output_tokens == 0
    alone = [(await embedded(embedding_server, text))[0][0] for text in texts]
    x = [[np.frombuffer(one, np.int8).astype(float) for one in part] for part in (together, alone)]
    for a, b in zip(*x, strict=True):
        assert a @ b / np.sqrt((a @ a) * (b @ b)) > 0.999, "the order of the texts is kept"
    index = VectorIndex(0.97)
    index.add(index.sign(together[0]), 0, 0)
    assert index.alike(index.sign(together[1]))


async def test_a_server_that_only_writes_says_so(llama_server: LlamaServer) -> None:
    with pytest.raises(ProviderError, match="embedding"):
        await embedded(llama_server, "a text")


def test_a_run_writes_with_one_real_server_and_compares_by_another(
    llama_server: LlamaServer, embedding_server: LlamaServer, tmp_path: Path
) -> None:
    writer = OpenAIProvider("tiny", api_base=llama_server.base_url, temperature=0.9, max_completion_tokens=1500)
    threshold = 0.985
    gates = {
        "near_duplicates": threshold,
        "embeddings": {"model": "llama_server/tiny", "api_base": embedding_server.base_url},
    }
    settings: dict[str, Any] = {
        "expansion": tones("dry", "warm"),
        "num_samples_per_prompt": 3,
        "max_rounds": 20,
        "gates": gates,
    }
    report = dataset(tmp_path, **settings).generate(writer, options=QUICK).report
    assert report is not None
    must_be_exact(tmp_path, 12)
    calls = ledger(tmp_path, "SELECT text FROM calls WHERE role = 'embedding'")
    assert report.spend["llama_server/tiny", "embedding"].calls == len(calls)
    assert report.spend["llama_server/tiny", "embedding"].cost == 0
    known = [one for (text,) in calls for one in vectors.read(text)]
    assert len(known) >= 12 + sum(one["gate"] == "near_duplicate" for one in rejected(tmp_path))
    before = (tmp_path / "rows.jsonl").read_bytes()
    dataset(tmp_path, **settings).generate(writer, options=QUICK)
    assert (tmp_path / "rows.jsonl").read_bytes() == before
    assert json.loads(before.splitlines()[0]) == lines(tmp_path)[0]


def test_a_tree_that_is_compared_by_a_real_server(embedding_server: LlamaServer, tmp_path: Path) -> None:
    embeddings = {"model": "openai/tiny", "api_base": embedding_server.base_url}
    made = Tree("Tea", degree=3, depth=2, model_name="offline", near_duplicates=0.999, embeddings=embeddings)
    made.build(options=QUICK)
    assert len(made.topics) == 13
    assert made.report is not None
    assert made.report.spend["openai/tiny", "embedding"].calls >= 4
