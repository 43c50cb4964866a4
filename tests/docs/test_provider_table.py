"""The table of providers in the docs says what the code says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PAGE = PROJECT / "docs" / "models.md"


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_provider_table", PROJECT / "scripts/write_provider_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_has_the_table_that_the_code_makes(script: ModuleType) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert script.with_table(page) == page, "run: python scripts/write_provider_table.py"


def test_the_table_has_every_provider_of_ours(script: ModuleType) -> None:
    from rowsmith.llm.overview import overview

    named = [line.split("`")[1] for line in script.table().splitlines()[2:]]
    assert named == [one.name for one in overview() if one.package == "rowsmith"]


def test_a_change_of_the_code_changes_the_page(script: ModuleType) -> None:
    page = PAGE.read_text(encoding="utf-8")
    drifted = page.replace("`ANTHROPIC_API_KEY` |", "`ANOTHER_KEY` |")
    assert drifted != page
    assert script.with_table(drifted) == page
