"""Which models a run asks: the list that cells are planned over, and the roles that have a model of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rowsmith.engine.axes import identity
from rowsmith.llm.provider import Provider


def full_name(provider: Provider) -> str:
    """`provider/model_id`, as a user would write it."""
    return provider.name if provider.name == provider.model_id else f"{provider.name}/{provider.model_id}"


@dataclass(frozen=True, slots=True)
class Models:
    """The models of a run.

    Attributes:
        llms: every prompt goes to each of these, or is dealt to one of them; at least one.
        roles: roles that one model takes for all cells, whatever `llms` says.
        dealt: prompts are dealt out among `llms` instead of multiplied.
    """

    llms: Sequence[Provider]
    roles: Mapping[str, Provider] = field(default_factory=dict)
    dealt: bool = False

    def provider(self, role: str, number: int) -> Provider:
        """Who answers in a role for a cell of the number-th model."""
        return self.roles.get(role) or self.llms[number]

    def all(self) -> list[Provider]:
        """Every model that may be asked, each once."""
        found: list[Provider] = []
        for provider in (*self.llms, *self.roles.values()):
            if not any(provider is known for known in found):
                found.append(provider)
        return found

    def identities(self) -> list[bytes]:
        """Eight bytes for each of `llms`, from what it is and how it is asked: part of the cells' keys."""
        return [identity(describe(provider)) for provider in self.llms]


def describe(provider: Provider) -> dict[str, Any]:
    """What decides a provider's answers, as JSON, without its key."""
    return {"model": full_name(provider), "endpoint": provider.endpoint, **provider.describe()}
