"""What a run came to: rows, calls, tokens, cost, and what lacks, with reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Lack:
    """Rows that one group of cells could not make.

    Attributes:
        group: label, language and model (what of them the plan has), by name.
        rows: how many rows lack.
        reasons: how often each reason was given, most frequent first.
    """

    group: Mapping[str, str]
    rows: int
    reasons: Mapping[str, int]

    def __str__(self) -> str:
        group = ", ".join(f"{name}={value}" for name, value in self.group.items())
        reasons = "; ".join(f"{reason} ({count})" for reason, count in self.reasons.items())
        return f"{self.rows} lacking for {group or 'the run'}: {reasons or 'no reason was recorded'}"


@dataclass(slots=True)
class Spend:
    """What calls to one model in one role came to.

    Attributes:
        calls: answered calls.
        cost: in the currency of the prices; a lower bound if `unpriced`.
        unpriced: calls for which no price is known.
    """

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost: float = 0.0
    unpriced: int = 0

    def add(self, other: Spend) -> None:
        """Add another's sums to these."""
        self.calls += other.calls
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cached_tokens += other.cached_tokens
        self.reasoning_tokens += other.reasoning_tokens
        self.cost += other.cost
        self.unpriced += other.unpriced


@dataclass(slots=True)
class Report:
    """The end of a run.

    Attributes:
        rows: rows in the file.
        expected: rows that the plan makes.
        ended: `complete`, `short` (rounds used up or calls failed), `stopped`, or `waiting` (for batches; start the
            run again when they have ended).
        why: why it stopped, in one line; empty otherwise.
        calls: calls answered in this start.
        replayed: answers taken from the ledger in this start.
        retries: tries repeated after failures in this start.
        rejected: refused answers and rows in this start, by gate.
        spend: all that was ever spent on this run, by (model, role).
        lacks: what is missing, by group.
        skipped: rows of the source that were left out, by reason; of kinds that are made of rows.
        batches: batches that services still have.
        in_batches: requests in them.
        seconds: how long this start took.
        ahead: what was made before, by its file: the topics of a generator. Its sums are not in these.
    """

    rows: int = 0
    expected: int = 0
    ended: str = "complete"
    why: str = ""
    calls: int = 0
    replayed: int = 0
    retries: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    spend: dict[tuple[str, str], Spend] = field(default_factory=dict)
    lacks: list[Lack] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    batches: int = 0
    in_batches: int = 0
    seconds: float = 0.0
    ahead: dict[str, Report] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether the file holds exactly the rows asked for."""
        return self.ended == "complete"

    @property
    def missing(self) -> int:
        """Rows asked for and not made."""
        return max(0, self.expected - self.rows)

    @property
    def total(self) -> Spend:
        """The whole of `spend`."""
        total = Spend()
        for spend in self.spend.values():
            total.add(spend)
        return total
