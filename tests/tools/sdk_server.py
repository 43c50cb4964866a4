"""An MCP server written with the official SDK; run as a script."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import anyio
from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def stock(item: str) -> dict[str, Any]:
    """How many of an item there are."""
    return {"item": item, "count": 3}


def refuses(words: str) -> str:
    """Fail in good order."""
    raise ToolError(words)


async def process(seconds: float = 0.0) -> str:
    """The number of the server's process, after a while."""
    await anyio.sleep(seconds)
    return str(os.getpid())


def hangs() -> str:
    """Give no answer."""
    time.sleep(3600)
    return "never"


def dies(words: str) -> str:
    """End the server."""
    print(words, file=sys.stderr, flush=True)
    os._exit(4)


def environment() -> str:
    """The names of the environment."""
    return " ".join(sorted(os.environ)) + f" {os.environ.get('SHOP_KEY')} {Path.cwd()}"


def picture() -> Image:
    """A picture."""
    return Image(data=b"\x89PNG", format="png")


def long(size: int) -> str:
    """A long text."""
    return "é" * size


if __name__ == "__main__":
    server = MCPServer("shop")
    for tool in (add, stock, refuses, process, hangs, dies, environment, picture, long):
        server.add_tool(tool)
    server.run()
