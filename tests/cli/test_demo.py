"""`rowsmith demo`: what a person sees in the first minute."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from rowsmith.datasets.loading import load_job

from .conftest import Cli


def test_the_demo_shows_rows_of_three_languages_and_three_classes(cli: Cli) -> None:
    done = cli("demo", "--output", "first")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (cli.folder / "first" / "demo.jsonl").read_text("utf-8").splitlines()]
    kinds = Counter((row["language"], row["label"]) for row in rows)
    assert len(kinds) == 9
    assert len(set(kinds.values())) == 1
    for language, label in kinds:
        assert f"│ {language}" in done.stdout
        assert f"│ {label}" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr


def test_it_says_that_no_model_wrote_them_and_what_to_run_next(cli: Cli) -> None:
    done = cli("demo", "-o", "first")
    assert "written by the offline provider. It is no language model" in done.stderr
    assert "rowsmith run first/demo.yaml --llm openai/gpt-5-mini --output reviews.jsonl" in done.stderr
    with_key = cli("demo", "-o", "first", OPENAI_API_KEY="sk-secret")
    assert "openai/gpt-5-mini  (OPENAI_API_KEY is set)" in with_key.stderr
    assert "sk-secret" not in with_key.stderr
    assert "nothing left to do" in with_key.stdout


def test_its_file_is_a_run_of_its_own_that_names_no_model(cli: Cli) -> None:
    cli("demo", "-o", "first")
    job = load_job(cli.folder / "first" / "demo.yaml")
    assert job.llms == []
    done = cli("run", "first/demo.yaml", "--llm", "offline", "--output", "reviews.jsonl")
    assert done.returncode == 0, done.stderr
    assert (cli.folder / "reviews.jsonl").exists()


def test_without_a_folder_it_leaves_the_current_one_alone(cli: Cli) -> None:
    temporary = cli.folder / "temporary"
    temporary.mkdir()
    done = cli("demo", TMPDIR=str(temporary))
    assert done.returncode == 0, done.stderr
    assert [path.name for path in cli.folder.iterdir()] == ["temporary"]
    (folder,) = temporary.iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["demo.jsonl", "demo.run", "demo.yaml"]


def test_a_folder_that_cannot_be_made_is_one_message(cli: Cli) -> None:
    (cli.folder / "file").write_text("", encoding="utf-8")
    done = cli("demo", "-o", "file/inside")
    assert done.returncode == 1
    assert "cannot write in 'file/inside'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_was_changed_is_kept(cli: Cli) -> None:
    cli("demo", "-o", "first")
    file: Path = cli.folder / "first" / "demo.yaml"
    file.write_text(file.read_text("utf-8") + "# mine\n", encoding="utf-8")
    assert cli("demo", "-o", "first").returncode == 0
    assert file.read_text("utf-8").endswith("# mine\n")
