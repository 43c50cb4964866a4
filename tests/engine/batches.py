"""What the tests of batch runs share: a model at a scripted server, answers with duplicates, and a hurried clock."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from rowsmith import MCQDataset, OpenAIProvider
from rowsmith.engine.options import Options
from rowsmith.testing import Call

from .child import Job, Journal, armed
from .harness import QUICK, dataset, entries, questions, tones

SETTINGS: dict[str, Any] = {"expansion": tones(*(f"tone {number}" for number in range(6))), "max_rounds": 12}
"""12 cells of 5 rows."""


class Hurried:
    """Time that runs faster, from an instant that several processes can share."""

    def __init__(self, since: float | None = None, factor: float = 1000) -> None:
        self._since = time.time() if since is None else since
        self._factor = factor

    def now(self) -> float:
        return (time.time() - self._since) * self._factor

    def date(self) -> float:
        return self._since + self.now()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._factor)


def hurried(**changes: Any) -> Options:
    """Options of which no test has to wait for a poll."""
    return replace(QUICK, clock=Hurried(), **changes)


def model(base_url: str, **changes: Any) -> OpenAIProvider:
    """A model of a scripted server that has a batch endpoint; a dollar per million tokens asked, two answered."""
    settings: dict[str, Any] = {
        "model_id": "batched",
        "api_key": "any",
        "api_base": base_url,
        "batch_endpoint": True,
        "input_cost_per_million": 1.0,
        "output_cost_per_million": 2.0,
    }
    return OpenAIProvider(**(settings | changes))


def crowded(call: Call) -> str:
    """Texts of which many come twice and some are bad, by the call's body alone; later rounds have new ones."""
    drawn = random.Random(call.key)
    asked = next(message.content for message in call.asked.messages if message.role == "user")
    if asked.startswith("This is a question"):
        same = drawn.random() < 0.3
        wrong = "the same" if same else f"wrong {drawn.random()}"
        return orjson.dumps({f"incorrect_answer_{n}": f"{wrong} {n * (not same)}" for n in (1, 2, 3)}).decode()
    again = "exist already" in asked or "were refused" in asked
    size = 100_000 if again else 40
    wanted = int(next(word for word in asked.split() if word.isdigit()))
    if "questions" in asked:
        found = [{"question": f"what is {drawn.randrange(size)}?", "correct_answer": "it"} for _ in range(wanted)]
        return orjson.dumps({"entries": found}).decode()
    texts: list[Any] = [f"text {drawn.randrange(size)}" for _ in range(wanted)]
    if drawn.random() < 0.1:
        return "nothing that could be read"
    if drawn.random() < 0.2:
        texts[0] = ["not a text"]
    return entries(*texts)


def mcq(folder: Path, documents: int = 6) -> MCQDataset:
    """Two questions about each document."""
    texts = [f"document number {number} about one thing and another" for number in range(documents)]
    return MCQDataset(questions(folder, texts, max_rounds=8))


def rows(folder: Path) -> bytes:
    """The rows file."""
    return (folder / "rows.jsonl").read_bytes()


def in_batches(job: Job) -> None:
    """A batch run in a process of its own, to its end; `options` names the server and the clock's beginning."""
    journal = Journal(job.folder)
    journal.add("start")
    listener = armed(job.kill, journal)
    options = hurried().but(clock=Hurried(job.options["since"], job.options.get("factor", 1000)))
    made = mcq(job.folder) if job.settings.get("mcq") else dataset(job.folder, **job.settings)
    made.generate(model(job.options["base"]), listeners=[listener], options=options, batch=True)
