"""A real MCP server over stdio, in plain Python, or with the argument `sdk` made with the official SDK."""

from __future__ import annotations

import sys
from pathlib import Path

STOCK = {"lamp": 3, "chair": 0}


def stock(item: str, at_least: int = 1) -> str:
    """How many of an item are there."""
    if item not in STOCK:
        raise ValueError(f"there is no {item}")
    return f"{STOCK[item]} of {item}; at least {at_least}: {STOCK[item] >= at_least}"


def total(prices: list[float]) -> float:
    """The sum of prices."""
    return sum(prices)


def main() -> None:
    if sys.argv[1:] == ["sdk"]:
        from mcp.server.mcpserver import MCPServer

        server = MCPServer("shop", log_level="CRITICAL")  # its tracebacks take longer than all else
        for function in (stock, total):
            server.add_tool(function)
        server.run()
        return
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from support.plain_mcp import serve

    serve(stock, total)


if __name__ == "__main__":
    main()
