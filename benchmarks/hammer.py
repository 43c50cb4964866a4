"""Runs killed at random instants by SIGKILL, started again until they end, and compared with runs nobody killed.

    python benchmarks/hammer.py [--kills N] [--seconds S] [--seed N]

The model server is a process of its own: a `ScriptedServer` whose answers are decided by the request's body alone; 429
(with and without Retry-After), 500 and resets depend on the attempt as well. Among the answers are bad JSON, entries of
a wrong schema, cut-off ones, and duplicates, within an answer and between them. Every other dataset is one of multiple-
choice questions, with two calls a row.

Each process writes down when it sends a call and when its answer is there. So after a kill it is known which calls were
in flight, and how long ago each answer had come: those may be bought again whose answer had not come, or had come at
most 50 ms before the kill. Everything else is a breach, and the exit code says so.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rowsmith import ClassificationDataset, ClassificationDatasetConfig, MCQDataset, MCQDatasetConfig, OpenAIProvider
from rowsmith.engine.options import Options
from rowsmith.llm.retry import RetryPolicy
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Completion

WINDOW = 0.05
"""Seconds for which an answer that has come may still be uncommitted."""
OPTIONS = Options(policy=RetryPolicy(first=0.005, longest=0.05))


@dataclass(frozen=True)
class Scenario:
    """One dataset; its seed decides what it is. Its files and its journal are in the folder."""

    folder: Path
    url: str
    seed: int

    @property
    def questions(self) -> bool:
        """Whether it is one of multiple-choice questions."""
        return self.seed % 2 == 1

    @property
    def expected(self) -> int:
        return 120 if self.questions else 360

    @property
    def output(self) -> Path:
        return self.folder / "rows.jsonl"

    def make(self) -> None:
        """Make the dataset, or go on with it."""
        settings: dict[str, Any] = {"output_file": str(self.output), "max_rounds": 12}
        dataset: ClassificationDataset | MCQDataset
        if self.questions:
            source = self.folder / "documents.txt"
            source.write_text("".join(f"The document of seed {self.seed} about {'x' * n}.\n" for n in range(1, 41)))
            # The default prompt for wrong answers has no document in it: cells with one question would send one body.
            distractors = "Write three wrong answers in {language_name} to {question} ({correct_answer}) in {document}"
            settings |= {"local_file_path": str(source), "min_document_length": 1, "distractor_prompt": distractors}
            dataset = MCQDataset(MCQDatasetConfig(**settings))
        else:
            prompt = "Write {num_samples} {{tone}} texts in {language_name}, {label_name}: {label_description}."
            settings |= {
                "classes": [{"name": name, "description": f"{name} of seed {self.seed}"} for name in ("good", "bad")],
                "languages": {"en": "English", "fr": "French"},
                "prompts": [prompt],
                "expansion": {"placeholders": {"tone": [f"tone {n}" for n in range(18)]}},
            }
            dataset = ClassificationDataset(ClassificationDatasetConfig(**settings))
        provider = Journaling("any", api_key="any", api_base=f"{self.url}/v1")
        provider.journal.open(self.folder)
        dataset.generate(provider, max_concurrency=(4, 16, 64)[self.seed % 3], options=OPTIONS)


# --- what each process writes down ------------------------------------------------------------------------------------


class Journal:
    """A file to which each line is one write: it outlives a SIGKILL."""

    def __init__(self) -> None:
        self._file = -1

    def open(self, folder: Path) -> None:
        self._file = os.open(folder / "journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def add(self, kind: str, key: str = "-") -> None:
        os.write(self._file, f"{kind} {time.monotonic()} {key}\n".encode())


@dataclass(frozen=True)
class Journaling(OpenAIProvider):
    """Writes down when a call is sent and when its answer is there."""

    journal: Journal = field(default_factory=Journal, compare=False, repr=False, kw_only=True)

    async def complete(self, body: bytes, transport: Transport) -> Completion:
        key = hashlib.blake2b(body, digest_size=12).hexdigest()
        self.journal.add("sent", key)
        try:
            completion = await super().complete(body, transport)
        except Exception:
            self.journal.add("failed", key)
            raise
        self.journal.add("answered", key)
        return completion


@dataclass
class Start:
    """What one process did, by the hash of each call's body."""

    under_way: set[str] = field(default_factory=set)
    answered: dict[str, float] = field(default_factory=dict)
    killed: float = 0.0


def read_journal(folder: Path, kills: list[float]) -> list[Start]:
    """The starts, one for each kill and the last one."""
    starts = [Start(killed=at) for at in kills] + [Start(killed=float("inf"))]
    path = folder / "journal"
    for line in path.read_text().splitlines() if path.exists() else ():
        kind, at, key = line.split()
        start = next(one for one in starts if float(at) <= one.killed)
        if kind == "sent":
            start.under_way.add(key)
        else:
            start.under_way.discard(key)
            if kind == "answered":
                start.answered.setdefault(key, float(at))
    return starts


