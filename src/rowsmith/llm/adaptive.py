"""How many requests a service takes at once, found out by asking it.

The room for requests in flight starts moderate and doubles round by round while the service answers more for it. A
round is as many answers as there is room, all to requests that were sent in it. What more in flight has brought is
judged by answers per second, which is requests in flight divided by their latency (Little's law): where latency grows
as fast as the room, nothing is won.

- Growing: double the room as long as that brings at least a quarter more answers.
- Shrinking: it brought less. Go down to what the answers need (as BBR sizes its window: rate times the latency before
  the queue), and further down as long as as much is answered.
- Holding: stay, and try a little more from time to time.

Refusals (429) take one place each, because each refused request is one that the service had no place for; one wave of
them takes at most half. A service that refuses nothing lets requests wait until they time out, and works on many of
them in vain: after such a wave they go one by one until one is answered, and then as many as are answered in time.
A latency that our own event loop made is no verdict on the service.
"""

from __future__ import annotations

import math
from enum import Enum

START = 32
"""Requests in flight to begin with."""

_TRIFLE = 0.05
"""Seconds of latency below which there is nothing to win by fewer requests in flight."""

_OWN = 10
"""How many turns of our event loop an answer passes through at most: what takes no longer is our own doing."""

_ENOUGH = 16
"""Answers that a round has at least, so that its median means something."""

_ENOUGH_STANDING = 64

_FIRST_HOLD = 1.0
_LONGEST_HOLD = 60.0
_LONGEST_HOLD_OVERRUN = 600.0
_WAITS_PER_PROBE = 20
_SMALLEST_STEP = 1 / 16


class Phase(Enum):
    """What the room is doing."""

    GROWING = "growing"
    SHRINKING = "shrinking"
    HOLDING = "holding"


