"""Carrying out calls of tools, as a provider: each is a call of the run, recorded, and never carried out again."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import weakref
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from rowsmith.config import shown
from rowsmith.errors import ConfigError, ProviderError
from rowsmith.llm.prices import TokenPrices
from rowsmith.llm.provider import KnownLimits
from rowsmith.llm.values import Completion, Rung
from rowsmith.tools import child
from rowsmith.tools.functions import FunctionTool
from rowsmith.tools.result import ToolResult
from rowsmith.tools.toolbox import ServerEntry, Toolbox
from rowsmith.tools.workers import Workers, WorkerSettings

if TYPE_CHECKING:
    from rowsmith.llm.transport import Transport
    from rowsmith.llm.values import Request
    from rowsmith.tools.mcp_calls import ServerCalls

_LEAST_MEMORY = 128


@dataclass(frozen=True)
class ToolRunner:
    """Carries out calls: functions in processes of their own, MCP servers' tools by their servers.

    It is asked with `tool_request` and answers with the text of a `ToolResult`. Whatever a tool does comes back as a
    result: that it raised, hung, used too much memory, or ended its process.

    Functions run in workers that start when they are needed, serve one call after the other, and end with the run or
    with this process, also when it is killed. A worker has an empty folder of its own, no standard input and output,
    and of the environment only what programs need, and `env`. That keeps accidents from a run; it is no sandbox for
    code that one does not trust: a function can read files and use the network.

    Attributes:
        toolbox: the tools, those of MCP servers listed.
        timeout: seconds of one call. A function that takes longer is ended, with all processes that it has started.
        memory_mb: MB of address space that a worker may have, what is imported included; at least 128. macOS keeps no
            such limit.
        max_concurrency: calls at once.
        env: names of environment variables that functions see besides `HOME`, `LANG`, `PATH`, `PYTHONPATH` and `TZ`.
        max_result_bytes: the largest result, in UTF-8.

    Raises:
        ConfigError: a value is out of its range, a variable of `env` is not set, an MCP server has not been asked yet,
            or a function cannot be sent to another process.
        MissingDependencyError: a function is in no module, and cloudpickle is not installed.
    """

    name: ClassVar[str] = "tools"
    model_id: ClassVar[str] = "functions"
    endpoint: ClassVar[str] = "tools"
    rungs: ClassVar[tuple[Rung, ...]] = (Rung.PROMPT,)

    toolbox: Toolbox = field(hash=False)
    _: KW_ONLY
    timeout: float = 30.0
    memory_mb: int = 1024
    max_concurrency: int = 4
    env: tuple[str, ...] = ()
    max_result_bytes: int = 64 * 1024

    _digests: Mapping[str, str] = field(init=False, repr=False, compare=False)
    _crews: _Crews = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        child.must_be_possible()
        _check("timeout", self.timeout, 0.001, "seconds")
        _check("memory_mb", self.memory_mb, _LEAST_MEMORY, "MB")
        _check("max_concurrency", self.max_concurrency, 1, "calls")
        _check("max_result_bytes", self.max_result_bytes, 1, "bytes")
        if isinstance(self.env, str):
            raise ConfigError(f"env must be a list of names of environment variables (received: {shown(self.env)}).")
        missing = [name for name in self.env if name not in os.environ]
        if missing:
            raise ConfigError(f"env names {missing[0]!r}, which is not set in the environment.")
        digests = {tool.name: _digest(self.toolbox, tool.name) for tool in self.toolbox.tools}
        entries = self.toolbox.entries
        functions = {entry.tool.name: entry.packed() for entry in entries if isinstance(entry, FunctionTool)}
        for entry in entries:
            if isinstance(entry, ServerEntry):
                entry.server.environment()
        settings = WorkerSettings(
            functions=functions,
            env={name: os.environ[name] for name in self.env},
            timeout=self.timeout,
            memory=self.memory_mb * 2**20,
            largest=self.max_result_bytes,
            most=self.max_concurrency,
        )
        made = {"env": tuple(self.env), "_digests": digests, "_crews": _Crews(self.toolbox, settings)}
        for name, value in made.items():
            object.__setattr__(self, name, value)

    @property
    def limits(self) -> KnownLimits:
        return KnownLimits(max_concurrency=self.max_concurrency)

    @property
    def token_prices(self) -> TokenPrices:
        """0: nothing is sent to a service of Rowsmith's."""
        return TokenPrices(0, 0)

    def describe(self) -> Mapping[str, Any]:
        """The tools. What a call may take is no part of it: a run may go on with more."""
        return {"provider": self.name, "tools": self.toolbox.describe()}

    def encode(self, request: Request) -> bytes:
        """The call with its keys in order, and what the tool was when it was called: an edited function is another.

        Raises:
            ConfigError: the request is none of `tool_request`.
        """
        content = request.messages[-1].content if request.messages else ""
        try:
            call = json.loads(content)
            name, arguments = call["name"], call["arguments"]
        except (ValueError, KeyError, TypeError):
            raise ConfigError(
                f"a ToolRunner is asked with tool_request(name, arguments), not {content[:80]!r}."
            ) from None
        body = {"name": name, "arguments": arguments, "tool": self._digests.get(name, "")}
        return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()

    async def complete(self, body: bytes, transport: Transport) -> Completion:
        """Carry out a call.

        Raises:
            ProviderError: no process can be started for it: nothing that the tool itself does.
        """
        call = json.loads(body)
        try:
            result = await self._crews.of(transport).call(call["name"], call["arguments"])
        except ProviderError as error:
            error.provider, error.model = self.name, self.model_id
            raise
        if len(result.result.encode()) > self.max_result_bytes:
            result = ToolResult.failed("too_large", f"its result has more than {self.max_result_bytes} bytes")
        return Completion(result.text, model=self.model_id)


