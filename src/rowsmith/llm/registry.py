"""Providers by name, through one mechanism: the entry points of the group `rowsmith.providers`.

A package brings a provider by naming its class in its metadata; Rowsmith's own are named the same way:

    [project.entry-points."rowsmith.providers"]
    acme = "acme_rowsmith:AcmeProvider"

The class is called with `model_id` and the user's keyword arguments, and makes a `Provider`.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from rowsmith.errors import ConfigError, did_you_mean
from rowsmith.llm.provider import Provider
from rowsmith.llm.secrecy import plainly

GROUP = "rowsmith.providers"

_MEMBERS = ("name", "model_id", "endpoint", "rungs", "limits", "timeout", "describe", "encode", "complete")
_MAKERS = {
    "claude": "anthropic",
    "deepseek-": "deepseek",
    "gemini": "gemini",
    "grok-": "xai",
    "mistral-": "mistral",
}
"""Makers whose models are named like no one else's."""
_OPENAI_NAMES = re.compile(r"gpt-|chatgpt|chat-latest|o\d+(-|$)|ft:")


def available() -> list[str]:
    """The names of all providers that are installed, sorted. None of them is imported."""
    return sorted(installed())


def installed() -> dict[str, list[EntryPoint]]:
    """Where each provider is brought from, by name, sorted. None of them is imported."""
    found: dict[str, list[EntryPoint]] = {}
    for point in sorted(_points(), key=lambda point: point.name):
        found.setdefault(point.name, []).append(point)
    return found


def entry_point(name: str) -> EntryPoint:
    """Where a provider is brought from.

    Raises:
        ConfigError: nothing of that name is installed, or it is offered twice.
    """
    return _point(name, name, complete=True)


def loaded(name: str, points: Sequence[EntryPoint]) -> Any:
    """What makes the providers of a name: called with `model_id` and the user's arguments.

    Raises:
        ConfigError: it is offered twice, or cannot be loaded.
    """
    return _loaded(_only(name, points))


def resolve(spec: str | Mapping[str, Any] | Provider) -> Provider:
    """The provider that is meant.

    Args:
        spec: `openai/gpt-5-mini` (the model's id may hold further slashes); a provider's name alone, for its default
            model; a mapping of `model` to such a text with the provider's arguments beside it, as in YAML; or a
            provider, which is returned as it is.

    Raises:
        ConfigError: nothing of that name is installed, or the arguments are wrong.
    """
    if isinstance(spec, str):
        return _made(spec, {})
    if isinstance(spec, Mapping):
        arguments = dict(spec)
        model = arguments.pop("model", None)
        if not isinstance(model, str):
            raise ConfigError(
                "A model given by a mapping needs `model`, such as {'model': 'openai/gpt-5-mini', 'temperature': 0.7}; "
                f"it has {', '.join(map(repr, spec)) or 'nothing'}."
            )
        return _made(model, arguments)
    if isinstance(spec, type):
        raise ConfigError(f"A model must be a provider, not its class: write {spec.__name__}(...).")
    if isinstance(spec, Provider):
        return spec
    got = plainly(spec)
    raise ConfigError(f"A model must be a text such as 'openai/gpt-5-mini', a mapping or a provider; it is {got}.")


def check_name(spec: object) -> None:
    """Refuse a model that no provider of could be found for, without making it: a key may come later.

    Args:
        spec: as `resolve` takes it; what is neither a text nor a mapping with one is let through.

    Raises:
        ConfigError: nothing of that name is installed.
    """
    written = spec.get("model") if isinstance(spec, Mapping) else spec
    if isinstance(written, str):
        name, slash, _ = written.strip().partition("/")
        _point(name, written, complete=bool(slash))


