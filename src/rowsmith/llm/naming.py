"""One model out of the arguments that may name it, and the settings that stand beside its name.

Datasets take a model as one value (`rowsmith.llm.sharing.Spec`). A `Tree`, a `Graph` and a `DataSetGenerator` also take
it in parts, as `provider="openai", model_name="gpt-5-mini", temperature=0.7`. Both come to the same here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rowsmith.errors import ConfigError
from rowsmith.llm.secrecy import plainly
from rowsmith.llm.sharing import Choice, Spec, choose

_NO_MODEL = "offline"
"""The provider that has no temperature: a try-out with it is to need no other change."""


def named(provider: str | None = None, *, llm: Spec | None = None, **names: Spec | None) -> Spec | None:
    """The model that the arguments name, as `choose` takes it; None if they name none. No provider is looked for yet.

    Args:
        provider: such as `openai`: goes before the name that one of `names` has; alone it means its default model.
        llm: the whole model, as datasets take it; nothing goes with it.
        **names: by the arguments of the caller, such as `model_name`: the name of a model (`provider/model`, or without
            its provider where `provider` is given), or what datasets take.

    Raises:
        ConfigError: two arguments name a model, or `provider` stands beside what is no name.
    """
    given = {argument: value for argument, value in names.items() if value is not None}
    parts = given or ({} if provider is None else {"provider": provider})
    if llm is not None:
        parts = {**parts, "llm": llm}
    if len(parts) > 1:
        told = " and ".join(f"{argument}={plainly(value)}" for argument, value in parts.items())
        raise ConfigError(f"the model is named twice, by {told}: give one of them")
    if llm is not None:
        return llm
    if provider is None or not given:
        return next(iter(given.values()), provider)
    ((argument, name),) = given.items()
    if not isinstance(name, str):
        raise ConfigError(
            f"provider goes with the name of a model, such as provider='openai', {argument}='gpt-5-mini'; "
            f"{argument} is {plainly(name)}"
        )
    return f"{provider}/{name.removeprefix(f'{provider}/')}"


def with_settings(spec: Spec, *, temperature: float | None = None, timeout: float | None = None) -> Spec:
    """The same model with settings beside its name.

    A provider that was made already, and one in a `Fallback` or `Spread`, keeps its own settings; so do the arguments
    of a mapping. `offline`, which is no model, goes without a temperature.

    Args:
        spec: as `choose` takes it.
        temperature: from 0 to 2; None leaves the model's default.
        timeout: seconds that one request may take; None leaves the provider's default.

    Raises:
        ConfigError: the temperature is out of its range.
    """
    number = isinstance(temperature, int | float) and not isinstance(temperature, bool)
    if temperature is not None and not (number and 0 <= temperature <= 2):
        raise ConfigError(f"temperature is between 0 and 2, got {plainly(temperature)}")
    arguments: Any = {"model": spec} if isinstance(spec, str) else spec
    if not isinstance(arguments, Mapping) or not isinstance(arguments.get("model"), str):
        return spec
    model = arguments["model"]
    settings: dict[str, Any] = {"timeout": timeout}
    if model.strip().partition("/")[0] != _NO_MODEL:
        settings["temperature"] = temperature
    made = {**{key: value for key, value in settings.items() if value is not None}, **arguments}
    return made if len(made) > 1 else model


def model_of(spec: Spec | None, *, temperature: float | None = None, timeout: float | None = None) -> Choice:
    """Whom a specification means, with settings as `with_settings` gives them.

    Args:
        spec: as `named` returns it.
        temperature: from 0 to 2; None leaves the model's default.
        timeout: seconds that one request may take; None leaves the provider's default.

    Raises:
        ConfigError: no model was named, there is none such, or a setting is out of its range.
    """
    if spec is None:
        raise ConfigError(
            "no model was named: write model_name='openai/gpt-5-mini', another provider/model, or 'offline' for a try "
            "without a model"
        )
    return choose(with_settings(spec, temperature=temperature, timeout=timeout))
