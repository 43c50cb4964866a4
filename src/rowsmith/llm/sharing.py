"""Models that share work: one that stands in for another, and several among whom the prompts are dealt out.

A choice is a provider or a wrapper around choices, so wrappers compose: a `Fallback` of a `Spread`, a `Spread` of
`Fallback`s. It only says who may be asked; each call is made by one provider, with that one's wire format, limits,
price and name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rowsmith.errors import ConfigError, did_you_mean
from rowsmith.llm.provider import Provider
from rowsmith.llm.registry import resolve
from rowsmith.llm.secrecy import plainly

MOST_PARTS = 100
"""The work is cut into so many parts at most: a weight counts to a hundredth."""

_EXACT, _CLOSE = 1e-9, 0.0005
"""How far the share of a weight may be from the one that is kept: first as good as not, then as `0.333` is from 1/3."""


class Fallback:
    """A model, and those that stand in for it where it fails.

    Every call asks the first. If that fails for good (an error that retries did not mend, a used-up quota, a wrong key,
    an unknown model, a request that it does not take), the same question goes to the next. A model that could answer no
    other call either is not asked again until the run is started anew.

    The first says whose cells they are: others may be added behind it at any time on the same output, and the rows
    that are there stay.

    Args:
        members: providers, as `generate` takes them, or wrappers; at least two, the most wanted first.
        on_refusal: also ask the next where a model declines to answer. Its refusal is paid for all the same.

    Raises:
        ConfigError: fewer than two members, one that stands twice, or one that is none.
    """

    def __init__(self, members: Sequence[Spec], *, on_refusal: bool = False) -> None:
        self.members = _members(members, "Fallback")
        self.on_refusal = on_refusal
        known: list[Provider] = []
        for member in self.members:
            own = leaves(member)
            for provider in own:
                _must_be_new(provider, known, "Fallback", "it would be asked again for what it has just failed at")
            known.extend(own)

    def __repr__(self) -> str:
        return f"Fallback([{', '.join(map(repr, self.members))}]{', on_refusal=True' if self.on_refusal else ''})"


class Spread:
    """Models among whom the prompts are dealt out: each prompt goes to one of them.

    A cell is dealt by its place in the plan, evenly over labels and languages: of every so many prompts of a label in a
    row, each model gets exactly its part. A cell that has been asked for stays with its model when the configuration
    grows.

    Args:
        members: providers, as `generate` takes them, or wrappers; at least two.
        weights: the part of each, as numbers above 0 such as `[3, 1]`; all alike if not given. They count to a
            hundredth of the whole.

    Raises:
        ConfigError: fewer than two members, one that stands twice, or weights that do not fit.
    """

    def __init__(self, members: Sequence[Spec], weights: Sequence[float] | None = None) -> None:
        made = _members(members, "Spread")
        shares = _shares(made, weights)
        # A spread of spreads is one spread: dealt twice over, the parts would be kept less exactly.
        flat: list[tuple[Choice, float]] = []
        for member, share in zip(made, shares, strict=True):
            if isinstance(member, Spread):
                flat.extend((inner, share * part / member.seats) for inner, part in member._parts())
            else:
                flat.append((member, share))
        self.members: tuple[Choice, ...] = tuple(member for member, _ in flat)
        self.parts = _parts([share for _, share in flat])
        firsts: list[Provider] = []
        for provider in map(first, self.members):
            _must_be_new(provider, firsts, "Spread", "to give a model more, write weights=[3, 1]")
            firsts.append(provider)
        self._seated = tuple(member for member, part in self._parts() for _ in range(part))

    @property
    def seats(self) -> int:
        """Prompts in a row of which each member gets exactly its part."""
        return sum(self.parts)

    def at(self, seat: int) -> Choice:
        """Who sits at one of the seats, counted from 0."""
        return self._seated[seat]

    def _parts(self) -> Iterator[tuple[Choice, int]]:
        return zip(self.members, self.parts, strict=True)

    def __repr__(self) -> str:
        weights = f", weights={list(self.parts)}" if len(set(self.parts)) > 1 else ""
        return f"Spread([{', '.join(map(repr, self.members))}]{weights})"


Choice = Provider | Fallback | Spread
Spec = str | Mapping[str, Any] | Choice


class Turn(NamedTuple):
    """Who is asked, and whether a refusal of theirs is taken to the next."""

    provider: Provider
    on_refusal: bool = False


def choose(spec: Spec) -> Choice:
    """The choice that is meant.

    Args:
        spec: as `resolve` takes it; a wrapper, which is returned as it is; or a mapping as in YAML:
            `{fallback: [a, b], on_refusal: true}`, `{spread: [{model: a, weight: 3}, b]}`.

    Raises:
        ConfigError: nothing of that name is installed, or the arguments are wrong.
    """
    if isinstance(spec, Fallback | Spread):
        return spec
    if isinstance(spec, Mapping) and "model" not in spec:
        if "fallback" in spec:
            return _fallback(dict(spec))
        if "spread" in spec:
            return _spread(dict(spec))
    return resolve(spec)


def leaves(choice: Choice) -> list[Provider]:
    """Every provider that may be asked, each once, in the order of the members."""
    if not isinstance(choice, Fallback | Spread):
        return [choice]
    found: list[Provider] = []
    for provider in (leaf for member in choice.members for leaf in leaves(member)):
        if not any(provider is known for known in found):
            found.append(provider)
    return found


def first(choice: Choice) -> Provider:
    """Whose cells a choice's are: its first provider."""
    while isinstance(choice, Fallback | Spread):
        choice = choice.members[0]
    return choice


