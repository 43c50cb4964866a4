"""What providers tell of themselves before any of them is made."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import pytest

from rowsmith.errors import ConfigError
from rowsmith.llm.batch import Batching
from rowsmith.llm.facts import Facts, Telling
from rowsmith.llm.overview import Listed, Setting, overview, provider
from rowsmith.llm.provider import Provider
from rowsmith.llm.registry import installed, loaded, resolve

ACME = '''
class Acme:
    """Acme's own models."""

    def __init__(self, model_id, *, speed=1.0):
        self.model_id = model_id


class NeedsMuch:
    def __init__(self, model_id="much-1"):
        pass

    @classmethod
    def facts(cls):
        from rowsmith.llm.facts import Facts

        return Facts(title="Much", extra="much", package="no_such_package_at_all")
'''


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of somebody else's, installed as pip lays it out."""
    site = tmp_path / "site"
    (info := site / "acme-1.0.dist-info").mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    lines = "acme = acme_models:Acme\nbroken = acme_nowhere:Acme\nmuch = acme_models:NeedsMuch\n"
    (info / "entry_points.txt").write_text(f"[rowsmith.providers]\n{lines}")
    (site / "acme_models.py").write_text(ACME)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "acme_models", raising=False)


def own() -> list[Listed]:
    return [one for one in overview() if one.package == "rowsmith" and not one.problem]


def made(one: Listed) -> Provider:
    """A provider of that name, as far as it can be made without a key or an address."""
    arguments: dict[str, Any] = {}
    if one.facts.keys:
        arguments["api_key"] = "any-key"
    if one.facts.bases and not one.facts.base:
        arguments["api_base"] = "https://models.example.com/v1"
    return resolve({"model": f"{one.name}/{one.model or 'any'}", **arguments})


def test_every_provider_of_ours_tells_of_itself() -> None:
    for one in own():
        assert isinstance(loaded(one.name, installed()[one.name]), Telling), one.name
        assert one.facts.title, one.name
        assert one.facts.rungs, one.name


@pytest.mark.parametrize("one", [one for one in own() if not one.facts.package], ids=lambda one: one.name)
def test_what_it_tells_is_what_it_does(one: Listed) -> None:
    provider = made(one)
    assert provider.rungs == one.facts.rungs
    assert one.batches is isinstance(provider, Batching)
    if one.facts.base:
        assert provider.endpoint.startswith(one.facts.base)
    if one.facts.endpoint:
        assert provider.endpoint == one.facts.endpoint
    if one.model:
        assert provider.model_id == one.model
    if one.facts.reasoning:
        assert one.facts.reasoning in inspect.signature(type(provider)).parameters
    else:
        assert not {"reasoning_effort", "think"} & one.arguments.keys()


@pytest.mark.parametrize(
    "one", [one for one in own() if one.facts.needs_key and one.facts.keys], ids=lambda one: one.name
)
def test_a_key_is_taken_from_the_variables_that_it_tells_of(one: Listed, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in one.facts.bases[:1] if not one.facts.base else ():
        monkeypatch.setenv(variable, "https://models.example.com/v1")
    spec = f"{one.name}/{one.model or 'any'}"
    with pytest.raises(ConfigError, match=one.facts.keys[0]):
        resolve(spec)
    assert provider(one.name).lacks_key
    for variable in one.facts.keys:
        monkeypatch.setenv(variable, "k-1234")
        assert provider(one.name).key == Setting(variable, "environment")
        resolve(spec)
        monkeypatch.delenv(variable)


def test_a_variable_in_the_env_file_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("OPENAI_API_KEY=from-the-file\nXAI_API_KEY=\n")
    assert provider("openai").key == Setting("OPENAI_API_KEY", ".env")
    assert provider("xai").key is None
    monkeypatch.setenv("OPENAI_API_KEY", "from-the-environment")
    assert provider("openai").key == Setting("OPENAI_API_KEY", "environment")
    assert "from-the" not in repr(provider("openai"))


@pytest.mark.usefixtures("acme")
def test_a_class_that_tells_nothing_is_listed_all_the_same() -> None:
    one = provider("acme")
    assert one.facts == Facts(title="Acme's own models")
    assert (one.package, one.model, one.problem, one.key, one.base) == ("acme", "", "", None, "")
    assert one.arguments == {"speed": "1.0"}
    names = {one.name: one for one in overview()}
    assert names["acme"] == one
    assert "cannot be loaded" in names["broken"].problem
    assert names["much"].problem == "needs an optional dependency: pip install 'rowsmith[much]'"
    assert names["much"].model == "much-1"


def test_an_unknown_name_is_an_error_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'gemini'"):
        provider("gemni")
