"""Lookups in the environment and in `.env` files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowsmith.errors import ConfigError
from rowsmith.settings import lookup, read_env_file


def test_a_variable_of_the_process_comes_before_the_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("ROWSMITH_T=file\n")
    assert lookup("ROWSMITH_T") == "file"
    monkeypatch.setenv("ROWSMITH_T", " process\n")
    assert lookup("ROWSMITH_T") == "process"


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROWSMITH_T", "  ")
    assert lookup("ROWSMITH_T") is None


def test_a_mapping_replaces_process_and_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROWSMITH_T", "process")
    Path(".env").write_text("ROWSMITH_T=file\n")
    assert lookup("ROWSMITH_T", {}) is None
    assert lookup("ROWSMITH_T", {"ROWSMITH_T": "given"}) == "given"


def test_a_changed_file_is_seen_at_the_next_lookup(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("ROWSMITH_T=one\n")
    assert lookup("ROWSMITH_T") == "one"
    Path(".env").write_text("ROWSMITH_T=two\n")
    assert lookup("ROWSMITH_T") == "two"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("K=plain", "plain"),
        ("  K = spaced  ", "spaced"),
        ("export K=exported", "exported"),
        ("K=sk-a#b", "sk-a#b"),
        ("K=value # a comment", "value"),
        ("K=# only a comment", ""),
        ("K=", ""),
        ("K='single # $HOME \\n'", "single # $HOME \\n"),
        ('K="double # \\"quoted\\" \\n\\\\"', 'double # "quoted" \n\\'),
        ('K="double" # a comment', "double"),
        ("K=a=b=c", "a=b=c"),
        ("K=$OTHER", "$OTHER"),
    ],
)
def test_a_line_is_read_as_shells_and_dotenv_do(tmp_path: Path, line: str, value: str) -> None:
    (tmp_path / ".env").write_text(f"# head\n\n{line}\nLAST=1\n", encoding="utf-8")
    assert read_env_file(tmp_path / ".env") == {"K": value, "LAST": "1"}


def test_other_lines_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("#K=no\nnot a line\n1K=no\n=no\nK=yes\n")
    assert read_env_file(tmp_path / ".env") == {"K": "yes"}


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbfK=v\r\nL=w\r\n")
    assert read_env_file(tmp_path / ".env") == {"K": "v", "L": "w"}


def test_a_missing_file_and_a_folder_of_that_name_hold_nothing(tmp_path: Path) -> None:
    assert read_env_file(tmp_path / ".env") == {}
    (tmp_path / ".env").mkdir()
    assert read_env_file(tmp_path / ".env") == {}


def test_a_file_that_is_no_text_is_an_error_that_shows_none_of_it(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"K=sk-secret\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8") as caught:
        read_env_file(tmp_path / ".env")
    assert "sk-secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@given(st.text(st.characters(exclude_characters="'\r\n", exclude_categories=["Cs"])))
def test_what_stands_in_single_quotes_comes_back_unchanged(
    tmp_path_factory: pytest.TempPathFactory, value: str
) -> None:
    path = tmp_path_factory.mktemp("env") / ".env"
    path.write_text(f"K='{value}'\n", encoding="utf-8")
    assert read_env_file(path) == {"K": value}
