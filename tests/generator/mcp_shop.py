"""A real MCP server over stdio, made with the official SDK."""

from __future__ import annotations

from typing import Any

from mcp.server.mcpserver import MCPServer

server: Any = MCPServer("shop")
STOCK = {"lamp": 3, "chair": 0}


@server.tool()
def stock(item: str, at_least: int = 1) -> str:
    """How many of an item are there."""
    if item not in STOCK:
        raise ValueError(f"there is no {item}")
    return f"{STOCK[item]} of {item}; at least {at_least}: {STOCK[item] >= at_least}"


@server.tool()
def total(prices: list[float]) -> float:
    """The sum of prices."""
    return sum(prices)


if __name__ == "__main__":
    server.run()
