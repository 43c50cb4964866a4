"""`generate` in a real Jupyter kernel, whose event loop is always running."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

jupyter_client = pytest.importorskip("jupyter_client", reason="the notebook test needs jupyter_client and ipykernel")
pytest.importorskip("ipykernel", reason="the notebook test needs ipykernel")

CELL = """
import asyncio
asyncio.get_running_loop()
from rowsmith import ClassificationDataset, ClassificationDatasetConfig
config = ClassificationDatasetConfig(
    classes=[{"name": "a", "description": "first"}, {"name": "b", "description": "second"}],
    num_samples_per_prompt=3,
    output_file=FILE,
)
dataset = ClassificationDataset(config).generate("offline")
print("sync", len(dataset))
again = await ClassificationDataset(config).generate_async("offline")
print("async", len(again), again.report.calls)
"""


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Any]:
    manager, client = jupyter_client.manager.start_new_kernel(kernel_name="python3", cwd=str(tmp_path))
    try:
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.filterwarnings("ignore")
def test_generate_works_in_a_notebook(kernel: Any, tmp_path: Path) -> None:
    printed: list[str] = []

    def collect(message: dict[str, Any]) -> None:
        content = message["content"]
        printed.append(content.get("text") or "\n".join(content.get("traceback", [])))

    code = CELL.replace("FILE", repr(str(tmp_path / "rows.jsonl")))
    reply = kernel.execute_interactive(code, timeout=60, output_hook=collect)
    assert reply["content"]["status"] == "ok", "".join(printed)
    assert "sync 6" in "".join(printed)
    assert "async 6 0" in "".join(printed)
