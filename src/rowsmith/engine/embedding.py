"""Rows that are compared by the vectors of their texts: what passes the gates is embedded before it is claimed.

All rows of one answer are embedded by one call, whose place in the cell's order follows from the answer's. It is asked
for, recorded and found again as any call: a cell that is worked on again buys no vector twice.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol, runtime_checkable

from rowsmith.engine.asking import Answering, CallFile, Door, Prompt
from rowsmith.engine.claims import Claims
from rowsmith.engine.context import Context
from rowsmith.engine.kit import PLAIN, Kit
from rowsmith.engine.ledger import Ledger
from rowsmith.engine.models import EMBEDDING
from rowsmith.engine.plan import Cell
from rowsmith.engine.recipe import Recipe
from rowsmith.engine.sieve import Sieve
from rowsmith.errors import LedgerError
from rowsmith.llm import vectors
from rowsmith.llm.embedding import other_size
from rowsmith.llm.provider import Provider
from rowsmith.llm.values import Completion, Message, Rung
from rowsmith.quality.alike import Alike
from rowsmith.quality.gates import Gate, Rejection, Row
from rowsmith.quality.near import NearIndex
from rowsmith.quality.vectors import Signature, VectorIndex

MOST_TEXTS = 100
"""Texts of one request: as many as Gemini takes; others take more."""
MOST_CHARACTERS = 200_000
"""Characters of one request, but for a single text: within the 300,000 tokens that OpenAI takes."""


class Embedder(Protocol):
    """Makes vectors of texts for a cell."""

    async def embed(self, cell: Cell, ordinal: str, texts: Sequence[str], file: CallFile) -> Sequence[Signature]:
        """The signature of each text.

        Args:
            cell: for whom.
            ordinal: of the answer that the texts came from.
            texts: each once.
            file: what the ledger has of the cell's calls.

        Raises:
            ProviderError: the call failed for good.
            Stopped: the run is stopping.
        """


@runtime_checkable
class NearGate(Protocol):
    """A gate that looks at a row's vector too, once the row has passed all gates."""

    def check_vector(self, row: Row, signature: Signature) -> Rejection | None:
        """Why the row is refused, or None."""


