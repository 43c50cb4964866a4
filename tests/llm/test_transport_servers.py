"""The transport against servers that nobody here wrote."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiohttp import web

from rowsmith.llm.transport import Caller, Transport
from support.llama_server import LlamaServer

from .loopback import Asked, served

CALLER = Caller("openai", "gpt-x")
HEADERS = {"Content-Type": "application/json"}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the body it got."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        if self.protocol_version == "HTTP/1.1":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class Standard(http.server.ThreadingHTTPServer):
    """Keeps as many waiting as come at once; five are its own measure."""

    request_queue_size = 64


@contextmanager
def standard_server(version: str) -> Iterator[str]:
    handler = type("Versioned", (Handler,), {"protocol_version": version})
    with Standard(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
async def test_pythons_own_server(version: str) -> None:
    with standard_server(version) as url:
        async with Transport() as transport:

            async def ask(number: int) -> None:
                reply = await transport.post(url, b"%d" % number, HEADERS, timeout=5, caller=CALLER)
                assert reply.body == b"%d" % number

            for start in (0, 10, 20):
                await asyncio.gather(*(ask(start + number) for number in range(10)))


async def test_a_reply_of_aiohttp_in_chunks() -> None:
    async def answer(asked: Asked) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(asked.request)
        for number in range(100):
            await response.write(b"%d " % number * number)
        return response

    async with served(answer) as server, Transport() as transport:
        for _ in range(2):
            reply = await transport.post(server.url, b"", HEADERS, timeout=5, caller=CALLER)
            assert reply.body == b"".join(b"%d " % number * number for number in range(100))


async def test_llama_cpp_which_closes_a_connection_after_a_hundred_requests(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with LlamaServer(tmp_path_factory.mktemp("llama")) as server:
        async with Transport() as transport:
            for _ in range(250):
                reply = await transport.get(f"{server.root_url}/health", timeout=10, caller=CALLER)
                assert json.loads(reply.body) == {"status": "ok"}
            body = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}
            url = f"{server.base_url}/chat/completions"

            async def ask() -> None:
                reply = await transport.post(url, json.dumps(body).encode(), HEADERS, timeout=60, caller=CALLER)
                assert json.loads(reply.body)["choices"]

            await asyncio.gather(*(ask() for _ in range(12)))