class _Crew:
    """What carries out the calls of one run."""

    def __init__(self, toolbox: Toolbox, settings: WorkerSettings) -> None:
        self._toolbox = toolbox
        self._settings = settings
        self._workers = Workers(settings)
        self._servers: dict[int, ServerCalls] = {}

    async def call(self, name: Any, arguments: Any) -> ToolResult:
        entry = self._toolbox.entry(name)
        if isinstance(entry, FunctionTool):
            return await self._workers.call(name, arguments)
        if not isinstance(entry, ServerEntry):
            why = "there is no such tool" if entry is None else "nothing carries it out: only its schema is known"
            return ToolResult.failed("refused", f"{name}: {why}")
        if not isinstance(arguments, dict) or not _is_text(json.dumps(arguments, ensure_ascii=False)):
            return ToolResult.failed("invalid", "the arguments must be an object of well-formed text")
        return await self._calls_of(entry).call(name, arguments)

    async def close(self) -> None:
        await self._workers.close()
        for server in self._servers.values():
            await server.close()

    def _calls_of(self, entry: ServerEntry) -> ServerCalls:
        from rowsmith.tools.mcp_calls import ServerCalls

        found = self._servers.get(id(entry))
        if found is None:
            found = self._servers[id(entry)] = ServerCalls(entry.server, self._settings.timeout)
        return found


class _Crews:
    """The crews of the runs that are under way. A copy has none: a provider is a value, and this is no part of it."""

    def __init__(self, toolbox: Toolbox, settings: WorkerSettings) -> None:
        self._made_of = (toolbox, settings)
        self._lock = threading.Lock()
        self._known: weakref.WeakKeyDictionary[Transport, _Crew] = weakref.WeakKeyDictionary()

    def __reduce__(self) -> tuple[Any, ...]:
        return _Crews, self._made_of

    def of(self, transport: Transport) -> _Crew:
        """The crew of a run, made when it is first asked for and gone when the run's transport closes."""
        with self._lock:
            found = self._known.get(transport)
            if found is None:
                found = self._known[transport] = _Crew(*self._made_of)
                closing = found

                async def close() -> None:
                    with self._lock:
                        self._known.pop(transport, None)
                    await closing.close()

                transport.on_close(close)
            return found


def _is_text(text: str) -> bool:
    """Whether it has no half of a surrogate pair, which no server can be told."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _digest(toolbox: Toolbox, name: str) -> str:
    """What tells a tool from another of its name."""
    told = json.dumps(toolbox.only(name).describe(), sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _check(name: str, value: Any, least: float, unit: str) -> None:
    whole = not isinstance(least, int) or isinstance(value, int)
    if isinstance(value, bool) or not isinstance(value, int | float) or not whole or not least <= value < float("inf"):
        raise ConfigError(f"{name} must be {least} {unit} or more; it is {value!r}.")
