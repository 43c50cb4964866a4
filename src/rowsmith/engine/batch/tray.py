"""Where the calls of cells go in a batch run: noted, and the cell left alone until the answers are in the ledger.

No coroutine waits for an answer that takes hours. A call that the ledger cannot answer ends the attempt at its cell;
when the answers are there the cell is attempted anew from the ledger, and comes as much further.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NoReturn

from rowsmith.engine.asking import HandedIn
from rowsmith.engine.axes import identity
from rowsmith.engine.batch.wire import error_from
from rowsmith.engine.ledger.batches import BatchBook
from rowsmith.engine.ledger.records import CellRecord, CellStatus, ItemRecord, ItemState
from rowsmith.engine.models import Models, describe, full_name
from rowsmith.engine.plan import Cell
from rowsmith.errors import BadRequestError
from rowsmith.llm.provider import Provider

_MOST_NOTED = 4 << 20
"""Bytes of requests that may wait to be committed: what bounds the memory when the disk is slow."""


class Parked(Exception):  # noqa: N818  # a signal, not an error
    """A cell waits for answers that were handed in for. Control flow inside the engine, never shown to a user."""


@dataclass(slots=True)
class _Place:
    """A cell that is being attempted.

    Attributes:
        found: what it handed in before, by id.
        under_way: the ordinals of those that a service has.
        new: what it hands in now, by id.
        kept: the ids of what it handed in before and still needs.
    """

    found: Mapping[str, ItemState]
    under_way: frozenset[str]
    new: dict[str, ItemRecord] = field(default_factory=dict)
    kept: dict[str, None] = field(default_factory=dict)


class Tray:
    """Takes the calls of a batch run.

    Args:
        models: who is asked.
        book: where the ledger keeps what was handed in.
    """

    def __init__(self, models: Models, book: BatchBook) -> None:
        self._who = {id(provider): who_is(provider) for provider in models.all()}
        self._book = book
        self._places: dict[int, _Place] = {}
        self._noted = 0

    def open(self, number: int, *, known: bool) -> None:
        """An attempt at a cell begins.

        Args:
            number: the cell's.
            known: the ledger has something of it.
        """
        found: Iterable[ItemState] = self._book.items_of(number) if known else ()
        items = {item.id: item for item in found}
        self._places[number] = _Place(
            items, frozenset(item.ordinal for item in items.values() if item.batch is not None)
        )

    def hand_in(self, call: HandedIn) -> NoReturn:
        """Note a call.

        A question that has changed since it was handed in is not put as long as a service has the old one: if the
        recipe's values have grown since, the answer to that one will do.

        Raises:
            Parked: always, unless
            ProviderError: the call came to this in an earlier batch, for good.
        """
        place = self._places[call.cell.number]
        name = item_id(call.cell.key, call.ordinal, call.key)
        item = place.found.get(name)
        if item is not None and item.error is not None:
            error = error_from(item.error)
            # A model that has answered others refuses this request for what is in it.
            if isinstance(error, BadRequestError) and self._book.has_answered(full_name(call.provider)):
                error.fatal = False
            raise error
        if item is not None:
            place.kept[name] = None
        elif call.ordinal not in place.under_way:
            who, cell = self._who[id(call.provider)], call.cell
            place.new[name] = ItemRecord(name, cell.number, cell.key, call.ordinal, call.key, call.role, who, call.body)
        raise Parked

    def park(self, cell: Cell) -> int:
        """The attempt has ended and waits for answers: to how many calls."""
        place = self._places.pop(cell.number)
        begun = CellRecord(cell.number, cell.key, CellStatus.OPEN, str(cell.want), 0, None)
        self._book.park(begun, list(place.new.values()), list(place.kept))
        self._noted += sum(len(item.body) for item in place.new.values())
        return len(place.new) + len(place.kept)

    @property
    def heavy(self) -> bool:
        """Whether so much was noted that it should be committed before more is."""
        return self._noted >= _MOST_NOTED

    def committed(self) -> None:
        """What was noted is committed."""
        self._noted = 0

    def settle(self, number: int, status: CellStatus) -> None:
        """The cell has come to an end. A failed one keeps its errors: the next wave must not ask again."""
        if self._places.pop(number).found:
            self._book.settle(number, keep_errors=status is CellStatus.FAILED)


def who_is(provider: Provider) -> bytes:
    """Eight bytes that stand for a model with its settings."""
    return identity(describe(provider))


def item_id(cell_key: int, ordinal: str, key: bytes) -> str:
    """The id of an item, 32 hexadecimal digits: from its cell, which call of it this is, and the whole request."""
    return blake2b(b"%016x/%b/%b" % (cell_key, ordinal.encode(), key), digest_size=16).hexdigest()
