"""What the server was asked, counted and, where wanted, kept."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import Any

from rowsmith.testing.calls import Call


class Book:
    """The counters, and the calls in order of arrival.

    Args:
        record: keep the calls; without it memory grows only by a hash for each different body.
    """

    def __init__(self, *, record: bool) -> None:
        self.record = record
        self.calls: list[Call] = []
        self.count = 0
        self.answered = 0
        self.repeated = 0
        self.answered_again = 0
        self.in_flight = 0
        self.max_in_flight_seen = 0
        self.let_in = 0
        self.statuses: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()
        self._let_in: Counter[str] = Counter()
        self._answered: Counter[str] = Counter()

    def arrive(self, key: str) -> None:
        """A call has come."""
        self.count += 1
        self.in_flight += 1
        self.max_in_flight_seen = max(self.max_in_flight_seen, self.in_flight)
        self.repeated += key in self._seen
        self._seen[key] += 1

    def admit(self, key: str) -> tuple[int, int]:
        """A call is let in: its place among those that were, and its attempt."""
        place = self.let_in
        self.let_in += 1
        self._let_in[key] += 1
        return place, self._let_in[key]

    def keep(self, call: Call) -> None:
        """Keep a call that is not answered yet."""
        if self.record:
            self.calls.append(call)

    def leave(self, call: Call) -> None:
        """A call has got its status, or never will."""
        self.in_flight -= 1
        self.statuses["none" if call.status is None else str(call.status)] += 1
        if call.fault is not None:
            self.faults[call.fault] += 1
        if call.status == 200:
            self.answered += 1
            self.answered_again += call.key in self._answered
            self._answered[call.key] += 1
        if self.record:
            self.calls[call.number] = call

    def summary(self) -> dict[str, Any]:
        """The counters, JSON-ready."""
        return {
            "count": self.count,
            "bodies": len(self._seen),
            "repeated": self.repeated,
            "answered": self.answered,
            "answered_again": self.answered_again,
            "in_flight": self.in_flight,
            "max_in_flight_seen": self.max_in_flight_seen,
            "statuses": dict(self.statuses),
            "faults": dict(self.faults),
        }

    def listing(self) -> list[dict[str, Any]]:
        """The kept calls, JSON-ready; of the headers, none."""
        return [
            {
                "number": call.number,
                "path": call.path,
                "body": call.body,
                "key": call.key,
                "attempt": call.attempt,
                "time": call.time,
                "in_flight": call.in_flight,
                "status": call.status,
                "fault": call.fault,
                "ended": call.ended,
            }
            for call in self.calls
        ]


def settled(call: Call, status: int | None, fault: str | None) -> Call:
    """The call with what became of it."""
    return replace(call, status=status, fault=fault, ended=time.time())
