"""The models of a run, looked at before it is paid for: whether and how they answer, their limits and prices."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence

from rowsmith.engine.asking import Price
from rowsmith.engine.checkup import Finding, Verdict
from rowsmith.engine.models import full_name
from rowsmith.engine.probe import Probed, probe
from rowsmith.engine.wording import money
from rowsmith.errors import ProviderError, QuotaError, RateLimitError
from rowsmith.llm.clock import Clock
from rowsmith.llm.provider import KnownLimits, Provider
from rowsmith.llm.sharing import Choice, Fallback, Spread, leaves
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Rung, Usage

_WAYS = {Rung.SCHEMA: "JSON Schema", Rung.JSON: "JSON mode", Rung.PROMPT: "JSON by the prompt alone"}
_THOUSAND = 1000
"""Tokens at which a price is looked at: some services charge more for the longest requests."""


async def check_models(
    models: Sequence[Provider],
    price: Price,
    clock: Clock,
    *,
    choices: Sequence[Choice] = (),
    roles: Mapping[int, Sequence[str]] | None = None,
    calls: bool = True,
    embeddings: Provider | None = None,
) -> list[Finding]:
    """Ask every model one tiny thing, all at once.

    Args:
        models: each once.
        price: what a call costs.
        clock: the time.
        choices: how they share the work: where one stands in for another, its failure does not end the run.
        roles: what each model is asked as, by its place in `models`; those that are in no list are asked as anything.
        calls: really ask; otherwise only limits and prices are looked at.
        embeddings: which of the models is to make vectors.
    """
    probed: list[Probed | None] = [None] * len(models)
    if calls:
        async with Transport() as transport:
            probing = [
                probe(provider, transport, price, clock, vectors_wanted=provider is embeddings) for provider in models
            ]
            probed = list(await asyncio.gather(*probing))
    failed = [
        provider
        for provider, came in zip(models, probed, strict=True)
        if came is not None and came.error is not None and _weight(came.error) is Verdict.ERROR
    ]
    found: list[Finding] = []
    for place, (provider, came) in enumerate(zip(models, probed, strict=True)):
        as_what = (roles or {}).get(place, ())
        subject = full_name(provider) + (f" ({', '.join(as_what)})" if as_what else "")
        found.extend(_about(subject, provider, came, choices, failed))
        found.append(_price(provider, came, price))
    return found


def _about(
    subject: str, provider: Provider, came: Probed | None, choices: Sequence[Choice], failed: Sequence[Provider]
) -> Iterator[Finding]:
    if came is None:
        yield Finding(subject, Verdict.OK, f"not asked; limits: {_limits(provider.limits)}")
        return
    if came.refused:
        named = " and ".join(f"`{name}`" for name in came.refused)
        yield Finding(subject, Verdict.WARNING, f"refuses {named}: left out of its requests")
    if came.error is not None:
        yield _failure(subject, provider, came.error, choices, failed)
    elif came.fault:
        text = f"answers, but not as it was asked to ({came.fault}); the run will have to ask again"
        yield Finding(subject, Verdict.WARNING, text)
    elif came.numbers:
        text = f"gives vectors of {came.numbers:,} numbers in {came.seconds:.1f} s"
        yield Finding(subject, Verdict.OK, f"{text}; limits: {_limits(provider.limits, came.told)}")
    else:
        above = "" if came.rung is provider.rungs[0] else f" ({_WAYS[provider.rungs[0]]} is refused)"
        how = f"answers by {_WAYS[came.rung]}{above} in {came.seconds:.1f} s"
        yield Finding(subject, Verdict.OK, f"{how}; limits: {_limits(provider.limits, came.told)}")


def _failure(
    subject: str, provider: Provider, error: ProviderError, choices: Sequence[Choice], failed: Sequence[Provider]
) -> Finding:
    status = f" (HTTP {error.status})" if error.status is not None else ""
    text = f"does not answer: {error.message}{status}" + (f". {error.hint}" if error.hint else "")
    verdict = _weight(error)
    if verdict is Verdict.WARNING:
        return Finding(subject, verdict, f"{text}. The run waits and asks again")
    if choices and not any(_ends_with(choice, provider, failed) for choice in choices):
        return Finding(subject, Verdict.WARNING, f"{text}. {_consequence(choices, provider, failed)}")
    return Finding(subject, verdict, text)


def _weight(error: ProviderError) -> Verdict:
    """A model that is busy now may answer later; all other failures will be the run's too."""
    passing = isinstance(error, RateLimitError) or (error.retryable and not isinstance(error, QuotaError))
    return Verdict.WARNING if passing else Verdict.ERROR


