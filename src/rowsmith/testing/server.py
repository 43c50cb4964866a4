"""A real HTTP server on loopback that plays a model service, answers well by default and goes wrong by script."""

from __future__ import annotations

import asyncio
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from socket import SO_LINGER, SOL_SOCKET
from types import TracebackType
from typing import Any, NoReturn, Self

import orjson

from rowsmith.errors import BadRequestError, MissingDependencyError
from rowsmith.llm.providers.offline_embedding import hashed
from rowsmith.testing.answers import default_answer
from rowsmith.testing.batches.script import BatchScript, Item
from rowsmith.testing.batches.store import BatchStore
from rowsmith.testing.book import Book, settled
from rowsmith.testing.calls import Asked, Call, Reply
from rowsmith.testing.faults import Fault
from rowsmith.testing.formats import FORMATS, OwnHeaders, WireFormat
from rowsmith.testing.gatekeeper import Gatekeeper, Rate
from rowsmith.testing.script import Faults, Script

try:
    from aiohttp import web

    from rowsmith.testing.batches.services import SERVICES, Desk
except ModuleNotFoundError as exc:
    raise MissingDependencyError("The scripted server of rowsmith.testing", "testing") from exc

Answer = Callable[[Call], str | Reply]

_LARGEST_BODY = 64 * 2**20
_START_SECONDS = 15.0


