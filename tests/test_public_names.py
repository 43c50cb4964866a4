"""What `import rowsmith` shows, and what it costs."""

from __future__ import annotations

import json
import subprocess
import sys
from types import ModuleType

import pytest

import rowsmith
from rowsmith import errors

HEAVY = ("aiohttp", "json_repair", "orjson", "pydantic", "rich", "sqlite3", "typer", "yaml")


def test_the_list_of_names_is_sorted_and_has_no_name_twice() -> None:
    assert rowsmith.__all__ == sorted(set(rowsmith.__all__))


@pytest.mark.parametrize("name", rowsmith.__all__)
def test_every_name_resolves(name: str) -> None:
    value = getattr(rowsmith, name)
    assert getattr(value, "__name__", name) == name


def test_what_is_visible_is_the_list_and_nothing_else() -> None:
    for name in rowsmith.__all__:
        getattr(rowsmith, name)
    visible = {name for name, value in vars(rowsmith).items() if not isinstance(value, ModuleType)}
    private = {name for name in visible if name.startswith("_") and name != "__version__"}
    assert sorted(visible - private - {"TYPE_CHECKING"}) == rowsmith.__all__
    assert dir(rowsmith) == rowsmith.__all__


def test_every_error_is_a_public_name() -> None:
    tree = {
        name for name, value in vars(errors).items() if isinstance(value, type) and value.__module__ == errors.__name__
    }
    assert tree <= set(rowsmith.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'ClassificationDatasett'"):
        getattr(rowsmith, "ClassificationDatasett")  # noqa: B009 - a type checker would refuse the plain form


def test_importing_the_package_loads_none_of_its_dependencies() -> None:
    code = "import json, sys, rowsmith; print(json.dumps(sorted(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stderr == ""
    loaded = set(json.loads(out.stdout))
    assert "rowsmith.errors" in loaded
    assert loaded.isdisjoint(HEAVY)
