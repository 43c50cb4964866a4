"""`GeneratorDataset` with the tools of an MCP server, in Python: nobody is asked before it is needed, and then once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from rowsmith import ConfigError, DataSetGenerator, GeneratorDataset, GeneratorDatasetConfig, MCPServer
from rowsmith.datasets.origin import origin_of
from rowsmith.engine.checkup import Verdict

from . import tool_functions as functions
from .test_tool_calling import TOPICS

pytest.importorskip("mcp")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing is carried out on Windows")
SHOP = Path(__file__).with_name("mcp_shop.py")
COUNTED = """
import sys
with open(sys.argv[1], "a") as starts:
    starts.write("started\\n")
import runpy
runpy.run_path(sys.argv[2], run_name="__main__")
"""
SETTINGS: dict[str, Any] = {
    "instructions": "Be brief.",
    "conversation_type": "tool_calling",
    "tool_results": "executed",
    "tool_errors": "keep",
    "max_tool_steps": 2,
}


def shop(starts: Path) -> MCPServer:
    """A server that writes down that it was started."""
    return MCPServer(command=sys.executable, args=["-c", COUNTED, str(starts), str(SHOP)])


def dataset(folder: Path, *tools: Any, **settings: Any) -> GeneratorDataset:
    given = {"topics": TOPICS, "num_steps": 12, "batch_size": 4, "output_file": str(folder / "rows.jsonl")}
    return GeneratorDataset(GeneratorDatasetConfig(tools=[*tools], **{**SETTINGS, **given, **settings}))


def started(folder: Path) -> int:
    path = folder / "starts"
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_counts_start_no_server_and_the_rest_has_it_listed_once(tmp_path: Path) -> None:
    made = dataset(tmp_path, shop(tmp_path / "starts"), functions.add)
    assert made.get_num_expected_rows() == 12
    quiet = made.validate("offline", calls=False)
    assert quiet.ok
    assert quiet.estimate is None
    assert [one.verdict for one in quiet.findings if one.subject == "configuration"] == [Verdict.WARNING]
    assert started(tmp_path) == 0
    before = made.estimate("offline")
    assert started(tmp_path) == 1
    checked = made.validate("offline")
    assert checked.estimate is not None
    assert checked.estimate.calls == before.calls
    assert ("tools", "3 tools: stock, total, add") in [(one.subject, one.text) for one in checked.findings]
    assert started(tmp_path) == 1
    made.generate("offline")
    assert started(tmp_path) == 2  # for the calls
    generator = DataSetGenerator(model_name="offline", tools=[shop(tmp_path / "starts"), functions.add], **SETTINGS)
    assert made.to_list() == generator.create_data(12, 4, TOPICS).to_list()


def test_the_tools_stay_known_over_topics_that_are_built_and_over_more_rows(tmp_path: Path) -> None:
    block = {"topic_prompt": "Shops", "degree": 2, "depth": 1}
    for steps in (6, 9):
        made = dataset(tmp_path, shop(tmp_path / "starts"), topics=block, num_steps=steps)
        assert len(made.generate("offline")) == steps
        assert {row["topic_path"][0] for row in made} == {"Shops"}
    assert started(tmp_path) == 4  # each time for the list, and for the calls


def test_what_is_wrong_with_a_server_is_raised_and_found(tmp_path: Path) -> None:
    made = dataset(tmp_path, MCPServer(command="no-such-program"))
    with pytest.raises(ConfigError, match="no-such-program"):
        made.generate("offline")
    found = made.validate("offline")
    assert not found.ok
    assert [one.text for one in found.errors] == [
        "MCP server 'no-such-program': there is no such program, or it may not be run."
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_variable_for_functions_that_is_not_set_is_found_by_a_check(tmp_path: Path) -> None:
    found = dataset(tmp_path, functions.add, tool_env=["NOT_SET_ANYWHERE"]).validate("offline", calls=False)
    assert [one.text for one in found.errors] == ["env names 'NOT_SET_ANYWHERE', which is not set in the environment."]


def test_a_card_of_a_run_from_python_has_no_path_and_no_value(tmp_path: Path) -> None:
    args = [str(SHOP), f"--log={tmp_path / 'log'}"]
    server = {"mcp": {"command": sys.executable, "args": args, "env": {"PIN": "open sesame"}}}
    made = dataset(tmp_path, server).generate("offline")
    assert "open sesame" not in repr(made.config)
    origin = origin_of(tmp_path / "rows.jsonl")
    assert origin is not None
    (told,) = origin.settings["tools"]
    assert told["mcp"] == {
        "command": Path(sys.executable).name,
        "args": [SHOP.name, "--log=log"],
        "env": ["PIN"],
        "only": None,
    }
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and b"open sesame" in path.read_bytes()]
    assert kept == []
