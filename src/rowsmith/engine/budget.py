"""What a run may spend: it stops in good order before a limit is passed, and calls in flight count as spent.

Before a call goes out, the most that it may take is set aside; when its answer is there, what it took is booked
instead. A call that does not fit waits until those in flight have come back, and the run ends when there is none of
them and it still does not fit.

What is promised, over all starts on one output:

- `max_requests` is never passed: every request counts as it goes out, one that is sent again too.
- `max_tokens` and `max_cost` are never passed where the provider limits its answers (`max_completion_tokens`): what
  is set aside is then a bound, as long as the service keeps that limit and counts no more tokens of a request than it
  has bytes, plus `gauge.HIDDEN` for what the service adds itself.
- Where answers have no such limit, what is set aside is an estimate, from the largest so far. The limit can be passed
  by what the calls then in flight take beyond it, and by no more.

Requests that end without an answer count as requests only. What a service bills for an answer that never arrived (after
a timeout, or on a connection that broke) nobody here can know, nor what was in flight when the process was killed. Of
an answer whose tokens the service does not tell, the tokens are estimated, at `gauge.BYTES_PER_TOKEN`.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rowsmith.engine.asking import Door, Price
from rowsmith.engine.gauge import Gauge, Taken
from rowsmith.engine.models import Models, full_name
from rowsmith.engine.wording import money
from rowsmith.errors import ConfigError
from rowsmith.llm.limits import Stopped
from rowsmith.llm.provider import KnownLimits, Provider
from rowsmith.llm.values import Completion, Request, Rung, Usage

if TYPE_CHECKING:
    from rowsmith.engine.ledger import Ledger
    from rowsmith.engine.options import Options
    from rowsmith.llm.transport import Transport


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be spent on a run, over all its starts; None for no limit.

    Attributes:
        cost: in US dollars.
        requests: that are sent, those that fail and are sent again included.
        tokens: of requests and answers together.
    """

    cost: float | None = None
    requests: int | None = None
    tokens: int | None = None

    @classmethod
    def of(cls, options: Options) -> Limits:
        """The limits that a run's options name."""
        return cls(options.max_cost, options.max_requests, options.max_tokens)

    def __bool__(self) -> bool:
        return (self.cost, self.requests, self.tokens) != (None, None, None)


class Purse:
    """An amount with a limit: what is spent of it, and what is set aside for calls in flight."""

    __slots__ = ("aside", "limit", "spent")

    def __init__(self, limit: float | None) -> None:
        self.limit = math.inf if limit is None else limit
        self.spent = 0.0
        self.aside = 0.0

    def holds(self, amount: float) -> bool:
        """Whether so much more can be set aside."""
        return self.spent + self.aside + amount <= self.limit


