"""What one cell has made so far: the rows that passed all gates, and what was refused."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence, Set
from typing import Any

import orjson

from rowsmith.engine.claims import Claims, Holding
from rowsmith.engine.events import Event, RowAccepted, RowRejected
from rowsmith.engine.plan import Cell
from rowsmith.quality.gates import Gate, Rejection, Row


class Sieve:
    """Takes a cell's candidate rows one by one.

    Args:
        cell: whose rows.
        gates: the checks, in order.
        text_fields: the fields by which rows are compared.
        claims: who owns which row; None if duplicates are welcome.
        emit: where events go.
        followed: somebody listens to each row.

    Attributes:
        lines: the accepted rows, each as it will be written.
        texts: their main texts.
        marks: their marks, in their order; none where duplicates are welcome.
        denied: the marks of earlier cells' rows because of which rows were refused.
        refused: (the reason, the text) of what was refused, as the next round's prompt is to speak of it.
        rejected: what was refused, each as it will be written.
        reasons: how much was refused, by what refused it.
    """

    def __init__(
        self,
        cell: Cell,
        gates: Sequence[Gate],
        text_fields: Sequence[str],
        claims: Claims | None,
        emit: Callable[[Event], None],
        *,
        followed: bool = True,
    ) -> None:
        self._cell = cell
        self._gates = gates
        self._text_fields = text_fields
        self._claims = claims
        self._emit = emit
        self._followed = followed
        self._holding = holding = Holding(cell.number)
        self.lines: list[bytes] = []
        self.texts: list[str] = []
        self.marks: Sequence[bytes] = holding.marks
        self.denied: Set[int] = holding.denied
        self.refused: list[tuple[str, str]] = []
        self.rejected: list[bytes] = []
        self.reasons: defaultdict[str, int] = defaultdict(int)

    def offer(self, row: Row, origin: dict[str, Any]) -> bool:
        """Let a row through the gates; says whether it was accepted."""
        passed = self._passed(row, origin)
        if passed is None:
            return False
        if self._claims is not None:
            refused = self._claims.claim(self._holding, passed, self._text_fields)
            if refused is not None:
                self._refuse_row(passed, refused, origin)
                return False
        self._take(passed)
        return True

    def repeats(self, rows: Sequence[Row]) -> Sequence[Rejection | None]:
        """Which rows, of which there are no more than the texts yet, would be refused whatever other cells make."""
        if self._claims is None:
            return [None] * len(rows)
        return self._claims.repeats(self._holding, rows, self._text_fields)

    def _passed(self, row: Row, origin: dict[str, Any]) -> Row | None:
        """The row as the gates leave it; None if one of them refuses it, which is then set down."""
        for gate in self._gates:
            verdict = gate.check(row, self._cell.values)
            if isinstance(verdict, Rejection):
                self._refuse_row(row, verdict, origin)
                return None
            row = verdict
        return row

    def _take(self, row: Row) -> None:
        # A copy: what orjson returns may take kilobytes more than what is in it, and a line waits for its commit.
        self.lines.append(orjson.dumps(row) + b"\n")
        self.texts.append(self._text(row))
        if self._followed:
            self._emit(RowAccepted(self._cell, row))

    def refuse(self, gate: str, reason: str, text: str, origin: dict[str, Any], *, tell: bool = True) -> None:
        """Set down that something was refused.

        Args:
            gate: what refused it.
            reason: why, in one line.
            text: the refused text as a model wrote it, to be shown to the model when it is asked again.
            origin: the call's key and the raw answer or the row.
            tell: whether the next round's prompt is to speak of it.
        """
        if tell:
            self.refused.append((reason, text))
        gate = str(gate)  # an outcome is a str of its own class, which is no key for JSON
        self.reasons[gate] += 1
        record = {"gate": gate, "reason": reason, "cell": self._cell.name, **origin}
        self.rejected.append(orjson.dumps(record, str) + b"\n")
        self._emit(RowRejected(self._cell, gate, reason))

    def _refuse_row(self, row: Row, refused: Rejection, origin: dict[str, Any]) -> None:
        self.refuse(refused.gate, refused.reason, self._text(row), {**origin, "row": row})

    def _text(self, row: Row) -> str:
        return str(row[self._text_fields[0]])
