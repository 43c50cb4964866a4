"""Servers on loopback that do exactly what a test says, byte by byte, and certificates made for one test."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Peer:
    """The server's side of one connection.

    Attributes:
        number: which connection this is, from 1.
        reader: what the client sent.
        writer: the way back.
    """

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    heads: list[bytes]

    async def request(self) -> bytes:
        """Read one request, and give back its body.

        Raises:
            asyncio.IncompleteReadError: the client hung up.
        """
        head = await self.reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        length = [line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        return await self.reader.readexactly(int(length[0])) if length else b""

    async def say(self, sent: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(sent)
        await self.writer.drain()

    async def answer(self, body: bytes, *headers: bytes) -> None:
        """Send a reply of status 200."""
        lines = b"".join(header + b"\r\n" for header in headers)
        await self.say(b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (lines, len(body), body))


Behave = Callable[[Peer], Awaitable[None]]


@dataclass
class Wire:
    """A running server.

    Attributes:
        port: where it listens.
        heads: the heads of all requests, in the order they came.
        connections: how many it has had.
        ended: set when a connection has ended, cleared by the test.
    """

    port: int = 0
    scheme: str = "http"
    heads: list[bytes] = field(default_factory=list)
    connections: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/v1"


@asynccontextmanager
async def wire(behave: Behave, context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[Wire]:
    """A server that behaves so on every connection, and closes it in the end."""
    running = Wire(scheme="http" if context is None else "https")
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.connections += 1
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
                await behave(Peer(running.connections, reader, writer, running.heads))
            writer.close()
            with suppress(ConnectionError, ssl.SSLError, TimeoutError):
                await writer.wait_closed()
        finally:
            writer.transport.abort()
            running.ended.set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(
        accept, host, 0, ssl=context, ssl_shutdown_timeout=None if context is None else 0.2, limit=2**26
    )
    running.port = server.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)


async def echo(peer: Peer) -> None:
    """Answer every request with its own body, and keep the connection."""
    while True:
        await peer.answer(await peer.request())


def certificate(folder: Path, *names: str) -> Path:
    """A file with a new key and a certificate for these names (`DNS:host`, `IP:address`), signed by itself."""
    file = folder / "certificate.pem"
    key = folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=test", "-addext", f"subjectAltName={','.join(names)}"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(file)], check=True, capture_output=True)
    file.write_bytes(file.read_bytes() + key.read_bytes())
    return file


def server_context(file: Path) -> ssl.SSLContext:
    """The server's side of TLS with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
