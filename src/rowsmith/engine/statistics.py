"""A run's report, kept from its events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rowsmith.engine.events import CallMade, Retry, RowRejected
from rowsmith.engine.ledger import Ledger
from rowsmith.engine.ledger.records import CellRecord
from rowsmith.engine.ledger.store import Store
from rowsmith.engine.report import Lack, Report, Spend


class Statistics:
    """Counts what happens in a run.

    Attributes:
        report: what has happened so far.
        by_type: what to call with the events of a type; those of all others mean nothing here.
    """

    def __init__(self) -> None:
        self.report = Report()
        self.by_type: Mapping[type[Any], Callable[[Any], None]] = {
            CallMade: self._call,
            RowRejected: self._rejected,
            Retry: self._retry,
        }

    def _call(self, event: CallMade) -> None:
        if event.replayed:
            self.report.replayed += 1
        else:
            self.report.calls += 1

    def _rejected(self, event: RowRejected) -> None:
        self.report.rejected[event.gate] += 1

    def _retry(self, event: Retry) -> None:
        del event
        self.report.retries += 1


def sum_up(
    report: Report,
    ledger: Ledger,
    why: str,
    group: Callable[[int], dict[str, str]],
    want: Callable[[int], int],
) -> None:
    """Put into a report what the ledger says at a run's end.

    Args:
        report: of the run.
        ledger: of the run, with all committed.
        why: the run was stopped; empty if it was not.
        group: the names under which a cell is counted, from its number.
        want: how many rows a cell should have, from its number.
    """
    report.rows = ledger.store.rows()
    report.spend = spend_of(ledger)
    report.lacks = lacks_of(ledger.store.lacking(), group, want)
    live = ledger.batches.live()
    report.batches, report.in_batches = len(live), sum(batch.items for batch in live)
    report.why = why
    ended = "waiting" if live else "short" if report.rows < report.expected else "complete"
    report.ended = "stopped" if why else ended


def spend_of(ledger: Ledger) -> dict[tuple[str, str], Spend]:
    """All that was ever spent on a run, by model and role."""
    return spent_in(ledger.store)


def spent_in(store: Store) -> dict[tuple[str, str], Spend]:
    """The same, of a ledger that is only read."""
    sums: dict[tuple[str, str], Spend] = {}
    for _, model, role, *numbers in store.spend():
        sums.setdefault((model, role), Spend()).add(Spend(*numbers))
    return sums


def lacks_of(
    cells: Iterable[CellRecord], group: Callable[[int], dict[str, str]], want: Callable[[int], int]
) -> list[Lack]:
    """What short and failed cells lack, summed by group.

    Args:
        cells: the records of the cells that lack rows.
        group: the names under which a cell is counted, from its number.
        want: how many rows a cell should have, from its number.
    """
    rows: Counter[tuple[tuple[str, str], ...]] = Counter()
    reasons: dict[tuple[tuple[str, str], ...], Counter[str]] = {}
    for record in cells:
        names = tuple(group(record.cell).items())
        rows[names] += want(record.cell) - record.rows
        reasons.setdefault(names, Counter()).update(_reasons(record))
    return [Lack(dict(names), count, dict(reasons[names].most_common())) for names, count in sorted(rows.items())]


def _reasons(record: CellRecord) -> dict[str, int]:
    import orjson

    found: dict[str, int] = orjson.loads(record.reasons) if record.reasons else {}
    return found