class ScriptedServer:
    """A model service for tests: the formats of OpenAI, Anthropic, Ollama and others at one address.

    It runs in a thread of its own, with its own event loop, so that blocking and asynchronous tests can both use it:

        with ScriptedServer(faults=[ServerError(), None]) as server:
            ...  # server.base_url, then server.calls

    Without an `answer` it fills the schema of each request with readable text by a hash of model and messages: the same
    question gets the same answer, in whatever order the questions come.

    Args:
        answer: a function of the call in place of that; it gives the answer's text, or a `Reply`. What it raises is
            raised again at the end of the `with` block.
        embed: the vector of a text, where vectors are asked for; the offline provider's where nothing is given.
        faults: what goes wrong: one fault for all, a list in order of arrival, or a function of the call. Calls that
            were turned away for their key, their model or a limit do not count.
        chances: what goes wrong how often, such as `{ServerError(): 0.05}`; which calls is decided by their bodies.
        seed: other seed, other calls that meet `chances`.
        latency: seconds before each reply, or a function of the call.
        api_key: the key to ask for; None takes any and none.
        models: the models that exist; None takes any name, and lists one named `scripted`.
        max_in_flight: calls at once; more are answered with 429 at once.
        rate: calls in time; a number is per minute.
        hints: what answers that are not scripted write about, such as `{"num_samples": 5, "language": "fr"}`, or a
            function of the call's `Asked`.
        record: keep all calls in `calls`.
        batches: how batches go; each ends at once where nothing is given.
        port: 0 takes a free one.
        clock: seconds, for `rate`.

    Attributes:
        batches: what came to the batch endpoints, and the counters of it. Items of batches are no `calls`.
    """

    def __init__(
        self,
        answer: Answer | None = None,
        *,
        embed: Callable[[str], Sequence[float]] = hashed,
        faults: Faults = None,
        chances: Mapping[Fault, float] | None = None,
        seed: int = 0,
        latency: float | Callable[[Call], float] = 0.0,
        api_key: str | None = None,
        models: Sequence[str] | None = None,
        max_in_flight: int | None = None,
        rate: Rate | int | None = None,
        hints: Mapping[str, Any] | Callable[[Asked], Mapping[str, Any]] | None = None,
        record: bool = True,
        batches: BatchScript | None = None,
        port: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.batches = BatchStore(batches or BatchScript())
        self._answer = answer
        self._embed = embed
        self._script = Script(faults, chances, seed)
        self._latency = latency
        self._gate = Gatekeeper(
            api_key=api_key,
            models=models,
            max_in_flight=max_in_flight,
            rate=Rate(requests=rate) if isinstance(rate, int) else rate,
            clock=clock,
        )
        self._hints = hints or {}
        self._book = Book(record=record)
        self._port = port
        self._errors: list[Exception] = []
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()

    # --- what the test sees ---

    @property
    def url(self) -> str:
        """The root of the address, such as `http://127.0.0.1:49152`; the address for other formats than OpenAI's."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def base_url(self) -> str:
        """The address for OpenAI's format; ends in `/v1`."""
        return f"{self.url}/v1"

    @property
    def calls(self) -> list[Call]:
        """The calls so far, in order of arrival; empty without `record`."""
        return list(self._book.calls)

    @property
    def count(self) -> int:
        """How many calls came, those turned away included."""
        return self._book.count

    @property
    def answered(self) -> int:
        """How many were given status 200; counted before the reply is sent, so whoever has a reply is counted."""
        return self._book.answered

    @property
    def repeated(self) -> int:
        """How many came with a path and body that had come before."""
        return self._book.repeated

    @property
    def answered_again(self) -> int:
        """How many got status 200 though the same path and body had got it before: what was paid for twice."""
        return self._book.answered_again

    @property
    def max_in_flight_seen(self) -> int:
        """The most calls that were being worked on at once."""
        return self._book.max_in_flight_seen

    def summary(self) -> dict[str, Any]:
        """All counters by name, those by status and by fault among them."""
        return self._book.summary()

    # --- running ---

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if error is None and self._errors:
            raise self._errors[0]

    def start(self) -> None:
        """Start in a thread; returns when calls can come.

        Raises:
            OSError: the port is taken.
        """
        started = threading.Event()
        failures: list[BaseException] = []

        def run() -> None:
            try:
                asyncio.run(self.serve(started.set))
            except BaseException as failure:  # told to whoever waits for the start
                failures.append(failure)
                started.set()

        self._thread = threading.Thread(target=run, name="rowsmith-scripted-server", daemon=True)
        self._thread.start()
        started.wait(_START_SECONDS)
        if failures:
            raise failures[0]

    def stop(self) -> None:
        """Stop; calls that hang are dropped."""
        if self._loop is not None and self._thread is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(_START_SECONDS)

    async def serve(self, ready: Callable[[], None]) -> None:
        """Serve in the running loop until cancelled or stopped.

        Args:
            ready: called when calls can come and the address is known.
        """
        self._loop = asyncio.get_running_loop()
        app = web.Application(client_max_size=_LARGEST_BODY)
        for wire in FORMATS:
            for path in wire.paths:
                app.router.add_post(path, partial(self._handle, wire))
            if wire.listing:
                app.router.add_get(wire.listing, partial(self._list_models, wire))
        desk = Desk(app.router, self.batches, self._gate.wrong_key, self._answer_item, _reset)
        for service in SERVICES:
            service.open(desk)
        app.router.add_get("/__calls", self._show_calls)
        # A call that is given up by its client is cancelled: a hung one must not count as in flight for ever.
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.05)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self._port, backlog=4096).start()
            self._port = runner.addresses[0][1]
            ready()
            await self._stopping.wait()
        finally:
            await runner.cleanup()

    # --- one call ---

    async def _handle(self, wire: WireFormat, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        key = blake2b(request.path.encode() + b"\n" + raw, digest_size=16).hexdigest()
        self._book.arrive(key)
        call, problem = self._read(wire, request, raw, key)
        status: int | None = None
        fault: Fault | None = None
        try:
            reply = problem or self._gate.turned_away(call, wire.key(call.headers))
            if reply is None:
                place, attempt = self._book.admit(key)
                call = replace(call, attempt=attempt)
                fault = self._script.fault_for(call, place)
                reply = self._reply(call)
                reply = fault.change(call, reply) if fault is not None else reply
                delay = reply.delay + (self._latency(call) if callable(self._latency) else self._latency)
                if delay > 0:
                    await asyncio.sleep(delay)
            response = await self._send(wire, request, call, self._gate.marked(reply))
            status = reply.status
            return response
        finally:
            self._book.leave(settled(call, status, None if fault is None else type(fault).__name__))

    def _read(self, wire: WireFormat, request: web.Request, raw: bytes, key: str) -> tuple[Call, Reply | None]:
        asked, body, problem = Asked(model="", messages=()), {}, None
        try:
            body = orjson.loads(raw)
            if not isinstance(body, dict):
                raise ValueError("the body must be a JSON object")
            asked = wire.read({**body, **request.match_info})
        except ValueError as error:
            problem = Reply(status=400, error=str(error), code="invalid_request")
        call = Call(
            number=self._book.count - 1,
            format=wire.name,
            path=request.path,
            body=body if isinstance(body, dict) else {},
            headers={name.lower(): value for name, value in request.headers.items()},
            asked=asked,
            key=key,
            time=time.time(),
            in_flight=self._book.in_flight,
            hints=self._hints(asked) if callable(self._hints) else self._hints,
        )
        self._book.keep(call)
        return call, problem

    def _reply(self, call: Call) -> Reply:
        try:
            if call.asked.embedding:
                made = [list(self._embed(message.content)) for message in call.asked.messages]
                return Reply(text=orjson.dumps(made).decode())
            said = default_answer(call) if self._answer is None else self._answer(call)
        except BadRequestError as error:
            return Reply(status=400, error=str(error), code="invalid_json_schema")
        except Exception as error:  # raised again when the test ends, and told to the client meanwhile
            self._errors.append(error)
            return Reply(status=500, error=f"the test's own answer failed: {error!r}", code="server_error")
        return Reply(text=said) if isinstance(said, str) else said

    async def _send(self, wire: WireFormat, request: web.Request, call: Call, reply: Reply) -> web.StreamResponse:
        if reply.cut == "before":
            await _reset(request)
        body = reply.raw
        if body is None:
            body = orjson.dumps(wire.write(call, reply) if reply.status == 200 else wire.error(reply))
        if reply.marred is not None:
            before, after = reply.marred
            body = body.replace(before.encode(), after.encode())
        headers: Mapping[str, str] = {
            "x-request-id": f"req_{call.number}",
            "Content-Type": reply.content_type,
            **reply.headers,
        }
        if isinstance(wire, OwnHeaders):
            headers = wire.headers(headers)
        if reply.cut == "middle":
            response = web.StreamResponse(status=reply.status, headers=headers)
            response.content_length = len(body)
            await response.prepare(request)
            await response.write(body[: len(body) // 2])
            await _reset(request)
        return web.Response(status=reply.status, body=body, headers=headers)

    def _answer_item(
        self, wire: WireFormat, path: str, item: Item, headers: Mapping[str, str], fault: Fault | None
    ) -> tuple[Call, Reply]:
        """The call that an item of a batch would have been, and its reply."""
        asked, problem = Asked(model="", messages=()), None
        try:
            asked = wire.read(item.body)
        except ValueError as error:
            problem = Reply(status=400, error=str(error), code="invalid_request")
        call = Call(
            number=item.number,
            format=wire.name,
            path=path,
            body=item.body,
            headers=headers,
            asked=asked,
            key=item.key,
            attempt=item.attempt,
            time=time.time(),
            hints=self._hints(asked) if callable(self._hints) else self._hints,
        )
        reply = problem or self._gate.unknown_model(call) or self._reply(call)
        return call, fault.change(call, reply) if fault is not None and problem is None else reply

    # --- everything else ---

    async def _list_models(self, wire: WireFormat, _: web.Request) -> web.Response:
        names = ("scripted",) if self._gate.models is None else self._gate.models
        return web.Response(body=orjson.dumps(wire.models(names)), content_type="application/json")

    async def _show_calls(self, request: web.Request) -> web.Response:
        shown = {**self._book.summary(), "batches": self.batches.summary()}
        if "calls" in request.query:
            shown["calls"] = self._book.listing()
        return web.Response(body=orjson.dumps(shown), content_type="application/json")


async def _reset(request: web.Request) -> NoReturn:
    """Close the connection so that the client's system reports a reset, and wait to be cancelled for it."""
    transport = request.transport
    if transport is not None:
        sock = transport.get_extra_info("socket")
        # Lingering for 0 seconds makes closing send RST in place of FIN.
        with suppress(OSError):
            sock.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    await asyncio.get_running_loop().create_future()
    raise AssertionError("the connection was reset and its handler not cancelled")