def replaceable(choice: Choice) -> list[Provider]:
    """The providers for which another stands in where they fail."""
    if isinstance(choice, Fallback):
        return [*(leaf for member in choice.members[:-1] for leaf in leaves(member)), *replaceable(choice.members[-1])]
    if isinstance(choice, Spread):
        return [provider for member in choice.members for provider in replaceable(member)]
    return []


def turns(choice: Choice, pick: Callable[[Spread], Choice], *, on_refusal: bool = False) -> list[Turn]:
    """Who is asked, one after the other.

    Args:
        choice: whom a call may go to.
        pick: says which member of a `Spread` has its turn.
        on_refusal: a refusal is taken to the next.
    """
    if isinstance(choice, Fallback):
        passed = on_refusal or choice.on_refusal
        return [turn for member in choice.members for turn in turns(member, pick, on_refusal=passed)]
    if isinstance(choice, Spread):
        return turns(pick(choice), pick, on_refusal=on_refusal)
    return [Turn(choice, on_refusal)]


# -- what was given ---------------------------------------------------------------------------------------------------


def _fallback(spec: dict[str, Any]) -> Fallback:
    members = _listed(spec.pop("fallback"), "fallback")
    on_refusal = spec.pop("on_refusal", False)
    _nothing_else(spec, "fallback", ("fallback", "on_refusal"))
    if not isinstance(on_refusal, bool):
        raise ConfigError(f"on_refusal must be true or false, got {on_refusal!r}")
    return Fallback(members, on_refusal=on_refusal)


def _spread(spec: dict[str, Any]) -> Spread:
    members, weights = [], []
    for member in _listed(spec.pop("spread"), "spread"):
        weight: Any = 1
        if isinstance(member, Mapping) and "weight" in member:
            weight = member["weight"]
            member = {key: value for key, value in member.items() if key != "weight"}
            if member.keys() == {"model"}:
                member = member["model"]
        members.append(member)
        weights.append(weight)
    _nothing_else(spec, "spread", ("spread",))
    return Spread(members, weights)


def _listed(members: Any, name: str) -> list[Any]:
    if not isinstance(members, list | tuple):
        raise ConfigError(f"{name} must be a list of models, such as {{{name}: [a/b, c/d]}}; it is {plainly(members)}")
    return list(members)


def _nothing_else(rest: Mapping[str, Any], name: str, known: Sequence[str]) -> None:
    for key in rest:
        raise ConfigError(f"A {name} has no {key!r}. {did_you_mean(str(key), known)}")


def _members(members: Sequence[Spec], name: str) -> tuple[Choice, ...]:
    if isinstance(members, str | Mapping) or not isinstance(members, Sequence):
        raise ConfigError(f"{name} takes a list of models, such as {name}(['openai/gpt-5-mini', 'ollama/gemma3'])")
    if len(members) < 2:
        raise ConfigError(f"{name} needs at least two models, got {len(members)}; one alone is named without {name}")
    return tuple(choose(member) for member in members)


def _must_be_new(provider: Provider, known: Sequence[Provider], name: str, why: str) -> None:
    if any(provider is other or provider == other for other in known):
        raise ConfigError(f"{provider.name}/{provider.model_id} stands twice in a {name}: {why}")


def _shares(members: Sequence[Choice], weights: Sequence[float] | None) -> list[float]:
    """The part of each member, all together 1."""
    given = [1] * len(members) if weights is None else weights
    if isinstance(given, str | Mapping) or not isinstance(given, Sequence) or len(given) != len(members):
        raise ConfigError(f"weights must be one number for each of the {len(members)} models, got {weights!r}")
    for weight in given:
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0 < weight < math.inf:
            raise ConfigError(f"a weight must be a number above 0, got {weight!r}")
    total = math.fsum(given)
    return [weight / total for weight in given]


def _parts(shares: Sequence[float]) -> tuple[int, ...]:
    """The fewest whole parts that give each its share."""
    least = min(shares)
    if least * MOST_PARTS < 1 - _EXACT:
        raise ConfigError(f"a weight must be at least 1/{MOST_PARTS} of all weights together, got {least:.2g} of them")
    for tolerance in (_EXACT, _CLOSE):
        for total in range(len(shares), MOST_PARTS + 1):
            parts = tuple(round(share * total) for share in shares)
            close = all(abs(part / total - share) <= tolerance for part, share in zip(parts, shares, strict=True))
            if close and min(parts) > 0 and sum(parts) == total:
                return parts
    # By largest remainder, but nobody is left with nothing.
    parts_of = [max(1, math.floor(share * MOST_PARTS)) for share in shares]
    order = sorted(range(len(shares)), key=lambda at: parts_of[at] - shares[at] * MOST_PARTS)
    for at in order[: max(0, MOST_PARTS - sum(parts_of))]:
        parts_of[at] += 1
    return tuple(parts_of)
