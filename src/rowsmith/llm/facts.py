"""What a provider's class tells of itself before any model is named: for lists of providers, and for the docs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from rowsmith.llm.values import Rung


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A service, or a kind of server, as its provider knows it. Empty where there is nothing to tell.

    Attributes:
        title: what people call it.
        docs: where its reference is.
        keys: the environment variables of the key, in the order in which they are looked up.
        needs_key: there has to be one, but on one's own network; where to look for it depends on the model if there
            are no `keys`.
        base: the address that is asked where none is given; empty where the user has to give one, or there is none.
        endpoint: the address that answers then, by which prices are looked up.
        bases: the environment variables of the address, in the order in which they are looked up.
        rungs: the ways there are to ask for structured output, surest first.
        learns_limits: replies say in headers what is allowed.
        reasoning: the argument that says how hard a model reasons.
        prices: `free`, or `list` where the list of prices is looked into by another thing than `endpoint`.
        extra: the extra of Rowsmith that it needs.
        package: the package that the extra brings, by the name under which it is imported.
    """

    title: str
    docs: str = ""
    keys: tuple[str, ...] = ()
    needs_key: bool = False
    base: str = ""
    endpoint: str = ""
    bases: tuple[str, ...] = ()
    rungs: tuple[Rung, ...] = ()
    learns_limits: bool = False
    reasoning: str = ""
    prices: str = ""
    extra: str = ""
    package: str = ""


@runtime_checkable
class Telling(Protocol):
    """A provider's class that tells of itself. One that does not is listed by its name alone."""

    @classmethod
    def facts(cls) -> Facts:
        """What holds for all models of the class."""
