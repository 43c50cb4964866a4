"""The model that a generator's arguments name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from rowsmith.errors import ConfigError
from rowsmith.generator.config import GeneratorConfig
from rowsmith.llm.registry import entry_point, loaded
from rowsmith.llm.sharing import Choice, Spec, choose


def spec_of(model_name: Spec | None, model: Spec | None, provider: str | None) -> Spec | None:
    """One specification out of the arguments that may name a model.

    Args:
        model_name: `provider/model`, the model's name with `provider` beside it, or what datasets take as a model.
        model: another name of the same argument.
        provider: such as `openai`.

    Raises:
        ConfigError: the model is named twice.
    """
    if model_name is not None and model is not None:
        raise ConfigError("the model is named twice: model_name and model are the same; give one of them")
    given = model_name if model_name is not None else model
    if provider is None:
        return given
    if given is None:
        return provider
    if not isinstance(given, str):
        raise ConfigError("provider goes with the name of a model, such as provider='openai', model_name='gpt-5-mini'")
    return f"{provider}/{given.removeprefix(f'{provider}/')}"


def choice_of(spec: Spec | None, config: GeneratorConfig) -> Choice:
    """The model, with the generator's temperature and timeout where it takes them, as `with_settings` says.

    Raises:
        ConfigError: no model was named, there is none such, or a setting is out of its range.
    """
    if spec is None:
        raise ConfigError(
            "no model was named: write model_name='openai/gpt-5-mini', another provider/model, or 'offline' for a try "
            "without a model"
        )
    return choose(with_settings(spec, temperature=config.temperature, timeout=config.request_timeout))


def with_settings(spec: Spec, *, temperature: float | None, timeout: float | None) -> Spec:
    """The same model with settings, where it takes them.

    A provider that was made already, and one in a `Fallback` or `Spread`, keeps its own settings; so do the arguments
    of a mapping. A provider that knows no temperature (`offline`) goes without.
    """
    named = {"model": spec} if isinstance(spec, str) else spec
    if not isinstance(named, Mapping) or not isinstance(named.get("model"), str):
        return spec
    settings: dict[str, Any] = {"temperature": temperature, "timeout": timeout}
    wanted = {key: value for key, value in settings.items() if value is not None and key not in named}
    taken = _parameters(named["model"].strip().partition("/")[0]) if wanted else frozenset()
    made = {**{key: value for key, value in wanted.items() if key in taken}, **named}
    return made if len(made) > 1 else named["model"]


def _parameters(name: str) -> frozenset[str]:
    """The arguments that a provider takes."""
    try:
        point = entry_point(name)
    except ConfigError:
        return frozenset()  # `choose` says what is wrong with the name
    return frozenset(inspect.signature(loaded(name, [point])).parameters)
