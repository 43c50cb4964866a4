"""Many files, whole files, gzip and encodings."""

from __future__ import annotations

import gzip
import os
import random
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowsmith.data import inflate
from rowsmith.data.folders import Reading
from rowsmith.data.inflate import Inflated
from rowsmith.data.readers import open_rows, open_source
from rowsmith.errors import SourceError

from .reading import as_csv, as_jsonl, file_at, message, texts

WHOLE = Reading(whole_files=True)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A folder of every kind of file, written in no order."""
    file_at(tmp_path, "notes/b.md", "# B\n\ntext\n")
    file_at(tmp_path, "notes/sub/c.txt", "one\ntwo\n")
    file_at(tmp_path, "notes/a.jsonl.gz", as_jsonl(["first", "second"]))
    file_at(tmp_path, "notes/sub/d.csv", as_csv(["in a table"]))
    file_at(tmp_path, "notes/picture.png", b"\x89PNG")
    file_at(tmp_path, "notes/.hidden.md", "hidden")
    file_at(tmp_path, "notes/.git/x.md", "hidden")
    return tmp_path / "notes"


def test_a_folder_is_all_its_files_in_the_order_of_their_paths(notes: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = open_source(notes)
    assert texts(source) == ["first", "second", "# B\n\ntext\n", "one", "two", "in a table"]
    assert [source[at].text for at in (5, 2, 0)] == ["in a table", "# B\n\ntext\n", "first"]
    assert source[2].id == "b.md"
    assert source.skipped == {"of an unknown format": 1}
    assert "1 files of other formats were passed over" in caplog.text


def test_a_pattern_is_the_files_that_it_fits_called_by_their_paths_from_its_fixed_part(notes: Path) -> None:
    source = open_source(f"{notes}/**/*.[mt]*", reading=WHOLE)
    assert [(document.id, document.text) for document in source] == [
        ("b.md", "# B\n\ntext\n"),
        ("sub/c.txt", "one\ntwo\n"),
    ]
    assert list(open_rows(f"{notes}/sub/*.txt", reading=WHOLE)) == [{"text": "one\ntwo\n", "id": "c.txt"}]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    assert texts(open_source(file_at(tmp_path, "a[1].txt", "x\n"))) == ["x"]


def test_new_files_in_a_folder_leave_the_fingerprints_of_the_others(notes: Path) -> None:
    before = open_source(notes)
    marks = [before.fingerprint(at) for at in range(len(before))]
    file_at(notes, "0.md", "new")
    after = open_source(notes)
    assert [after.fingerprint(at) for at in range(1, len(after))] == marks


def test_more_files_than_are_kept_open_are_read_in_any_order(tmp_path: Path) -> None:
    for number in range(40):
        file_at(
            tmp_path, f"{number:02d}.jsonl" + (".gz" if number % 2 else ""), as_jsonl([f"{number} a", f"{number} b"])
        )
    source = open_source(tmp_path)
    order = list(range(80))
    random.Random(1).shuffle(order)
    assert [source[at].text for at in order] == [f"{at // 2} {'ab'[at % 2]}" for at in order]


def test_what_is_excluded_is_no_source(tmp_path: Path) -> None:
    file_at(tmp_path, "a.txt", "a\n")
    file_at(tmp_path, "rows.jsonl", as_jsonl(["made"]))
    file_at(tmp_path, "rows.run/source/x.jsonl", as_jsonl(["fetched"]))
    reading = Reading(exclude=[tmp_path / "rows.jsonl", tmp_path / "rows.run"])
    assert texts(open_source(tmp_path, reading=reading)) == ["a"]
    assert texts(open_source(f"{tmp_path}/**/*", reading=reading)) == ["a"]


def test_a_folder_or_pattern_without_files_is_an_error(tmp_path: Path) -> None:
    assert "file in the folder" in message(tmp_path)
    assert "file that fits" in message(f"{tmp_path}/*.txt")
    file_at(tmp_path, "x.bin", "")
    assert "no .txt, .md" in message(tmp_path)


def test_an_error_in_one_of_many_files_names_it(tmp_path: Path) -> None:
    file_at(tmp_path, "in/a.jsonl", as_jsonl(["a"]))
    broken = file_at(tmp_path, "in/b.jsonl", "{")
    assert message(tmp_path / "in").startswith(f"Line 1 of {broken} is not JSON")
    assert texts(open_source(tmp_path / "in", reading=Reading(bad_rows="skip"))) == ["a"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_what_can_be_read_only_once_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    assert "has to be read more than once" in message(tmp_path / "pipe.jsonl")


# --- gzip -------------------------------------------------------------------------------------------------------------


def test_any_place_of_a_gzip_file_is_read_again_after_states_were_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inflate, "FIRST_SPACING", 5_000)
    monkeypatch.setattr(inflate, "MOST_STATES", 8)
    chance = random.Random(3)
    lines = [chance.randbytes(chance.randrange(1, 400)).hex().encode() + b"\n" for _ in range(3_000)]
    content = b"".join(lines)
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(content[:300_000]) + gzip.compress(content[300_000:]) + bytes(512))
    with Inflated(path) as file:
        assert file.readall() == content
        places = [state.at for state in file._states]
        assert 4 <= len(places) <= 8
        assert max(later - earlier for earlier, later in pairwise([*places, len(content)])) < len(content) / 3
        for _ in range(200):
            at = chance.randrange(len(content))
            assert file.seek(at) == at
            assert file.read(100) == content[at : at + 100] or len(content) - at < 100
        assert file.seek(len(content) + 9) == len(content)
        assert file.read(1) == b""


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4), st.lists(st.integers(0, 1000), max_size=6))
def test_members_of_any_sizes_are_one_text(
    tmp_path_factory: pytest.TempPathFactory, members: list[bytes], places: list[int]
) -> None:
    path = tmp_path_factory.mktemp("gz") / "x.gz"
    path.write_bytes(b"".join(map(gzip.compress, members)))
    content = b"".join(members)
    with Inflated(path) as file:
        for place in places:
            file.seek(place)
            assert file.readall() == content[place:]


@pytest.mark.parametrize("how", ["cut", "damaged"])
def test_a_damaged_gzip_file_is_an_error(tmp_path: Path, how: str) -> None:
    whole = gzip.compress(as_jsonl([os.urandom(500).hex() for _ in range(400)]))
    half = len(whole) // 2
    data = whole[:half] if how == "cut" else whole[:half] + b"\0\0\0\0\0\0\0\0" + whole[half + 8 :]
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(data)
    text = message(path)
    assert "cannot be read" in text or "is not JSON" in text
    assert "a.jsonl.gz" in text


def test_whether_a_file_is_gzip_is_seen_in_it_and_not_in_its_name(tmp_path: Path) -> None:
    plain = tmp_path / "plain.jsonl.gz"
    plain.write_bytes(as_jsonl(["a"]))
    packed = tmp_path / "packed.jsonl"
    packed.write_bytes(gzip.compress(as_jsonl(["b"])))
    assert texts(open_source(plain)) == ["a"]
    assert texts(open_source(packed)) == ["b"]


# --- encodings --------------------------------------------------------------------------------------------------------

WORDS = ["naïve", "čaj", "漢字", "\u0a0a\u010a\u0a00 and \U0001f600", "line"]


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be", "gb18030"])
@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl", "a.json", "a.txt.gz"])
def test_texts_in_every_encoding_are_read(tmp_path: Path, name: str, codec: str) -> None:
    content = {
        "a.txt": "\r\n".join(WORDS),
        "a.csv": as_csv(WORDS).decode(),
        "a.jsonl": "".join(f'{{"text": "{word}"}}\n' for word in WORDS),
        "a.json": "[" + ",\n".join(f'"{word}"' for word in WORDS) + "]",
    }[name.removesuffix(".gz")]
    data = content.encode(codec)
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    marked = codec in ("utf-8-sig", "utf-16", "utf-32")
    source = open_source(path, reading=Reading() if marked else Reading(encoding=codec))
    assert texts(source) == WORDS
    assert source[3].text == WORDS[3]


def test_windows_files_are_read_where_their_encoding_is_said(tmp_path: Path) -> None:
    path = file_at(tmp_path, "a.csv", "id;text\r\n1;caf\xe9 \x80\r\n".encode("latin-1"))
    assert texts(open_source(path, reading=Reading(encoding="cp1252"))) == ["café €"]
    text = message(path)
    assert "byte 0xE9 at 14, in line 2" in text
    assert 'encoding="cp1252"' in text


def test_an_encoding_that_there_is_not_or_that_hides_lines_is_refused(tmp_path: Path) -> None:
    path = file_at(tmp_path, "a.txt", "x")
    assert "no encoding 'utf8000'" in message(path, reading=Reading(encoding="utf8000"))
    assert "Lines cannot be told" in message(path, reading=Reading(encoding="cp037"))


def test_half_a_character_at_the_end_is_an_error(tmp_path: Path) -> None:
    path = file_at(tmp_path, "a.txt", "ok\nhalf".encode("utf-16") + b"x")
    assert "is not UTF-16-LE" in message(path)


def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rowsmith.data.feed.LONGEST_LINE", 1000)
    assert "longer than 1,000 bytes" in message(file_at(tmp_path, "a.jsonl", "{" + " " * 2000))


def test_counts_of_several_files_are_one_count(tmp_path: Path) -> None:
    file_at(tmp_path, "a.txt", "x\n\nlong enough\n")
    file_at(tmp_path, "b.txt", "long enough\n\n")
    source = open_source(tmp_path, min_length=3, distinct=True)
    assert source.skipped == Counter({"empty": 2, "too short": 1, "repeated": 1})


def test_a_file_that_vanishes_is_an_error(notes: Path) -> None:
    source = open_source(notes)
    (notes / "b.md").unlink()
    with pytest.raises(SourceError, match="cannot be read"):
        source[2]
