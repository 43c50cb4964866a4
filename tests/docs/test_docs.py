"""Every example that a reader can copy is run: pages, docstrings, and the files of `examples/`."""

from __future__ import annotations

import doctest
import importlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fences import Example, Fence, of_docstrings, of_page
from run_example import LOADED, ExampleError, environment, run_example

from support.forks import Forks

PROJECT = Path(__file__).resolve().parents[2]
SOURCES = sorted((PROJECT / "src").rglob("*.py"))
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]


def name_of(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def examples_of_the_project() -> list[Example]:
    found = [example for page in PAGES for example in of_page(page, name_of(page))]
    found += [example for source in SOURCES for example in of_docstrings(source, name_of(source))]
    for path in sorted((PROJECT / "examples").rglob("*")):
        kind = {".py": "python", ".yaml": "yaml"}.get(path.suffix)
        if kind is not None:
            found.append(Example(kind, (Fence(name_of(path), 1, kind, path.read_text(encoding="utf-8")),)))
    return found


def modules_with_prompts() -> list[str]:
    paths = [path for path in SOURCES if ">>> " in path.read_text(encoding="utf-8")]
    names = [".".join(path.relative_to(PROJECT / "src").with_suffix("").parts) for path in paths]
    return [name.removesuffix(".__init__") for name in names]


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with Forks(environment(tmp_path_factory.mktemp("forks"), {}), LOADED) as running:
        yield running


@pytest.fixture
def services() -> dict[str, str]:
    """Where the providers of the examples find their models: nowhere but on this machine."""
    return {
        "OPENAI_API_KEY": "not-a-key",
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        "OLLAMA_HOST": "http://127.0.0.1:9",
    }


@pytest.mark.parametrize("example", examples_of_the_project(), ids=str)
def test_the_example_does_what_it_says(
    example: Example, tmp_path: Path, services: dict[str, str], forks: Forks
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    if example.fences[0].page.startswith("examples/"):
        for path in (PROJECT / "examples").iterdir():
            if path.suffix not in {".py", ".yaml"}:
                shutil.copy(path, folder)
    try:
        run_example(example, folder, services, forks)
    except ExampleError as error:
        if "MissingDependencyError" not in str(error):
            raise
        pytest.skip(str(error).rstrip().rpartition("\n")[2])


@pytest.mark.parametrize("module", modules_with_prompts())
def test_the_prompts_in_docstrings_answer_as_written(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = doctest.testmod(importlib.import_module(module), optionflags=doctest.ELLIPSIS)
    assert outcome.attempted
    assert not outcome.failed
