"""One model out of the arguments that may name it."""

from __future__ import annotations

from typing import Any

import pytest

from rowsmith import Fallback
from rowsmith.errors import ConfigError
from rowsmith.llm.naming import model_of, named, with_settings
from rowsmith.llm.providers.offline import OfflineProvider
from rowsmith.llm.providers.openai import OpenAIProvider

READY = OfflineProvider("offline-ready")
BOTH = Fallback(["offline/offline-a", "offline/offline-b"])


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        ({}, None),
        ({"model_name": None, "llm": None}, None),
        ({"model_name": "openai/gpt-4"}, "openai/gpt-4"),
        ({"provider": "openai"}, "openai"),
        ({"provider": "openai", "model_name": "gpt-4"}, "openai/gpt-4"),
        ({"provider": "openai", "model_name": "openai/gpt-4"}, "openai/gpt-4"),
        ({"provider": "openrouter", "model": "openai/gpt-4", "model_name": None}, "openrouter/openai/gpt-4"),
        ({"llm": {"model": "openai/gpt-4"}, "model_name": None}, {"model": "openai/gpt-4"}),
        ({"model_name": READY}, READY),
        ({"llm": BOTH}, BOTH),
    ],
)
def test_one_model_is_named(arguments: dict[str, Any], meant: Any) -> None:
    assert named(**arguments) == meant


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"model_name": "a/b", "model": "a/b"}, "named twice, by model_name='a/b' and model='a/b': give one of them"),
        ({"model_name": "a/b", "llm": READY}, "by model_name='a/b' and llm=a OfflineProvider"),
        ({"provider": "openai", "llm": "a/b"}, "by provider='openai' and llm='a/b'"),
        ({"provider": "openai", "model_name": READY}, "model_name='gpt-5-mini'; model_name is a OfflineProvider"),
        ({"provider": "openai", "model": {"model": "x", "api_key": "sk-1"}}, "model='gpt-5-mini'; model is a dict$"),
    ],
)
def test_a_model_that_is_named_twice_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        named(**arguments)


@pytest.mark.parametrize(
    ("spec", "settings", "made"),
    [
        ("openai/gpt-4", {}, "openai/gpt-4"),
        ("openai/gpt-4", {"temperature": 0}, {"model": "openai/gpt-4", "temperature": 0}),
        ("openai/gpt-4", {"temperature": 2, "timeout": 9}, {"model": "openai/gpt-4", "temperature": 2, "timeout": 9}),
        ({"model": "openai/gpt-4"}, {}, "openai/gpt-4"),
        (
            {"model": "openai/gpt-4", "temperature": 1},
            {"temperature": 0.5, "timeout": 9},
            {"model": "openai/gpt-4", "temperature": 1, "timeout": 9},
        ),
        ("offline", {"temperature": 0.5}, "offline"),
        (" offline/offline-a", {"temperature": 0.5, "timeout": 9}, {"model": " offline/offline-a", "timeout": 9}),
        (READY, {"temperature": 0.5}, READY),
        (BOTH, {"temperature": 0.5}, BOTH),
        ({"fallback": ["offline", "openai/gpt-4"]}, {"timeout": 9}, {"fallback": ["offline", "openai/gpt-4"]}),
    ],
)
def test_settings_stand_beside_a_name(spec: Any, settings: dict[str, Any], made: Any) -> None:
    assert with_settings(spec, **settings) == made


@pytest.mark.parametrize("temperature", [-0.1, 2.1, "0.7", True, float("nan")])
def test_a_temperature_out_of_its_range_is_refused_whatever_the_model(temperature: Any) -> None:
    for spec in ("openai/gpt-4", "offline", READY):
        with pytest.raises(ConfigError, match=f"temperature is between 0 and 2, got {temperature!r}"):
            with_settings(spec, temperature=temperature)


def test_whom_a_name_means() -> None:
    made = model_of({"model": "openai/gpt-4", "api_key": "k"}, temperature=0.5, timeout=9)
    assert isinstance(made, OpenAIProvider)
    assert (made.model_id, made.temperature, made.timeout) == ("gpt-4", 0.5, 9)
    assert model_of(BOTH, temperature=0.5) is BOTH
    with pytest.raises(ConfigError, match="no model was named: write model_name='openai/gpt-5-mini'"):
        model_of(None)
    with pytest.raises(ConfigError, match=r"no provider 'opnai'.*Did you mean 'openai'"):
        model_of("opnai/gpt-4", timeout=9)
