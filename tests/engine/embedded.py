"""What the tests of embeddings share: a model that makes vectors in this process, and texts that paraphrase others.

A text is `<sense> <wording>`: texts of one sense point almost the same way, whatever their wording, and no two share a
word. So MinHash sees nothing here and vectors see all.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rowsmith.engine.ledger import Ledger, RunPaths
from rowsmith.llm import vectors
from rowsmith.llm.provider import KnownLimits
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Completion, Request, Rung, Usage

from .harness import QUICK, Model, Question, dataset, entries, lines, tones

SIZE = 48
THRESHOLD = 0.85


def gaussian(seed: object, size: int = SIZE) -> list[float]:
    drawn = random.Random(str(seed))
    return [drawn.gauss(0, 1) for _ in range(size)]


def meaning(text: str, size: int = SIZE) -> list[float]:
    """The vector of a text: that of its sense, turned a little by its wording."""
    sense, _, wording = text.strip().rpartition(" ")
    spread = 0.2 + 0.6 * random.Random(wording).random()
    return [a + spread * b for a, b in zip(gaussian(sense, size), gaussian(wording, size), strict=True)]


def cosine(a: bytes, b: bytes) -> float:
    """Of two vectors as they are kept, without NumPy."""
    x, y = memoryview(a).cast("b"), memoryview(b).cast("b")
    product = sum(map(int.__mul__, x, y))
    return float(product) / float((sum(map(int.__mul__, x, x)) * sum(map(int.__mul__, y, y))) ** 0.5)


@dataclass(eq=False)
class Vectors:
    """An embedding model in this process.

    Attributes:
        vector: of a text.
        seconds: how long an answer takes.
        asked: the bodies so far.
    """

    vector: Callable[[str], list[float]] = meaning
    model_id: str = "vectors"
    endpoint: str = "here"
    settings: Mapping[str, Any] = field(default_factory=dict)
    seconds: Callable[[bytes], float] = lambda body: 0.0
    name: str = "memory"
    timeout: float = 60.0
    limits: KnownLimits = field(default_factory=KnownLimits)
    api_key: str = field(default_factory=lambda: uuid.uuid4().hex)
    asked: list[bytes] = field(default_factory=list)
    rungs = (Rung.PROMPT,)
    max_completion_tokens = 0

    @property
    def embeddings(self) -> Vectors:
        return self

    def describe(self) -> Mapping[str, Any]:
        return {"model": self.model_id, **self.settings}

    def encode(self, request: Request) -> bytes:
        return json.dumps({"input": [message.content for message in request.messages], **self.settings}).encode()

    async def complete(self, body: bytes, transport: Transport) -> Completion:
        self.asked.append(body)
        await asyncio.sleep(self.seconds(body))
        texts = json.loads(body)["input"]
        made = [vectors.rounded(self.vector(text)) for text in texts]
        return Completion(vectors.written(made), usage=Usage(len(texts)))

    @property
    def repeated(self) -> int:
        """How many bodies came again."""
        return sum(count - 1 for count in Counter(self.asked).values())


def paraphrases(question: Question) -> str:
    """Texts of few senses, so that most say what another says; later rounds have new senses."""
    drawn = random.Random(question.digest)
    if drawn.random() < 0.05:
        return "nothing that could be read"
    again = "exist already" in question.prompt or "were refused" in question.prompt
    size = 100_000 if again else 24
    return entries(*(f"sense{drawn.randrange(size)} w{drawn.randrange(10**9)}" for _ in range(question.count)))


SETTINGS: dict[str, Any] = {
    "expansion": tones(*(f"tone {number}" for number in range(15))),
    "num_samples_per_prompt": 3,
    "max_rounds": 8,
}
"""30 cells of 3 rows."""
ROWS = 90


def weather(seed: int) -> Callable[[object], float]:
    drawn = random.Random(seed)
    return lambda _: drawn.choice([0, 0, 0.001, 0.002, 0.005])


def made(
    folder: Path,
    in_flight: int,
    *,
    model: Model | None = None,
    embeddings: Any = None,
    threshold: float = THRESHOLD,
    how: Mapping[str, Any] | None = None,
    **changes: Any,
) -> tuple[bytes, bytes]:
    """(rows file, file of rejections) of a run in a weather of its own."""
    folder.mkdir(exist_ok=True)
    model = model or Model(paraphrases, seconds=weather(in_flight))
    embeddings = embeddings or Vectors(seconds=weather(in_flight + 1))
    gates = {"near_duplicates": threshold, "embeddings": embeddings}
    arguments: dict[str, Any] = {"options": QUICK, "max_concurrency": in_flight, **(how or {})}
    dataset(folder, **{**SETTINGS, "gates": gates, **changes}).generate(model, **arguments)
    return found(folder)


def found(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "rows.jsonl").read_bytes(), (folder / "rows.run/rejected.jsonl").read_bytes()


def must_be_apart(folder: Path, threshold: float = THRESHOLD) -> None:
    """No two rows are alike, looked up by brute force."""
    known = [vectors.rounded(meaning(row["text"])) for row in lines(folder)]
    for number, one in enumerate(known):
        assert all(cosine(one, other) < threshold for other in known[:number])


def key_of(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=12).hexdigest()


def stored(folder: Path, role: str) -> list[tuple[str, bytes]]:
    """(ordinal, key) of the calls in a role."""
    with Ledger(RunPaths.of(folder / "rows.jsonl")) as ledger:
        return ledger.store.connection.execute("SELECT ordinal, key FROM calls WHERE role = ?", (role,)).fetchall()