def _made(written: str, arguments: dict[str, Any]) -> Provider:
    name, slash, model_id = written.strip().partition("/")
    point = _point(name, written, complete=bool(slash))
    if slash and not model_id:
        raise ConfigError(f"{written!r} names no model: write {name}/<model>.")
    maker = _loaded(point)
    if model_id:
        arguments = {"model_id": model_id, **_without_model_id(arguments, written)}
    _check_arguments(maker, arguments, name)
    made = maker(**arguments)
    missing = [member for member in _MEMBERS if not hasattr(made, member)]
    if missing:
        raise ConfigError(f"{_origin(point)} is no provider: it lacks {', '.join(missing)}.")
    provider: Provider = made
    return provider


def _points() -> Sequence[EntryPoint]:
    return _read(tuple((folder, _changed(Path(folder))) for folder in sys.path))


@lru_cache(maxsize=1)
def _read(_folders: tuple[tuple[str, int | None], ...]) -> Sequence[EntryPoint]:
    """What the packages of these folders offer, as they were at these times: to look it up, files of each are read."""
    return tuple(entry_points(group=GROUP))


def _changed(folder: Path) -> int | None:
    """When something came into a folder or left it, as installing and removing a package does."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return None


def _point(name: str, written: str, *, complete: bool) -> EntryPoint:
    found = [point for point in _points() if point.name == name]
    if not found:
        raise ConfigError(_unknown(name, written, complete=complete))
    return _only(name, found)


def _only(name: str, found: Sequence[EntryPoint]) -> EntryPoint:
    if len({point.value for point in found}) > 1:
        origins = " and ".join(sorted(_origin(point) for point in found))
        raise ConfigError(f"The provider {name!r} is offered twice, by {origins}: uninstall one of them.")
    return found[0]


def _unknown(name: str, written: str, *, complete: bool) -> str:
    known = available()
    if not known:
        return "No provider is installed, not even Rowsmith's own: its package metadata is missing. Install it again."
    if complete:
        return f"There is no provider {name!r} (in {written!r}). {did_you_mean(name, known)}"
    nearest = did_you_mean(name, known)
    if not name:
        return f"A model is written provider/model, such as openai/gpt-5-mini; it is empty. {nearest}"
    if nearest.startswith("Did you mean") and not _likely(name):
        return f"There is no provider {name!r}. {nearest}"
    likely = [_likely(name)] if _likely(name) in known else known
    meant = " or ".join(f"{provider}/{name}" for provider in likely if provider != "offline")
    return f"{written!r} names no provider: write provider/model, such as {meant}. Providers: {', '.join(known)}."


def _likely(model_id: str) -> str:
    """The provider of a model given without one, by the way such names are formed, or an empty text."""
    if _OPENAI_NAMES.match(model_id):
        return "openai"
    maker = next((provider for prefix, provider in _MAKERS.items() if model_id.startswith(prefix)), "")
    return maker or ("ollama" if ":" in model_id else "")


def _loaded(point: EntryPoint) -> Any:
    try:
        return point.load()
    except (ImportError, AttributeError) as exc:
        raise ConfigError(f"The provider {point.name!r} cannot be loaded from {_origin(point)}: {exc}.") from exc


def _origin(point: EntryPoint) -> str:
    package = point.dist.name if point.dist is not None else "an unnamed package"
    return f"{point.value} ({package})"


def _without_model_id(arguments: dict[str, Any], written: str) -> dict[str, Any]:
    if "model_id" in arguments:
        raise ConfigError(f"`model` already names the model ({written!r}): leave `model_id` out.")
    return arguments


def _check_arguments(maker: Any, arguments: Mapping[str, Any], name: str) -> None:
    parameters = inspect.signature(maker).parameters
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    known = [key for key in parameters if key != "model_id"]
    for key in arguments:
        if key not in parameters:
            raise ConfigError(f"The provider {name!r} has no argument {key!r}. {did_you_mean(str(key), known)}")
    lacking = [
        key
        for key, parameter in parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind is not parameter.VAR_POSITIONAL
        and key not in arguments
    ]
    if lacking:
        needed = f"{name}/<model>" if lacking == ["model_id"] else f"{', '.join(map(repr, lacking))} for {name!r}"
        raise ConfigError(f"Something is missing: give {needed}.")