def _usable(choice: Choice, failed: Collection[Provider]) -> bool:
    """Whether somebody answers every call."""
    if isinstance(choice, Fallback):
        return any(_usable(member, failed) for member in choice.members)
    if isinstance(choice, Spread):
        return all(_usable(member, failed) for member in choice.members)
    return not any(choice is other for other in failed)


def _ends_with(choice: Choice, provider: Provider, failed: Collection[Provider]) -> bool:
    """Whether a choice is of no use because a provider fails, alone or with others."""
    if isinstance(choice, Fallback) and _usable(choice, failed):
        return False
    if isinstance(choice, Fallback | Spread):
        return any(_ends_with(member, provider, failed) for member in choice.members)
    return choice is provider


def _consequence(choices: Sequence[Choice], provider: Provider, failed: Collection[Provider]) -> str:
    """What becomes of the calls of a model that fails in a `Fallback` that is of use all the same."""
    for fallback in (found for choice in choices for found in _fallbacks(choice)):
        members = [leaves(member) for member in fallback.members]
        place = next((place for place, own in enumerate(members) if any(provider is one for one in own)), None)
        if place is None:
            continue
        after = [one for own in members[place + 1 :] for one in own if not any(one is other for other in failed)]
        if after:
            return f"{' or '.join(map(full_name, after))} stands in for it from the first call"
        return f"It could not stand in for {' or '.join(full_name(one) for own in members[:place] for one in own)}"
    return ""


def _fallbacks(choice: Choice) -> Iterator[Fallback]:
    if isinstance(choice, Fallback):
        yield choice
    if isinstance(choice, Fallback | Spread):
        for member in choice.members:
            yield from _fallbacks(member)


def _limits(given: KnownLimits, told: Sequence[str] = ()) -> str:
    named = {
        "requests a minute": given.rpm,
        "tokens a minute": given.tpm,
        "requests a day": given.rpd,
        "at once": given.max_concurrency,
    }
    own = [f"{value:,} {unit}" for unit, value in named.items() if value is not None]
    return ", ".join((*own, *told)) or "none known, found out as the run goes"


def _price(provider: Provider, came: Probed | None, price: Price) -> Finding:
    subject = f"price of {full_name(provider)}"
    asked = price(provider, Usage(_THOUSAND, 0))
    answered = price(provider, Usage(0, _THOUSAND))
    if asked is None or answered is None:
        fix = "give input_cost_per_million and output_cost_per_million"
        return Finding(subject, Verdict.WARNING, f"no price is known: the cost will be unknown; {fix}")
    if not asked and not answered:
        return Finding(subject, Verdict.OK, "nothing is charged")
    text = f"{money(asked * _THOUSAND)} in, {money(answered * _THOUSAND)} out, for a million tokens"
    if came is None or came.error is not None:
        return Finding(subject, Verdict.OK, text)
    if came.cost is None:
        told = "the service does not say how many tokens an answer takes: the cost will be unknown"
        return Finding(subject, Verdict.WARNING, f"{text}; {told}")
    return Finding(subject, Verdict.OK, f"{text}; this check cost {money(came.cost)}")
