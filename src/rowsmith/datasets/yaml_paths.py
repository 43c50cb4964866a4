"""The paths in a run's description: made to start at its file's folder, and to hold from anywhere when kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rowsmith.datasets.yaml_tree import Fields, Items, Scalar, Tree

PATHS = (
    "output_file",
    "local_file_path",
    "seed_file",
    "axes.*.file",
    "topics.file",
    "topics.output_file",
    "tools.*.mcp.cwd",
)
"""Configuration fields that are paths; `*` is each part of a list."""
REFERENCES = (
    "output",
    "output_columns",
    "output_model",
    "check",
    "skip_function",
    "content_filters",
    "content_filters.*",
    "tools.*",
)
"""Fields that may name something in a Python file: `models.py:Ticket`."""
COMMANDS = ("tools.*.mcp.command", "tools.*.mcp.args.*")
"""Parts of command lines, which may be paths; they start where the command does."""


def start_at(folder: Path, tree: Fields) -> None:
    """Let the paths of a file start at its folder."""
    for name in PATHS:
        _change(tree, name.split("."), lambda path: str(folder / Path(path).expanduser()))
    for name in REFERENCES:
        _change(
            tree, name.split("."), lambda text: _in_reference(text, lambda path: str(folder / Path(path).expanduser()))
        )

    tools = tree.fields.get("tools")
    for entry in tools.items if isinstance(tools, Items) else ():
        server = entry.fields.get("mcp") if isinstance(entry, Fields) else None
        if isinstance(server, Fields):
            _start_in(folder, server)


def _start_in(folder: Path, server: Fields) -> None:
    """An MCP server starts in the file's folder where no other is named."""
    named = server.fields.get("cwd")
    if named is None or (isinstance(named, Scalar) and named.value is None):
        server.fields["cwd"] = Scalar(str(folder), str(folder), server.place)
        server.places["cwd"] = server.place


def absolute(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same values with paths that hold from anywhere."""
    made: dict[str, Any] = with_servers(fields, lambda server, _: {**server, "cwd": server.get("cwd") or os.curdir})
    for name in PATHS:
        made = _changed(made, name.split("."), from_anywhere)
    for name in REFERENCES:
        made = _changed(made, name.split("."), lambda text: _in_reference(text, from_anywhere))
    return made


def beside(fields: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """The same values with paths as they are from a folder; of what lies elsewhere only the name."""

    def near(path: str) -> str:
        relative = os.path.relpath(path, folder)
        return os.path.basename(path) if relative.startswith(os.pardir) else relative  # noqa: PTH119  # it may be a pattern

    made: dict[str, Any] = dict(fields)
    for name in PATHS:
        made = _changed(made, name.split("."), near)
    for name in REFERENCES:
        made = _changed(made, name.split("."), lambda text: _in_reference(text, near))
    for name in COMMANDS:
        made = _changed(made, name.split("."), lambda text: _in_argument(text, near))
    return made


def with_servers(
    fields: Mapping[str, Any], change: Callable[[Mapping[str, Any], str], Mapping[str, Any]]
) -> dict[str, Any]:
    """The same values with other settings of the MCP servers among their tools.

    Args:
        fields: the values.
        change: `(settings, their dotted name) -> settings`.
    """
    tools = fields.get("tools")
    if not isinstance(tools, list):
        return dict(fields)
    changed = [
        {**entry, "mcp": dict(change(entry["mcp"], f"tools.{number}.mcp"))}
        if isinstance(entry, Mapping) and isinstance(entry.get("mcp"), Mapping)
        else entry
        for number, entry in enumerate(tools)
    ]
    return {**fields, "tools": changed}


def from_anywhere(path: str) -> str:
    """The path from the root; links in it are the user's and stay."""
    return os.path.abspath(path)  # noqa: PTH100  # `resolve` would follow the links


def _in_argument(text: str, change: Callable[[str], str]) -> str:
    """An argument with a whole path in it changed: `/a/b`, `--root=/a/b`."""
    flag, equals, path = text.rpartition("=")
    return f"{flag}{equals}{change(path)}" if Path(path).is_absolute() else text


def _in_reference(text: str, change: Callable[[str], str]) -> str:
    where, colon, name = text.rpartition(":")
    return f"{change(where)}:{name}" if colon and where.endswith(".py") else text


def _change(tree: Tree, parts: list[str], change: Callable[[str], str]) -> Tree:
    """A tree with a path in it changed, if it is there."""
    if not parts:
        if not isinstance(tree, Scalar) or tree.value is None or not tree.text:
            return tree
        path = change(tree.text)
        return Scalar(path, path, tree.place)
    first, *rest = parts
    if isinstance(tree, Items) and first == "*":
        tree.items = [_change(part, rest, change) for part in tree.items]
    elif isinstance(tree, Fields) and first in tree.fields:
        tree.fields[first] = _change(tree.fields[first], rest, change)
    return tree


def _changed(value: Any, parts: list[str], change: Callable[[str], str]) -> Any:
    if not parts:
        return change(value) if isinstance(value, str) and value else value
    first, *rest = parts
    if first == "*":
        return [_changed(part, rest, change) for part in value] if isinstance(value, list) else value
    if not isinstance(value, dict) or first not in value:
        return value
    return {**value, first: _changed(value[first], rest, change)}
