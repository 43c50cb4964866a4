"""What can go wrong with vectors alone; to calls that ask for none these faults do nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import orjson

from rowsmith.testing.calls import Call, Reply
from rowsmith.testing.faults import Fault


@dataclass(frozen=True, slots=True)
class FewerVectors(Fault):
    """There are fewer vectors than texts.

    Args:
        lacking: how many.
    """

    lacking: int = 1

    def change(self, call: Call, reply: Reply, /) -> Reply:
        return _changed(call, reply, lambda vectors: vectors[: max(0, len(vectors) - self.lacking)])


@dataclass(frozen=True, slots=True)
class OtherSize(Fault):
    """The vectors have one number less than they should.

    Args:
        all: every vector; else only the last one of each reply that has several.
    """

    all: bool = True

    def change(self, call: Call, reply: Reply, /) -> Reply:
        def cut(vectors: list[Any]) -> list[Any]:
            kept = 0 if self.all else max(1, len(vectors) - 1)
            return [vector if place < kept else vector[:-1] for place, vector in enumerate(vectors)]

        return _changed(call, reply, cut)


@dataclass(frozen=True, slots=True)
class NotNumbers(Fault):
    """A number of each vector is none.

    Args:
        value: what stands in its place, as JSON; `NaN` as some servers write it.
    """

    value: str = "NaN"

    def change(self, call: Call, reply: Reply, /) -> Reply:
        if not call.asked.embedding:
            return reply
        changed = _changed(call, reply, lambda vectors: [["\0", *vector[1:]] for vector in vectors])
        return replace(changed, marred=('"\\u0000"', self.value))


@dataclass(frozen=True, slots=True)
class Zeros(Fault):
    """Every vector is nothing but zeros."""

    def change(self, call: Call, reply: Reply, /) -> Reply:
        return _changed(call, reply, lambda vectors: [[0.0] * len(vector) for vector in vectors])


def _changed(call: Call, reply: Reply, change: Any) -> Reply:
    if not call.asked.embedding:
        return reply
    return replace(reply, text=orjson.dumps(change(orjson.loads(reply.text))).decode())
