"""`rowsmith show`: rows to read, chosen and picked, with nothing in them that drives a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rowsmith import Dataset

from .conftest import COMMAND, Cli

MIXED: list[dict[str, Any]] = [
    {
        "id": "chat",
        "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "def f():\n    x"}],
    },
    {"id": "ner", "text": "Ada met Bob", "entities": [{"start": 8, "end": 11, "label": "PER"}], "language": "en"},
    {"id": "mcq", "question": "Capital?", "correct_answer": "Paris", "incorrect_answers": ["Rome", "Bonn"]},
    {"id": "pair", "question": "Why?", "chosen": "東京です。", "rejected": "No.", "chosen_score": 9},
    {"id": "qa", "question": "Where?", "context": "In Rome.", "answer": "Rome", "answer_start": 3},
    {"id": "plain", "text": "good", "label": "positive", "metadata": {"provider": "p"}},
]


@pytest.fixture
def mixed(cli: Cli) -> Cli:
    Dataset(MIXED).save(cli.folder / "rows.jsonl")
    return cli


def on_a_terminal(cli: Cli, *arguments: str) -> str:
    """What the command writes to a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments], cwd=cli.folder, env=cli.env, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    found = b""
    try:
        while data := os.read(ours, 65536):
            found += data
    except OSError:  # how the end of a terminal is told on Linux
        pass
    os.close(ours)
    assert process.wait() == 0
    return found.decode().replace("\r\n", "\n")


def test_each_kind_reads_as_what_it_is(mixed: Cli) -> None:
    done = mixed("show", "rows.jsonl")
    assert done.returncode == 0
    assert done.stdout == (
        "── row 1 · chat ────────\nuser:\n  Hi\nassistant:\n  def f():\n      x\n\n"
        "── row 2 · ner ────────\n  Ada met [Bob](PER)\nlanguage en\n\n"
        "── row 3 · mcq ────────\nquestion:\n  Capital?\n  ✓ Paris\n  ✗ Rome\n  ✗ Bonn\n\n"
        "── row 4 · pair ────────\nquestion:\n  Why?\nchosen (9):\n  東京です。\nrejected:\n  No.\n\n"
        "── row 5 · qa ────────\nquestion:\n  Where?\nanswer:\n  Rome\ncontext:\n  In [Rome].\n\n"
        "── row 6 · plain ────────\n  good\nlabel positive\n\n"
    )
    assert done.stderr == "6 of 6 rows\n"


def test_a_conversation_is_told_once_and_its_tools_by_their_names(cli: Cli) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bonn"}'}}
    messages = [
        {"role": "user", "content": "Rain?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "name": "weather", "content": "dry"},
        {"role": "assistant", "content": "No."},
    ]
    tools = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in ("weather", "time")]
    row = {"id": "a", "messages": messages, "tools": tools, "question": "Rain?", "answer": "Not said"}
    Dataset([row]).save(cli.folder / "rows.jsonl")
    shown = cli("show", "rows.jsonl").stdout
    assert shown.splitlines()[1:] == [
        *("user:", "  Rain?", "assistant:", '  → weather {"city": "Bonn"}', "tool weather:", "  dry"),
        *("assistant:", "  No.", "tools weather, time · answer Not said", ""),
    ]
    full = cli("show", "rows.jsonl", "--full").stdout
    assert "question Rain?" in full
    assert '"parameters":{}' in full


def test_a_terminal_gets_colours_and_preferences_side_by_side(mixed: Cli) -> None:
    shown = on_a_terminal(mixed, "show", "rows.jsonl")
    assert "\x1b[33m[Bob](PER)\x1b[0m" in shown
    assert "\x1b[32massistant:\x1b[0m" in shown
    plain = on_a_terminal(Cli(mixed.folder), "show", "rows.jsonl", "--id", "pair").replace("\x1b[2m", "")
    (line,) = [line for line in plain.splitlines() if "東京" in line]
    head = next(line for line in plain.splitlines() if "rejected" in line and "│" in line)
    assert "No." in line
    # Each of the five wide characters takes two columns.
    assert line.replace("\x1b[0m", "").index("│") + 5 == head.replace("\x1b[32m", "").replace("\x1b[0m", "").index("│")


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        (["--where", "label=positive"], ["plain"]),
        (["--where", "language=en", "--contains", "ADA"], ["ner"]),
        (["--where", "metadata.provider=p"], ["plain"]),
        (["--where", "chosen_score=9.0"], ["pair"]),
        (["--where", "incorrect_answers=Bonn"], ["mcq"]),
        (["--contains", "rome"], ["mcq", "qa"]),
        (["--id", "qa", "--id", "chat"], ["chat", "qa"]),
        (["--limit", "2"], ["chat", "ner"]),
        (["--contains", "provider"], []),
    ],
)
def test_rows_are_chosen(mixed: Cli, arguments: list[str], ids: list[str]) -> None:
    done = mixed("show", "rows.jsonl", *arguments)
    assert done.returncode == 0, done.stderr
    assert [line.split()[4] for line in done.stdout.splitlines() if line.startswith("── row")] == ids


