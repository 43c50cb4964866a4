"""Topics and the examples about them, killed again and again in both phases: complete, and nothing bought twice?

    python benchmarks/generator_kills.py [--degree N] [--depth N] [--kills N]

`rowsmith run` carries out one YAML file with `dataset: generator`: a tree of topics, and one example about each of the
lowest. The scripted server answers it, in a process of its own that counts what it is asked. The command is ended by
SIGKILL at random instants, as often in the one phase as in the other, and then comes to its end. Both files must be,
byte for byte, those of a run that nobody killed. What was answered and is asked again must have been in flight at a
kill, or have come within the ledger's commit window before it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from topic_trees import WINDOW

from rowsmith import Tree
from rowsmith.engine.preceded import is_begun

BATCH = 5
SLACK = 5
"""How many times the window an answer may have been there on a busy machine, from the server's sending it on."""
LEAST_OF_EACH = 0.4
"""The share of kills that each phase must have."""


@dataclass(slots=True)
class Outcome:
    """What came of a run.

    Attributes:
        seconds: how long it took, from the first start to the end of the last.
        kills: when it was killed, and in which phase.
        calls: what the server was asked, in order.
    """

    seconds: float = 0.0
    kills: list[tuple[float, str]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)

    def phases(self) -> tuple[float, float]:
        """Seconds from the first call to the last, for topics and for rows."""
        times: dict[bool, list[float]] = {True: [], False: []}
        for call in self.calls:
            times[_about_topics(call)].append(call["time"])
        return tuple(max(part) - min(part) for part in (times[True], times[False]))  # type: ignore[return-value]  # two

    def answered_again(self) -> tuple[int, list[float]]:
        """Answers that were given again: how many were in flight at a kill, and how old the others were at it."""
        by_key: dict[str, list[dict[str, Any]]] = {}
        for call in self.calls:
            if call["status"] == 200:
                by_key.setdefault(call["key"], []).append(call)
        in_flight, ages = 0, []
        for answered in by_key.values():
            for call in sorted(answered, key=lambda one: one["time"])[:-1]:
                killed = next((at for at, _ in self.kills if at >= call["time"]), float("inf"))
                if call["ended"] >= killed:
                    in_flight += 1
                else:
                    ages.append(killed - call["ended"])
        return in_flight, ages


def _about_topics(call: dict[str, Any]) -> bool:
    return "A field is being divided into topics" in call["body"]["messages"][-1]["content"]


