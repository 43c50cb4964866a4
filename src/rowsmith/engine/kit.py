"""What an attempt at a cell works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rowsmith.engine.context import Context
from rowsmith.engine.sieve import Sieve


@dataclass(frozen=True, slots=True)
class Kit:
    """How the two sides of an attempt are made.

    Attributes:
        sieve: makes what takes the rows, with the arguments of `Sieve`.
        context: makes what the recipe asks through, with the arguments of `Context`.
    """

    sieve: Callable[..., Sieve] = Sieve
    context: Callable[..., Context] = Context


PLAIN = Kit()
"""The kit of nearly all runs: a row is taken or refused the moment it is there."""
