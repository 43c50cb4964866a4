"""An MCP server in plain Python that misbehaves as its argument says; run as a script.

python raw_server.py <how> [<file that counts its starts>]
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

ANY = {"type": "object"}


def answer(number: Any, result: Any) -> None:
    print(json.dumps({"jsonrpc": "2.0", "id": number, "result": result}), flush=True)


def tools(how: str, cursor: str | None) -> dict[str, Any]:
    if how == "pages":
        page = int(cursor or 0)
        listed = [{"name": f"tool_{page * 2 + place}", "inputSchema": ANY} for place in range(2)]
        return {"tools": listed, **({"nextCursor": str(page + 1)} if page < 2 else {})}
    if how == "endless pages":
        return {"tools": [], "nextCursor": "again"}
    if how == "no tools":
        return {"tools": []}
    if how == "odd name":
        return {"tools": [{"name": "files/read", "inputSchema": ANY}, {"name": "good", "inputSchema": ANY}]}
    if how == "bad schema":
        return {"tools": [{"name": "bad", "inputSchema": {"type": "object", "properties": {"x": {"type": "odd"}}}}]}
    return {"tools": [{"name": "act", "description": "Act.", "inputSchema": ANY}]}


def result(how: str) -> dict[str, Any]:
    if how == "parts":
        return {
            "content": [
                {"type": "text", "text": "one"},
                {"type": "image", "data": "aGk=", "mimeType": "image/png"},
                {"type": "resource", "resource": {"uri": "file:///a", "text": "two"}},
                {"type": "resource", "resource": {"uri": "file:///b", "blob": "aGk=", "mimeType": "application/pdf"}},
                {"type": "resource_link", "uri": "file:///c", "name": "see"},
            ]
        }
    if how == "structured":
        return {"content": [], "structuredContent": {"degrees": 21.5}}
    if how == "is error":
        return {"content": [{"type": "text", "text": "no such city"}], "isError": True}
    if how == "no result":
        return {"content": "text"}
    return {"content": [{"type": "text", "text": "done"}]}


def main() -> None:
    how = sys.argv[1]
    starts = 0
    if len(sys.argv) > 2:
        with Path(sys.argv[2]).open("a+") as file:
            file.write(f"{os.getpid()}\n")
            file.seek(0)
            starts = len(file.read().split())
    if how == "dies at start" or (how == "dies at the first two starts" and starts <= 2):
        print("cannot open the database", file=sys.stderr)
        sys.exit(3)
    if how == "says nothing":
        print("starting up", file=sys.stderr, flush=True)
        time.sleep(3600)
    if how == "prints garbage":
        print("Welcome to the server!\n{}\n[1, 2\n" + "x" * 200_000, flush=True)
    if how == "closes its output":
        os.close(1)
        time.sleep(3600)
    for line in sys.stdin:
        asked = json.loads(line)
        method, number = asked["method"], asked.get("id")
        if method == "initialize":
            told = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}
            answer(number, {**told, "serverInfo": {"name": "raw", "version": "1"}})
        elif method == "tools/list":
            if how == "does not list":
                continue
            answer(number, tools(how, (asked.get("params") or {}).get("cursor")))
        elif method == "tools/call":
            if how == "dies when called":
                print("segmentation fault, nearly", file=sys.stderr, flush=True)
                os._exit(5)
            if how == "hangs when called":
                time.sleep(3600)
            if how == "turns away":
                error = {"code": -32602, "message": "unknown tool"}
                print(json.dumps({"jsonrpc": "2.0", "id": number, "error": error}), flush=True)
                continue
            answer(number, result(how))
    if how == "does not end":
        time.sleep(3600)


if __name__ == "__main__":
    main()
