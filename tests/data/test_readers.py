"""Texts from local files and lists."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowsmith.data.readers import FINGERPRINT_BYTES, fingerprint, open_source
from rowsmith.errors import SourceError

TEXTS = ["007", "  def f():\n\treturn 1\r\n", "a, \"b\"; 'c'", "é 漢 \U0001f600", "\ufeffmark", "x\u2028y\x0bz", "1.10"]


def as_csv(texts: list[str], delimiter: str = ",") -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(["id", "text", "note"])
    writer.writerows([str(at), text, "n\nm"] for at, text in enumerate(texts))
    return out.getvalue().encode()


def as_jsonl(texts: list[str]) -> bytes:
    return "".join(json.dumps({"id": at, "text": text}) + "\n" for at, text in enumerate(texts)).encode()


def as_json(texts: list[str]) -> bytes:
    return json.dumps([{"text": text} for text in texts], ensure_ascii=False).encode()


FORMATS: dict[str, Callable[[list[str]], bytes]] = {
    "a.csv": as_csv,
    "semicolons.csv": lambda texts: as_csv(texts, ";"),
    "a.tsv": lambda texts: as_csv(texts, "\t"),
    "a.jsonl": as_jsonl,
    "a.ndjson": as_jsonl,
    "a.json": as_json,
    "b.json": lambda texts: json.dumps(texts).encode(),
    "a.txt": lambda texts: "\n".join(texts).encode(),
}


def file_at(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a byte order mark"])
@pytest.mark.parametrize("name", [name for name in FORMATS if name != "a.txt"])
def test_texts_of_every_format_stay_as_they_are(tmp_path: Path, name: str, mark: bytes) -> None:
    source = open_source(file_at(tmp_path, name, mark + FORMATS[name](TEXTS)))
    assert list(source) == TEXTS
    assert [source[at] for at in reversed(range(len(source)))] == TEXTS[::-1]
    assert source[-1] == TEXTS[-1]
    assert source[1:3] == TEXTS[1:3]


def test_each_line_of_a_text_file_is_a_text(tmp_path: Path) -> None:
    path = file_at(tmp_path, "a.txt", b"\xef\xbb\xbf  one \r\n\r\n\ttwo\n \t\nx\x0by\xe2\x80\xa8z\rw\nlast")
    source = open_source(path)
    assert list(source) == ["  one ", "\ttwo", "x\x0by\u2028z\rw", "last"]
    assert source.skipped == Counter({"empty": 2})


lines = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), min_size=1).filter(
    lambda text: not text.isspace() and not text.endswith("\r") and not text.startswith("\ufeff")
)
texts = st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: bool(text) and not text.isspace())


@settings(max_examples=60, deadline=None)
@given(st.lists(texts, min_size=1, max_size=8), st.sampled_from(["a.csv", "a.tsv", "a.jsonl", "a.json", "b.json"]))
def test_whatever_was_written_is_read_at_any_number(
    tmp_path_factory: pytest.TempPathFactory, written: list[str], name: str
) -> None:
    path = file_at(tmp_path_factory.mktemp("source"), name, FORMATS[name](written))
    source = open_source(path)
    assert [source[at] for at in range(len(source))] == written
    assert bytes(source.fingerprints) == b"".join(map(fingerprint, written))


@settings(max_examples=60, deadline=None)
@given(st.lists(lines, min_size=1, max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_whatever_lines_were_written_are_read_at_any_number(
    tmp_path_factory: pytest.TempPathFactory, written: list[str], end: str
) -> None:
    path = file_at(tmp_path_factory.mktemp("source"), "a.txt", end.join(written))
    assert list(open_source(path)) == written


def test_a_list_of_texts_is_a_source() -> None:
    source = open_source(["a", " ", "bb"], min_length=2)
    assert (list(source), source.skipped) == (["bb"], Counter({"empty": 1, "too short": 1}))


def test_texts_outside_the_bounds_are_left_out_and_counted(tmp_path: Path) -> None:
    path = file_at(tmp_path, "a.jsonl", as_jsonl(["x" * size for size in (0, 1, 2, 3, 4, 5)]))
    source = open_source(path, min_length=2, max_length=4)
    assert [len(text) for text in source] == [2, 3, 4]
    assert source.skipped == Counter({"empty": 1, "too short": 1, "too long": 1})


def test_fingerprints_tell_which_texts_a_longer_file_already_had(tmp_path: Path) -> None:
    path = file_at(tmp_path, "a.jsonl", as_jsonl(["one", "two"]))
    before = bytes(open_source(path).fingerprints)
    path.write_bytes(as_jsonl(["one", "two", "three"]))
    after = bytes(open_source(path).fingerprints)
    assert len(before) == 2 * FINGERPRINT_BYTES
    assert after.startswith(before)
    assert before[:FINGERPRINT_BYTES] == bytes.fromhex("34f2ddaa8b7615c9")


def test_numbers_and_truth_values_in_json_give_their_spelling(tmp_path: Path) -> None:
    path = file_at(tmp_path, "a.jsonl", '{"text": 1.10}\n{"text": 7e2}\n{"text": true}\n{"text": null}\n\n')
    source = open_source(path)
    assert list(source) == ["1.10", "7e2", "true"]
    assert source.skipped == Counter({"empty": 2})


def test_documents_longer_than_the_csv_modules_limit_are_read(tmp_path: Path) -> None:
    long = "word " * 100_000
    assert list(open_source(file_at(tmp_path, "a.csv", as_csv([long, "b"])))) == [long, "b"]


def test_memory_does_not_grow_with_the_length_of_the_texts(tmp_path: Path) -> None:
    path = file_at(tmp_path, "a.jsonl", as_jsonl([f"{at} " + "x" * 20_000 for at in range(500)]))
    tracemalloc.start()
    try:
        source = open_source(path)
        assert source[499].startswith("499 ")
        current, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert current < 100_000
    assert peak < 1_000_000


def message(
    origin: Path | list[str], column: str = "text", *, min_length: int = 0, max_length: int | None = None
) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(origin, column, min_length=min_length, max_length=max_length)
    return str(caught.value)


def test_a_missing_file_names_its_nearest_neighbour(tmp_path: Path) -> None:
    file_at(tmp_path, "documents.jsonl", "")
    assert "Did you mean 'documents.jsonl'?" in message(tmp_path / "document.jsonl")
    assert "Known: documents.jsonl." in message(tmp_path / "xyz.csv")
    assert "Neither is there a folder" in message(tmp_path / "no" / "a.csv")
    (tmp_path / "bare").mkdir()
    assert "There is no .txt, .csv" in message(tmp_path / "bare" / "a.csv")


def test_what_is_no_known_file_is_refused(tmp_path: Path) -> None:
    assert "is a folder" in message(tmp_path)
    assert "'.parquet'" in message(file_at(tmp_path, "a.parquet", "x"))
    assert ".jsonl" in message(file_at(tmp_path, "a.parquet", "x"))


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl", "a.json"])
@pytest.mark.parametrize("content", ["", "\n", "\ufeff"])
def test_an_empty_file_is_an_error(tmp_path: Path, name: str, content: str) -> None:
    text = message(file_at(tmp_path, name, content))
    assert name in text
    assert any(word in text for word in ("no texts", "is empty", "1 empty", "no column"))


def test_a_file_without_usable_texts_says_why(tmp_path: Path) -> None:
    path = file_at(tmp_path, "a.txt", "a\nb\n\nccc")
    assert message(path, min_length=5, max_length=9).endswith(
        "can be used: 3 too short, 1 empty. A text needs at least 5 and at most 9 characters."
    )
    assert "no texts" in message([])


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_missing_column_names_the_nearest(tmp_path: Path, name: str) -> None:
    path = file_at(tmp_path, name, FORMATS[name](["x"]))
    assert "no column 'txt'. Did you mean 'text'?" in message(path, "txt")
    assert "Known: id, note, text." in message(path, "zzz")


def test_a_column_that_is_there_twice_is_an_error(tmp_path: Path) -> None:
    assert "2 columns named 'text'" in message(file_at(tmp_path, "a.csv", "text,text\na,b\n"))


def test_a_row_without_the_key_is_named_by_its_line(tmp_path: Path) -> None:
    path = file_at(tmp_path, "a.jsonl", '{"text": "a"}\n\n{"txt": "b"}\n')
    assert message(path) == f"Line 3 of {path} has no 'text'. Did you mean 'txt'?"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", '{"text": "a"}\n{"text": \n', "Line 2 of"),
        ("a.jsonl", '{"text": "\\ud800"}\n', "Line 1 of"),
        ("a.jsonl", "[1]\n", "is not an object but a list"),
        ("a.jsonl", '{"text": ["a"]}\n', "an array under 'text'"),
        ("a.json", '{"text": "a"}', "an array of objects or texts"),
        ("a.json", '["a", {"txt": 1}]', "Item 1 of"),
        ("a.json", '["\\ud800"]', "half of a surrogate pair"),
        ("a.json", "[" * 100_000, "is not JSON"),
        ("a.json", "[1", "is not JSON"),
        ("a.csv", 'id,text\n1,"a\nb"\n2\n', "Line 4 of"),
        ("a.csv", 'id,text\n1,a\n2,"b\n3,c\n', "The record at line 3 of"),
        ("a.csv", 'id,text\n1,"a"b\n', "is not CSV"),
    ],
)
def test_a_damaged_file_is_an_error_with_the_place(tmp_path: Path, name: str, content: str, said: str) -> None:
    text = message(file_at(tmp_path, name, content))
    assert said in text
    assert name in text


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl", "a.json"])
def test_another_encoding_is_an_error_with_byte_and_line(tmp_path: Path, name: str) -> None:
    text = message(file_at(tmp_path, name, '"text"\n"ab caf\xe9"\n'.encode("latin-1")))
    assert "byte 0xE9 at 14, in line 2" in text
    assert "iconv" in text
    assert "UTF-16" in message(file_at(tmp_path, name, "text\n".encode("utf-16")))


def test_an_item_that_is_no_text_is_an_error() -> None:
    assert "Item 1 of the list of texts is not a text but a int." in message(["a", 3])  # type: ignore[list-item]
    assert "item 0" in message(["\ud800"])


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl"])
@pytest.mark.parametrize("change", [b"", b"text\n", b"text\nother words\n" * 3], ids=["emptied", "cut", "rewritten"])
def test_a_file_that_changes_while_in_use_never_gives_another_text(tmp_path: Path, name: str, change: bytes) -> None:
    path = file_at(tmp_path, name, FORMATS[name](["one", "two", "three"]))
    source = open_source(path)
    path.write_bytes(change)
    with pytest.raises(SourceError):
        source[2]
    path.unlink()
    with pytest.raises(SourceError, match="cannot be read"):
        source[2]


def test_a_number_outside_is_an_index_error() -> None:
    with pytest.raises(IndexError):
        open_source(["a"])[1]
    with pytest.raises(IndexError):
        open_source(["a"])[-2]


def test_repeated_texts_are_left_out_where_they_must_differ() -> None:
    source = open_source(["one", "two", "one"], distinct=True)
    assert list(source) == ["one", "two"]
    assert source.skipped == {"repeated": 1}
    assert [source.fingerprint(number) for number in (0, 1)] == [fingerprint("one"), fingerprint("two")]


def test_a_limit_takes_the_first_that_fit_and_reads_no_further(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text('{"text": "x"}\n{"text": "long enough"}\n{"text": "also long"}\nnot JSON\n')
    assert list(open_source(path, min_length=5, limit=2)) == ["long enough", "also long"]