@contextmanager
def server(port: int = 0) -> Iterator[dict[str, Any]]:
    """The scripted server in a process of its own."""
    command = [sys.executable, "-m", "rowsmith.testing", "--latency", "0.03", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def asked(address: dict[str, Any], *, calls: bool = False) -> dict[str, Any]:
    """The server's counters, with its calls."""
    with urllib.request.urlopen(f"{address['url']}/__calls{'?calls=1' if calls else ''}", timeout=60) as reply:
        found: dict[str, Any] = json.load(reply)
    return found


def describe(folder: Path, address: dict[str, Any], degree: int, depth: int) -> None:
    """Write the YAML file."""
    folder.mkdir()
    folder.joinpath("sailing.yaml").write_text(
        "dataset: generator\noutput_file: sailing.jsonl\n"
        f"llms: [{{model: openai/scripted, api_base: '{address['base_url']}'}}]\n"
        f"topics: {{topic_prompt: Sailing, degree: {degree}, depth: {depth}}}\n"
        f"instructions: Explain it to beginners.\nnum_steps: {degree**depth}\nbatch_size: {BATCH}\n"
        "max_concurrency: 6\nmax_rounds: 20\n"
    )


def start(folder: Path) -> subprocess.Popen[bytes]:
    """The command, in the folder."""
    command = [sys.executable, "-m", "rowsmith.cli", "run", "sailing.yaml", "--quiet"]
    return subprocess.Popen(command, cwd=folder, env={**os.environ, "OPENAI_API_KEY": "any"})


def unkilled(folder: Path, address: dict[str, Any]) -> Outcome:
    """Run to the end."""
    began = time.time()
    code = start(folder).wait()
    assert code == 0, code
    return Outcome(time.time() - began, [], asked(address, calls=True)["calls"])


def killed(folder: Path, address: dict[str, Any], phases: tuple[float, float], kills: int) -> Outcome:
    """Run, killed so many times, half of them in each phase, and then to the end."""
    drawn, outcome, began = random.Random(1), Outcome(), time.time()
    halves = {"topics": kills // 2, "rows": kills - kills // 2}
    done: Counter[str] = Counter()
    while done.total() < kills:
        phase = "rows" if is_begun(folder / "sailing.jsonl") else "topics"
        if done[phase] >= halves[phase]:
            _until(folder, phase)
            continue
        # All kills of a phase together are to leave some of it for the last.
        slice_ = phases[phase == "rows"] / (halves[phase] * 1.4)
        before, process = asked(address)["count"], start(folder)
        # Every fourth is killed while it starts, the others once they ask.
        if drawn.random() < 0.75:
            while process.poll() is None and asked(address)["count"] == before:
                time.sleep(0.01)
            time.sleep(drawn.uniform(0, 2 * slice_))
        else:
            time.sleep(drawn.uniform(0.1, 1.5))
        if not _kill(process, outcome, folder):
            break
        done[outcome.kills[-1][1]] += 1
    assert start(folder).wait() == 0
    outcome.seconds = time.time() - began
    outcome.calls = asked(address, calls=True)["calls"]
    return outcome


def _kill(process: subprocess.Popen[bytes], outcome: Outcome, folder: Path) -> bool:
    """Kill it; False if it had come to its end."""
    if process.poll() is not None:
        assert process.returncode == 0, process.returncode
        return False
    at = time.time()
    process.send_signal(signal.SIGKILL)
    process.wait()
    outcome.kills.append((at, "rows" if is_begun(folder / "sailing.jsonl") else "topics"))
    return True


def _until(folder: Path, phase: str) -> None:
    """Let it go on until it is in the other phase; it is stopped in good order there."""
    process = start(folder)
    while process.poll() is None and ("rows" if is_begun(folder / "sailing.jsonl") else "topics") == phase:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    process.wait()


def measure(degree: int, depth: int, kills: int) -> bool:
    """Print the figures; says whether they are as they should be."""
    with tempfile.TemporaryDirectory() as name:
        whole, cut = Path(name, "whole"), Path(name, "cut")
        with server() as address:
            describe(whole, address, degree, depth)
            plain = unkilled(whole, address)
        port = int(address["url"].rpartition(":")[2])  # the same address: it is in the names of cells and calls
        with server(port) as address:
            describe(cut, address, degree, depth)
            outcome = killed(cut, address, plain.phases(), kills)
        return _judge(whole, cut, plain, outcome, degree, depth)


def _judge(whole: Path, cut: Path, plain: Outcome, outcome: Outcome, degree: int, depth: int) -> bool:
    tree = Tree.load(cut / "sailing.topics.jsonl")
    nodes, leaves = sum(degree**level for level in range(depth + 1)), degree**depth
    rows = [json.loads(line) for line in (cut / "sailing.jsonl").read_bytes().splitlines()]
    about = Counter(tuple(row["topic_path"]) for row in rows)
    phases = Counter(phase for _, phase in outcome.kills)
    in_flight, ages = outcome.answered_again()
    _, before = plain.answered_again()
    same = {
        file: (whole / file).read_bytes() == (cut / file).read_bytes()
        for file in ("sailing.topics.jsonl", "sailing.jsonl")
    }
    least = int(LEAST_OF_EACH * len(outcome.kills))
    checks = {
        "the tree is exact": len(tree.topics) == nodes == len({topic.name for topic in tree.topics}),
        "the rows are exact": len(rows) == leaves == len({row["id"] for row in rows}),
        "each topic has its one row": about == dict.fromkeys((topic.path for topic in tree), 1),
        "both files are those of the run without a kill": all(same.values()),
        "the run without a kill asked nothing twice": not before,
        "both phases were killed": min(phases["topics"], phases["rows"]) >= least > 0,
        "nothing was bought twice": max(ages, default=0.0) < SLACK * WINDOW,
    }
    within = sum(age <= WINDOW for age in ages)
    print(
        f"{len(tree.topics):,} topics of {nodes:,}, {len(rows):,} rows of {leaves:,} about {len(about):,} topics\n"
        f"  without a kill   {plain.seconds:6.1f} s, {len(plain.calls):,} calls\n"
        f"  with {len(outcome.kills)} kills    {outcome.seconds:6.1f} s, {phases['topics']} in the topics and "
        f"{phases['rows']} in the rows, {len(outcome.calls):,} calls\n"
        f"  asked again      {in_flight:,} that were in flight at a kill, {len(ages):,} that were answered before it: "
        f"{within:,} of them at most {WINDOW * 1000:.0f} ms before, the oldest {max(ages, default=0) * 1000:.0f} ms"
    )
    for what, holds in checks.items():
        print(f"  {'yes' if holds else 'NO '}  {what}")
    return all(checks.values())


def main() -> None:
    """Measure, and fail if anything lacks or came twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--degree", type=int, default=10)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--kills", type=int, default=20)
    given = parser.parse_args()
    sys.exit(0 if measure(given.degree, given.depth, given.kills) else 1)


if __name__ == "__main__":
    main()
