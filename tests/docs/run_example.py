"""Runs one example in a folder of its own, with no network, no keys and no home but that folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml
from fences import Example, matches

from support.forks import Forked, Forks

HERE = Path(__file__).resolve().parent
SECONDS = 60
LOADED = ("aiohttp", "rowsmith", "rowsmith.testing", "rowsmith.cli.app")
"""What examples need, and not each submodule: one that is used without being imported is told by those in a console."""


class ExampleError(AssertionError):
    """An example does not do what its page says."""


def run_example(example: Example, folder: Path, services: Mapping[str, str], forks: Forks) -> None:
    """Run it, and compare what it prints with what the page says.

    Args:
        example: what to run.
        folder: an empty folder to run it in.
        services: environment variables that lead to model servers on loopback.
        forks: of a process in which Rowsmith is loaded already, with its environment from `environment`.

    Raises:
        ExampleError: it fails, ends with another exit code, or prints something else.
    """
    for fence in example.files:
        path = folder / fence.marks["file"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(fence.text, encoding="utf-8")
    env = environment(folder, services)
    if example.kind == "python":
        printed = run_python(example, folder, env, forks)
    elif example.kind == "yaml":
        printed = run_yaml(example, folder, env, forks)
    elif example.kind == "json":
        printed = read_json(example)
    else:
        printed = run_console(example, folder, env)
    if example.output is not None and not matches(example.output, printed):
        raise ExampleError(f"{example} printed:\n{printed}\nThe page says:\n{example.output}")


def environment(folder: Path, services: Mapping[str, str]) -> dict[str, str]:
    """All that a process of an example sees of this machine."""
    return {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "HOME": str(folder / "home"),
        "PYTHONPATH": os.pathsep.join([str(HERE / "guard"), str(HERE)]),
        "PYTHONWARNINGS": "error",
        "PYTHONUTF8": "1",
        "NO_COLOR": "1",
        "TERM": "dumb",
        "COLUMNS": "120",
        **services,
    }


def run_python(example: Example, folder: Path, env: Mapping[str, str], forks: Forks) -> str:
    parts = [{"page": fence.page, "line": fence.line, "code": fence.text} for fence in example.fences]
    plan = folder.with_name(f"{folder.name}.json")
    plan.write_text(json.dumps(parts), encoding="utf-8")
    return forked(example, forks.start("run_python", ["run_python.py", str(plan)], folder, env, together=True))


def run_yaml(example: Example, folder: Path, env: Mapping[str, str], forks: Forks) -> str:
    """A run's or a build's configuration: whatever models it names, the offline provider makes the rows or topics."""
    described = yaml.safe_load(example.fence.text)
    if not isinstance(described, dict):
        raise ExampleError(f"{example}: not a mapping")
    path = folder / example.fence.marks.get("file", "example.yaml")
    path.write_text(example.fence.text, encoding="utf-8")
    command = ["topics", "build"] if "topic_prompt" in described else ["run"]
    arguments = ["rowsmith", *command, path.name, "--llm", "offline"]
    return forked(example, forks.start("rowsmith.cli", arguments, folder, env, together=True))


def read_json(example: Example) -> str:
    documents = example.fence.text.splitlines() if example.fence.language == "jsonl" else [example.fence.text]
    for document in documents:
        try:
            json.loads(document)
        except ValueError as error:
            raise ExampleError(f"{example}: not JSON ({error}): {document}") from error
    return ""


def run_console(example: Example, folder: Path, env: Mapping[str, str]) -> str:
    """Each command in turn; what stands below a command is what it prints."""
    if example.kind == "shell":
        return process(["bash", "-euo", "pipefail", "-c", example.fence.text], example, folder, env)
    transcript = ""
    for command, expected in commands(example.fence.text):
        printed = process(["bash", "-euo", "pipefail", "-c", command], example, folder, env)
        if expected.strip() and not matches(expected, printed):
            raise ExampleError(f"{example}: $ {command}\nprinted:\n{printed}\nThe page says:\n{expected}")
        transcript += printed
    return transcript


def commands(text: str) -> list[tuple[str, str]]:
    """The commands of a console's transcript, each with the lines below it."""
    found = []
    for block in re.split(r"^\$ ", text.replace("\\\n", ""), flags=re.MULTILINE)[1:]:
        command, _, expected = block.partition("\n")
        found.append((command, expected))
    return found


def process(command: list[str], example: Example, folder: Path, env: Mapping[str, str]) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=SECONDS,
    )
    return ended(example, done.returncode, done.stdout)


def forked(example: Example, process: Forked) -> str:
    try:
        printed, _ = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise ExampleError(f"{example} has not ended after {SECONDS} s") from None
    return ended(example, process.wait(), printed)


def ended(example: Example, code: int, printed: str) -> str:
    """What was printed, by an example that ended as it should."""
    wanted = int(example.fence.marks.get("exit", "0"))
    if code != wanted:
        raise ExampleError(f"{example} ended with exit code {code}, not {wanted}:\n{printed}")
    return printed
