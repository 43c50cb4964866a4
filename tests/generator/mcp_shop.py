"""A real MCP server over stdio, made with the official SDK."""

from __future__ import annotations

from mcp.server.mcpserver import MCPServer

STOCK = {"lamp": 3, "chair": 0}


def stock(item: str, at_least: int = 1) -> str:
    """How many of an item are there."""
    if item not in STOCK:
        raise ValueError(f"there is no {item}")
    return f"{STOCK[item]} of {item}; at least {at_least}: {STOCK[item] >= at_least}"


def total(prices: list[float]) -> float:
    """The sum of prices."""
    return sum(prices)


if __name__ == "__main__":
    server = MCPServer("shop")
    for function in (stock, total):
        server.add_tool(function)
    server.run()