# --- the server -------------------------------------------------------------------------------------------------------


def serve(port: int) -> None:
    """Serve until stdin is closed; the address is the first line of output."""
    from rowsmith.testing import (
        BadJSON,
        Call,
        CutOff,
        Fault,
        RateLimited,
        Reply,
        Reset,
        ScriptedServer,
        ServerError,
        WrongSchema,
    )

    def asked_again(prompt: str) -> bool:
        # A second question is answered well: else, answers being decided by the body, a cell could go in a circle, and
        # the same body twice would be no sign of anything.
        return any(words in prompt for words in ("clearly different", "These were refused", "Answer again"))

    def fault(call: Call) -> Fault | None:
        if call.attempt < 3 and random.Random(f"{call.key} {call.attempt}").random() < 0.1:
            kinds = [RateLimited(), RateLimited(retry_after=0.01), ServerError(), Reset(), Reset("middle")]
            return random.Random(f"{call.attempt} {call.key}").choice(kinds)
        if not asked_again(call.prompt) and random.Random(f"content {call.key}").random() < 0.15:
            kinds = [BadJSON(), BadJSON(repairable=True), WrongSchema(entries=1), CutOff()]
            return random.Random(f"kind {call.key}").choice(kinds)
        return None

    def answer(call: Call) -> Reply:
        drawn = random.Random(call.key)
        size = 10**9 if asked_again(call.prompt) else 700
        count = next((int(word) for word in call.prompt.split() if word.isdigit()), 1)
        if "wrong answers" in call.prompt:
            return Reply(text=json.dumps({f"incorrect_answer_{n}": f"wrong {drawn.random()}" for n in (1, 2, 3)}))
        if "questions" in call.prompt:
            things = drawn.sample(range(size), count)
            made = [{"question": f"What is {thing}?", "correct_answer": "it"} for thing in things]
            return Reply(text=json.dumps({"entries": made}))
        return Reply(text=json.dumps({"entries": [{"text": f"text {drawn.randrange(size)}"} for _ in range(count)]}))

    drawn = random.Random()
    late = [0.0, 0.002, 0.01, 0.03]
    with ScriptedServer(answer, faults=fault, latency=lambda _: drawn.choice(late), record=False, port=port) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        sys.stdin.read()


