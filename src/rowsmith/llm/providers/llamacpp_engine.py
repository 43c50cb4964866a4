"""Loaded models of llama.cpp, each in a process of its own, and shared by all providers that ask for the same.

Not in this process, for what llama.cpp's bindings do there: loading a model stops every thread of Python until it is
done, freeing one while a request is open never ends, and leaving the program meanwhile may crash it. A process can be
ended at any time, its log is no one else's, and its death costs the requests that were in it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import secrets
import subprocess
import sys
import threading
import weakref
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rowsmith.errors import ModelNotFoundError, ProviderError, ServiceError
from rowsmith.llm import failures
from rowsmith.llm.providers import gguf
from rowsmith.llm.providers.hub_weights import AbandonedError, HubWeights

_CHILD = Path(__file__).with_name("llamacpp_child.py")
_ERRORS_ONLY, _ALL = 1, 3
"""llama.cpp's levels of verbosity."""
_LAST_WORDS = 40
_STAMP = re.compile(r"^[\d.]+ [A-Z] ")

_log = logging.getLogger("rowsmith.llm.llamacpp")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What a loaded model is loaded with; equal settings share one.

    Attributes:
        weights: the GGUF file.
        n_ctx: tokens of context for each answer.
        n_parallel: answers at once.
        n_gpu_layers: layers on the graphics card; None has llama.cpp choose.
        n_threads: threads of the processor; None has llama.cpp choose.
    """

    weights: Path | HubWeights
    n_ctx: int
    n_parallel: int
    n_gpu_layers: int | None = None
    n_threads: int | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """Where a loaded model answers, and the key that it asks for: the port is open to every user of the machine."""

    address: str
    token: str


class Engine:
    """One model, loaded when it is first used, and gone with the last provider that refers to it.

    Safe in several threads and event loops at once. Use `engine`, which finds the one that there is.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._start: _Start | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy, also in another process, is the one engine of its settings there."""
        return engine, (self.settings,)

    async def served(self) -> Served:
        """Where the model answers, once it is loaded. If its process has died, it is loaded again.

        When nobody waits any more, fetching and loading are broken off.

        Raises:
            ProviderError: it cannot be fetched or loaded.
        """
        with self._lock:
            start = self._start
            if start is None or start.over:
                start = self._start = _Start(self.settings)
                weakref.finalize(self, start.end)
                start.begin()
            start.waiting += 1
        try:
            return await asyncio.wrap_future(start.served)
        finally:
            with self._lock:
                start.waiting -= 1
                if not start.waiting and not start.served.done():
                    start.end()

    def last_words(self) -> str:
        """The end of llama.cpp's log, on one line; empty if it said nothing or still runs."""
        start = self._start
        return start.last_words() if start is not None and start.over else ""


class _Start:
    """One attempt at a running process: its beginning, its end and what it said.

    Attributes:
        served: what comes of it.
        waiting: how many wait for that.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self.served: Future[Served] = Future()
        self.served.set_running_or_notify_cancel()
        self.waiting = 0
        self._settings = settings
        self._ended = threading.Event()
        # A finalizer may want it in the thread that holds it.
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._said: deque[str] = deque(maxlen=_LAST_WORDS)
        self._reader: threading.Thread | None = None

    @property
    def over(self) -> bool:
        """It was ended, failed, or the process is dead."""
        process = self._process
        dead = process is not None and process.poll() is not None
        return self._ended.is_set() or dead or (self.served.done() and self.served.exception() is not None)

    def begin(self) -> None:
        """Begin, in a thread of its own, since fetching may take an hour and loading a minute."""
        threading.Thread(target=self._run, name="rowsmith-llamacpp", daemon=True).start()

    def end(self) -> None:
        """End the process at once, or the fetching and loading before it. Ending twice is fine."""
        self._ended.set()
        with self._lock:
            process = self._process
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):  # what was still to be written has no reader any more
                        pipe.close()

    def last_words(self) -> str:
        if self._reader is not None:
            self._reader.join(1.0)
        return failures.shorten("; ".join(filter(None, self._said)))

    def _run(self) -> None:
        try:
            served = self._serve()
        except ProviderError as error:
            self.end()
            self.served.set_exception(error)
        except AbandonedError:
            self.end()
            self.served.set_exception(ServiceError("loading was broken off, since nobody waited for it"))
        except BaseException as error:  # a fault of ours: whoever waits must hear of it
            self.end()
            self.served.set_exception(error)
        else:
            self.served.set_result(served)

    def _serve(self) -> Served:
        weights = self._settings.weights
        path = weights.fetch(self._ended.is_set) if isinstance(weights, HubWeights) else weights
        gguf.check(path)
        token = secrets.token_hex(16)
        process = self._spawn()
        verbosity = _ALL if _log.isEnabledFor(logging.DEBUG) else _ERRORS_ONLY
        told = asdict(self._settings) | {"weights": "", "path": str(path), "token": token, "verbosity": verbosity}
        try:
            if process.stdin is None or process.stdout is None:
                raise RuntimeError("the process was started without pipes")
            process.stdin.write(json.dumps(told).encode() + b"\n")
            process.stdin.flush()
            address = process.stdout.readline().decode().strip()
        except (OSError, ValueError):  # it died, or it was ended and its pipes closed, in another thread
            address = ""
        if self._ended.is_set():
            raise AbandonedError
        if not address:
            raise self._not_loaded(path, process.wait())
        return Served(address, token)

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._ended.is_set():
                raise AbandonedError
            # A session of its own: an interrupt from the keyboard is for us, and answers in flight are to be finished.
            alone: dict[str, Any] = {"start_new_session": True}
            if sys.platform == "win32":
                alone = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
            process = self._process = subprocess.Popen(  # noqa: S603 - this interpreter and a file of this package
                [sys.executable, "-P", str(_CHILD)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # Else a failed assertion in llama.cpp starts a debugger, which takes up to a minute.
                env={**os.environ, "GGML_NO_BACKTRACE": "1"},
                **alone,
            )
        self._reader = threading.Thread(target=_read_log, args=(process, self._said), daemon=True)
        self._reader.start()
        return process

    def _not_loaded(self, path: Path, code: int) -> ProviderError:
        said = self.last_words() or f"its process ended with {code}"
        settings = self._settings
        return ModelNotFoundError(
            f"llama.cpp cannot load {str(path)!r}: {said}".rstrip("."),
            hint=(
                "Is the file whole, is its kind of model known to the installed xllamacpp, and is there memory for it "
                f"with n_ctx={settings.n_ctx} for each of n_parallel={settings.n_parallel}? The log at level DEBUG has "
                "all that llama.cpp says"
            ),
        )


def _read_log(process: subprocess.Popen[bytes], said: deque[str]) -> None:
    if process.stderr is None:
        return
    with process.stderr:
        for line in process.stderr:
            text = _STAMP.sub("", line.decode("utf-8", "replace").rstrip())
            said.append(text)
            _log.debug("%s", text)


class _Engines:
    """The engines of this process; each is forgotten with the last provider that refers to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: weakref.WeakValueDictionary[EngineSettings, Engine] = weakref.WeakValueDictionary()

    def find(self, settings: EngineSettings) -> Engine:
        with self._lock:
            found = self._known.get(settings)
            if found is None:
                found = self._known[settings] = Engine(settings)
            return found


def engine(settings: EngineSettings) -> Engine:
    """The engine of these settings, for all that runs in this process: a model is in memory once."""
    return _ENGINES.find(settings)


_ENGINES = _Engines()