class Concurrency:
    """The room for requests in flight to one model. It is told what happens, and has neither clock nor lock.

    Requests are known by tickets, numbered in the order of sending: time is too coarse to say what was sent before
    what.

    Attributes:
        room: requests that may be in flight.
        lag: seconds that one turn of our event loop takes.
        phase: what the room is doing.

    Args:
        ceiling: the room that is never passed.
    """

    __slots__ = (
        "_ceiling",
        "_floor",
        "_full",
        "_hold",
        "_mark",
        "_most",
        "_probe_at",
        "_reference",
        "_resume",
        "_samples",
        "_slower",
        "_step",
        "_trusted",
        "_wave",
        "lag",
        "phase",
        "room",
    )

    def __init__(self, ceiling: int) -> None:
        self.room = min(START, ceiling)
        self.lag = 0.0
        self.phase = Phase.GROWING
        self._ceiling = ceiling
        self._step = 1.0
        self._samples: list[float] = []
        self._full = 0
        self._mark = 0
        self._reference: tuple[int, float] | None = None
        self._most = 0.0
        self._slower = 0
        self._wave = 0
        self._floor = 1
        self._hold = _FIRST_HOLD
        self._probe_at = 0.0
        self._trusted = 0
        self._resume = 0

    def set_ceiling(self, ceiling: int) -> None:
        """Keep below another ceiling from now on."""
        self._ceiling = ceiling
        self.room = min(self.room, ceiling)

    # -- answers ---------------------------------------------------------------------------------------------------

    def answered(self, ticket: int, seconds: float, in_flight: int, upcoming: int, now: float) -> bool:
        """A request was answered: whether that ended a round.

        Args:
            ticket: of the request.
            seconds: from sending to the answer.
            in_flight: how many were in flight, this one among them.
            upcoming: the ticket of the next request.
            now: the time.
        """
        if ticket < self._mark:
            return False
        if self._resume:
            self.room, self._resume = min(self._resume, self._ceiling), 0
            self._begin(upcoming)
            return False
        if in_flight >= self.room:
            self._full += 1
        samples = self._samples
        samples.append(seconds)
        count = len(samples)
        if count < _ENOUGH or (count < self.room and not self._says_enough(count)):
            if in_flight == 1 and self._reference is None and self.phase is Phase.GROWING:
                # Alone at the service: the best latency there is to compare with.
                self._begin(upcoming)
                self._reference = (1, seconds)
            return False
        full = self._full * 2 >= count
        samples.sort()
        median = samples[count // 2]
        self._begin(upcoming)
        if full:
            self._judge(median, now, whole=count >= self.room)
        return True

    def _says_enough(self, count: int) -> bool:
        """Whether a part of a round says enough.

        While growing, half of it does if latency has not grown at all. While holding, the room has been the same all
        the time, and a number of answers that does not depend on it is enough.
        """
        if self.phase is Phase.HOLDING:
            return count >= _ENOUGH_STANDING
        if self.phase is Phase.SHRINKING or count != (self.room + 1) // 2 or self._reference is None:
            return False
        return sorted(self._samples)[count // 2] <= 1.1 * self._reference[1]

    def _begin(self, upcoming: int) -> None:
        """Begin a round: only what is sent from now on counts in it."""
        self._mark = upcoming
        self._samples.clear()
        self._full = 0

    def _judge(self, latency: float, now: float, *, whole: bool) -> None:
        ours = latency < _TRIFLE or latency < _OWN * self.lag
        match self.phase:
            case Phase.GROWING:
                self._judge_growth(latency, now, ours=ours, whole=whole)
            case Phase.SHRINKING if ours:
                self._stand(now)
            case Phase.SHRINKING:
                self._judge_shrinking(latency, now)
            case Phase.HOLDING:
                if (ours or self._judge_standing(latency)) and now >= self._probe_at and self.room < self._ceiling:
                    self._probe()

    def _judge_growth(self, latency: float, now: float, *, ours: bool, whole: bool) -> None:
        room, reference = self.room, self._reference
        if reference is not None:
            before, best = reference
            growth = room / before
            # Doubled, latency may grow by 1.59: then there is a quarter more to show for it. A small step's gain is
            # lost in the noise, so that only a clear loss counts.
            allowed = growth ** (2 / 3) * (1.25 if growth < 1.5 else 1.0)
            if before == 1:
                # One answer may have been short by chance: only a service that works on one at a time is told by it.
                allowed = 0.7 * growth
            if latency > best * allowed and ours:
                # More in flight is no use, but nothing says that the service has too much: only go back.
                self.room = min(room, max(START, before))
                self._stand(now)
                return
            if latency > best * allowed:
                self._shrink(room / latency, max(1, math.ceil(room / latency * best * 1.25)))
                return
        if reference is None or (whole and room >= 1.5 * reference[0]):
            # Of half a round the shorter answers came: it is nothing to compare others with.
            self._reference = (room, max(latency, 1e-9))
        if room > 1.5 * self._trusted:
            self._hold = _FIRST_HOLD
        if room >= self._ceiling:
            self._stand(now)
        else:
            self._grow()

    def _grow(self) -> None:
        self.room = min(self._ceiling, max(self.room + 1, int(self.room * (1 + self._step))))
        self._step = min(1.0, self._step * 2)

    def _shrink(self, rate: float, room: int) -> None:
        self.phase = Phase.SHRINKING
        self._most = rate
        self._trusted = self.room
        self.room = max(1, min(room, self.room - 1))

    def _judge_shrinking(self, latency: float, now: float) -> None:
        rate = self.room / latency
        if rate < 0.9 * self._most:
            self.room = min(self._ceiling, self._trusted)
            self._stand(now)
            return
        self._reference = (self.room, latency)
        self._trusted = self.room
        if self.room <= 2:
            self._stand(now)
        else:
            self.room = max(1, int(self.room * 0.6))

    def _judge_standing(self, latency: float) -> bool:
        """Whether latency holds at the room that is kept."""
        reference = self._reference
        if reference is None or reference[0] != self.room:
            self._reference = (self.room, latency)
            self._slower = 0
            return True
        if latency <= 2 * reference[1]:
            self._slower = 0
            self._reference = (self.room, 0.9 * reference[1] + 0.1 * latency)
            return True
        self._slower += 1
        if self._slower >= 2:
            # Slower than it was here. Too much for the service, or simply longer answers? A smaller room tells.
            self._reference = None
            self._shrink(self.room / latency, int(self.room * 0.6))
        return False

    def _probe(self) -> None:
        """Try a little more; if it is refused or brings nothing, the next try comes after twice the time."""
        self.phase = Phase.GROWING
        self._hold = max(self._hold, min(_LONGEST_HOLD, self._hold * 2))
        self._step = _SMALLEST_STEP
        self._grow()

    def _stand(self, now: float) -> None:
        self.phase = Phase.HOLDING
        self._reference = None
        self._slower = 0
        self._trusted = self.room
        self._probe_at = now + self._hold

    # -- refusals --------------------------------------------------------------------------------------------------

    def refused(self, ticket: int, in_flight: int, upcoming: int, now: float, wait: float) -> bool:
        """A request was refused: whether a smaller room is answer enough.

        If not, at least half of what was in flight has been refused: it was not, or not only, too much at once, and
        nothing should be sent for a while.

        Args:
            ticket: of the request.
            in_flight: how many were in flight, this one among them.
            upcoming: the ticket of the next request.
            now: the time.
            wait: seconds that the service asked to wait: what trying for more costs if it is refused.
        """
        if ticket >= self._wave:
            self._wave = upcoming
            self.room = max(1, min(self.room, in_flight))
            self._floor = max(1, self.room // 2)
            if self.phase is not Phase.GROWING or self._trusted == 0:
                self._hold = _FIRST_HOLD
        enough = self.room > self._floor
        if enough:
            self.room -= 1
        self._hold = min(_LONGEST_HOLD, max(self._hold, _WAITS_PER_PROBE * wait))
        self._begin(upcoming)
        self._stand(now)
        return enough

    def overrun(self, rate: float, room: int, upcoming: int, waited: float) -> None:
        """Requests had to wait until they timed out.

        A service may go on working on requests that nobody waits for any more. So they are sent one by one until one is
        answered, and only then side by side again.

        Args:
            rate: answers per second.
            room: how many the service can answer in time.
            upcoming: the ticket of the next request.
            waited: seconds that a request waited in vain: what trying for more costs if it is too much.
        """
        self._hold = max(self._hold, min(_LONGEST_HOLD_OVERRUN, _WAITS_PER_PROBE * waited))
        self._shrink(rate, room)
        self._trusted = self._resume = self.room
        self.room = 1
        self._begin(upcoming)
