"""Calls of an MCP server's tools during a run."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from rowsmith.errors import ModelNotFoundError
from rowsmith.tools.mcp_server import MCPServer
from rowsmith.tools.mcp_session import DiedError, RefusedError, Session, StartError
from rowsmith.tools.result import ToolResult

if TYPE_CHECKING:
    from mcp.types import CallToolResult

_MOST_STARTS = 3
_WORDS = 1000


class ServerCalls:
    """One server for as long as a run lasts. It is started when it is first needed, and again when it has ended.

    All calls go to one process, as the protocol means it. A process that dies takes the other calls in it along: these
    are made once more, each in a process of its own, so that only the one at fault fails.

    Args:
        server: which.
        timeout: seconds of one call.
    """

    def __init__(self, server: MCPServer, timeout: float) -> None:
        self._server = server
        self._timeout = timeout
        self._starting = asyncio.Lock()
        self._alone = asyncio.Lock()
        self._session: Session | None = None
        self._endings: set[asyncio.Task[None]] = set()

    async def call(self, name: str, arguments: dict[str, Any]) -> ToolResult:
        """Carry out a call.

        Raises:
            ProviderError: the server cannot be started.
        """
        session = await self._running()
        try:
            return await self._asked(session, name, arguments)
        except DiedError as error:
            if error.alone:
                return ToolResult.failed("crashed", str(error)[:_WORDS])
        async with self._alone:
            session = await self._started()
            try:
                return await self._asked(session, name, arguments)
            except DiedError as error:
                return ToolResult.failed("crashed", str(error)[:_WORDS])
            finally:
                self._let_go(session)

    async def close(self) -> None:
        """End the server, and wait until it has ended."""
        session, self._session = self._session, None
        if session is not None:
            await session.end()
        while self._endings:
            await asyncio.gather(*self._endings)

    async def _asked(self, session: Session, name: str, arguments: dict[str, Any]) -> ToolResult:
        try:
            return result_of(await session.call(name, arguments, self._timeout))
        except TimeoutError:
            self._let_go(session)
            return ToolResult.failed("timeout", f"it gave no result within {self._timeout:g} s")
        except RefusedError as error:
            return ToolResult.failed("refused", str(error))

    async def _running(self) -> Session:
        async with self._starting:
            session = self._session
            if session is None or not session.usable:
                if session is not None:
                    self._let_go(session)
                session = self._session = await self._started()
            return session

    async def _started(self) -> Session:
        for left in reversed(range(_MOST_STARTS)):
            try:
                return await Session.start(self._server)
            except StartError as error:
                if not error.died or not left:
                    raise ModelNotFoundError(str(error)) from None
        raise AssertionError("the last start either succeeds or is told of")

    def _let_go(self, session: Session) -> None:
        """End a session as soon as its other calls have ended, without waiting for it."""
        session.retire()
        ending = asyncio.get_running_loop().create_task(session.gone())
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)


def result_of(result: CallToolResult) -> ToolResult:
    """What a server answered, as text: its texts, else its structured content; of what is no text a note remains."""
    parts = [_text(part) for part in result.content]
    if result.structured_content is not None and not any(part.type == "text" for part in result.content):
        parts = [json.dumps(result.structured_content, ensure_ascii=False), *parts]
    text = "\n".join(parts)
    return ToolResult.failed("raised", text[:_WORDS]) if result.is_error else ToolResult(ok=True, result=text)


def _text(part: Any) -> str:
    if part.type == "text":
        return str(part.text)
    if part.type == "resource":
        inner = part.resource
        return str(inner.text) if hasattr(inner, "text") else f"[{inner.mime_type or 'binary'}: {inner.uri}]"
    if part.type == "resource_link":
        return f"[{part.name}: {part.uri}]"
    return f"[{part.type}: {part.mime_type}]"
