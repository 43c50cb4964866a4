"""What can be given as tools, and what each wrong thing is told."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rowsmith
from rowsmith.errors import ConfigError
from rowsmith.tools.mcp_server import MCPServer
from rowsmith.tools.tool import Tool
from rowsmith.tools.toolbox import Toolbox

from .functions import add, kind_of

PARAMETERS: dict[str, Any] = {"type": "object", "properties": {"q": {"type": "string"}}}
BARE = {"name": "search", "description": "Search.", "parameters": PARAMETERS}
FORMS: dict[str, Any] = {
    "OpenAI": {"type": "function", "function": BARE},
    "OpenAI, strict": {"type": "function", "function": {**BARE, "strict": True}},
    "bare": BARE,
    "OpenAI's Responses": {"type": "function", **BARE},
    "Anthropic": {"name": "search", "description": "Search.", "input_schema": PARAMETERS},
    "Anthropic, custom": {"type": "custom", "name": "search", "description": "Search.", "input_schema": PARAMETERS},
    "a Tool": Tool("search", "Search.", PARAMETERS),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_a_schema_is_the_same_tool(form: str) -> None:
    box = Toolbox.of([FORMS[form]])
    assert box.tools == (Tool("search", "Search.", PARAMETERS),)
    assert not box.needs_listing
    assert not box.executable("search")


def test_what_may_be_left_out_of_a_schema_is_empty() -> None:
    (tool,) = Toolbox.of([{"name": "now"}]).tools
    assert (tool.description, tool.parameters) == ("", {"type": "object", "properties": {}})
    (tool,) = Toolbox.of([{"name": "now", "description": None, "parameters": None}]).tools
    assert tool.fault({}) is None


def test_the_order_is_that_in_which_they_were_given() -> None:
    box = Toolbox.of([kind_of, BARE, "tools.functions:add"])
    assert [tool.name for tool in box.tools] == ["kind_of", "search", "add"]
    assert [box.executable(name) for name in ("kind_of", "search", "add", "other")] == [True, False, True, False]
    assert Toolbox.of(box) is box  # type: ignore[arg-type]  # what is one already stays as it is
    with pytest.raises(ConfigError, match=r"no tool 'serch'\. Did you mean 'search'"):
        box.tool("serch")


def test_a_server_may_stand_in_a_mapping() -> None:
    (entry,) = Toolbox.of([{"mcp": {"command": "shop", "args": ["-v"], "env": {"KEY": "open sesame"}}}]).entries
    assert entry == Toolbox.of([MCPServer(command="shop", args=["-v"], env={"KEY": "open sesame"})]).entries[0]  # type: ignore[dict-item]  # Pydantic makes a secret of it
    assert rowsmith.MCPServer is MCPServer


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "tools is empty"),
        (None, "tools must be a list"),
        ("tools.functions:add", "tools must be a list"),
        (BARE, "tools must be a list"),
        ([5], r"tools\[0\]: a tool is OpenAI's .* \(received: 5\)"),
        ([add, {}], r"tools\[1\]: .*an empty mapping"),
        ([{"nmae": "x"}], "Did you mean 'name'"),
        ([{"name": "x", "paramters": PARAMETERS}], "'paramters' is nothing that a tool has. Did you mean 'parameters'"),
        ([{"type": "function", "function": BARE, "names": 1}], "'names' is nothing that a tool has"),
        ([{"type": "function", "function": {"description": "x"}}], "a tool needs a 'name'"),
        ([{"type": "tool", "function": BARE}], "a tool is OpenAI's"),
        ([{"type": "function", "function": "search"}], "a tool is OpenAI's"),
        ([{"type": "web_search_20250305", "name": "web"}], "'web_search_20250305' is a tool of a service's own"),
        ([{**BARE, "input_schema": PARAMETERS}], "are the same: leave one out"),
        ([{"name": "a b"}], r"tools\[0\]: a tool's name is 1 to 64"),
        ([BARE, FORMS["OpenAI"]], "two tools are called 'search': a schema and a schema"),
        ([add, "tools.functions:add"], "two tools are called 'add': a function and a function"),
        (["tools.functions:ad"], r"tools\.functions has no 'ad'\. Did you mean 'add'"),
        (["tools.functions"], "names nothing: write 'module:name'"),
        (["no_such_module:add"], "there is no module 'no_such_module'"),
        (["tools.functions:Path"], "the class .* is no tool"),
        (["sys:path"], r"'sys:path' is no function but \["),
        ([{"mcp": "shop"}], "'mcp' must be {'command'"),
        ([{"mcp": {"comand": "shop"}}], r"comand is not a setting\. Did you mean 'command'"),
        ([{"mcp": {"command": "shop"}, "name": "x"}], "'name' is nothing that a tool has. Did you mean|Known: mcp"),
        ([{"mcp": {"command": "shop", "only": []}}], "only"),
    ],
)
def test_what_is_no_tool_is_refused_with_what_would_be_right(given: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Toolbox.of(given)


def test_an_error_of_a_server_s_settings_shows_no_key() -> None:
    with pytest.raises(ConfigError) as caught:
        Toolbox.of([{"mcp": {"command": 5, "env": {"API_KEY": ["open sesame"]}}}])
    assert "open sesame" not in str(caught.value)


def test_a_description_has_the_schemas_the_code_and_the_command_line() -> None:
    box = Toolbox.of([BARE, add, MCPServer(command="shop", args=["-v"], env={"KEY": "open sesame"})])  # type: ignore[dict-item]  # Pydantic makes a secret of it
    schema, function, server = json.loads(json.dumps(box.describe()))
    assert schema == {"tools": [BARE]}
    assert function["function"].startswith("add:")
    assert function["tools"][0]["name"] == "add"
    told = {"command": "shop", "args": ["-v"], "env": ["KEY"], "only": None}
    assert server == {"mcp": told, "tools": None}


def test_an_edited_function_is_described_as_another() -> None:
    def version(body: str) -> Any:
        space: dict[str, Any] = {}
        exec(f"def tool(a: int) -> int:\n    return {body}", space)
        return Toolbox.of([space["tool"]]).describe()

    assert version("a + 1") == version("a + 1") != version("a + 2")


def test_without_servers_there_is_nothing_to_list() -> None:
    box = Toolbox.of([BARE, add])
    assert asyncio.run(box.listed()) == box


def test_a_missing_dependency_is_named_with_the_line_that_installs_it(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['jsonschema'] = None; import rowsmith\n"
        "try:\n    rowsmith.Tool('x', '', {'type': 'object'})\n"
        "except rowsmith.MissingDependencyError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == "Tools needs an optional dependency. Install it with: pip install 'rowsmith[tools]'"


def test_the_sdk_is_needed_for_servers_alone_and_named(tmp_path: Path) -> None:
    code = (
        "import sys, asyncio; sys.modules['mcp'] = None; import rowsmith\n"
        "from rowsmith.tools.toolbox import Toolbox\n"
        "box = Toolbox.of([rowsmith.MCPServer(command=sys.executable, args=['-c', ''])])\n"
        "try:\n    asyncio.run(box.listed())\n"
        "except rowsmith.MissingDependencyError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == "MCPServer needs an optional dependency. Install it with: pip install 'rowsmith[mcp]'"
