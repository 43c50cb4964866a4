"""That a model refuses a parameter is told to whoever runs the command."""

from __future__ import annotations

from collections.abc import Callable

from rowsmith.testing import ScriptedServer, UnsupportedParameter

from .conftest import CLASSIFICATION, Cli, never_the_same

Servers = Callable[..., ScriptedServer]


def test_a_refused_parameter_is_named_once_while_the_rows_are_made(cli: Cli, scripted_server: Servers) -> None:
    server = scripted_server(never_the_same, faults=UnsupportedParameter("temperature"))
    model = f'  - {{model: openai/scripted, api_base: "{server.base_url}", temperature: 0.5}}'
    cli.write("\n".join([CLASSIFICATION + "llms:", model, ""]))
    done = cli("run", "job.yaml", OPENAI_API_KEY="any")
    assert done.returncode == 0
    assert done.stderr.count("refuses `temperature`: left out from now on") == 1
    assert "openai/scripted" in done.stderr


def test_with_strict_params_it_is_the_error(cli: Cli, scripted_server: Servers) -> None:
    server = scripted_server(never_the_same, faults=UnsupportedParameter("temperature"))
    model = f'  - {{model: openai/scripted, api_base: "{server.base_url}", temperature: 0.5, strict_params: true}}'
    cli.write("\n".join([CLASSIFICATION + "llms:", model, ""]))
    done = cli("run", "job.yaml", OPENAI_API_KEY="any")
    assert done.returncode == 1
    assert "This model refuses `temperature`" in done.stderr
