"""All providers that are installed, looked at without making one: what each is, and what is set for it here."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from typing import Any, NamedTuple

from rowsmith import settings
from rowsmith.errors import ConfigError
from rowsmith.llm import registry, secrecy
from rowsmith.llm.facts import Facts, Telling
from rowsmith.llm.prices import price_list


class Setting(NamedTuple):
    """A variable that is set.

    Attributes:
        variable: its name.
        source: where it is set: `environment` or `.env`.
    """

    variable: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One provider.

    Attributes:
        name: as models are named by it.
        facts: what its class tells; hardly anything where it tells nothing.
        model: the model that is asked where none is named; empty where one must be.
        package: the package that brings it.
        arguments: what it takes besides the model, each with its default as it is written; empty for one without.
        batches: it may have a batch endpoint.
        prices: `free`, `list` where the list that comes with Rowsmith knows the service, or empty.
        key: the variable its key would be taken from; None where none is set. Never the key.
        address: the variable its address would be taken from; None where none is set.
        base: the address that would be asked, without anything that may be secret.
        problem: why it cannot be used here; empty if it can.
    """

    name: str
    facts: Facts
    model: str = ""
    arguments: Mapping[str, str]
    package: str = ""
    batches: bool = False
    prices: str = ""
    key: Setting | None = None
    address: Setting | None = None
    base: str = ""
    problem: str = ""

    @property
    def lacks_key(self) -> bool:
        """Whether it needs a key, and none is set in its variables."""
        return self.facts.needs_key and bool(self.facts.keys) and self.key is None


def overview() -> list[Listed]:
    """All of them, by name. Nothing is asked over the network, and no provider is made.

    Raises:
        ConfigError: the `.env` file of the current folder cannot be read.
    """
    return [_listed(name, points) for name, points in registry.installed().items()]


def provider(name: str) -> Listed:
    """One of them.

    Raises:
        ConfigError: nothing of that name is installed, or the `.env` file of the current folder cannot be read.
    """
    return _listed(name, [registry.entry_point(name)])


def _listed(name: str, points: Sequence[EntryPoint]) -> Listed:
    package = points[0].dist.name if points[0].dist is not None else ""
    try:
        made_by = registry.loaded(name, points)
    except ConfigError as error:
        return Listed(name=name, facts=Facts(title=name), arguments={}, package=package, problem=str(error))
    facts = made_by.facts() if isinstance(made_by, Telling) else _guessed(name, made_by)
    arguments = _arguments(made_by)
    default = arguments.pop("model_id", "")
    address = _set(facts.bases)
    return Listed(
        name=name,
        facts=facts,
        model=default.strip("'\""),
        arguments=arguments,
        package=package,
        batches=hasattr(made_by, "batches"),
        prices=facts.prices or _priced(facts),
        key=_set(facts.keys),
        address=address,
        base=_shown(settings.lookup(address.variable) or "") if address else facts.base,
        problem=_missing(facts),
    )


def _set(variables: tuple[str, ...]) -> Setting | None:
    """The first of some variables that is set."""
    for variable in variables:
        source = settings.source_of(variable)
        if source is not None:
            return Setting(variable, source)
    return None


def _guessed(name: str, made_by: Any) -> Facts:
    """The little that can be seen of a class that tells nothing of itself."""
    rungs = getattr(made_by, "rungs", ())
    return Facts(title=_first_line(made_by) or name, rungs=rungs if isinstance(rungs, tuple) else ())


def _priced(facts: Facts) -> str:
    return "list" if facts.endpoint and price_list().at(facts.endpoint) is not None else ""


def _missing(facts: Facts) -> str:
    if not facts.package or find_spec(facts.package) is not None:
        return ""
    return f"needs an optional dependency: pip install 'rowsmith[{facts.extra}]'"


def _arguments(made_by: Any) -> dict[str, str]:
    """The arguments by name, each with its default as it is written."""
    try:
        parameters = inspect.signature(made_by).parameters
    except (TypeError, ValueError):  # of a class written in C
        return {}
    return {
        name: "" if parameter.default is parameter.empty else repr(parameter.default)
        for name, parameter in parameters.items()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }


def _first_line(made_by: Any) -> str:
    return (inspect.getdoc(made_by) or "").partition("\n")[0].rstrip(".")


def _shown(written: str) -> str:
    return secrecy.address(written) if secrecy.is_address(written) else "no address"
