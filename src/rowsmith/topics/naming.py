"""The model that a tree's arguments name, and how its build is carried out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from rowsmith.engine.options import Options
from rowsmith.errors import ConfigError, did_you_mean
from rowsmith.llm.sharing import Spec


def named(model_name: str | None, provider: str | None, llm: Spec | None, temperature: float | None) -> Spec | None:
    """The model that the arguments name, as `choose` takes it; None if they name none.

    Raises:
        ConfigError: they name two, or the temperature is out of its range.
    """
    if llm is not None:
        if model_name is not None or provider is not None:
            raise ConfigError("the model is named twice: give llm, or model_name (with provider), not both")
        if not isinstance(llm, str):
            if temperature is not None:
                raise ConfigError("temperature belongs to llm here: write it among its arguments")
            return llm
        model_name = llm
    if model_name is None:
        if provider is None:
            return None
        model_name = provider
    elif provider is not None:
        model_name = f"{provider}/{model_name.removeprefix(f'{provider}/')}"
    if temperature is None:
        return model_name
    if not 0 <= temperature <= 2:
        raise ConfigError(f"temperature is between 0 and 2, got {temperature}")
    # What is no model has no temperature, and a try-out with it is to need no other change.
    if model_name.partition("/")[0] == "offline":
        return model_name
    return {"model": model_name, "temperature": temperature}


def options_of(options: Options | None, how: Mapping[str, Any]) -> Options:
    """How a build is carried out; what is given by name wins, and None and False give nothing.

    Raises:
        ConfigError: there is no such option, or a value is out of its range.
    """
    known = {one.name for one in fields(Options)}
    for name in how:
        if name not in known:
            raise ConfigError(f"build has no argument {name!r}. {did_you_mean(name, known)}")
    given = {name: value for name, value in how.items() if value is not None and value is not False}
    return (options or Options()).but(**given)