@contextmanager
def server(port: int = 0) -> Iterator[str]:
    """The address of a server in a process of its own, which has been asked nothing yet."""
    command = [sys.executable, __file__, "--serve", str(port)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.communicate()


def counted(url: str) -> dict[str, Any]:
    """The server's counters."""
    with urllib.request.urlopen(f"{url}/__calls") as reply:
        found: dict[str, Any] = json.loads(reply.read())
    return found


# --- the hammer -------------------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What came of all runs so far.

    Attributes:
        calls: answers, as the server counts them.
        in_flight: calls in flight at the kills.
        in_window: answers that had come at most `WINDOW` before a kill.
        again: answers that the server gave twice.
        ages: for each answer that was bought again though it had come: how long before the kill.
        at: when the kills came.
        breaches: what must not be.
    """

    kills: int = 0
    runs: int = 0
    rows: int = 0
    calls: int = 0
    in_flight: int = 0
    in_window: int = 0
    again: int = 0
    ages: list[float] = field(default_factory=list)
    at: Counter[str] = field(default_factory=Counter)
    breaches: list[str] = field(default_factory=list)


def forked(scenario: Scenario) -> int:
    """A process that makes the dataset; its number."""
    pid = os.fork()
    if pid:
        return pid
    try:
        scenario.make()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def ended_within(pid: int, seconds: float) -> int | None:
    """The exit code of a process, or None if it is still there after so many seconds."""
    until = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= until:
            return None
        time.sleep(0.0005)


def strike(scenario: Scenario, whole: tuple[bytes, bytes], took: float, outcome: Outcome, drawn: random.Random) -> None:
    """One run, killed at random instants until it ends, and what came of it."""
    before = counted(scenario.url)
    kills: list[float] = []
    while True:
        pid = forked(scenario)
        code = ended_within(pid, drawn.uniform(0.0, took * drawn.choice([0.05, 0.15, 0.5])))
        if code is not None:
            break
        kills.append(time.monotonic())
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    _account(scenario, kills, before, outcome)
    outcome.runs += 1
    _check(scenario, code, whole, outcome)


def _account(scenario: Scenario, kills: list[float], before: dict[str, Any], outcome: Outcome) -> None:
    time.sleep(0.05)  # the last resets reach the server
    after = counted(scenario.url)
    starts = read_journal(scenario.folder, kills)
    for number, start in enumerate(starts[:-1]):
        later = set().union(*(one.answered for one in starts[number + 1 :]))
        ages = {key: start.killed - at for key, at in start.answered.items()}
        outcome.in_flight += len(start.under_way)
        outcome.in_window += sum(age <= WINDOW for age in ages.values())
        outcome.ages += [age for key, age in ages.items() if key in later]
        outcome.at[_when(start, later)] += 1
    outcome.kills += len(kills)
    outcome.again += after["answered_again"] - before["answered_again"]
    outcome.calls += after["answered"] - before["answered"]


def _when(start: Start, later: set[str]) -> str:
    if not start.answered and not start.under_way:
        return "before the first call"
    return "among the calls" if later or start.under_way else "after the last"


def _check(scenario: Scenario, code: int, whole: tuple[bytes, bytes], outcome: Outcome) -> None:
    def breach(what: str) -> None:
        outcome.breaches.append(f"seed {scenario.seed}: {what}")

    rows = [json.loads(line) for line in scenario.output.read_bytes().splitlines()]
    outcome.rows += len(rows)
    texts = {row.get("text", row.get("question")) for row in rows}
    if code != 0:
        breach(f"it ended with {code}")
    if len(rows) != scenario.expected:
        breach(f"{len(rows)} rows where {scenario.expected} were asked for")
    if len(texts) != len(rows):
        breach(f"{len(rows) - len(texts)} rows twice")
    if len({row["id"] for row in rows}) != len(rows):
        breach("an id twice")
    if files_of(scenario) != whole:
        breach("the files are not those of a run that was not killed")


def files_of(scenario: Scenario) -> tuple[bytes, bytes]:
    """The rows file and the file of rejections."""
    return scenario.output.read_bytes(), (scenario.folder / "rows.run" / "rejected.jsonl").read_bytes()


def hammer(kills: int, seconds: float, seed: int) -> Outcome:
    """Strike until there were so many kills and so many seconds have passed."""
    outcome, drawn = Outcome(), random.Random(seed)
    until = time.monotonic() + seconds
    while outcome.kills < kills or time.monotonic() < until:
        number = seed + outcome.runs
        with tempfile.TemporaryDirectory() as folder:
            unkilled = Path(folder) / "unkilled"
            unkilled.mkdir()
            with server() as url:
                whole = Scenario(unkilled, url, number)
                began = time.monotonic()
                os.waitpid(forked(whole), 0)
                took = time.monotonic() - began
            # At the same address: it is part of the calls' keys, which the rows name. But new, and so asked nothing.
            with server(int(url.rpartition(":")[2])) as url:
                killed = Path(folder) / "killed"
                killed.mkdir()
                strike(Scenario(killed, url, number), files_of(whole), took, outcome, drawn)
        print(f"{outcome.runs} runs, {outcome.kills} kills, {len(outcome.breaches)} breaches", file=sys.stderr)
    return outcome


def told(outcome: Outcome) -> str:
    """The figures, and what they must be."""
    oldest = max(outcome.ages, default=0.0) * 1000
    return (
        f"{outcome.kills} kills over {outcome.runs} runs "
        f"({', '.join(f'{count} {when}' for when, count in outcome.at.most_common())})\n"
        f"rows made                      {outcome.rows:6,}   in each run exactly those asked for, as without kills\n"
        f"calls answered                 {outcome.calls:6,}\n"
        f"calls answered again           {outcome.again:6,}   at most in flight + in the window: "
        f"{outcome.in_flight:,} + {outcome.in_window:,}\n"
        f"  whose answer had come        {len(outcome.ages):6,}   the oldest {oldest:.0f} ms before the kill "
        f"(promised: {WINDOW * 1000:.0f})\n"
        f"breaches                       {len(outcome.breaches):6,}"
    )


def main() -> None:
    """Strike, print what came of it, and fail if anything was lost or bought for nothing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=150, help="at least so many (default 150)")
    parser.add_argument("--seconds", type=float, default=0.0, help="for at least so long")
    parser.add_argument("--seed", type=int, default=0, help="of the datasets and the instants")
    parser.add_argument("--slack", type=float, default=0.0, help="seconds that a busy machine may add to the window")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve is not None:
        serve(chosen.serve)
        return
    outcome = hammer(chosen.kills, chosen.seconds, chosen.seed)
    print(told(outcome))
    if outcome.again > outcome.in_flight + outcome.in_window:
        outcome.breaches.append("more calls were answered again than were in flight or in the window")
    if max(outcome.ages, default=0.0) > WINDOW + chosen.slack:
        outcome.breaches.append("an answer was bought again that had come before the window")
    for breach in outcome.breaches:
        print(f"BREACH {breach}")
    sys.exit(bool(outcome.breaches))


if __name__ == "__main__":
    main()