class Budget:
    """Keeps a run within its limits. One object serves all models of a run.

    Args:
        limits: what may be spent.
        models: who is asked.
        price: what a call costs.
        stop: ends the run in good order; told why, in one line.

    Raises:
        ConfigError: cost is limited and a model's price is not known.
    """

    def __init__(self, limits: Limits, models: Models, price: Price, stop: Callable[[str], None]) -> None:
        self._limits = limits
        self._stop = stop
        self._gauges = {id(provider): Gauge(provider, price) for provider in models.all()}
        self._by_name = {full_name(gauge.provider): gauge for gauge in self._gauges.values()}
        self._most_requests = math.inf if limits.requests is None else limits.requests
        self._tokens = Purse(limits.tokens)
        self._cost = Purse(limits.cost)
        self._sent = 0
        self._unanswered = 0
        self._untold: dict[str, list[int]] = {}
        self._open = 0
        self._queue: deque[tuple[asyncio.Future[Taken], Gauge, int]] = deque()
        self._closed = False
        self._ledger: Ledger | None = None
        if limits.cost is not None:
            for provider in models.all():
                _must_have_price(provider, price, limits.cost)

    def begin(self, ledger: Ledger) -> None:
        """Count what earlier starts have spent; before the first call."""
        self._ledger = ledger
        for _, _, _, calls, asked, answered, _, _, cost, _ in ledger.store.spend():
            self._sent += calls
            self._tokens.spent += asked + answered
            self._cost.spent += cost
        self._unanswered = int(ledger.meta.get("requests_unanswered", 0))
        self._sent += self._unanswered
        self._untold = json.loads(ledger.meta.get("tokens_untold", "{}"))
        for name, (asked, answered) in self._untold.items():
            self._tokens.spent += asked + answered
            self._cost.spent += self._price_now(name, asked, answered)
        if self._limits.cost is not None:
            self._cost.spent += sum(self._price_now(*call) for call in ledger.store.unpriced())

    def _price_now(self, name: str, *tokens: int) -> float:
        """What a call of an earlier start cost for which no price was known then."""
        gauge = self._by_name.get(name)
        return gauge.cost(Usage(*tokens)) if gauge is not None and any(tokens) else 0.0

    def counted(self, provider: Provider) -> Provider:
        """A provider whose requests are counted as they go out."""
        return _Counted(provider, self)

    def guarded(self, provider: Provider, door: Door) -> Door:
        """A door through which a call goes only when there is money and tokens for it."""
        return _Guarded(door, self, self._gauges[id(provider)])

    # -- requests --------------------------------------------------------------------------------------------------

    def send(self) -> None:
        """A request is about to go out.

        Raises:
            Stopped: there is none left, and the run is stopping.
        """
        most = self._most_requests
        if self._sent >= most:
            self._end(f"max_requests is reached: {self._sent:,} of {most:,} requests are sent", "max_requests")
            raise Stopped
        self._sent += 1

    def unanswered(self) -> None:
        """A request has ended without an answer: the ledger has no call of it, so it is noted by itself."""
        self._unanswered += 1
        if self._ledger is not None:
            self._ledger.set_meta(requests_unanswered=self._unanswered)

    # -- requests in batches: out for hours, over the end of this process too ----------------------------------------

    def admit(self, provider: Provider, size: int) -> Taken | None:
        """Set aside what a request in a batch may take; None if it does not fit now."""
        most = self._gauges[id(provider)].most(size, alone=not self._open)
        if not self._fits(most) or self._sent + 1 > self._most_requests:
            return None
        self._sent += 1
        return self._set_aside(most)

    def readmit(self, provider: Provider, sizes: Iterable[int]) -> Taken:
        """Set aside what the requests of a batch may take that an earlier start has handed in, come what may."""
        gauge, tokens, cost = self._gauges[id(provider)], 0.0, 0.0
        for size in sizes:
            most = self._set_aside(gauge.most(size, alone=False))
            self._sent += 1
            tokens, cost = tokens + most.tokens, cost + most.cost
        return Taken(tokens, cost)

    def book(self, provider: Provider, size: int, completion: Completion) -> None:
        """Count what an answer from a batch took; what was set aside for it is given back with its batch."""
        self._count(self._gauges[id(provider)], size, completion)

    def free(self, calls: int, taken: Taken, *, sent: bool = True) -> None:
        """Nothing more comes of a batch: what was set aside for its requests is free, and they too if not `sent`."""
        self._sent -= 0 if sent else calls
        self._open -= calls - 1
        self.give_back(taken)

    def exceed(self, provider: Provider, size: int) -> None:
        """End the run: nothing is under way, and the next request still does not fit."""
        if self._sent + 1 > self._most_requests:
            self._end(
                f"max_requests is reached: {self._sent:,} of {self._most_requests:,} requests are sent", "max_requests"
            )
        else:
            self._exhausted(self._gauges[id(provider)].most(size, alone=not self._open))

    # -- tokens and money ------------------------------------------------------------------------------------------

    async def take(self, gauge: Gauge, size: int) -> Taken:
        """Set aside what a call may take, waiting for calls in flight where it does not fit.

        Raises:
            Stopped: it never will, and the run is stopping.
        """
        if self._closed:
            raise Stopped
        if not self._queue:
            most = gauge.most(size, alone=not self._open)
            if self._fits(most):
                return self._set_aside(most)
        turn: asyncio.Future[Taken] = asyncio.get_running_loop().create_future()
        self._queue.append((turn, gauge, size))
        self._admit()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.give_back(turn.result())
            raise

    def settle(self, gauge: Gauge, taken: Taken, size: int, completion: Completion) -> None:
        """Book what a call took in place of what was set aside."""
        self._count(gauge, size, completion)
        self.give_back(taken)

    def _count(self, gauge: Gauge, size: int, completion: Completion) -> None:
        real, estimated = gauge.real(size, completion)
        self._tokens.spent += real.tokens
        self._cost.spent += real.cost
        if estimated is not None and self._ledger is not None:
            sums = self._untold.setdefault(full_name(gauge.provider), [0, 0])
            sums[0] += estimated.input_tokens
            sums[1] += estimated.output_tokens
            self._ledger.set_meta(tokens_untold=json.dumps(self._untold, sort_keys=True))

    def give_back(self, taken: Taken) -> None:
        """A call is over: what was set aside for it is free."""
        self._open -= 1
        self._tokens.aside -= taken.tokens
        # Differences of fractions leave dust, which must not add up over a million calls.
        self._cost.aside = self._cost.aside - taken.cost if self._open else 0.0
        if self._queue:
            self._admit()

    def close(self) -> None:
        """Let nothing more out; whoever waits is told."""
        self._closed = True
        while self._queue:
            turn, _, _ = self._queue.popleft()
            if not turn.done():
                turn.set_exception(Stopped())

    def _fits(self, most: Taken) -> bool:
        return self._tokens.holds(most.tokens) and self._cost.holds(most.cost)

    def _set_aside(self, most: Taken) -> Taken:
        self._open += 1
        self._tokens.aside += most.tokens
        self._cost.aside += most.cost
        return most

    def _admit(self) -> None:
        """Let those who wait go in their order, as far as there is room; with none in flight it is now or never."""
        while self._queue:
            turn, gauge, size = self._queue[0]
            if turn.done():
                self._queue.popleft()
                continue
            most = gauge.most(size, alone=not self._open)
            if self._fits(most):
                self._queue.popleft()
                turn.set_result(self._set_aside(most))
            elif self._open:
                return
            else:
                self._exhausted(most)

    def _exhausted(self, most: Taken) -> None:
        if not self._cost.holds(most.cost):
            spent = f"{money(self._cost.spent)} of {money(self._cost.limit)} are spent"
            self._end(f"max_cost is reached: {spent}, and the next call may cost {money(most.cost)}", "max_cost")
        else:
            spent = f"{self._tokens.spent:,.0f} of {self._tokens.limit:,.0f} tokens are used"
            self._end(f"max_tokens is reached: {spent}, and the next call may take {most.tokens:,}", "max_tokens")

    def _end(self, reached: str, option: str) -> None:
        self.close()
        self._stop(f"{reached}. To go on, run the same again with a higher {option}")


