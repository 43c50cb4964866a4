"""What the engine's tests share: small datasets, models in this process, and the files that a run leaves."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from rowsmith import ClassificationDataset, ClassificationDatasetConfig, MCQDatasetConfig
from rowsmith.engine.events import CallMade, Event
from rowsmith.engine.options import Options
from rowsmith.llm.provider import KnownLimits
from rowsmith.llm.retry import RetryPolicy
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Completion, Request, Rung, Usage

QUICK = Options(policy=RetryPolicy(first=0.001, longest=0.01), grace=5.0)
"""Options of which no test has to wait for a back-off."""

PROMPT = "Write {num_samples} {{tone}} texts in {language_name}, {label_name}: {label_description}."


def config(folder: Path, **changes: Any) -> ClassificationDatasetConfig:
    """Two classes and two tones: four cells of five rows, unless it is changed."""
    settings: dict[str, Any] = {
        "classes": classes("good", "bad"),
        "num_samples_per_prompt": 5,
        "output_file": str(folder / "rows.jsonl"),
        "prompts": [PROMPT],
        "expansion": {"placeholders": {"tone": ["dry", "warm"]}},
    }
    return ClassificationDatasetConfig(**(settings | changes))


def dataset(folder: Path, **changes: Any) -> ClassificationDataset:
    """A dataset of `config`."""
    return ClassificationDataset(config(folder, **changes))


def classes(*names: str) -> list[dict[str, str]]:
    return [{"name": name, "description": f"texts that are {name}"} for name in names]


def tones(*names: str) -> dict[str, Any]:
    return {"placeholders": {"tone": list(names)}}


def questions(folder: Path, documents: Sequence[str], **changes: Any) -> MCQDatasetConfig:
    """Two questions about each document, which are written to a file first."""
    source = folder / "documents.txt"
    source.write_text("".join(f"{text}\n" for text in documents))
    settings: dict[str, Any] = {
        "local_file_path": str(source),
        "num_samples_per_prompt": 2,
        "min_document_length": 1,
        "output_file": str(folder / "rows.jsonl"),
    }
    return MCQDatasetConfig(**(settings | changes))


# --- models -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Question:
    """What a model in this process is asked.

    Attributes:
        body: the very bytes.
        prompt: the last message.
        system: the system message, or an empty text.
        count: how many entries are asked for: the first number in the prompt.
        schema: the schema's name.
        number: how many bodies like this one came before.
    """

    body: bytes
    prompt: str
    system: str
    count: int
    schema: str
    number: int

    @property
    def digest(self) -> int:
        """A number that belongs to this body."""
        return int.from_bytes(hashlib.blake2b(self.body, digest_size=6).digest(), "big")


Answer = Callable[[Question], "str | Completion"]


def entries(*texts: str) -> str:
    """An answer with these texts."""
    return json.dumps({"entries": [{"text": text} for text in texts]})


def new_texts(question: Question) -> str:
    """As many texts as were asked for, no two alike and always the same for the same question."""
    return entries(*(f"text {question.digest:x} number {number}" for number in range(question.count)))


@dataclass(eq=False)
class Model:
    """A provider in this process; no HTTP, no thread.

    Attributes:
        answer: what it says; what it raises, the call raises.
        seconds: how long an answer takes.
        api_key: one for each: limits are shared by those who have the same, and no test is to learn from another.
        asked: every question so far, in order of arrival.
        answered: how many were answered.
    """

    answer: Answer = new_texts
    model_id: str = "model"
    endpoint: str = "here"
    temperature: float | None = None
    seconds: Callable[[Question], float] = lambda question: 0.0
    rungs: tuple[Rung, ...] = (Rung.SCHEMA,)
    name: str = "memory"
    timeout: float = 60.0
    limits: KnownLimits = field(default_factory=KnownLimits)
    api_key: str = field(default_factory=lambda: uuid.uuid4().hex)
    asked: list[Question] = field(default_factory=list)
    answered: int = 0
    in_flight: int = 0

    def describe(self) -> Mapping[str, Any]:
        return {"temperature": self.temperature}

    def encode(self, request: Request) -> bytes:
        return orjson.dumps(
            {
                "model": self.model_id,
                "messages": [[message.role, message.content] for message in request.messages],
                "schema": request.schema and {"name": request.schema.name, "json": dict(request.schema.json)},
                "rung": request.rung,
                "temperature": self.temperature,
            }
        )

    async def complete(self, body: bytes, transport: Transport) -> Completion:
        question = self._read(body)
        self.asked.append(question)
        self.in_flight += 1
        try:
            await asyncio.sleep(self.seconds(question))
            said = self.answer(question)
        finally:
            self.in_flight -= 1
        self.answered += 1
        return Completion(said, usage=Usage(10, 10)) if isinstance(said, str) else said

    @property
    def prompts(self) -> list[str]:
        return [question.prompt for question in self.asked]

    @property
    def repeated(self) -> int:
        """How many questions came that had come before."""
        return sum(question.number > 0 for question in self.asked)

    def _read(self, body: bytes) -> Question:
        asked = orjson.loads(body)
        prompt = asked["messages"][-1][1]
        system = "".join(content for role, content in asked["messages"] if role == "system")
        numbers = [int(word) for word in prompt.split() if word.isdigit()]
        before = Counter(question.body for question in self.asked)[body]
        return Question(body, prompt, system, numbers[0] if numbers else 1, asked["schema"]["name"], before)


# --- what a run leaves ------------------------------------------------------------------------------------------------


class Events(list[Event]):
    """A listener that keeps what it is told."""

    def __call__(self, event: Event) -> None:
        self.append(event)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self if isinstance(event, kind)]

    @property
    def calls(self) -> int:
        """Calls that were made, not replayed."""
        return sum(not event.replayed for event in self.of(CallMade))


def lines(folder: Path) -> list[dict[str, Any]]:
    """The rows in the file."""
    return [json.loads(line) for line in (folder / "rows.jsonl").read_bytes().splitlines()]


def rejected(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "rows.run" / "rejected.jsonl").read_bytes().splitlines()]


def ledger(folder: Path, query: str) -> list[tuple[Any, ...]]:
    """Ask the ledger of a run that has ended."""
    connection = sqlite3.connect(folder / "rows.run" / "ledger.sqlite")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, whole; but for SQLite's own index of its journal, which holds nothing."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith("-shm")
    }


def must_be_exact(folder: Path, expected: int) -> None:
    """Exactly the rows asked for: none twice, no id twice, all complete lines."""
    rows = lines(folder)
    assert len(rows) == expected
    assert len({row["id"] for row in rows}) == expected
    texts = {row.get("text", row.get("question")) for row in rows}
    assert len(texts) == expected
