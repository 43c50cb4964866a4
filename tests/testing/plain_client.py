"""Plain blocking clients of a chat server, and what they ask for."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, Field

from rowsmith.testing import (
    ScriptedServer,
)

Start = Callable[..., ScriptedServer]


class Entry(BaseModel):
    text: str
    stars: Annotated[int, Field(ge=1, le=5)]


class Entries(BaseModel):
    entries: list[Entry]


SCHEMA = Entries.model_json_schema()


class Got(NamedTuple):
    status: int
    headers: Message[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def choice(self) -> dict[str, Any]:
        choice: dict[str, Any] = self.json["choices"][0]
        return choice

    @property
    def text(self) -> str:
        text: str = self.choice["message"]["content"]
        return text


def question(prompt: str = "Write 4 reviews.", *, schema: bool = True, **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": prompt}], **more}
    if schema:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "a", "strict": True, "schema": SCHEMA},
        }
    return body


def post(server: ScriptedServer, body: Any = None, *, path: str = "/v1/chat/completions", **headers: str) -> Got:
    data = body if isinstance(body, bytes) else json.dumps(question() if body is None else body).encode()
    request = urllib.request.Request(server.url + path, data, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return Got(reply.status, reply.headers, reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return Got(error.code, error.headers, error.read())


def ollama(**more: Any) -> dict[str, Any]:
    return {"model": "llama3.2", "messages": [{"role": "user", "content": "Write 2 reviews."}], **more}


def raw_call(server: ScriptedServer, *, timeout: float = 10) -> socket.socket:
    """A connection on which a call was sent."""
    client = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=timeout)
    body = json.dumps(question()).encode()
    client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    return client


def received(client: socket.socket) -> tuple[bytes, OSError | None]:
    """All that comes, and the error that ended it."""
    got = b""
    with client:
        try:
            while part := client.recv(1 << 16):
                got += part
        except OSError as error:
            return got, error
    return got, None
