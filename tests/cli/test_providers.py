"""`rowsmith providers`, as a person calls it."""

from __future__ import annotations

from rowsmith.llm.registry import available

from .conftest import Cli

SECRET = "not-to-be-seen-7f3a9c2e51d84b06"


def row(out: str, name: str) -> str:
    return next(line for line in out.splitlines() if line.split()[:1] in ([name], [f"{name}:"]))


def test_every_installed_provider_is_listed_with_its_default_model(cli: Cli) -> None:
    done = cli("providers")
    assert done.returncode == 0, done.stderr
    for name in available():
        assert row(done.stdout, name)
    assert "claude-" in row(done.stdout, "anthropic")
    assert "not set: ANTHROPIC_API_KEY" in row(done.stdout, "anthropic")
    assert "told" in row(done.stdout, "anthropic")
    assert "none needed" in row(done.stdout, "offline")
    assert "not set: AZURE_OPENAI_ENDPOINT" in row(done.stdout, "azure")
    assert "\x1b" not in done.stdout


def test_it_says_from_where_a_key_and_an_address_come_and_shows_no_key(cli: Cli) -> None:
    cli.write(f"export MISTRAL_API_KEY='{SECRET}'\n", ".env")
    base = f"http://user:{SECRET}@127.0.0.1:9/v1?key={SECRET}"
    for arguments in (["providers"], ["providers", "openai"], ["providers", "mistral"], ["providers", "ollama"]):
        done = cli(*arguments, OPENAI_API_KEY=SECRET, OPENAI_BASE_URL=base, OLLAMA_HOST=f"{SECRET}@here:1")
        assert done.returncode == 0, done.stderr
        assert SECRET not in done.stdout + done.stderr
        if len(arguments) == 1:
            assert "OPENAI_API_KEY (environment)" in row(done.stdout, "openai")
            assert "http://127.0.0.1:9/v1 (OPENAI_BASE_URL, environment)" in row(done.stdout, "openai")
            assert "MISTRAL_API_KEY (.env)" in row(done.stdout, "mistral")
            assert "here:1 (OLLAMA_HOST, environment)" in row(done.stdout, "ollama")


def test_a_key_that_was_put_in_the_variable_of_the_address_is_not_shown(cli: Cli) -> None:
    done = cli("providers", OPENAI_BASE_URL=SECRET, XAI_BASE_URL=f"https://api.x.ai/{SECRET}")
    assert SECRET not in done.stdout


def test_one_provider_is_shown_with_its_arguments(cli: Cli) -> None:
    done = cli("providers", "anthropic")
    assert done.returncode == 0
    assert done.stdout.startswith("anthropic: Anthropic\n")
    assert "  max_completion_tokens = None\n" in done.stdout
    assert "  structured JSON Schema, JSON mode, by the prompt\n" in done.stdout
    assert "api_key" in done.stdout
    assert cli("providers", "anthropic/claude-haiku-5-5").stdout == done.stdout
    done = cli("providers", "antropic")
    assert done.returncode == 2
    assert "Did you mean 'anthropic'?" in done.stderr
