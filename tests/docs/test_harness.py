"""The harness of the documentation notices what is wrong on a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fences import Example, PageError, examples, fences, matches, of_docstrings
from run_example import LOADED, ExampleError, commands, environment, run_example

from support.forks import Forks


def found(page: str) -> list[Example]:
    return examples(fences("page.md", page.replace("'''", "```")))


Run = Callable[[str, Path], None]


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with Forks(environment(tmp_path_factory.mktemp("forks"), {}), LOADED) as running:
        yield running


@pytest.fixture
def run(forks: Forks) -> Run:
    """Runs all that is on a page."""

    def run(page: str, folder: Path) -> None:
        for number, example in enumerate(found(page)):
            (folder / str(number)).mkdir()
            run_example(example, folder / str(number), {}, forks)

    return run


def test_a_fence_knows_its_language_its_lines_and_its_text() -> None:
    (fence,) = fences("page.md", "# Title\n\n  ````python title=x\n  a = '```'\n    b\n  ````\n")
    assert (fence.language, fence.line, fence.text) == ("python", 4, "a = '```'\n  b\n")


def test_only_languages_that_can_be_run_are_examples() -> None:
    page = "'''text\nx\n'''\n'''\nx\n'''\n'''yaml\nkey: 1\n'''\n'''yaml\ndataset: classification\n'''\n'''py\nx\n'''\n"
    assert [example.kind for example in found(page)] == ["yaml", "python"]


def test_a_fence_that_is_not_run_must_say_why() -> None:
    assert found("<!-- not run: needs a key -->\n\n'''python\n1/0\n'''\n") == []
    with pytest.raises(PageError, match="must say more"):
        found("<!-- not run -->\n'''python\n1/0\n'''\n")


def test_a_mark_holds_for_the_next_fence_only() -> None:
    page = (
        "<!-- not run: why -->\n'''python\n1\n'''\n'''python\n2\n'''\n<!-- not run: why -->\ntext\n'''python\n3\n'''\n"
    )
    assert [example.fence.text for example in found(page)] == ["2\n", "3\n"]


def test_a_misspelt_mark_and_an_open_fence_are_errors() -> None:
    with pytest.raises(PageError, match="no such mark"):
        found("<!-- skip: why -->\n'''python\n1\n'''\n")
    with pytest.raises(PageError, match=r"page\.md:2: the fence is not closed"):
        found("'''python\n1\n")


def test_an_example_that_raises_fails_with_its_line_on_the_page(tmp_path: Path, run: Run) -> None:
    with pytest.raises(ExampleError, match=r'File "page\.md", line 4') as caught:
        run("# Title\n\n'''python\n1 / 0\n'''\n", tmp_path)
    assert "ZeroDivisionError" in str(caught.value)


def test_a_comment_behind_print_is_what_it_prints(tmp_path: Path, run: Run) -> None:
    run("'''python\nfor n in (1, 2):\n    print('row', n)  # row ...\nprint(\n    40\n)  # 40\n'''\n", tmp_path)
    with pytest.raises(ExampleError, match=r"page\.md:2: printed '41\\n'; the page says: 40"):
        run("'''python\nprint(41)  # 40\n'''\n", tmp_path / "0")


def test_a_commented_print_that_never_happens_fails(tmp_path: Path, run: Run) -> None:
    with pytest.raises(ExampleError, match=r"page\.md:3: printed nothing"):
        run("'''python\nif False:\n    print(1)  # 1\n'''\n", tmp_path)


def test_a_fence_that_continues_has_the_names_of_the_one_before(tmp_path: Path, run: Run) -> None:
    run("'''python\nx = 1\n'''\n<!-- continues -->\n'''python\nprint(x)  # 1\n'''\n", tmp_path)
    with pytest.raises(PageError, match="continues, but no python example"):
        found("'''console\n$ true\n'''\n<!-- continues -->\n'''python\n1\n'''\n")


def test_await_may_stand_outside_a_function(tmp_path: Path, run: Run) -> None:
    run("'''python\nimport asyncio\nprint(await asyncio.sleep(0, 7))  # 7\n'''\n", tmp_path)


def test_the_fence_below_is_the_output(tmp_path: Path, run: Run) -> None:
    page = "'''python\nprint('a', 1)\nprint('b')\n'''\n<!-- output -->\n'''text\na ...\nb\n'''\n"
    run(page, tmp_path)
    with pytest.raises(ExampleError, match="The page says"):
        run(page.replace("\nb\n", "\nc\n"), tmp_path / "0")


def test_files_of_a_page_lie_in_every_examples_folder(tmp_path: Path, run: Run) -> None:
    read = "'''python\nfrom pathlib import Path\nprint(Path('docs/a.txt').read_text())  # é\n'''\n"
    run(f"{read}<!-- file: docs/a.txt -->\n'''text\né\n'''\n{read}", tmp_path)


def test_a_console_shows_commands_and_what_they_print(tmp_path: Path, run: Run) -> None:
    assert commands("$ a \\\n  b\nout\n\n$ c\n") == [("a   b", "out\n\n"), ("c", "")]
    run("'''console\n$ printf 'one\\ntwo\\n'\none\ntwo\n$ true\n'''\n<!-- exit: 3 -->\n'''sh\nexit 3\n'''\n", tmp_path)
    with pytest.raises(ExampleError, match="ended with exit code 1"):
        run("'''console\n$ false\n'''\n", tmp_path / "0")
    with pytest.raises(ExampleError, match="The page says"):
        run("'''console\n$ echo one\ntwo\n'''\n", tmp_path / "1")


def test_no_example_reaches_beyond_this_machine_or_sees_its_keys(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    run("'''python\nimport os\nprint(os.environ.get('OPENAI_API_KEY'))  # None\n'''\n", tmp_path)
    for number, call in enumerate(
        (
            "create_connection(('192.0.2.1', 80), 1)",
            "create_connection(('example.invalid', 80), 1)",
            "getaddrinfo('example.invalid', 80)",
        )
    ):
        folder = tmp_path / f"net{number}"
        folder.mkdir()
        with pytest.raises(ExampleError, match="an example reached for the network"):
            run(f"'''python\nimport socket\nsocket.{call}\n'''\n", folder)


def test_json_must_be_json(tmp_path: Path, run: Run) -> None:
    run("'''json\n{\n  \"a\": 1\n}\n'''\n'''jsonl\n{}\n{}\n'''\n", tmp_path)
    with pytest.raises(ExampleError, match="not JSON"):
        run("'''jsonl\n{}\n{'a': 1}\n'''\n", tmp_path / "0")


def test_fences_in_docstrings_are_found_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text('def f():\n    """Do.\n\n    ```python\n    f()\n    ```\n    """\n')
    (example,) = of_docstrings(path, "module.py")
    assert (str(example), example.fence.text) == ("module.py:5", "f()\n")


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("a\nb", "\na  \nb\n\n", True),
        ("a ... c", "a b\nb c", True),
        ("1.5 s", "125 s", False),
        ("a", "ab", False),
        ("…", "", True),
    ],
)
def test_an_expected_text_may_leave_parts_open(expected: str, printed: str, same: bool) -> None:
    assert matches(expected, printed) is same
