"""Which models a run asks: the list that cells are planned over, and the roles that have a model of their own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rowsmith.engine.axes import identity
from rowsmith.engine.numberline import deal
from rowsmith.engine.plan import Cell
from rowsmith.llm.provider import Provider
from rowsmith.llm.sharing import Choice, Fallback, Spread, Turn, first, leaves, replaceable, turns

WRAPPERS = (Fallback, Spread)
"""What a choice is that is no provider itself."""
EMBEDDING = "embedding"
"""The role of the model by whose vectors rows are compared: it is part of how rows are checked, and writes none."""


def full_name(provider: Provider) -> str:
    """`provider/model_id`, as a user would write it."""
    return provider.name if provider.name == provider.model_id else f"{provider.name}/{provider.model_id}"


@dataclass(frozen=True, slots=True)
class Models:
    """The models of a run.

    Attributes:
        llms: every prompt goes to each of these; at least one.
        roles: roles that one model takes for all cells, whatever `llms` says.
    """

    llms: Sequence[Choice]
    roles: Mapping[str, Choice] = field(default_factory=dict)

    def choice(self, role: str, cell: Cell) -> Choice:
        """Who may answer in a role for a cell."""
        return self.roles[role] if role in self.roles else self.llms[cell.model]

    def turns(self, role: str, cell: Cell, seed: int, answered: Collection[str] = ()) -> Sequence[Turn]:
        """Who is asked in a role for a cell, one after the other as they fail.

        Args:
            role: what the model is used as.
            cell: for whom.
            seed: of the run; prompts are dealt out by it.
            answered: the names of those who have answered the cell in this role: where prompts are dealt out, the cell
                stays with them, also if it would be dealt to others since the plan has grown.
        """
        choice = self.choice(role, cell)
        if not isinstance(choice, WRAPPERS):
            return (Turn(choice),)
        if role in self.roles:
            return _turns(choice, cell, seed, f" {role}", answered)
        return _turns(self.llms[cell.model], cell, seed, f" {cell.model}" if cell.model else "", answered)

    def provider(self, role: str, cell: Cell, seed: int) -> Provider:
        """Who is asked first in a role for a cell."""
        choice = self.roles[role] if role in self.roles else self.llms[cell.model]
        return self.turns(role, cell, seed)[0].provider if isinstance(choice, WRAPPERS) else choice

    def owner(self, cell: Cell, seed: int) -> Provider:
        """Which of `llms` a cell was planned for: the one that is asked first in every role without its own model."""
        return self.provider("", cell, seed)

    def comparing_by(self, embeddings: Provider | None) -> Models:
        """These models, and the one by whose vectors rows are compared; None for none."""
        return self if embeddings is None else Models(self.llms, {**self.roles, EMBEDDING: embeddings})

    @property
    def writing(self) -> Models:
        """These models without the one by whose vectors rows are compared."""
        return Models(self.llms, {role: choice for role, choice in self.roles.items() if role != EMBEDDING})

    @property
    def embeddings(self) -> Provider | None:
        """The model by whose vectors rows are compared; None for none."""
        choice = self.roles.get(EMBEDDING)
        return None if choice is None else first(choice)

    @property
    def deal(self) -> bool:
        """Whether prompts may be dealt out among some of them."""
        return any(isinstance(choice, WRAPPERS) for choice in (*self.llms, *self.roles.values()))

    def all(self) -> list[Provider]:
        """Every model that may be asked, each once."""
        found: list[Provider] = []
        for provider in (leaf for choice in (*self.llms, *self.roles.values()) for leaf in leaves(choice)):
            if not any(provider is known for known in found):
                found.append(provider)
        return found

    def replaceable(self) -> list[Provider]:
        """The models for which another stands in where they fail."""
        return [provider for choice in (*self.llms, *self.roles.values()) for provider in replaceable(choice)]

    def identities(self) -> list[bytes]:
        """Eight bytes for each of `llms`, from what it is and how it is asked: part of the cells' keys.

        Those of a wrapper are its first model's, so that others can be added behind it on the same output.
        """
        return [identity(describe(first(choice))) for choice in self.llms]


def _turns(choice: Choice, cell: Cell, seed: int, whose: str, answered: Collection[str]) -> Sequence[Turn]:
    if isinstance(choice, WRAPPERS):
        return turns(choice, _picking(cell, seed, whose, answered))
    return (Turn(choice),)


def _picking(cell: Cell, seed: int, whose: str, answered: Collection[str]) -> Callable[[Spread], Choice]:
    """Which member of a `Spread` has its turn for a cell."""
    dealt_so_far = 0

    def pick(spread: Spread) -> Choice:
        nonlocal dealt_so_far
        # Each spread within another is dealt independently: else what one has drawn would decide the other.
        salt = f"{whose} within {dealt_so_far}" if dealt_so_far else whose
        dealt_so_far += 1
        dealt = spread.at(deal(*cell.dealt, spread.seats, seed, salt))
        if answered:
            for member in (dealt, *spread.members):
                if any(full_name(provider) in answered for provider in leaves(member)):
                    return member
        return dealt

    return pick


def describe(provider: Provider) -> dict[str, Any]:
    """What decides a provider's answers, as JSON, without its key."""
    return {"model": full_name(provider), "endpoint": provider.endpoint, **provider.describe()}
