"""No command prints, logs or stores a key, wherever it was given and whatever the service says back."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from urllib.parse import quote

from rowsmith.testing import Call, Reply, ScriptedServer

from .conftest import CLASSIFICATION, Cli

Servers = Callable[..., ScriptedServer]

SECRETS = {
    "file": "Yv9-in-the-file-8Qd2kLm7",
    "header": "Bt4+in/a/header=Zx81",
    "environment": "in-the-environment-5tGb9nHy",
    "env_file": 'in"the\\env-file%41-Lp03',
    "option": "in-an-option-Wq7Rf2",
    "setting": "in-a-setting-Mk55Ty",
}


def echo(call: Call) -> Reply:
    """Refuse, and repeat all that was sent in the ways in which services do."""
    told = [value for name, value in call.headers.items() if name in ("authorization", "x-api-key", "x-token")]
    words = [word for value in told for word in (value, json.dumps(value), quote(value, safe=""), b64(value))]
    headers = {"x-request-id": quote(told[0], safe="")} if told else {}
    return Reply(status=(401, 400, 404)[call.number % 3], error=" ".join(words), param=words[0], headers=headers)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def shown(secret: str) -> list[str]:
    return [
        secret,
        json.dumps(secret)[1:-1],
        quote(secret, safe=""),
        repr(secret)[1:-1],
        b64(f"Bearer {secret}")[12:-4],
    ]


def test_no_command_shows_a_key(cli: Cli, scripted_server: Servers) -> None:
    server = scripted_server(echo)
    openai, root = server.base_url, server.url
    cli.write(
        CLASSIFICATION
        + f"""\
llms:
  fallback:
    - {{model: openai/first, api_base: "{openai}", api_key: {SECRETS["file"]}}}
    - {{model: openai/second, api_base: "{openai}", extra_headers: {{X-Token: {SECRETS["header"]}}}}}
    - {{model: mistral/third, api_base: "{openai}"}}
    - {{model: anthropic/fourth, api_base: "{root}"}}
    - {{model: openai/fifth, api_base: "{openai}", api_key: later}}
"""
    )
    cli.write(f"ANTHROPIC_API_KEY='{SECRETS['env_file']}'\n", ".env")
    env = {"MISTRAL_API_KEY": SECRETS["environment"], "OPENAI_API_KEY": "none"}
    setting = ("--set", f"llms.fallback.4.api_key={SECRETS['setting']}")
    option = ("--llm", f"{{model: openai/any, api_base: '{openai}', api_key: {SECRETS['option']}}}")
    log = ("--log-file", "run.log", "--log-level", "DEBUG", "--debug")
    commands = [
        ("run", "job.yaml", *setting, *log),
        ("run", "job.yaml", *option, "--output", "other.jsonl", *log),
        ("check", "job.yaml", *setting, *log),
        ("check", "job.yaml", *option, *log),
        ("estimate", "job.yaml", *setting, "--sample", "1", *log),
        ("sample", "job.yaml", *option, "--output", "third.jsonl", *log),
        ("status", "rows.jsonl"),
        ("resume", "rows.jsonl", *log),
        ("providers",),
        ("run", "job.yaml", "--set", f"llms.fallback.0.api_key=[{SECRETS['setting']}", "--debug"),
    ]
    printed = ""
    for command in commands:
        done = cli(*command, cwd=None, **env)
        assert done.returncode in (0, 1, 2), done.stderr
        printed += f"\n$ {command[0]}\n{done.stdout}{done.stderr}"
    assert "Traceback" in printed
    assert "***" in printed
    sent = {value for call in server.calls for value in call.headers.values()}
    assert {f"Bearer {SECRETS[name]}" for name in ("file", "environment", "option", "setting")} < sent
    assert {SECRETS["header"], SECRETS["env_file"]} < sent
    left = [path for path in cli.folder.rglob("*") if path.is_file() and path.name not in ("job.yaml", ".env")]
    assert {"run.log", "ledger.sqlite", "rejected.jsonl"} <= {path.name for path in left}
    for where, secret in SECRETS.items():
        for form in shown(secret):
            assert form not in printed, f"what stood {where} was printed"
            for path in left:
                assert form.encode() not in path.read_bytes(), f"what stood {where} is in {path.name}"


def test_a_file_that_is_no_yaml_is_told_of_without_the_key_in_it(cli: Cli) -> None:
    secret = SECRETS["file"]
    for line in (f"api_key: [{secret}", f'api_key: "{secret}', f"api_key:\n      [{secret}", f"api_key: *{secret}"):
        cli.write(f"{CLASSIFICATION}llms:\n  - model: openai/x\n    {line}\n")
        done = cli("check", "job.yaml")
        assert done.returncode == 2
        assert secret not in done.stdout + done.stderr