class _Texts:
    """An answer that has no shape: vectors."""

    schema = None

    def prompt_for(self, rung: Rung, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        del rung
        return messages


class AskingEmbedder:
    """Asks the model of the run for vectors, or finds them in the ledger.

    Args:
        asker: asks.
        sign: makes a signature of a vector.
    """

    def __init__(self, asker: Answering, sign: Callable[[bytes], Signature]) -> None:
        self._asker = asker
        self._sign = sign

    async def embed(self, cell: Cell, ordinal: str, texts: Sequence[str], file: CallFile) -> Sequence[Signature]:
        found: list[Signature] = []
        for number, part in enumerate(_parts(texts)):
            prompt = Prompt(tuple(map(Message.user, part)), {})
            asked = f"{ordinal}.{EMBEDDING}" + (f".{number}" if number else "")
            answered = await self._asker.ask(cell, asked, EMBEDDING, prompt, _Texts(), file)
            found += map(self._sign, _read(answered.completion, len(part)))
        return found


class DryEmbedder:
    """Asks for vectors as an estimate does: what the calls take is noted, and nothing comes of them.

    Args:
        asker: notes.
    """

    def __init__(self, asker: Answering) -> None:
        self._asker = asker

    async def embed(self, cell: Cell, ordinal: str, texts: Sequence[str], file: CallFile) -> Sequence[Signature]:
        for part in _parts(texts):
            prompt = Prompt(tuple(map(Message.user, part)), {})
            await self._asker.ask(cell, ordinal, EMBEDDING, prompt, _Texts(), file)
        return [Signature()] * len(texts)


class Held(NamedTuple):
    """A row that has passed the gates and waits for its vector."""

    row: Row
    origin: dict[str, Any]


Refused = tuple[str, str, str, dict[str, Any], bool]
"""What is refused after a row that waits, and has to be set down after it: the arguments of `Sieve.refuse`."""


class EmbeddingSieve(Sieve):
    """Holds rows that have passed the gates until `settle` has their vectors.

    Args:
        cell: whose rows.
        gates: the checks, in order.
        text_fields: the fields by which rows are compared, and that are embedded.
        claims: who owns which row; None if duplicates are welcome.
        emit: where events go.
        followed: somebody listens to each row.
    """

    def __init__(
        self,
        cell: Cell,
        gates: Sequence[Gate],
        text_fields: Sequence[str],
        claims: Claims | None,
        emit: Any,
        *,
        followed: bool = True,
    ) -> None:
        super().__init__(cell, gates, text_fields, claims, emit, followed=followed)
        self._near = [gate for gate in gates if isinstance(gate, NearGate)]
        self._held: list[Held | Refused] = []

    def offer(self, row: Row, origin: dict[str, Any]) -> bool:
        """Let a row through the gates, and hold it; says whether it is held."""
        passed = self._passed(row, origin)
        if passed is not None:
            self._held.append(Held(passed, origin))
        return passed is not None

    def refuse(self, gate: str, reason: str, text: str, origin: dict[str, Any], *, tell: bool = True) -> None:
        """As `Sieve.refuse`; after rows that are held, once they are settled."""
        if self._held:
            self._held.append((gate, reason, text, origin, tell))
        else:
            super().refuse(gate, reason, text, origin, tell=tell)

    async def settle(self, embed: Callable[[Sequence[str]], Awaitable[Sequence[Signature]]]) -> None:
        """Take or refuse all that is held, in the order in which it came.

        Args:
            embed: makes the signatures of texts.
        """
        if not self._held:
            return
        texts = {self._embedded(one.row): None for one in self._held if isinstance(one, Held)}
        signatures = dict(zip(texts, await embed(list(texts)), strict=True))
        held, self._held = self._held, []
        for one in held:
            if not isinstance(one, Held):
                gate, reason, text, origin, tell = one
                super().refuse(gate, reason, text, origin, tell=tell)
                continue
            refused = self._refused(one.row, signatures[self._embedded(one.row)])
            if refused is None:
                self._take(one.row)
            else:
                self._refuse_row(one.row, refused, one.origin)

    def _refused(self, row: Row, signature: Signature) -> Rejection | None:
        for gate in self._near:
            refused = gate.check_vector(row, signature)
            if refused is not None:
                return refused
        return None if self._claims is None else self._claims.claim(self._holding, row, self._text_fields, signature)

    def _embedded(self, row: Row) -> str:
        """What is embedded of a row: the texts by which it is compared, as they are."""
        return "\n\n".join(str(row[field]) for field in self._text_fields)


class EmbeddingContext(Context):
    """A context that settles the rows of each round before the next begins.

    Args:
        cell, wants, asker, sieve, file, max_rounds, seed: as those of `Context`.
        embedder: makes the vectors.
    """

    _holds = True
    _sieve: EmbeddingSieve

    def __init__(self, *args: Any, embedder: Embedder, **named: Any) -> None:
        super().__init__(*args, **named)
        self._embedder = embedder

    async def _settle(self) -> None:
        ordinal = str(self._asked - 1)
        await self._sieve.settle(lambda texts: self._embedder.embed(self.cell, ordinal, texts, self._file))


class SameSize:
    """A door behind which all vectors must be of one size: those of another cannot be compared.

    Args:
        door: where requests go out.
        provider: the model.
        ledger: remembers the size over a restart.
    """

    def __init__(self, door: Door, provider: Provider, ledger: Ledger) -> None:
        self._door = door
        self._provider = provider
        self._ledger = ledger
        self._noted = f"embedding_size_{identity(provider).hex()}"

    async def complete(self, body: bytes) -> tuple[Completion, float]:
        """As the door's.

        Raises:
            ProviderError: the vectors are of another size than those before; it ends the run.
        """
        completion, seconds = await self._door.complete(body)
        made = vectors.read(completion.text)
        before, now = self._ledger.meta.get(self._noted), len(made[0])
        if before is None:
            self._ledger.set_meta(**{self._noted: now})
        elif before != now:
            raise other_size(self._provider, before, now)
        return completion, seconds

    def stop(self) -> None:
        """As the door's."""
        self._door.stop()


def kit_for(embedder: Embedder) -> Kit:
    """What attempts work with whose rows are embedded."""
    return Kit(EmbeddingSieve, partial(EmbeddingContext, embedder=embedder))


def comparing(recipe: Recipe, rows: int, ledger: Ledger, asker: Answering) -> tuple[Alike | None, Kit]:
    """By what the rows of a run are compared, and the kit that goes with it.

    Args:
        recipe: makes the rows.
        rows: how many are expected.
        ledger: has the vectors of earlier starts.
        asker: asks for vectors.

    Raises:
        MissingDependencyError: the package that it needs is not installed.
    """
    threshold, model = recipe.near_duplicates, recipe.embeddings
    if threshold is None or not recipe.unique:
        return None, PLAIN
    if model is None:
        return NearIndex(threshold, rows), PLAIN
    index = VectorIndex(threshold, rows, identity(model), partial(stored_vectors, ledger))
    return index, kit_for(AskingEmbedder(asker, index.sign))


def identity(model: Provider) -> bytes:
    """Eight bytes for a model with its settings: whose vectors may be compared."""
    described = json.dumps(model.describe(), sort_keys=True, default=str)
    return blake2b(described.encode(), digest_size=8).digest()


def stored_vectors(ledger: Ledger) -> Iterator[bytes]:
    """All vectors that a ledger has, of whatever model.

    Raises:
        LedgerError: what stands for vectors is none.
    """
    for text in ledger.store.texts_of(EMBEDDING):
        yield from _vectors(text)


def _read(completion: Completion, count: int) -> list[bytes]:
    made = _vectors(completion.text)
    if len(made) != count:
        raise LedgerError(f"the ledger has {len(made)} vectors where {count} belong")
    return made


def _vectors(text: str) -> list[bytes]:
    try:
        return vectors.read(text)
    except ValueError as exc:
        raise LedgerError(f"what the ledger has for vectors cannot be read: {text[:40]!r}") from exc


def _parts(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts in such portions as one request takes."""
    part: list[str] = []
    size = 0
    for text in texts:
        if part and (len(part) == MOST_TEXTS or size + len(text) > MOST_CHARACTERS):
            yield part
            part, size = [], 0
        part.append(text)
        size += len(text)
    if part:
        yield part
