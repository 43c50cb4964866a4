"""`rowsmith export`: one file or several, all of them or none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rowsmith import Dataset

from .conftest import CLASSIFICATION, Cli


def rows(folder: Path, count: int = 10) -> Path:
    path = folder / "rows.jsonl"
    Dataset({"id": str(number), "text": f"text {number}", "label": "ab"[number % 2]} for number in range(count)).save(
        path
    )
    return path


def read(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_a_run_becomes_messages(cli: Cli) -> None:
    cli.write(CLASSIFICATION)
    assert cli("run", "job.yaml", "--llm", "offline", "--quiet").returncode == 0
    before = (cli.folder / "rows.jsonl").read_bytes()
    done = cli("export", "rows.jsonl", "--format", "messages", "--option", "system=Positive or negative?")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "20 rows: rows.messages.jsonl\n"
    found = read(cli.folder / "rows.messages.jsonl")
    assert len(found) == 20
    assert [message["role"] for message in found[0]["messages"]] == ["system", "user", "assistant"]
    refused = cli("export", "rows.jsonl", "--output", "rows.jsonl", "--force")
    assert refused.returncode == 2
    assert "belongs to the run" in refused.stderr
    assert (cli.folder / "rows.jsonl").read_bytes() == before


def test_a_split_makes_a_file_for_each_part(cli: Cli) -> None:
    rows(cli.folder)
    command = ("export", "rows.jsonl", "-f", "csv", "--split", "train=0.8,test=0.2", "--stratify-by", "label")
    done = cli(*command, "--seed", "3")
    assert done.stderr == "8 rows: rows.train.csv\n2 rows: rows.test.csv\n"
    train = (cli.folder / "rows.train.csv").read_bytes()
    again = cli(*command)
    assert again.returncode == 2
    assert "rows.train.csv is there already" in again.stderr
    assert cli(*command, "--seed", "3", "--force").returncode == 0
    assert (cli.folder / "rows.train.csv").read_bytes() == train


def test_rows_are_chosen_shuffled_and_renamed(cli: Cli) -> None:
    rows(cli.folder, 30)
    done = cli(
        *("export", "rows.jsonl", "-f", "messages", "-o", "out.jsonl", "--where", "label=a"),
        *("--shuffle", "--seed", "1", "--column", "prompt=text", "--column", "completion=id"),
    )
    assert done.returncode == 0, done.stderr
    answers = [row["messages"][1]["content"] for row in read(cli.folder / "out.jsonl")]
    assert sorted(answers, key=int) == [str(number) for number in range(0, 30, 2)]
    assert answers != sorted(answers, key=int)


def test_a_multiple_choice_is_lettered_by_the_seed(cli: Cli) -> None:
    wrong = ["Rome", "Bonn", "Bern"]
    Dataset(
        {"id": str(number), "question": "?", "correct_answer": "Paris", "incorrect_answers": wrong}
        for number in range(20)
    ).save(cli.folder / "rows.jsonl")

    def answers(*more: str) -> list[str]:
        assert cli("export", "rows.jsonl", "-f", "messages", "-o", "out.jsonl", "--force", *more).returncode == 0
        return [row["messages"][1]["content"] for row in read(cli.folder / "out.jsonl")]

    assert answers("--seed", "1") == answers("--seed", "1") != answers("--seed", "2")
    assert {answer[0] for answer in answers()} == set("ABCD")


def test_a_function_in_a_file_is_a_format(cli: Cli) -> None:
    rows(cli.folder, 1)
    cli.write("def mine(row, *, mark: str = '!'):\n    return {'t': row['text'] + mark}\n", "shapes.py")
    assert cli("export", "rows.jsonl", "-f", "shapes.py:mine", "--option", "mark=?").returncode == 0
    assert read(cli.folder / "rows.mine.jsonl") == [{"t": "text 0?"}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-f", "mesages"], "there is no format 'mesages'. Did you mean 'messages'?"),
        (["-f", "dpo"], "rows.jsonl, line 1, cannot be written as dpo: it lacks 'prompt' and 'chosen' and 'rejected'"),
        (["-f", "messages", "--option", "system"], "--option is written system='Be brief.'; got 'system'"),
        (["-f", "csv", "--split", "train=most"], "the share of 'train' is 'most'"),
        (["-f", "csv", "--split", "../x=1"], "'../x' cannot be the name of a part"),
        (["-f", "csv", "--split", "train=0.5,test=0.4"], "come to 0.9"),
        (["-f", "csv", "--stratify-by", "label"], "--stratify-by needs --split"),
        (["-f", "csv", "--where", "label"], "a condition is written FIELD=VALUE"),
        (["-f", "csv", "--where", "lable=a"], "no row has a field 'lable'. Did you mean 'label'?"),
        (["-f", "csv", "-o", "nowhere/out.csv"], "there is no folder"),
        (["-f", "csv", "-o", "out.txt"], "csv is stored in files that end in .csv"),
        (["-f", "shapes.py:mine"], "there is no file 'shapes.py'"),
        ([], "rows.jsonl is jsonl already: say where to write it, with --output"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(cli: Cli, arguments: list[str], message: str) -> None:
    rows(cli.folder)
    done = cli("export", "rows.jsonl", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in cli.folder.iterdir()] == ["rows.jsonl"]


def test_one_row_that_does_not_fit_leaves_no_part_behind(cli: Cli) -> None:
    path = rows(cli.folder)
    with path.open("a") as file:
        file.write('{"id":"x","text":"no label"}\n')
    done = cli("export", "rows.jsonl", "-f", "messages", "--split", "train=0.5,test=0.5")
    assert done.returncode == 2
    assert "rows.jsonl, line 11, cannot be written as messages" in done.stderr
    assert [path.name for path in cli.folder.iterdir()] == ["rows.jsonl"]