class _Counted:
    """A provider whose requests are counted as they go out, and told apart from those that come back."""

    def __init__(self, provider: Provider, budget: Budget) -> None:
        self._provider = provider
        self._budget = budget

    @property
    def name(self) -> str:
        return self._provider.name

    @property
    def model_id(self) -> str:
        return self._provider.model_id

    @property
    def endpoint(self) -> str:
        return self._provider.endpoint

    @property
    def rungs(self) -> tuple[Rung, ...]:
        return self._provider.rungs

    @property
    def limits(self) -> KnownLimits:
        return self._provider.limits

    @property
    def timeout(self) -> float:
        return self._provider.timeout

    def describe(self) -> Mapping[str, Any]:
        return self._provider.describe()

    def encode(self, request: Request) -> bytes:
        return self._provider.encode(request)

    async def complete(self, body: bytes, transport: Transport) -> Completion:
        self._budget.send()
        try:
            return await self._provider.complete(body, transport)
        except BaseException:
            self._budget.unanswered()
            raise


class _Guarded:
    """A door through which a call goes only when there is money and tokens for it."""

    def __init__(self, door: Door, budget: Budget, gauge: Gauge) -> None:
        self._door = door
        self._budget = budget
        self._gauge = gauge

    async def complete(self, body: bytes) -> tuple[Completion, float]:
        budget, gauge, size = self._budget, self._gauge, len(body)
        taken = await budget.take(gauge, size)
        try:
            completion, seconds = await self._door.complete(body)
        except BaseException:
            budget.give_back(taken)
            raise
        budget.settle(gauge, taken, size, completion)
        return completion, seconds

    def stop(self) -> None:
        self._budget.close()
        self._door.stop()


def _must_have_price(provider: Provider, price: Price, limit: float) -> None:
    if price(provider, Usage(1, 1)) is None:
        name = full_name(provider)
        raise ConfigError(
            f"max_cost={limit:g} cannot be kept: no price is known for {name} at {provider.endpoint}. Give it "
            "input_cost_per_million and output_cost_per_million, in US dollars (both 0 for a server of your own), "
            f"such as {{'model': '{name}', 'input_cost_per_million': 0.25, 'output_cost_per_million': 2}}"
        )
