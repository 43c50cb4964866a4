"""A conversation with a running MCP server, by the official SDK over pipes of our own.

Pipes of our own, because the SDK's client for stdio logs every line that is no message, waits seconds for a server that
hangs, and leaves it running when this process is killed.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from rowsmith.errors import ConfigError, MissingDependencyError, did_you_mean
from rowsmith.tools.child import Child, must_be_possible
from rowsmith.tools.mcp_server import MCPServer
from rowsmith.tools.tool import Tool

if TYPE_CHECKING:
    from mcp import ClientSession
    from mcp.types import CallToolResult

_LINE_BYTES = 16 * 1024 * 1024
_LAST_WORDS = 20
_WORDS = 1000
_GRACE_SECONDS = 1.0
"""How long a server whose standard input has ended may take to end."""
_MOST_PAGES = 1000


class StartError(Exception):
    """A server cannot be started, or does not answer.

    Attributes:
        died: its process ended: another may not.
    """

    def __init__(self, message: str, *, died: bool = False) -> None:
        self.died = died
        super().__init__(message)


class DiedError(Exception):
    """A server ended while it was to answer.

    Attributes:
        alone: nothing else was asked of it meanwhile.
    """

    def __init__(self, message: str, *, alone: bool) -> None:
        self.alone = alone
        super().__init__(message)


class RefusedError(Exception):
    """A server turned a request away, or gave an answer that is none."""


class Session:
    """One running server. Use `start`, and `end`, whatever happens.

    The SDK's contexts must be left by the task that entered them: a task of its own holds them, and requests come from
    any other.
    """

    def __init__(self, server: MCPServer) -> None:
        self._server = server
        self._stop = asyncio.Event()
        self._said: deque[str] = deque(maxlen=_LAST_WORDS)
        self._child: Child | None = None
        self._session: ClientSession | None = None
        self._in_flight = 0
        self._at_death: int | None = None
        self._retired = False
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, server: MCPServer) -> Session:
        """Start a server and greet it.

        Raises:
            StartError: its command is not found, it ends, or it does not answer in time.
            ConfigError: a variable of its environment is not set.
            MissingDependencyError: the package mcp is not installed.
        """
        made = cls(server)
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        made._task = asyncio.create_task(made._live(ready))
        try:
            async with asyncio.timeout(server.start_timeout):
                await ready
        except TimeoutError:
            await made.end()
            raise StartError(f"{server} gave no answer within {server.start_timeout:g} s{made._last_words()}") from None
        except BaseException:
            await made.end()
            raise
        return made

    @property
    def usable(self) -> bool:
        return not self._retired and self._at_death is None and not self._stop.is_set()

    async def tools(self) -> list[Any]:
        """All tools that it offers, as the SDK has them.

        Raises:
            DiedError, RefusedError, TimeoutError: it does not say.
        """
        from mcp.types import PaginatedRequestParams

        found: list[Any] = []
        cursor: str | None = None
        async with asyncio.timeout(self._server.start_timeout), self._asking() as session:
            for _ in range(_MOST_PAGES):
                page = await session.list_tools(params=PaginatedRequestParams(cursor=cursor) if cursor else None)
                found.extend(page.tools)
                cursor = page.next_cursor
                if not cursor:
                    return found
        raise RefusedError(f"its list of tools has more than {_MOST_PAGES} pages")

    async def call(self, name: str, arguments: dict[str, Any], timeout: float) -> CallToolResult:
        """Have it carry out a call.

        Raises:
            DiedError, RefusedError, TimeoutError: it does not.
        """
        async with asyncio.timeout(timeout), self._asking() as session:
            return await session.call_tool(name, arguments)

    def retire(self) -> None:
        """End it as soon as nothing is asked of it any more."""
        self._retired = True
        if not self._in_flight:
            self._stop.set()

    async def end(self) -> None:
        """End it, and wait until it has ended."""
        self._stop.set()
        if self._task is not None:
            await asyncio.wait({self._task})

    async def gone(self) -> None:
        """Wait until it has ended."""
        if self._task is not None:
            await asyncio.wait({self._task})

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[ClientSession]:
        from mcp import MCPError
        from mcp.types import CONNECTION_CLOSED
        from pydantic import ValidationError

        if self._session is None or self._at_death is not None:
            raise DiedError(f"{self._server} has ended", alone=False)
        self._in_flight += 1
        try:
            yield self._session
        except MCPError as error:
            if error.code == CONNECTION_CLOSED or self._at_death is not None:
                alone = (self._at_death or self._in_flight) <= 1
                await self._gone_soon()
                raise DiedError(f"{self._server} ended meanwhile{self._last_words()}", alone=alone) from None
            raise RefusedError(error.message[:_WORDS]) from None
        except ValidationError as error:
            faults = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_url=False)]
            raise RefusedError(f"its answer is none: {'; '.join(faults)[:_WORDS]}") from None
        except RuntimeError as error:  # what the SDK has for structured content that does not fit, and the like
            raise RefusedError(f"its answer is none: {str(error)[:_WORDS]}") from None
        finally:
            self._in_flight -= 1
            if self._retired and not self._in_flight:
                self._stop.set()

    async def _gone_soon(self) -> None:
        """Wait a moment for what a dying server still has to say."""
        if self._child is not None:
            await self._child.ended(_GRACE_SECONDS)

    # -- the task that lives as long as the server ------------------------------------------------------------------

    async def _live(self, ready: asyncio.Future[None]) -> None:
        try:
            child = await self._spawned()
        except (ConfigError, StartError) as error:
            ready.set_exception(error)
            return
        try:  # the SDK takes a second, in which the server can start
            import anyio
            from mcp import ClientSession
            from mcp.shared.message import SessionMessage
        except Exception as error:
            await child.end()
            missing = isinstance(error, ImportError)
            ready.set_exception(MissingDependencyError("MCPServer", "mcp") if missing else error)
            return
        heard, hear = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        say, said = anyio.create_memory_object_stream[SessionMessage](0)
        pumps = [
            asyncio.create_task(self._read(child, heard)),
            asyncio.create_task(_write(child, said)),
            asyncio.create_task(self._read_stderr(child)),
        ]
        try:
            async with ClientSession(hear, say) as session:
                self._session = session
                await self._greet(session, ready)
                await self._stop.wait()
        finally:
            self._session = None
            if not ready.done():
                ready.set_exception(StartError(f"{self._server} was not greeted{self._last_words()}"))
            for stream in (heard, hear, say, said):
                stream.close()
            await _ended(child)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _greet(self, session: ClientSession, ready: asyncio.Future[None]) -> None:
        greeting = asyncio.create_task(self._greeted(session))
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({greeting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not greeting.done():
                return
            error = greeting.result()
            if ready.done():
                return
            if error is None:
                ready.set_result(None)
            else:
                ready.set_exception(error)
                self._stop.set()
        finally:
            for task in (greeting, stopping):
                task.cancel()
            await asyncio.gather(greeting, stopping, return_exceptions=True)

    async def _greeted(self, session: ClientSession) -> StartError | None:
        try:
            async with self._asking():
                await session.initialize()
        except DiedError:
            code = self._child.process.returncode if self._child is not None else None
            how = Child.words(code) if code is not None else "closed its output"
            return StartError(f"{self._server} {how}{self._last_words()}", died=True)
        except RefusedError as error:
            return StartError(f"{self._server} cannot be spoken to: {error}{self._last_words()}")
        return None

    async def _spawned(self) -> Child:
        must_be_possible()
        server = self._server
        env = server.environment()
        # A name is looked for in PATH; a path starts in the folder of the server, where the system looks for it too.
        program = server.command
        if os.sep in program:
            program = os.path.join(server.cwd or os.curdir, program)  # noqa: PTH118  # `Path` would drop the dot
        if shutil.which(program, path=env.get("PATH")) is None:
            raise StartError(f"{server}: there is no such program, or it may not be run")
        try:
            child = await Child.start(
                [server.command, *server.args],
                env=env,
                cwd=server.cwd,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=_LINE_BYTES,
            )
        except (OSError, ValueError) as error:
            raise StartError(f"{server} cannot be started: {error}") from None
        self._child = child
        return child

    async def _read(self, child: Child, heard: Any) -> None:
        """Hand on the messages of standard output; what else is printed there is passed over."""
        from mcp.shared.message import SessionMessage
        from mcp.types import jsonrpc_message_adapter

        assert child.process.stdout is not None  # asked for when it was started
        try:
            async for line in child.process.stdout:
                try:
                    message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValueError:
                    continue
                await heard.send(SessionMessage(message))
        except ValueError:
            self._said.append(f"(it wrote a line of more than {_LINE_BYTES} bytes)")
        finally:
            self._at_death = self._in_flight
            heard.close()

    async def _read_stderr(self, child: Child) -> None:
        assert child.process.stderr is not None  # asked for when it was started
        while data := await child.process.stderr.read(65536):
            self._said.extend(line for line in data.decode("utf-8", "replace").splitlines() if line.strip())

    def _last_words(self) -> str:
        text = " / ".join(self._said)[-_WORDS:]
        return f"; it said: {text}" if text else ""


async def _write(child: Child, said: Any) -> None:
    assert child.process.stdin is not None  # asked for when it was started
    with suppress(OSError):  # it has ended, which the reader tells
        async for message in said:
            text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            child.process.stdin.write(text.encode() + b"\n")
            await child.process.stdin.drain()


async def _ended(child: Child) -> None:
    if child.process.stdin is not None:
        child.process.stdin.close()
    await child.ended(_GRACE_SECONDS)
    await child.end()


async def tools_of(server: MCPServer) -> tuple[Tool, ...]:
    """The tools of a server, which is started for that, and ended.

    Raises:
        ConfigError: it cannot be started, does not answer, or lacks a tool that is wanted.
        MissingDependencyError: the package mcp is not installed.
    """
    try:
        session = await Session.start(server)
    except StartError as error:
        raise ConfigError(f"{error}.") from None
    try:
        offered = await session.tools()
    except TimeoutError:
        raise ConfigError(f"{server} did not list its tools within {server.start_timeout:g} s.") from None
    except (DiedError, RefusedError) as error:
        raise ConfigError(f"{server} does not list its tools: {error}.") from None
    finally:
        await session.end()
    by_name = {one.name: one for one in offered}
    for name in server.only or ():
        if name not in by_name:
            raise ConfigError(f"{server} has no tool {name!r} (only=…). {did_you_mean(name, by_name)}")
    wanted = [by_name[name] for name in server.only] if server.only else offered
    if not wanted:
        raise ConfigError(f"{server} offers no tools.")
    try:
        return tuple(Tool(one.name, one.description or "", one.input_schema) for one in wanted)
    except ConfigError as error:
        raise ConfigError(f"{server}: {error} Name the tools that you want by only=[…].") from None
