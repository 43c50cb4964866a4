"""Which call meets which fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b

from rowsmith.errors import ConfigError
from rowsmith.testing.calls import Call
from rowsmith.testing.faults import Fault

Faults = Fault | Sequence[Fault | None] | Callable[[Call], Fault | None] | None


class Script:
    """Decides by rule, and by nothing but the call and its place.

    Args:
        faults: one fault for every call; a list, played in order of arrival and then over; or a function of the call.
        chances: the share of calls that meet each fault, decided by a hash of seed, body and attempt: which ones does
            not depend on the order of arrival, and a call that is tried again may pass.
        seed: another seed, other calls.

    Raises:
        ConfigError: a chance is not between 0 and 1, or all together are more than 1.
    """

    def __init__(self, faults: Faults = None, chances: Mapping[Fault, float] | None = None, seed: int = 0) -> None:
        self._faults = faults
        self._chances = dict(chances or {})
        self._seed = seed
        if any(not 0 <= chance <= 1 for chance in self._chances.values()) or sum(self._chances.values()) > 1 + 1e-9:
            raise ConfigError(f"chances={self._chances!r}: each must be between 0 and 1, and their sum at most 1.")

    def fault_for(self, call: Call, place: int) -> Fault | None:
        """The fault of a call that is the `place`-th to be let in, counted from 0."""
        return self._scripted(call, place) or self._drawn(call)

    def _scripted(self, call: Call, place: int) -> Fault | None:
        faults = self._faults
        if faults is None or isinstance(faults, Fault):
            return faults
        if isinstance(faults, Sequence):
            return faults[place] if place < len(faults) else None
        return faults(call)

    def _drawn(self, call: Call) -> Fault | None:
        if not self._chances:
            return None
        digest = blake2b(f"{self._seed}/{call.key}/{call.attempt}".encode(), digest_size=8).digest()
        share = int.from_bytes(digest, "little") / 2**64
        for fault, chance in self._chances.items():
            if share < chance:
                return fault
            share -= chance
        return None
