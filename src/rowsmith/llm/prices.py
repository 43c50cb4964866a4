"""What a call costs: prices per token, from a list that comes with Rowsmith or from the provider itself.

The list (`prices.json`, written by `scripts/update_prices.py`) is that of the `genai-prices` package; nothing is
fetched. A model is looked up by the address that answers, not by its provider's name: the same model costs something
else elsewhere, and of an address that the list does not know nothing is known. What is not known is None, never 0.

Not counted, because completions do not tell them: writes to a service's cache, which some services charge above their
input price, and discounts of an account's own.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import orjson

from rowsmith.errors import ConfigError
from rowsmith.llm.provider import Provider
from rowsmith.llm.values import Usage

_STANDARD_TIERS = (None, "auto", "default", "standard", "standard_only")
_COMPACT_DATE = re.compile(r"-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """What a model charges, in US dollars per million tokens.

    Attributes:
        input: for tokens of the request.
        output: for tokens of the answer, reasoning included.
        cached: for tokens of the request that the service read from its cache; as `input` where None.
    """

    input: float
    output: float
    cached: float | None = None

    @classmethod
    def given(
        cls, input_cost: float | None, output_cost: float | None, cached_cost: float | None
    ) -> TokenPrices | None:
        """The prices of a provider's arguments; None where none is given.

        Raises:
            ConfigError: one lacks, or is no amount.
        """
        named = {
            "input_cost_per_million": input_cost,
            "output_cost_per_million": output_cost,
            "cached_input_cost_per_million": cached_cost,
        }
        for name, value in named.items():
            if value is not None and not _is_amount(value):
                raise ConfigError(f"{name} must be US dollars per million tokens, 0 or more; it is {value!r}.")
        if input_cost is None and output_cost is None and cached_cost is None:
            return None
        if input_cost is None or output_cost is None:
            lacking = "input_cost_per_million" if input_cost is None else "output_cost_per_million"
            raise ConfigError(f"{lacking} is needed too: a price is what goes in and what comes out.")
        return cls(input_cost, output_cost, cached_cost)


@runtime_checkable
class Priced(Protocol):
    """A provider that may know its own prices: because the user gave them, or because its calls cost nothing."""

    @property
    def token_prices(self) -> TokenPrices | None:
        """Its prices, or None to have them looked up."""


class Step(NamedTuple):
    """Prices that hold for requests of more than so many input tokens, for all their tokens."""

    above: int
    input: float
    cached: float
    output: float


class Term(NamedTuple):
    """Steps, ascending, that hold from a time on (seconds since 1970), or between two minutes of the day (UTC)."""

    steps: tuple[Step, ...]
    since: float | None = None
    between: tuple[int, int] | None = None

    def holds(self, at: float) -> bool:
        """Whether it holds at a time, in seconds since 1970."""
        if self.since is not None:
            return at >= self.since
        if self.between is None:
            return True
        minute, (first, last) = int(at // 60) % 1440, self.between
        return first <= minute < last if first <= last else minute >= first or minute < last


class Tariff:
    """What the calls of one model cost.

    Args:
        terms: of those that hold, the last counts; the first where none does.
    """

    __slots__ = ("_latest_first", "_only", "free", "terms")

    def __init__(self, *terms: Term) -> None:
        self.terms = terms
        self._latest_first = terms[::-1]
        self._only = terms[0].steps[0] if len(terms) == 1 and len(terms[0].steps) == 1 else None
        self.free = not any(step.input or step.cached or step.output for term in terms for step in term.steps)

    @classmethod
    def of(cls, prices: TokenPrices) -> Tariff:
        """The tariff of prices that always hold."""
        cached = prices.input if prices.cached is None else prices.cached
        return cls(Term((Step(0, prices.input, cached, prices.output),)))

    def cost(self, usage: Usage, at: float) -> float | None:
        """The cost of a call in US dollars; None if the service did not say how many tokens it took.

        Args:
            usage: its tokens.
            at: when, in seconds since 1970: a few services have prices by date or time of day.
        """
        asked, answered, cached = usage.input_tokens, usage.output_tokens, usage.cached_tokens
        if not asked and not answered:
            return 0.0 if self.free else None
        step = self._only or self._step(asked, at)
        if cached > asked:
            cached = asked
        return ((asked - cached) * step.input + cached * step.cached + answered * step.output) / 1e6

    def _step(self, asked: int, at: float) -> Step:
        for term in self._latest_first:
            if term.holds(at):
                break
        found = term.steps[0]
        for step in term.steps:
            if asked > step.above:
                found = step
        return found


class Prices:
    """The price of a call to a provider: `prices(provider, usage)`, in US dollars, or None where it is not known.

    A provider's own prices go before the list. Each provider is looked up once.

    Args:
        date: the time, in seconds since 1970.
    """

    def __init__(self, date: Callable[[], float] = time.time) -> None:
        self._date = date
        self._known: dict[int, tuple[Provider, Tariff | None]] = {}

    def __call__(self, provider: Provider, usage: Usage) -> float | None:
        known = self._known.get(id(provider))
        tariff = known[1] if known is not None else self.tariff(provider)
        return None if tariff is None else tariff.cost(usage, self._date())

    def tariff(self, provider: Provider) -> Tariff | None:
        """What the provider's model charges, or None where it is not known."""
        known = self._known.get(id(provider))
        if known is None:
            # The provider is kept beside its tariff, so that no other object gets its id meanwhile.
            known = self._known[id(provider)] = (provider, _tariff_of(provider))
        return known[1]


