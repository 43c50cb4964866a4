"""Documents and rows from local files and lists."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowsmith.data.folders import Reading
from rowsmith.data.readers import open_rows, open_source
from rowsmith.data.shapes import FINGERPRINT_BYTES, Document, fingerprint
from rowsmith.errors import SourceError

from .reading import FORMATS, TEXTS, as_csv, as_jsonl, contexts, file_at, message, texts

SKIP = Reading(bad_rows="skip")


@pytest.mark.parametrize("ending", ["", ".gz"], ids=["plain", "gzip"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a byte order mark"])
@pytest.mark.parametrize("name", [name for name in FORMATS if name != "a.txt"])
def test_texts_of_every_format_stay_as_they_are(tmp_path: Path, name: str, mark: bytes, ending: str) -> None:
    source = open_source(file_at(tmp_path, name + ending, mark + FORMATS[name](TEXTS)))
    assert texts(source) == TEXTS
    assert [source[at].text for at in reversed(range(len(source)))] == TEXTS[::-1]
    assert source[-1].text == TEXTS[-1]
    assert [document.text for document in source[1:3]] == TEXTS[1:3]


def test_each_line_of_a_text_file_is_a_text(tmp_path: Path) -> None:
    path = file_at(tmp_path, "a.txt", b"\xef\xbb\xbf  one \r\n\r\n\ttwo\n \t\nx\x0by\xe2\x80\xa8z\rw\nlast")
    source = open_source(path)
    assert texts(source) == ["  one ", "\ttwo", "x\x0by\u2028z\rw", "last"]
    assert source.skipped == Counter({"empty": 2})


lines = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), min_size=1).filter(
    lambda text: not text.isspace() and not text.endswith("\r") and not text.startswith("\ufeff")
)
some_texts = st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: bool(text) and not text.isspace())
formats = st.sampled_from([name + ending for name in FORMATS if name != "a.txt" for ending in ("", ".gz")])


@settings(max_examples=80, deadline=None)
@given(st.lists(some_texts, min_size=1, max_size=8), formats)
def test_whatever_was_written_is_read_at_any_number(
    tmp_path_factory: pytest.TempPathFactory, written: list[str], name: str
) -> None:
    path = file_at(tmp_path_factory.mktemp("source"), name, FORMATS[name.removesuffix(".gz")](written))
    source = open_source(path)
    assert [source[at].text for at in range(len(source))] == written
    first = {text: at for at, text in reversed(list(enumerate(written)))}
    assert all(source.fingerprint(at) == fingerprint(text) for text, at in first.items())
    assert len({source.fingerprint(at) for at in range(len(source))}) == len(written)
    assert texts(open_source(path, distinct=True)) == list(dict.fromkeys(written))


@settings(max_examples=60, deadline=None)
@given(st.lists(lines, min_size=1, max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_whatever_lines_were_written_are_read_at_any_number(
    tmp_path_factory: pytest.TempPathFactory, written: list[str], end: str
) -> None:
    path = file_at(tmp_path_factory.mktemp("source"), "a.txt", end.join(written))
    assert texts(open_source(path)) == written


def test_a_list_of_texts_is_a_source() -> None:
    source = open_source(["a", " ", "bb"], min_length=2)
    assert (texts(source), source.skipped) == (["bb"], Counter({"empty": 1, "too short": 1}))


def test_a_list_of_mappings_is_a_source_of_documents_and_of_rows() -> None:
    rows = [{"id": 7, "body": "x", "day": date(2026, 1, 2)}, {"id": 8, "body": "y", "day": None}]
    assert open_source(rows, "body", id_column="id")[1] == Document("y", "8")
    assert list(open_rows(rows)) == [{"id": 7, "body": "x", "day": "2026-01-02"}, {"id": 8, "body": "y", "day": None}]


def test_texts_outside_the_bounds_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = file_at(tmp_path, "a.jsonl", as_jsonl(["x" * size for size in (0, 1, 2, 3, 4, 5)]))
    source = open_source(path, min_length=2, max_length=4)
    assert [len(text) for text in texts(source)] == [2, 3, 4]
    assert source.skipped == Counter({"empty": 1, "too short": 1, "too long": 1})
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: 3 of 6 rows left out: 1 empty, 1 too short, 1 too long. "
        "A text needs at least 2 and at most 4 characters."
    ]


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
    assert texts(source) == ["1.10", "7e2", "true"]
    assert source.skipped == Counter({"empty": 2})


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.json"])
def test_ids_stay_as_they_are(tmp_path: Path, name: str) -> None:
    contents = {
        "a.csv": "id,text\n007,a\n1e3,b\n12345678901234567890123,c\n",
        "a.tsv": "id\ttext\n007\ta\n1e3\tb\n12345678901234567890123\tc\n",
        "a.jsonl": '{"id":"007","text":"a"}\n{"id":1e3,"text":"b"}\n{"id":12345678901234567890123,"text":"c"}\n',
        "a.json": '[{"id":"007","text":"a"},{"id":1e3,"text":"b"},{"id":12345678901234567890123,"text":"c"}]',
    }
    path = file_at(tmp_path, name, contents[name])
    assert [document.id for document in open_source(path, id_column="id")] == ["007", "1e3", "12345678901234567890123"]
    assert [str(row["id"]) for row in open_rows(path)][::2] == ["007", "12345678901234567890123"]


def test_without_an_id_column_a_document_is_called_by_what_it_says() -> None:
    assert open_source(["a"])[0].id == fingerprint("a").hex()


def test_a_context_goes_with_its_text_and_makes_another_document_of_it(tmp_path: Path) -> None:
    path = file_at(tmp_path, "a.csv", "title,text\nT,same\nU,same\nT,same\n")
    source = open_source(path, context_column="title", distinct=True)
    assert contexts(source) == [("same", "T"), ("same", "U")]
    assert source.fingerprint(0) != source.fingerprint(1)
    assert "no column 'titel'. Did you mean 'title'?" in message(path, context_column="titel")
    assert "is a text alone, without a 'title'" in message(["x"], context_column="title")


def test_rows_have_the_columns_that_were_named_in_their_order(tmp_path: Path) -> None:
    path = file_at(tmp_path, "a.csv", as_csv(["x", "y"]))
    assert list(open_rows(path, ["note", "id"])) == [{"note": "n\nm", "id": "000"}, {"note": "n\nm", "id": "001"}]
    assert list(open_rows(path)[0]) == ["id", "text", "note"]
    with pytest.raises(SourceError, match=r"no column 'nope'\. Did you mean 'note'"):
        open_rows(path, ["nope"])


nested = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="ascii")), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("abc"), nested, min_size=1), min_size=1, max_size=5), st.booleans())
def test_nested_fields_stay_as_they_are(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], as_array: bool
) -> None:
    content = json.dumps(rows) if as_array else "".join(json.dumps(row) + "\n" for row in rows)
    path = file_at(tmp_path_factory.mktemp("rows"), "a.json" if as_array else "a.jsonl", content)
    source = open_rows(path)
    assert list(source) == rows
    assert len({source.fingerprint(at) for at in range(len(rows))}) == len(rows)


def test_a_row_that_comes_again_has_a_fingerprint_of_its_own_that_a_longer_list_keeps() -> None:
    short, long = open_rows(["a", "b", "a"]), open_rows(["a", "b", "a", "a"])
    assert [short.fingerprint(at) for at in range(3)] == [long.fingerprint(at) for at in range(3)]
    assert len({long.fingerprint(at) for at in range(4)}) == 4
    assert [row["text"] for row in long] == ["a", "b", "a", "a"]
    assert len(open_rows(["a", "b", "a"], distinct=True)) == 2


def test_documents_longer_than_the_csv_modules_limit_are_read(tmp_path: Path) -> None:
    long = "word " * 100_000
    assert texts(open_source(file_at(tmp_path, "a.csv", as_csv([long, "b"])))) == [long, "b"]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.jsonl.gz"])
def test_memory_does_not_grow_with_the_length_of_the_texts(tmp_path: Path, name: str) -> None:
    written = [f"{at} " + "x" * 20_000 for at in range(500)]
    path = file_at(tmp_path, name, FORMATS[name.removesuffix(".gz")](written))
    tracemalloc.start()
    try:
        source = open_source(path)
        assert source[499].text.startswith("499 ")
        current, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert current < 400_000
    assert peak < 1_000_000


def test_a_missing_file_names_its_nearest_neighbour(tmp_path: Path) -> None:
    file_at(tmp_path, "documents.jsonl", "")
    assert "Did you mean 'documents.jsonl'?" in message(tmp_path / "document.jsonl")
    assert "Known: documents.jsonl." in message(tmp_path / "xyz.csv")
    assert "Neither is there a folder" in message(tmp_path / "no" / "a.csv")
    (tmp_path / "bare").mkdir()
    assert "There is no .txt, .md, .csv" in message(tmp_path / "bare" / "a.csv")


def test_an_unknown_ending_names_those_that_are_known(tmp_path: Path) -> None:
    text = message(file_at(tmp_path, "a.docx", "x"))
    assert "'.docx'" in text
    assert ".jsonl" in text


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl", "a.json", "a.md"])
@pytest.mark.parametrize("content", ["", "\n", "\ufeff"])
def test_an_empty_file_is_an_error(tmp_path: Path, name: str, content: str, ending: str) -> None:
    text = message(file_at(tmp_path, name + ending, content))
    assert name in text
    assert any(word in text for word in ("no rows", "is empty", "1 empty", "no column"))


def test_a_file_without_usable_texts_says_why(tmp_path: Path) -> None:
    path = file_at(tmp_path, "a.txt", "a\nb\n\nccc")
    assert message(path, min_length=5, max_length=9).endswith(
        "can be used: 3 too short, 1 empty. A text needs at least 5 and at most 9 characters."
    )
    assert "no rows" in message([])


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


DAMAGED = [
    ("a.jsonl", '{"text": "a"}\n{"text": \n{"text": "b"}\n', "Line 2 of"),
    ("a.jsonl", '{"text": "a"}\n{"text": "\\ud800"}\n{"text": "b"}\n', "Line 2 of"),
    ("a.jsonl", '{"text": "a"}\n[1]\n{"text": "b"}\n', "is not an object but a list"),
    ("a.jsonl", '{"text": "a"}\n{"text": ["a"]}\n{"text": "b"}\n', "an array under 'text'"),
    ("a.json", '[{"text": "a"}, {"txt": 1}, {"text": "b"}]', "Item 1 of"),
    ("a.json", '["a", {"text": tru}, "b"]', "Item 1 of"),
    ("a.json", '["a",, "b"]', "Item 1 of"),
    ("a.json", '["a", "\\ud800", "b"]', "Item 1 of"),
    ("a.csv", 'id,text\n1,"a"\n2\n3,b', "Line 3 of"),
    ("a.csv", 'id,text\n1,a\n2,"x\n3,b\n', "The record at line 3 of"),
    ("a.csv", 'id,text\n1,a\n2,"a"b\n3,b\n', "is not CSV"),
    ("a.csv", "id,text\n1,a\n2,Hello, world\n3,b\n", "Line 3 of"),
    ("a.txt", b"a\ncaf\xe9\nb\n", "byte 0xE9 at 5, in line 2"),
    ("a.csv", b'id,text\n1,a\n2,"caf\xe9\nx"\n3,b\n', "byte 0xE9 at 18, in line 3"),
    ("a.jsonl", b'{"text":"a"}\n{"text":"caf\xe9"}\n{"text":"b"}\n', "byte 0xE9 at 25, in line 2"),
    ("a.json", b'["a",\n"caf\xe9",\n"b"]', "byte 0xE9 at 10, in line 2"),
]


@pytest.mark.parametrize(("name", "content", "said"), DAMAGED)
def test_a_damaged_row_is_an_error_with_its_place(tmp_path: Path, name: str, content: str | bytes, said: str) -> None:
    text = message(file_at(tmp_path, name, content))
    assert said in text
    assert name in text


@pytest.mark.parametrize(("name", "content", "said"), DAMAGED)
def test_a_damaged_row_is_left_out_by_choice_and_the_others_are_read(
    tmp_path: Path, name: str, content: str | bytes, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    source = open_source(file_at(tmp_path, name, content), reading=SKIP)
    assert texts(source) == ["a", "b"]
    assert source.skipped == Counter({"unreadable": 1})
    assert said in caplog.text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"text": "a"}', "or an object with one; it holds none"),
        ('{"a": [1], "b": [2]}', "an object with 2 arrays: a, b"),
        ('"a"', "has to hold an array"),
        ('{"text": "a"}\n{"text": "b"}', "call it .jsonl"),
        ("[1", "is not JSON"),
        ('["a" "b"]', "a comma or ] is missing"),
        ('["a"', "a comma or ] is missing"),
        ('["a', "it ends in the middle"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_a_json_file_must_hold_one_array(tmp_path: Path, content: str, said: str) -> None:
    text = message(file_at(tmp_path, "a.json", content))
    assert said in text
    assert "a.json" in text


def test_an_item_that_is_no_text_is_an_error() -> None:
    assert "Item 1 of the list is neither a text nor a mapping but a int." in message(["a", 3])
    assert "Item 0 of the list has half of a surrogate pair" in message(["\ud800"])
    assert "Item 0 of the list has half of a surrogate pair" in message([{"text": "\ud800"}])
    assert "this is a str" not in message(["a", 3])
    assert "this is a generator. Give list(...) of it." in message(text for text in "ab")


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl", "a.json"])
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
    assert texts(source) == ["one", "two"]
    assert source.skipped == {"repeated": 1}
    many = [str(at % 10_000) for at in range(20_000)]
    assert texts(open_source(many, distinct=True)) == many[:10_000]


def test_a_limit_takes_the_first_that_fit_and_reads_no_further(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text('{"text": "x"}\n{"text": "long enough"}\n{"text": "also long"}\nnot JSON\n')
    assert texts(open_source(path, min_length=5, limit=2)) == ["long enough", "also long"]
