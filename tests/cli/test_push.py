"""`rowsmith push`: a run's rows, with a card that tells how they were made."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from rowsmith.testing import ScriptedServer
from support.hub import Hub

from .conftest import CLASSIFICATION, Cli, never_the_same, with_server

pytest.importorskip("huggingface_hub")
pytest.importorskip("pyarrow")

TOKEN = "hf_only_for_this_test"
KEY = "sk-not-for-anybody-else"


@pytest.fixture
def hub(cli: Cli) -> Iterator[Hub]:
    with Hub(users={TOKEN: "ada"}) as running:
        cli.env |= {"HF_ENDPOINT": running.url, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN}
        yield running


def test_a_run_is_pushed_with_what_made_it(cli: Cli, hub: Hub) -> None:
    cli.write(CLASSIFICATION + "gates: {blocklist: [no such words]}\n")
    assert cli("run", "job.yaml", "--llm", "offline", "--quiet").returncode == 0
    done = cli("push", "rows.jsonl", "ada/rows", "--train-size", "0.8", "--license", "mit", "--language", "en")
    assert (done.returncode, done.stdout) == (0, f"{hub.url}/datasets/ada/rows\n")
    assert done.stderr == "16 of 20 rows uploaded\n20 of 20 rows uploaded\n"
    files = hub.datasets["ada/rows"]
    assert hub.private == {"ada/rows"}
    card = files["README.md"].decode()
    for told in (
        "20 rows of the kind `classification`",
        "| positive | 10 |",
        "| fr | 10 |",
        "| offline | writer | 4 |",
    ):
        assert told in card
    assert "Write {num_samples} texts in {language_name} of the class" in card
    assert str(cli.folder) not in card

    again = cli.folder / "again"
    again.mkdir()
    (again / "rowsmith.yaml").write_bytes(files["rowsmith.yaml"])
    assert cli("run", "rowsmith.yaml", "--quiet", cwd=again).returncode == 0
    assert (again / "rows.jsonl").read_bytes() == (cli.folder / "rows.jsonl").read_bytes()


def test_no_key_and_no_path_of_this_machine_is_in_what_is_pushed(cli: Cli, hub: Hub) -> None:
    (cli.folder / "texts.txt").write_text("A long enough document about bridges and ferries. " * 5 + "\n")
    with ScriptedServer(answer=never_the_same) as server:
        job = {
            "dataset": "mcq",
            "output_file": "rows.jsonl",
            "local_file_path": str(cli.folder / "texts.txt"),
            "num_samples_per_prompt": 1,
            "system_prompt": f"Bearer {KEY}",
            "llms": [{"model": "openai/scripted", "api_base": server.base_url, "api_key": KEY}],
        }
        cli.write(yaml.safe_dump(job))
        assert cli("run", "job.yaml", "--quiet").returncode == 0
    assert cli("push", "rows.jsonl", "ada/rows").returncode == 0
    pushed = b"".join(content for path, content in hub.datasets["ada/rows"].items() if not path.endswith(".parquet"))
    assert b"openai/scripted" in pushed
    for hidden in (KEY, TOKEN, str(cli.folder)):
        assert hidden.encode() not in pushed
    config = yaml.safe_load(hub.datasets["ada/rows"]["rowsmith.yaml"])
    assert config["local_file_path"] == "texts.txt"
    assert "api_key" not in config["llms"][0]


def test_a_run_that_was_begun_in_python_shows_its_settings(cli: Cli, hub: Hub) -> None:
    script = (
        "from rowsmith import ClassificationDataset, ClassificationDatasetConfig\n"
        "ClassificationDataset(ClassificationDatasetConfig(classes=[{'name': 'x', 'description': 'a'}, "
        "{'name': 'y', 'description': 'b'}], output_file='rows.jsonl')).generate('offline')"
    )
    subprocess.run([sys.executable, "-c", script], cwd=cli.folder, check=True)
    assert cli("push", "rows.jsonl", "ada/rows", "--quiet").returncode == 0
    card = hub.datasets["ada/rows"]["README.md"].decode()
    assert "num_samples_per_prompt: 5" in card
    assert "rowsmith.yaml" not in hub.datasets["ada/rows"]


def test_refusals_and_short_runs_are_told(cli: Cli, hub: Hub) -> None:
    with ScriptedServer(answer=lambda call: '{"entries": [{"text": "always the same"}]}') as server:
        cli.write(with_server(server, more=["max_rounds: 1"]))
        assert cli("run", "job.yaml", "--quiet").returncode == 3
    assert cli("push", "rows.jsonl", "ada/rows").returncode == 0
    card = hub.datasets["ada/rows"]["README.md"].decode()
    assert "20 rows were asked for." in card
    assert "| duplicate |" in card


@pytest.mark.parametrize(
    ("env", "arguments", "code", "message"),
    [
        ({"HF_TOKEN": ""}, ("rows.jsonl", "ada/rows"), 2, "there is no token"),
        ({"HF_TOKEN": "hf_another_one"}, ("rows.jsonl", "ada/rows"), 1, "does not know this token"),
        ({}, ("rows.jsonl", "no name"), 2, "is no name of a dataset"),
        ({}, ("rowz.jsonl", "ada/rows"), 2, "Did you mean 'rows.jsonl'?"),
    ],
)
def test_what_is_wrong_is_said(
    cli: Cli, hub: Hub, env: dict[str, str], arguments: tuple[str, ...], code: int, message: str
) -> None:
    Path(cli.folder / "rows.jsonl").write_text('{"text": "one"}\n')
    cli.env |= env
    done = cli("push", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "hf_another_one" not in done.stderr
    assert hub.datasets == {}