def _tariff_of(provider: Provider) -> Tariff | None:
    own = provider.token_prices if isinstance(provider, Priced) else None
    if own is not None:
        return Tariff.of(own)
    name, service = provider.model_id, None
    if "://" in provider.endpoint:
        service = price_list().at(provider.endpoint)
    elif provider.name == "litellm":
        # LiteLLM names the service before the model, and the address is its own affair.
        prefix, slash, rest = name.partition("/")
        service, name = (price_list().service(prefix), rest) if slash else (None, name)
    extra = getattr(provider, "extra_body", None)
    tier = extra.get("service_tier") if isinstance(extra, Mapping) else None
    return None if service is None else service.tariff(name, None if tier in _STANDARD_TIERS else str(tier))


class Service:
    """One service of the list.

    Args:
        entry: as the list has it.
        others: the services whose models this one offers too, at their prices.
    """

    def __init__(self, entry: Mapping[str, Any], others: Callable[[str], Service | None]) -> None:
        self._entry = entry
        self._others = others

    def answers_at(self, address: str) -> bool:
        """Whether an address is this service's."""
        return re.match(self._entry["at"], address) is not None

    def is_called(self, name: str) -> bool:
        """Whether a service's name, as other tools write it, means this one."""
        names = self._entry.get("names")
        return names is not None and _matches(names, name)

    def tariff(self, model: str, tier: str | None = None) -> Tariff | None:
        """What a model costs; None if it is not in the list or not billed by tokens.

        Args:
            model: its id; a date in it may be written with dashes or without.
            tier: a service tier other than the standard one, such as `flex`.
        """
        asked = model.lower()
        for name in dict.fromkeys((asked, _COMPACT_DATE.sub(r"-\1-\2-\3", asked))):
            own = self._find(name)
            if own is not None:
                return _read(own, tier)
            for other in map(self._others, self._entry.get("also", ())):
                found = other._find(name) if other is not None else None
                if found is not None:
                    return _read(found, tier)
        return None

    def _find(self, name: str) -> list[Any] | None:
        return next((entry for entry in self._entry["models"] if _matches(entry[0], name)), None)


class PriceList:
    """The list that comes with Rowsmith.

    Attributes:
        source: where it is from, and which release.
        date: the day it was taken over.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.source: str = data["source"]
        self.date: str = data["date"]
        self._services: dict[str, Service] = {}
        for entry in data["services"]:
            self._services[entry["id"]] = Service(entry, self._services.get)

    def at(self, address: str) -> Service | None:
        """The service that answers at an address."""
        return next((service for service in self._services.values() if service.answers_at(address)), None)

    def service(self, name: str) -> Service | None:
        """The service of a name, the list's own or another tool's."""
        asked = name.lower().strip()
        return self._services.get(asked) or next(
            (service for service in self._services.values() if service.is_called(asked)), None
        )


@lru_cache(maxsize=1)
def price_list() -> PriceList:
    """The list, read when it is first needed."""
    return PriceList(orjson.loads(Path(__file__).with_name("prices.json").read_bytes()))


def _matches(clause: Any, name: str) -> bool:
    if isinstance(clause, str):
        return name == clause
    if isinstance(clause, list):
        return any(_matches(part, name) for part in clause)
    ((kind, given),) = clause.items()
    if kind == "starts_with":
        return name.startswith(given)
    if kind == "ends_with":
        return name.endswith(given)
    if kind == "contains":
        return given in name
    if kind == "all":
        return all(_matches(part, name) for part in given)
    return re.search(given, name) is not None


def _read(entry: list[Any], tier: str | None) -> Tariff | None:
    """The tariff of a model's entry: its name, its prices, and its prices by tier."""
    prices = entry[1] if tier is None else (entry[2].get(tier) if len(entry) > 2 else None)
    if prices is None:
        return None
    if not isinstance(prices[0], dict):
        prices = [{"steps": [[0, *prices]]}]
    return Tariff(*(_term(term) for term in prices))


def _term(term: Mapping[str, Any]) -> Term:
    steps = tuple(
        Step(above, asked, asked if cached is None else cached, answered)
        for above, asked, cached, answered in term["steps"]
    )
    since = datetime.fromisoformat(term["since"]).replace(tzinfo=UTC).timestamp() if "since" in term else None
    return Term(steps, since, tuple(term["utc"]) if "utc" in term else None)


def _is_amount(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
