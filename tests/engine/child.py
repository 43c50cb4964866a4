"""A run in a process of its own, which may be told to kill itself at a certain instant; no product code knows of it."""

from __future__ import annotations

import gc
import hashlib
import importlib
import os
import pickle
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from rowsmith.engine.events import Event
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Completion

from .harness import QUICK, Model, Question, dataset, entries, tones

SETTINGS: dict[str, Any] = {"expansion": tones(*(f"tone {number}" for number in range(20))), "max_rounds": 12}
"""40 cells of 5 rows."""


@dataclass(frozen=True)
class Kill:
    """When a process kills itself.

    Attributes:
        where: `module:Class.function` or `module:function`, or an event's name.
        number: at which time that it comes there, from 1.
        after: when the function has done its work, not before.
    """

    where: str
    number: int = 1
    after: bool = False

    def __str__(self) -> str:
        return f"{'after' if self.after else 'at'} {self.where.rpartition('.')[2]} {self.number}"


@dataclass(frozen=True)
class Job:
    """A run.

    Attributes:
        folder: where its files and its journal are.
        kill: when it ends; None lets it come to its end.
        seed: of the latencies.
        pace: by what the latencies are multiplied.
        settings: changes to the configuration.
        options: arguments of `generate`.
        work: what is done with all this, a function of a module; `carry_out` where none is named.
    """

    folder: Path
    kill: Kill | None = None
    seed: int = 0
    pace: float = 1.0
    settings: dict[str, Any] = field(default_factory=lambda: SETTINGS)
    options: dict[str, Any] = field(default_factory=dict)
    work: Callable[[Job], None] | None = None


class Journal:
    """What was answered and when, in a file to which each line is one write: it outlives a SIGKILL."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "journal"
        self._file = -1

    def add(self, kind: str, key: str = "") -> None:
        if self._file < 0:
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(self._file, f"{kind} {time.monotonic()} {key}\n".encode())

    def starts(self) -> list[Start]:
        """What was answered in each start."""
        found = []
        for line in self._path.read_text().splitlines():
            kind, at, *key = line.split()
            if kind == "start":
                found.append(Start())
            elif kind == "killed":
                found[-1].killed = float(at)
            else:
                getattr(found[-1], kind).setdefault(key[0], float(at))
        return found

    def bought_again(self) -> list[float]:
        """For each answer that was bought again though it had come: how long before the kill it had come."""
        ages = []
        starts = self.starts()
        for number, start in enumerate(starts):
            later = set().union(*(one.answered for one in starts[number + 1 :]))
            ages += [start.killed - at for key, at in start.answered.items() if key in later]
        return ages

    def in_flight(self) -> int:
        """How many calls were in flight at the kills."""
        return sum(len(start.sent.keys() - start.answered.keys()) for start in self.starts() if start.killed)


@dataclass
class Start:
    """When each call was sent and answered, by the hash of its body."""

    sent: dict[str, float] = field(default_factory=dict)
    answered: dict[str, float] = field(default_factory=dict)
    killed: float = 0.0


@dataclass(eq=False)
class Journaled(Model):
    """Writes down what it is asked and answers."""

    journal: Journal = field(default_factory=lambda: Journal(Path()))

    async def complete(self, body: bytes, transport: Transport) -> Completion:
        key = hashlib.blake2b(body, digest_size=12).hexdigest()
        self.journal.add("sent", key)
        completion = await super().complete(body, transport)
        self.journal.add("answered", key)
        return completion


def small_world(question: Question) -> str:
    """Texts of which many come twice, some bad entries, some answers that are nothing; later rounds have new ones."""
    drawn = random.Random(question.digest)
    size = 120 if question.prompt.count("\n") < 2 else 100_000
    texts: list[Any] = [f"text {drawn.randrange(size)}" for _ in range(question.count)]
    if drawn.random() < 0.1:
        return "nothing that could be read"
    if drawn.random() < 0.2:
        texts[0] = ["not a text"]
    return entries(*texts)


def carry_out(job: Job) -> None:
    """Run it, or a part of it."""
    journal = Journal(job.folder)
    journal.add("start")
    listener = armed(job.kill, journal)
    drawn = random.Random(job.seed)
    model = Journaled(
        small_world, seconds=lambda question: job.pace * drawn.choice([0.0, 0.001, 0.004]), journal=journal
    )
    arguments = {"options": QUICK, "max_concurrency": 8, **job.options}
    if job.options.get("fresh"):
        arguments["options"] = replace(QUICK, fresh=True)
    dataset(job.folder, **job.settings).generate(model, listeners=[listener], **arguments)


class Nursery:
    """A process that has loaded everything and forks a child for each run: a start then takes milliseconds."""

    def __init__(self) -> None:
        root = str(Path(__file__).parents[1])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        self._living: int | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )

    def finish(self, job: Job) -> int:
        """Run a job in a process of its own to its end: the exit code, negative for a signal."""
        self.start(job)
        return self.wait()

    def start(self, job: Job) -> int:
        """Begin a job; the process's number. One at a time."""
        assert self._process.stdin is not None
        self._process.stdin.write(pickle.dumps(job).hex().encode() + b"\n")
        self._process.stdin.flush()
        self._living = self._read()
        return self._living

    def wait(self) -> int:
        """The exit code of the job that was started last, negative for a signal."""
        code = self._read()
        self._living = None
        return code

    def close(self) -> None:
        """End it, and with it a job that a failed test has left alone."""
        if self._living is not None:
            os.kill(self._living, signal.SIGKILL)
        self._process.communicate()

    def _read(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


def _keep_nursery() -> None:
    gc.freeze()  # a child's collections do not touch what is here already, and so copy none of it
    for line in sys.stdin:
        job = pickle.loads(bytes.fromhex(line))
        pid = os.fork()
        if pid == 0:
            _live(job)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _live(job: Job) -> NoReturn:
    """A child's life: it takes nothing from the nursery's pipes and never returns into its loop."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    try:
        (job.work or carry_out)(job)
    except KeyboardInterrupt:
        os._exit(130)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def armed(kill: Kill | None, journal: Journal) -> Callable[[Event], None]:
    """Have a kill happen when it should: a listener for events, else a wrapper around a function."""
    if kill is None:
        return lambda event: None
    left = kill.number

    def die_if_time() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            journal.add("killed")
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)

    if ":" not in kill.where:
        return lambda event: die_if_time() if type(event).__name__ == kill.where else None
    module, _, path = kill.where.partition(":")
    owner: Any = importlib.import_module(module)
    *classes, name = path.split(".")
    for one in classes:
        owner = getattr(owner, one)
    original = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if not kill.after:
            die_if_time()
        result = original(*args, **kwargs)
        if kill.after:
            die_if_time()
        return result

    setattr(owner, name, wrapped)
    return lambda event: None


if __name__ == "__main__":
    _keep_nursery()