def test_random_picks_are_repeated_by_their_seed(mixed: Cli) -> None:
    one, same, *others = (mixed("show", "rows.jsonl", "--random", "2", "--seed", seed).stdout for seed in "11234")
    assert one == same
    assert any(other != one for other in others)
    assert one.count("── row") == 2


def test_what_a_text_holds_cannot_drive_the_terminal(cli: Cli) -> None:
    nasty = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.exe\u2028\x00\x7f"
    Dataset(
        [
            {"id": nasty, "text": nasty, nasty: nasty, "long": nasty + "x" * 100},
            {"messages": [{"role": nasty, "content": nasty}]},
            {"question": nasty, "chosen": nasty, "rejected": nasty, "chosen_score": nasty},
            {"question": nasty, "correct_answer": nasty, "incorrect_answers": [nasty, {nasty: nasty}]},
            {"text": nasty, "entities": [{"start": 0, "end": 3, "label": nasty}]},
        ]
    ).save(cli.folder / "rows.jsonl")
    for arguments in (["--full"], ["--statistics"]):
        done = cli("show", "rows.jsonl", *arguments)
        assert done.returncode == 0, done.stderr
        assert [sign for sign in done.stdout if sign != "\n" and not sign.isprintable()] == []
        assert "\\x1b" in done.stdout


def test_long_texts_are_cut_unless_all_is_wanted(cli: Cli) -> None:
    Dataset([{"text": "word " * 1000, "metadata": {"a": 1}}]).save(cli.folder / "rows.jsonl")
    assert "… (3,500 more characters)" in cli("show", "rows.jsonl").stdout
    assert "metadata" not in cli("show", "rows.jsonl").stdout
    full = cli("show", "rows.jsonl", "--full").stdout
    assert full.count("word") == 1000
    assert 'metadata {"a":1}' in full


def test_no_line_on_a_terminal_is_wider_than_it(cli: Cli) -> None:
    from rowsmith.data.layout import width_of

    Dataset([{"text": "東京 tower " * 50 + "x" * 300, "label": "l", "note": "n " * 90}]).save(cli.folder / "rows.jsonl")
    shown = on_a_terminal(cli, "show", "rows.jsonl")
    for code in ("\x1b[1m", "\x1b[2m", "\x1b[0m"):
        shown = shown.replace(code, "")
    assert max(map(width_of, shown.splitlines())) <= 100
    assert shown.count("東京") == 50


def test_statistics_and_mistakes(mixed: Cli) -> None:
    assert mixed("show", "rows.jsonl", "--statistics").stdout.startswith("rows          6\nduplicates    0\n")
    for arguments, message in (
        (["rows.jsonl", "--where", "lable=x"], "no row has a field 'lable'. Did you mean 'label'?"),
        (["row.jsonl"], "There is no file row.jsonl. Did you mean 'rows.jsonl'?"),
        ([str(Path.cwd().root)], "is a folder"),
    ):
        done = mixed("show", *arguments)
        assert done.returncode == 2
        assert message in done.stderr


def test_python_shows_the_same(mixed: Cli) -> None:
    page = Dataset.load(mixed.folder / "rows.jsonl").inspect(1, where={"label": "positive"})
    assert str(page) == "── row 6 · plain ────────\n  good\nlabel positive\n\n1 of 1 rows that fit, among 6"
    assert repr(page) == str(page)
    assert page._repr_html_().startswith("<pre>── row 6")
    assert len(Dataset(MIXED).inspect(3, random=True, seed=2)) == 3
