"""`generate` in a real Jupyter kernel, whose event loop is always running."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rowsmith.testing import ScriptedServer

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


SLOW_CELL = """
from rowsmith import ClassificationDataset, ClassificationDatasetConfig, OpenAIProvider
config = ClassificationDatasetConfig(
    classes=[{"name": "a", "description": "first"}, {"name": "b", "description": "second"}],
    prompts=["Write {num_samples} texts about {{subject}} in {language_name}, {label_name}: {label_description}."],
    expansion={"placeholders": {"subject": [f"matter {number}" for number in range(20)]}},
    num_samples_per_prompt=1,
    output_file=FILE,
)
dataset = ClassificationDataset(config)
model = OpenAIProvider("scripted", api_key="a-key", api_base=ADDRESS)
dataset.generate(model, max_concurrency=2)
print("made", len(dataset), dataset.report.ended)
"""
"""40 calls, two at a time."""


class Notebook:
    """A real kernel with the client that a notebook has of it."""

    def __init__(self, folder: Path) -> None:
        self.manager, self._client = jupyter_client.manager.start_new_kernel(kernel_name="python3", cwd=str(folder))

    def begin(self, code: str) -> str:
        """Start a cell; its id."""
        name: str = self._client.execute(code)
        return name

    def end_of(self, cell: str) -> tuple[str, str]:
        """Wait for a cell's end: its status, or the name of the exception, and what it printed."""
        printed = ""
        while True:
            message = self._client.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") != cell:
                continue
            content = message["content"]
            printed += content.get("text", "") + "\n".join(content.get("traceback", []))
            if content.get("execution_state") == "idle":
                break
        while True:
            reply = self._client.get_shell_msg(timeout=60)
            if reply["parent_header"].get("msg_id") == cell:
                return reply["content"].get("ename", reply["content"]["status"]), printed

    def run(self, code: str) -> tuple[str, str]:
        return self.end_of(self.begin(code))

    def close(self) -> None:
        self._client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture
def notebook(tmp_path: Path) -> Iterator[Notebook]:
    made = Notebook(tmp_path)
    yield made
    made.close()


@pytest.mark.filterwarnings("ignore")
def test_generate_works_in_a_notebook(notebook: Notebook, tmp_path: Path) -> None:
    status, printed = notebook.run(CELL.replace("FILE", repr(str(tmp_path / "rows.jsonl"))))
    assert status == "ok", printed
    assert "sync 6" in printed
    assert "async 6 0" in printed


@pytest.mark.filterwarnings("ignore")
def test_an_interrupted_cell_run_again_goes_on_and_buys_nothing_twice(notebook: Notebook, tmp_path: Path) -> None:
    with ScriptedServer(latency=0.1) as server:
        code = SLOW_CELL.replace("FILE", repr(str(tmp_path / "rows.jsonl"))).replace("ADDRESS", repr(server.base_url))
        cell = notebook.begin(code)
        deadline = time.monotonic() + 60
        while server.answered < 6:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        notebook.manager.interrupt_kernel()
        status, printed = notebook.end_of(cell)
        assert status == "KeyboardInterrupt", printed
        assert 6 <= server.answered < 40
        assert server.count == server.answered, "a call that was in flight was dropped"

        status, printed = notebook.run(code)
        assert status == "ok", printed
        assert "made 40 complete" in printed
        assert (server.answered, server.answered_again) == (40, 0)
