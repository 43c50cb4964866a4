"""The tools of a dataset, however they were given."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rowsmith.config import shown
from rowsmith.errors import ConfigError, did_you_mean
from rowsmith.quality.config import code_of
from rowsmith.tools.functions import FunctionTool, function_at
from rowsmith.tools.mcp_server import MCPServer, ServerTools
from rowsmith.tools.tool import Tool

_WRAPPED = frozenset({"type", "function"})
_BARE = frozenset({"name", "description", "parameters", "input_schema", "strict", "cache_control", "type"})
_NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}
_FORMS = (
    "a tool is OpenAI's {'type': 'function', 'function': {…}}, {'name': …, 'description': …, 'parameters': …}, a "
    "Python function, 'module:function', an MCPServer or {'mcp': {'command': …, 'args': […]}}"
)


@dataclass(frozen=True)
class SchemaEntry:
    """A tool that is known by its schema alone."""

    tool: Tool


@dataclass(frozen=True)
class ServerEntry:
    """An MCP server, and its tools once it was asked for them."""

    server: MCPServer
    tools: tuple[Tool, ...] | None = None


Entry = SchemaEntry | FunctionTool | ServerEntry


@dataclass(frozen=True)
class Toolbox:
    """Tools in the order in which they were given. Make it with `of`.

    Attributes:
        entries: where they are from.
    """

    entries: tuple[Entry, ...]

    @classmethod
    def of(cls, given: Sequence[Any]) -> Toolbox:
        """The tools of what a user gave.

        Args:
            given: each one OpenAI's or Anthropic's form of a tool, a `Tool`, a Python function, `module:function`, an
                `MCPServer`, or a mapping `{"mcp": {"command": …, "args": […]}}`.

        Raises:
            ConfigError: one of them is none of these, or two have one name.
            MissingDependencyError: jsonschema is not installed.
        """
        if isinstance(given, Toolbox):
            return given
        if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
            raise ConfigError(f"tools must be a list; {_FORMS} (received: {shown(given)}).")
        entries = tuple(_entry(one, f"tools[{place}]") for place, one in enumerate(given))
        if not entries:
            raise ConfigError(f"tools is empty; {_FORMS}.")
        return cls(entries)

    def __post_init__(self) -> None:
        seen: dict[str, str] = {}
        for entry in self.entries:
            for tool in _tools_of(entry):
                if tool.name in seen:
                    raise ConfigError(
                        f"two tools are called {tool.name!r}: {seen[tool.name]} and {_origin(entry)}. Rename one, or "
                        "leave one out (an MCP server's with only=[…])."
                    )
                seen[tool.name] = _origin(entry)

    @property
    def needs_listing(self) -> bool:
        """An MCP server has not been asked yet for its tools: see `listed`."""
        return bool(self.unlisted)

    @property
    def unlisted(self) -> Sequence[str]:
        """The MCP servers that have not been asked yet, as messages call them."""
        return [str(entry.server) for entry in self.entries if isinstance(entry, ServerEntry) and entry.tools is None]

    @property
    def tools(self) -> Sequence[Tool]:
        """All tools.

        Raises:
            ConfigError: an MCP server has not been asked yet.
        """
        if waiting := self.unlisted:
            raise ConfigError(f"the tools of {waiting[0]} are not known yet: await `listed()` first.")
        return tuple(tool for entry in self.entries for tool in _tools_of(entry))

    def tool(self, name: str) -> Tool:
        """The tool of a name.

        Raises:
            ConfigError: there is none.
        """
        for tool in self.tools:
            if tool.name == name:
                return tool
        raise ConfigError(f"there is no tool {name!r}. {did_you_mean(name, [tool.name for tool in self.tools])}")

    def entry(self, name: str) -> Entry | None:
        """Where the tool of a name is from; None if there is none."""
        for entry in self.entries:
            if any(tool.name == name for tool in _tools_of(entry)):
                return entry
        return None

    def executable(self, name: str) -> bool:
        """Whether calls of this tool can be carried out: it is a function's or an MCP server's."""
        return isinstance(self.entry(name), FunctionTool | ServerEntry)

    def only(self, name: str) -> Toolbox:
        """The tool of a name alone; an empty one if there is none."""
        entry = self.entry(name)
        if isinstance(entry, ServerEntry):
            entry = replace(entry, tools=tuple(tool for tool in _tools_of(entry) if tool.name == name))
        return Toolbox(() if entry is None else (entry,))

    async def listed(self) -> Toolbox:
        """The same with the tools of all MCP servers: each is started, asked, and ended.

        Raises:
            ConfigError: a server cannot be started, does not answer, or lacks a tool that `only` names.
            MissingDependencyError: the package mcp is not installed.
        """
        from rowsmith.tools.mcp_session import tools_of

        async def known(entry: Entry) -> Entry:
            if isinstance(entry, ServerEntry) and entry.tools is None:
                return replace(entry, tools=await tools_of(entry.server))
            return entry

        # All are waited for: a server that was started has to be ended.
        entries = await asyncio.gather(*map(known, self.entries), return_exceptions=True)
        for entry in entries:
            if isinstance(entry, BaseException):
                raise entry
        return Toolbox(tuple(entry for entry in entries if not isinstance(entry, BaseException)))

    def describe(self) -> list[dict[str, Any]]:
        """What the tools are, as JSON: schemas, the code of functions, command lines; no values of `env`."""
        return [_described(entry) for entry in self.entries]


def _entry(given: Any, where: str) -> Entry:
    if isinstance(given, Tool):
        return SchemaEntry(given)
    if isinstance(given, MCPServer | ServerTools):
        return ServerEntry(given if isinstance(given, MCPServer) else given.mcp)
    try:
        if isinstance(given, str):
            return FunctionTool.of(function_at(given))
        if isinstance(given, Mapping):
            return _of_mapping(given)
        if callable(given):
            return FunctionTool.of(given)
    except ConfigError as error:
        if type(error) is not ConfigError:
            raise
        raise ConfigError(f"{where}: {error}") from error.__cause__
    raise ConfigError(f"{where}: {_FORMS} (received: {shown(given)}).")


def _of_mapping(given: Mapping[Any, Any]) -> Entry:
    if "mcp" in given:
        _only_known(given, {"mcp"})
        if not isinstance(given["mcp"], Mapping):
            raise ConfigError(f"'mcp' must be {{'command': …, 'args': […]}} (received: {shown(given['mcp'])}).")
        return ServerEntry(MCPServer.model_validate(dict(given["mcp"])))
    if "function" in given:
        _only_known(given, _WRAPPED)
        if given.get("type", "function") != "function" or not isinstance(given["function"], Mapping):
            raise ConfigError(f"{_FORMS} (received: {shown(given)}).")
        return SchemaEntry(_tool(given["function"]))
    if "name" not in given:
        unknown = next(iter(given), "")
        hint = did_you_mean(str(unknown), [*_WRAPPED, *_BARE, "mcp"]) if given else ""
        raise ConfigError(f"{_FORMS} (received: {shown(given)}). {hint}".rstrip())
    return SchemaEntry(_tool(given))


def _tool(given: Mapping[Any, Any]) -> Tool:
    _only_known(given, _BARE)
    if "name" not in given:
        raise ConfigError(f"a tool needs a 'name' (received: {shown(given)}).")
    # Anthropic's are of type `custom`, where they say it; its own tools have no schema and are carried out by itself.
    if given.get("type", "custom") not in ("custom", "function"):
        raise ConfigError(f"{shown(given['type'])} is a tool of a service's own, and has no schema to call it by.")
    if "parameters" in given and "input_schema" in given:
        raise ConfigError("'parameters' (OpenAI) and 'input_schema' (Anthropic) are the same: leave one out.")
    parameters = given.get("parameters", given.get("input_schema"))
    return Tool(given["name"], given.get("description") or "", _NO_PARAMETERS if parameters is None else parameters)


def _only_known(given: Mapping[Any, Any], known: Iterable[str]) -> None:
    for key in given:
        if key not in known:
            raise ConfigError(f"{shown(key)} is nothing that a tool has. {did_you_mean(str(key), known)}")


def _tools_of(entry: Entry) -> tuple[Tool, ...]:
    return (entry.tools or ()) if isinstance(entry, ServerEntry) else (entry.tool,)


def _origin(entry: Entry) -> str:
    if isinstance(entry, ServerEntry):
        return f"one of {entry.server}"
    return "a function" if isinstance(entry, FunctionTool) else "a schema"


def _described(entry: Entry) -> dict[str, Any]:
    tools = [tool.openai()["function"] for tool in _tools_of(entry)]
    if isinstance(entry, ServerEntry):
        return {"mcp": entry.server.describe(), "tools": None if entry.tools is None else tools}
    if isinstance(entry, FunctionTool):
        return {"function": code_of(entry.function), "tools": tools}
    return {"tools": tools}
