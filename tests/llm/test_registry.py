"""Providers by name, with a third-party package that is really installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rowsmith.errors import ConfigError
from rowsmith.llm.provider import Provider
from rowsmith.llm.providers.ollama import OllamaProvider
from rowsmith.llm.providers.openai import OpenAIProvider
from rowsmith.llm.registry import available, resolve

ACME = """
from dataclasses import dataclass, KW_ONLY
from rowsmith.llm.provider import KnownLimits
from rowsmith.llm.values import Completion, Rung


@dataclass(frozen=True)
class AcmeProvider:
    model_id: str
    _: KW_ONLY
    speed: float = 1.0
    timeout: float = 10.0
    name = "acme"
    endpoint = "acme://here"
    rungs = (Rung.PROMPT,)
    limits = KnownLimits()

    def describe(self):
        return {"speed": self.speed}

    def encode(self, request):
        return b""

    async def complete(self, body, transport):
        return Completion("")


class NotOne:
    def __init__(self, model_id="x", **anything):
        self.given = anything
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a package with the provider above, as pip lays it out."""

    def install(package: str, entries: dict[str, str], code: str = ACME) -> None:
        folder = tmp_path / "site" / package
        info = folder / f"{package}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / f"{package}.py").write_text(code)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = "".join(f"{name} = {value}\n" for name, value in entries.items())
        (info / "entry_points.txt").write_text(f"[rowsmith.providers]\n{lines}")
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.delitem(sys.modules, package, raising=False)

    return install


def test_rowsmiths_own_are_there() -> None:
    assert {"offline", "ollama", "openai"} <= set(available())
    assert available() == sorted(available())


@pytest.mark.parametrize(
    ("written", "model_id"),
    [("openai/gpt-5-mini", "gpt-5-mini"), ("openai/meta-llama/Llama-3:free", "meta-llama/Llama-3:free")],
)
def test_a_model_is_named_by_provider_and_id(monkeypatch: pytest.MonkeyPatch, written: str, model_id: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    made = resolve(written)
    assert isinstance(made, OpenAIProvider)
    assert made.model_id == model_id


def test_a_provider_alone_stands_for_its_default_model() -> None:
    assert resolve("ollama") == OllamaProvider()
    assert resolve("offline").name == "offline"
    assert resolve("offline/offline-b").model_id == "offline-b"


def test_a_mapping_gives_arguments_and_is_not_changed() -> None:
    given = {"model": "ollama/qwen3:8b", "temperature": 0.7, "num_ctx": 100}
    assert resolve(given) == OllamaProvider("qwen3:8b", temperature=0.7, num_ctx=100)
    assert given == {"model": "ollama/qwen3:8b", "temperature": 0.7, "num_ctx": 100}


def test_a_provider_is_returned_as_it_is() -> None:
    made = OllamaProvider()
    assert resolve(made) is made


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("gpt-5-mini", "openai/gpt-5-mini"),
        ("o3", "openai/o3"),
        ("qwen3:8b", "ollama/qwen3:8b"),
        ("llama", "Did you mean 'ollama'"),
        ("something", "openai/something"),
        ("opanai/gpt-5-mini", "Did you mean 'openai'"),
        ("nowhere/x", "Known: "),
        ("openai/", "openai/<model>"),
        ("", "provider/model"),
        ("/x", "no provider ''"),
        (3, "it is 3"),
        (None, "it is None"),
        (OpenAIProvider, "OpenAIProvider(...)"),
        ({}, "needs `model`"),
        ({"model_id": "x"}, "'model_id'"),
        ({"model": "ollama/x", "model_id": "y"}, "leave `model_id` out"),
        ({"model": "ollama/x", "temprature": 1}, "Did you mean 'temperature'"),
        ({"model": "ollama/x", "provider": "ollama"}, "no argument 'provider'"),
        ({"model": "ollama/x", "endpoint": "http://h"}, "no argument 'endpoint'"),
        ({"model": "ollama/x", "temperature": 9}, "it is 9"),
    ],
)
def test_what_is_wrong_is_told_with_what_would_be_right(spec: object, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(spec)  # type: ignore[arg-type]  # what a user may hand in
    assert told in str(caught.value)


def test_a_key_in_a_wrong_mapping_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve({"model": "ollama/x", "api_keey": "sk-secret-1234567890"})
    assert "secret" not in str(caught.value)


def test_a_third_partys_provider_is_found_loaded_and_checked(install: Install) -> None:
    install("acme_rowsmith", {"acme": "acme_rowsmith:AcmeProvider"})
    assert "acme" in available()
    assert "acme_rowsmith" not in sys.modules
    made = resolve({"model": "acme/turbo", "speed": 2.0})
    assert isinstance(made, Provider)
    assert (made.model_id, made.describe()) == ("turbo", {"speed": 2.0})
    with pytest.raises(ConfigError, match="Did you mean 'speed'"):
        resolve({"model": "acme/turbo", "sped": 2.0})
    with pytest.raises(ConfigError, match="acme/<model>"):
        resolve("acme")


def test_two_packages_with_one_name_are_both_named(install: Install) -> None:
    install("acme_one", {"acme": "acme_one:AcmeProvider"})
    install("acme_two", {"acme": "acme_two:AcmeProvider"})
    with pytest.raises(ConfigError, match=r"offered twice, by acme_one:AcmeProvider \(acme_one\) and acme_two"):
        resolve("acme/x")


def test_a_third_party_cannot_quietly_take_the_place_of_our_own(install: Install) -> None:
    install("acme_rowsmith", {"openai": "acme_rowsmith:AcmeProvider"})
    with pytest.raises(ConfigError, match="offered twice"):
        resolve("openai/x")


@pytest.mark.parametrize(
    ("value", "code", "told"),
    [
        ("acme_rowsmith:Missing", ACME, "Missing"),
        ("acme_rowsmith:AcmeProvider", "import a_module_that_is_not_there", "a_module_that_is_not_there"),
        ("acme_rowsmith:NotOne", ACME, "lacks name, model_id"),
    ],
)
def test_a_package_that_is_broken_is_named(install: Install, value: str, code: str, told: str) -> None:
    install("acme_rowsmith", {"acme": value}, code)
    with pytest.raises(ConfigError) as caught:
        resolve("acme/x")
    assert told in str(caught.value)
    assert "acme_rowsmith" in str(caught.value)


def test_nothing_is_looked_up_before_it_is_asked_for() -> None:
    code = (
        "import sys, importlib.metadata as metadata\n"
        "def fail(**_): raise AssertionError('looked up')\n"
        "metadata.entry_points = fail\n"
        "import rowsmith.llm.registry\n"
        "assert 'aiohttp' not in sys.modules\n"
        "import rowsmith.llm.providers.openai, rowsmith.llm.providers.ollama\n"
        "assert 'aiohttp' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
