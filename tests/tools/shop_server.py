"""An MCP server, written with the official SDK or in plain Python; run as a script.

python shop_server.py sdk|plain
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def process(seconds: float = 0.0) -> str:
    """The number of the server's process, after a while."""
    time.sleep(seconds)
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


def stock(item: str) -> dict[str, Any]:
    """How many of an item there are."""
    return {"item": item, "count": 3}


def long(size: int) -> str:
    """A long text."""
    return "é" * size


TOOLS: tuple[Callable[..., Any], ...] = (add, process, hangs, dies, environment, stock, long)


def by_sdk() -> None:
    from mcp.server.mcpserver import Image, MCPServer
    from mcp.server.mcpserver.exceptions import ToolError

    def refuses(words: str) -> str:
        """Fail in good order."""
        raise ToolError(words)

    def picture() -> Any:
        """A picture."""
        return Image(data=b"\x89PNG", format="png")

    server = MCPServer("shop", log_level="CRITICAL")
    for tool in (*TOOLS, refuses):
        server.add_tool(tool)
    server.add_tool(picture, structured_output=False)
    server.run()


def by_hand() -> None:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from support.plain_mcp import serve

    serve(*TOOLS)


if __name__ == "__main__":
    {"sdk": by_sdk, "plain": by_hand}[sys.argv[1]]()
