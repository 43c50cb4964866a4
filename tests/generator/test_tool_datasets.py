"""Made conversations with tools, as the libraries read them that train on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rowsmith import Dataset

from .test_tool_calling import TOPICS
from .toolkit import TOOLS, calls_of, generator, require_valid


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """A hundred, each of which lists the tools that it calls: hardly two have the same."""
    made = (
        generator(max_tool_steps=2, only_used_tools=True, tool_failure_rate=0.1).create_data(100, 5, TOPICS).to_list()
    )
    assert len({json.dumps(row["tools"]) for row in made}) > 50
    return made


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    found = pytest.importorskip("datasets")
    monkeypatch.setattr(found.config, "HF_HUB_OFFLINE", True)
    return found


def tools_of(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def without_nulls(message: dict[str, Any]) -> dict[str, Any]:
    """As TRL takes a message that a column holds: without the keys that only other messages have."""
    return {key: value for key, value in message.items() if value is not None}


def require_same(loaded: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    assert len(loaded) == len(rows)
    for found, row in zip(loaded, rows, strict=True):
        assert tools_of(found["tools"]) == row["tools"]
        assert [without_nulls(one) for one in found["messages"]] == [without_nulls(one) for one in row["messages"]]
    assert require_valid(loaded, TOOLS) == sum(len(list(calls_of(row))) for row in rows)


@pytest.mark.parametrize("name", ["jsonl", "messages"])
def test_datasets_loads_lines(tmp_path: Path, datasets: Any, rows: list[dict[str, Any]], name: str) -> None:
    if not hasattr(datasets, "Json"):
        pytest.skip("before datasets 4.7, lines whose schemas differ cannot be loaded: Parquet can")
    path = tmp_path / "rows.jsonl"
    Dataset(rows).export(path, name)
    loaded = datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    require_same(loaded.to_list(), rows)


@pytest.mark.parametrize("name", ["parquet", "messages"])
def test_datasets_loads_parquet(tmp_path: Path, datasets: Any, rows: list[dict[str, Any]], name: str) -> None:
    path = tmp_path / "rows.parquet"
    Dataset(rows).export(path, name)
    loaded = datasets.load_dataset("parquet", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    require_same(loaded.to_list(), rows)


def test_to_hf(datasets: Any, rows: list[dict[str, Any]]) -> None:
    del datasets
    require_same(Dataset(rows).to_hf().to_list(), rows)


def test_messages_pass_openais_checks_of_fine_tuning_files(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    """The rules of https://platform.openai.com/docs/guides/function-calling for messages with tools."""
    path = tmp_path / "rows.jsonl"
    Dataset(rows).export(path, "messages")
    for line in path.read_text(encoding="utf-8").splitlines():
        example = json.loads(line)
        assert set(example) == {"messages", "tools"}
        named = {tool["function"]["name"] for tool in example["tools"]}
        open_calls: set[str] = set()
        for message in example["messages"]:
            if message["role"] == "tool":
                assert set(message) == {"role", "tool_call_id", "name", "content"}
                open_calls.remove(message["tool_call_id"])
                continue
            assert not open_calls, "every call has its result before anything else is said"
            for call in message.get("tool_calls", ()):
                assert set(call) == {"id", "type", "function"}
                assert call["function"]["name"] in named
                assert isinstance(json.loads(call["function"]["arguments"]), dict)
                open_calls.add(call["id"])
            assert isinstance(message["content"], str) or message.get("tool_calls")
        assert example["messages"][-1]["role"] == "assistant"
